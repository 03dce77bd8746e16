"""Searching through HTTP: what is pushed is found, ranked, filtered, counted, by who may pull it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from gati_extensions.search.gathering import Gathering
from gati_extensions.search.jobs import AT_ONCE, Indexer
from gati_extensions.search.ports import Document
from gati_extensions.search.store import queue
from gati_extensions.search.types.index import Methods
from gati_registry.extension import ENABLED_FACT, Database, Transaction
from tests.core.support import FakeClock
from tests.extensions.access.support import User, World
from tests.extensions.search.support import EXTENSIONS, indexed, job, names, publish, search

pytestmark = pytest.mark.anyio


@pytest.fixture
def extensions() -> str:
    """Search too."""
    return EXTENSIONS


async def test_what_is_pushed_is_found_by_its_words(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/whisper", description="Turns speech to text.", keywords=["audio", "asr"])
    await publish(alice, "users/alice/other", description="Something about whisper, in passing.", keywords=[])
    await indexed(site)
    for q in ("whisper", "Whispers", '"speech to text"', "asr audio", "whisp", "kind:module license:mit whisper"):
        assert (await names(alice, q))[:1] == ["users/alice/whisper"], q
    assert await names(alice, "whisper") == ["users/alice/whisper", "users/alice/other"]
    assert await names(alice, "whisper -passing") == ["users/alice/whisper"]
    assert await names(alice, '"text to speech"') == []
    page = await search(alice, "speech")
    (item,) = page["items"]
    assert item["repository"] == "users/alice/whisper"
    assert (item["kind"], item["name"], item["version"]) == ("module", "whisper", "1.0.0")
    assert item["publisher"] == {"name": "alice", "verified": False}
    (highlight,) = item["highlights"]
    ((start, end),) = highlight["ranges"]
    assert highlight["text"][start:end] == "speech"
    assert page["total"] == 1
    assert page["total_exact"]
    assert page["ranking"] == "lexical"
    assert page["facets"]["kind"] == [{"value": "module", "count": 1}]


async def test_one_sees_what_one_may_pull_in_hits_counts_facets_and_suggestions(site: World) -> None:
    alice, bob, carol = site.user("alice"), site.user("bob"), site.user("carol")
    await publish(alice, "orgs/acme/secret-speech", keywords=["hush"], description="Speech.")
    await publish(alice, "users/alice/speech", description="Speech.")
    await publish(carol, "users/carol/speech", description="Speech.")
    await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "private"})
    await indexed(site)
    everything = {"orgs/acme/secret-speech", "users/alice/speech", "users/carol/speech"}
    for user in (alice, bob, site.admin):
        assert set(await names(user, "speech")) == everything
    for user in (carol, site.nobody):
        page = await search(user, "speech")
        assert {item["repository"] for item in page["items"]} == everything - {"orgs/acme/secret-speech"}
        assert page["total"] == 2
        assert {value["value"] for value in page["facets"]["namespace"]} == {"users/alice", "users/carol"}
        assert (await search(user, "hush"))["total"] == 0
        found = await search(user, "hsuh")
        assert (found["total"], found["corrected"]) == (0, {})
        assert (await user.done("GET", "search/suggest?q=secret"))["items"] == []
    (item,) = (await bob.done("GET", "search/suggest?q=secr"))["items"]
    assert item["repository"] == "orgs/acme/secret-speech"
    assert [item["repository"][start:end] for start, end in item["ranges"]] == ["secret"]
    # From private to public it is seen as soon as it is indexed, from public to private it is gone at once.
    await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "public"})
    await indexed(site)
    assert set(await names(carol, "speech")) == everything
    await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "private"})
    await hidden(carol, "orgs/acme/secret-speech", everything)


async def hidden(user: User, name: str, everything: set[str]) -> None:
    """Somebody does not find an artifact, nor is it counted."""
    page = await search(user, "speech")
    assert {item["repository"] for item in page["items"]} == everything - {name}
    assert page["total"] == len(everything) - 1
    assert name.rpartition("/")[0] not in {value["value"] for value in page["facets"]["namespace"]}
    assert name not in {item["repository"] for item in (await user.done("GET", "search/suggest?q=secr"))["items"]}


async def test_what_a_recount_makes_private_is_gone_at_once(site: World) -> None:
    alice, bob, carol = (site.user(name) for name in ("alice", "bob", "carol"))
    everything = {"users/alice/speech", "users/bob/secret-speech"}
    await publish(alice, "users/alice/speech")
    await publish(bob, "users/bob/secret-speech")
    await indexed(site)
    assert set(await names(carol, "speech")) == everything
    await site.admin.done("PATCH", "identity/users/bob", {"active": False})
    await job(site, "namespaces.recount").run()  # a namespace whose owner is gone is private
    await hidden(carol, "users/bob/secret-speech", everything)
    await indexed(site)
    await hidden(carol, "users/bob/secret-speech", everything)


class Noting:
    """An index in which something is pushed while the first documents are put."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self.seen: list[str] = []

    async def put(self, documents: Sequence[Document], gone: Sequence[str], **_: Any) -> None:
        """Keep the names."""
        if not self.seen:
            await self._database.write(lambda tx: queue.note(tx, self._name, False))
        self.seen += [*(document.name for document in documents), *gone]

    async def built(self) -> bool:
        """None is."""
        return False


async def test_what_is_pushed_does_not_wait_for_all_below_a_path(site: World) -> None:
    kernel, fresh = site.registry.extensions.kernels["search"], "users/zoe/fresh"
    catalogue = kernel.apis["kinds"]
    index: Any = Noting(kernel.database, fresh)  # of an index it has what a first indexing asks for
    listed = [f"users/alice/{number:03}" for number in range(3 * AT_ONCE)]

    async def begin(tx: Transaction) -> None:
        for name in listed:
            await tx.run(
                "INSERT INTO kinds_repository (name, kind, latest, digest, title, description, created_at, updated_at)"
                " VALUES (:name, 'module', 'v1', 'sha256:none', '', '', 0, 0)", name=name,
            )  # fmt: skip
        await queue.note(tx, "users/alice", True)

    await kernel.database.write(begin)
    gathering = Gathering(catalogue, kernel.apis["namespaces"], readme=False)
    await Indexer(kernel, index, catalogue, gathering, Methods(kernel.database, catalogue))()
    assert sorted(index.seen) == [*listed, fresh]
    assert index.seen.index(fresh) == AT_ONCE
    assert await kernel.database.read(queue.any_) is False


async def test_what_changed_while_search_was_not_enabled(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    everything = {"users/alice/speech", "orgs/acme/secret-speech", "users/carol/speech"}
    for name in sorted(everything):
        await publish(site.user("carol") if "carol" in name else alice, name)
    await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "public"})
    await indexed(site)
    assert set(await names(carol, "speech")) == everything
    database = site.registry.metadata

    async def without_search(tx: Any) -> None:
        await tx.leases.set_fact(ENABLED_FACT, "access identity kinds namespaces")
        sql = "UPDATE namespaces_repository SET visibility = 'private' WHERE name = :name"
        await tx.run(sql, name="orgs/acme/secret-speech")
        await tx.run("DELETE FROM kinds_repository WHERE name = :name", name="users/carol/speech")

    await database.write(without_search)
    (prepare,) = [part.prepare for one, part in site.registry.extensions.parts if one.name == "search"]
    assert prepare is not None
    await prepare()
    await hidden(carol, "orgs/acme/secret-speech", everything)
    await indexed(site)
    assert await names(carol, "speech") == ["users/alice/speech"]
    assert set(await names(alice, "speech")) == {"users/alice/speech", "orgs/acme/secret-speech"}


async def test_a_scoped_token_finds_what_it_reaches(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/one", description="word")
    await publish(alice, "orgs/acme/two", description="word")
    await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "private"})
    await indexed(site)
    token = await site.token(alice, "repository:orgs/acme/two:pull")
    assert await names(token, "word") == ["orgs/acme/two"]


async def test_states_overlays_and_stars_are_followed(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/thing", "1.0.0", description="first")
    await publish(alice, "users/alice/thing", "2.0.0", description="second")
    await indexed(site)
    base = "/v2/users/alice/thing/_ext/kinds"
    assert (await search(alice, "thing"))["items"][0]["version"] == "2.0.0"
    assert await names(alice, "first") == []
    await alice.done(
        "PATCH", f"{base}/versions/2.0.0", {"description": "third", "keywords": ["fresh"], "readme": "Deep."}
    )
    await indexed(site)
    assert await names(alice, "third fresh deep") == ["users/alice/thing"]
    assert await names(alice, "second") == []
    await alice.done("PUT", f"{base}/star")
    await indexed(site)
    assert (await search(alice, "stars:1"))["items"][0]["stars"] == 1
    await alice.done("POST", f"{base}/versions/2.0.0/deprecate", {"reason": "old"})
    await indexed(site)
    assert (await search(alice, "is:deprecated"))["items"][0]["state"] == "deprecated"
    await alice.done("POST", f"{base}/versions/2.0.0/unpublish", {})
    await indexed(site)
    assert (await search(alice, "thing"))["items"][0]["version"] == "1.0.0"
    await alice.done("POST", f"{base}/versions/1.0.0/unpublish", {})
    await indexed(site)
    assert (await search(alice, "thing"))["total"] == 0
    await alice.done("POST", f"{base}/versions/1.0.0/publish", {})
    await indexed(site)
    assert await names(alice, "first") == ["users/alice/thing"]


async def test_what_is_deleted_or_renamed_is_followed(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "orgs/acme/app", description="word")
    await publish(alice, "orgs/acme/gone", description="word")
    await indexed(site)
    manifest = await alice.client.get("/v2/orgs/acme/gone/manifests/1.0.0")
    answer = await alice.delete(f"/v2/orgs/acme/gone/manifests/{manifest.headers['docker-content-digest']}")
    assert answer.status == 202
    await alice.done("POST", "identity/orgs", {"name": "other"})
    await alice.done("POST", "namespaces/orgs/acme/app/transfer", {"to": "orgs/other/app"})
    await indexed(site)
    assert await names(alice, "word") == ["orgs/other/app"]
    assert await names(alice, "ns:orgs/acme") == []


async def test_filters_beside_the_query(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/llm", kind="model", provider="openai", type="completion", modelFormat="GGUF",
                  capabilities={"context_length": 16384, "languages": ["en"]}, license="Apache-2.0")  # fmt: skip
    await publish(alice, "users/alice/small", kind="model", provider="openai", type="completion",
                  capabilities={"context_length": 2048}, gatiVersion=">=2")  # fmt: skip
    await publish(alice, "users/alice/db", kind="plugin", config={"type": "db-adapter", "entry": "x.js"},
                  capabilities=["database.write"], gatiVersion="^1.0", version="3.1.0")  # fmt: skip
    await indexed(site)
    for more, found in (
        ({"kind": "model"}, {"llm", "small"}),
        ({"kind": ["model", "plugin"], "license": "mit"}, {"small", "db"}),
        ({"capability": "db:read"}, {"db"}),
        ({"contextLength": ">8000"}, {"llm"}),
        ({"q": "context:>8000 kind:model"}, {"llm"}),
        ({"gati": "1.5.0"}, {"db"}),
        ({"gati": "2.5.0"}, {"small"}),
        ({"version": "^3"}, {"db"}),
        ({"publisher": "alice", "namespace": "users/alice"}, {"llm", "small", "db"}),
        ({"field": "format:gguf"}, {"llm"}),
        ({"field": "context_length:<4000"}, {"small"}),
        ({"q": "provider:openai -small"}, {"llm"}),
        ({"updated": ">2000-01-01", "kind": "plugin"}, {"db"}),
        ({"updated": "<2000"}, set()),
        ({"tag": "3.1.0"}, {"db"}),
    ):
        assert {name.rpartition("/")[2] for name in await names(alice, **more)} == found, more


async def test_fields_of_a_registered_schema_are_searched(site: World) -> None:
    alice = site.user("alice")
    await site.admin.done("PUT", "kinds/schemas/quality", {
        "name": "quality",
        "json_schema": {"type": "object"},
        "indexed_fields": [{"path": "/tier"}, {"path": "/score"}, {"path": "/review", "index": "fulltext"}],
    })  # fmt: skip
    await publish(alice, "users/alice/rated")
    await alice.done("PATCH", "/v2/users/alice/rated/_ext/kinds/versions/1.0.0", {
        "metadata": {"quality": {"tier": "Gold", "score": 9.5, "review": "Splendidly documented."}}
    })  # fmt: skip
    await publish(alice, "users/alice/unrated")
    await indexed(site)
    for q in ("quality.tier:gold", "quality.score:>9", "splendidly", "quality.tier:gold quality.score:9..10"):
        assert await names(alice, q) == ["users/alice/rated"], q
    assert await names(alice, "quality.score:>9.5") == []


async def test_errors_name_the_character(site: World) -> None:
    alice = site.user("alice")
    for path, field, at in (
        ("search?q=one%20knd:model", "/q", 4),
        ("search?q=(a", "/q", 0),
        ("search?stars=many", "/stars", 0),
        ("search?field=nonsense", "/field", 0),
        ("search?version=latest", "/version", 0),
    ):
        answer = await alice.get(path)
        assert answer.status == 400, path
        (detail,) = answer.json()["errors"][0]["detail"]
        assert (detail["field"], detail["at"]) == (field, at), path
        assert detail["problem"]
    for path in ("search?limit=0", "search?limit=101", "search?sort=random", "search?q=" + "x" * 1001, "search?q=%00",
                 "search/suggest?q=", "search?cursor=nonsense", "search?cursor=WzFd", "search?kind="):  # fmt: skip
        assert (await alice.get(path)).status == 400, path


async def test_a_cursor_belongs_to_its_question(site: World) -> None:
    alice = site.user("alice")
    for number in range(5):
        await publish(alice, f"users/alice/n{number}", description="word")
    await indexed(site)
    for sort in ("relevance", "name", "stars"):
        seen: list[str] = []
        cursor = ""
        while True:
            page = await search(alice, "word", limit=2, sort=sort, cursor=cursor)
            seen += [item["repository"] for item in page["items"]]
            assert page["total"] == 5
            if page["next"] is None:
                break
            cursor = page["next"]
        assert sorted(seen) == [f"users/alice/n{number}" for number in range(5)]
        assert (await alice.get(f"search?q=other&sort={sort}&cursor={cursor}")).status == 400


async def test_a_misspelt_word_is_mended_and_told(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/transcriber", description="Writes conversations down.")
    await indexed(site)
    page = await search(alice, "trasncriber conversation")
    assert [item["repository"] for item in page["items"]] == ["users/alice/transcriber"]
    assert page["corrected"] == {"trasncriber": ["transcriber"]}
    (highlight,) = [one for one in page["items"][0]["highlights"] if one["field"] == "name"]
    assert [highlight["text"][start:end] for start, end in highlight["ranges"]] == ["transcriber"]


async def test_where_nothing_has_all_words_some_are_enough_and_that_is_told(site: World) -> None:
    alice = site.user("alice")
    for name, description in (
        ("transcriber", "Turns speech into text."), ("speaker", "Turns text into speech, in German."),
        ("printer", "Prints text."), ("clock", "Tells the time."),
    ):  # fmt: skip
        await publish(alice, f"users/alice/{name}", description=description)
    await indexed(site)
    page = await search(alice, "german speech from a text file")
    assert [item["repository"].rpartition("/")[2] for item in page["items"]] == ["speaker", "transcriber", "printer"]
    assert (page["relaxed"], page["corrected"], page["total"]) == (True, {}, 3)
    first = await search(alice, "german speech from a text file", limit=1)
    second = await search(alice, "german speech from a text file", limit=1, cursor=first["next"])
    assert [first["items"], second["items"]] == [page["items"][:1], page["items"][1:2]]
    page = await search(alice, "gemran piano")
    assert [item["repository"] for item in page["items"]] == ["users/alice/speaker"]
    assert (page["relaxed"], page["corrected"]) == (True, {"gemran": ["german"]})
    # What else is asked for is wanted all the same; and so is every word where something has them all.
    for q in ('german text "speech into"', "german piano kind:model", "german piano -text", "piano"):
        assert (await search(alice, q))["items"] == [] or q.endswith('into"')
    page = await search(alice, "german text")
    assert ([item["repository"] for item in page["items"]], page["relaxed"]) == (["users/alice/speaker"], False)


async def test_downloads_count_once_a_client_and_hour(site: World, clock: FakeClock) -> None:
    alice, bob = site.user("alice"), site.user("bob")
    await publish(alice, "users/alice/app", "1.0.0")
    await publish(alice, "users/alice/other", "1.0.0")
    for user in (bob, bob, alice, bob):
        assert (await user.pull("users/alice/app", "1.0.0")).status == 200
    await indexed(site)
    robot = site.user("bob", **{"User-Agent": "some-crawler/1.0"})
    clock.time += 3_600_000
    assert (await robot.pull("users/alice/app", "1.0.0")).status == 200
    await bob.client.request("HEAD", "/v2/users/alice/app/manifests/1.0.0", b"", {})
    await indexed(site)
    page = await alice.done("GET", "/v2/users/alice/app/_ext/search/downloads")
    assert page["total"] == 2
    assert [(item["version"], item["count"]) for item in page["items"]] == [("1.0.0", 2)]
    assert (await bob.pull("users/alice/app", "1.0.0")).status == 200
    await indexed(site)
    (item, other) = (await search(alice, "kind:module", sort="downloads"))["items"]
    assert (item["repository"], item["downloads"]) == ("users/alice/app", 3)
    assert other["downloads"] == 0
    await job(site, "kinds.downloads").run()
    left = await site.registry.metadata.read(lambda tx: tx.all("SELECT hour FROM kinds_seen"))
    assert len(left) == 1


async def test_all_is_built_anew_while_it_serves(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/one", description="word")
    await indexed(site)
    assert await names(alice, "word") == ["users/alice/one"]
    await site.registry.metadata.write(lambda tx: tx.leases.set_fact("search.build", "wanted"))
    await site.registry.metadata.write(lambda tx: tx.run("DELETE FROM search_index_word1"))
    await publish(alice, "users/alice/two", description="word")
    assert await job(site, "search.build").due()  # type: ignore[misc]
    await job(site, "search.build").run()
    assert set(await names(alice, "word")) == {"users/alice/one", "users/alice/two"}
    await indexed(site)
    assert set(await names(alice, "word")) == {"users/alice/one", "users/alice/two"}


async def test_without_an_index_it_says_to_wait(site: World) -> None:
    assert (await site.user("alice").get("search?q=x")).status == 200  # a new registry begins with an empty one
    await site.registry.metadata.write(lambda tx: tx.run("DELETE FROM search_index_state"))
    answer = await site.user("alice").get("search?q=x")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


async def test_hostile_texts_are_only_texts(site: World) -> None:
    alice = site.user("alice")
    hostile = "<script>alert(1)</script> \u202e ' \" \\ ; DROP TABLE x; -- " + "語" * 200
    await publish(alice, "users/alice/odd", description=hostile, keywords=["' OR 1=1", "a\nb"])
    await indexed(site)
    page = await search(alice, "script alert")
    (item,) = page["items"]
    assert item["description"] == hostile
    (highlight,) = item["highlights"]
    assert [highlight["text"][start:end] for start, end in highlight["ranges"]] == ["script", "alert", "script"]
    bodies: list[Any] = [page, await search(alice, 'keyword:"\' or 1=1"')]
    assert [body["total"] for body in bodies] == [1, 1]
    json.dumps(bodies)
