"""Versions, channels, states, overlays: who may change what, and what is seen of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gati_extensions.kinds import semver
from tests.core.support import FakeClock
from tests.extensions.access.support import User, World
from tests.extensions.kinds.support import CONFIGS, push

pytestmark = pytest.mark.anyio

THING = "orgs/acme/thing"
HERE = f"/v2/{THING}/_ext/kinds"


async def publish(user: User, version: str, repository: str = THING, **more: Any) -> str:
    """Push a library of this version; its digest."""
    config = {**CONFIGS["library"], "version": version.removeprefix("v"), **more}
    answer = await push(user, repository, version.replace("+", "_"), "library", config)
    assert answer.status == 201, answer
    return answer.headers["docker-content-digest"]


async def tag(user: User, version: str, channel: str) -> Any:
    """Move a channel."""
    return await user.done("PUT", f"{HERE}/channels/{channel}", {"to": version})


async def test_versions_are_sorted_by_precedence(site: World) -> None:
    alice = site.user("alice")
    versions = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
                "1.0.0", "1.9.0", "1.10.0", "2.0.0-rc.1"]  # fmt: skip
    for version in versions[::2] + versions[1::2]:
        await publish(alice, version)
    found = await alice.done("GET", f"{HERE}/versions?limit=4")
    rest = await alice.done("GET", f"{HERE}/versions?limit=100&cursor={found['next']}")
    assert [item["version"] for item in [*found["items"], *rest["items"]]] == versions[::-1]
    # The newest is the highest release, not the highest prerelease.
    assert (await alice.done("GET", f"{HERE}/artifact"))["latest"] == "1.10.0"


async def test_a_version_is_found_by_any_spelling(site: World) -> None:
    alice = site.user("alice")
    digest = await publish(alice, "v1.2.0")
    await publish(alice, "1.3.0+build.5")
    for spelling in ("v1.2.0", "1.2.0", digest):
        assert (await alice.done("GET", f"{HERE}/versions/{spelling}"))["tag"] == "v1.2.0"
    for spelling in ("1.3.0+build.5", "1.3.0_build.5", "1.3.0%2Bbuild.5"):
        assert (await alice.done("GET", f"{HERE}/versions/{spelling}"))["version"] == "1.3.0+build.5"
    assert (await alice.call("GET", f"{HERE}/versions/9.9.9")).status == 404


async def test_channels_move_and_every_move_is_kept(site: World, clock: FakeClock) -> None:
    alice = site.user("alice")
    one, two = await publish(alice, "1.0.0"), await publish(alice, "2.0.0", description="another")
    await tag(alice, "1.0.0", "stable")
    clock.advance(3600)
    moved = await tag(alice, "2.0.0", "stable")
    assert (moved["digest"], moved["tag"]) == (two, "stable")
    assert (await alice.pull(THING, "stable")).headers["docker-content-digest"] == two
    moves = (await alice.done("GET", f"{HERE}/channels/stable/moves"))["items"]
    assert [(move["before"], move["after"], move["actor"]) for move in moves] == [
        (one, two, "alice"),
        (None, one, "alice"),
    ]
    then = moves[1]["moved_at"].replace("Z", "%2B00:00")
    found = await alice.done("GET", f"{HERE}/versions?channel=stable&as_of={then}")
    assert found["items"][0]["digest"] == one
    early = await alice.call("GET", f"{HERE}/versions?channel=stable&as_of=2001-01-01T00:00:00Z")
    assert early.status == 404
    # Deleting the tag is a move too.
    assert (await alice.client.request("DELETE", f"/v2/{THING}/manifests/stable")).status == 202
    assert (await alice.done("GET", f"{HERE}/channels/stable/moves"))["items"][0]["after"] is None
    assert (await alice.done("GET", f"{HERE}/channels"))["items"] == []


async def test_a_channel_moves_only_from_where_it_is_expected(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "1.0.0")
    answer = await alice.call("PUT", f"{HERE}/channels/stable", {"to": "1.0.0", "expected": "sha256:" + "0" * 64})
    assert answer.status == 412
    assert (await alice.call("PUT", f"{HERE}/channels/2.0.0", {"to": "1.0.0"})).status == 400
    assert (await alice.call("PUT", f"{HERE}/channels/stable", {"to": "9.9.9"})).status == 404
    assert (await alice.pull(THING, "stable")).status == 404


async def test_versions_are_immutable_where_a_policy_says_so(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "1.0.0")
    await alice.done("PUT", "namespaces/orgs/acme/policy/kinds.versions", {"enforcement": "enforce"})
    config = {**CONFIGS["library"], "description": "changed"}
    refused = await push(alice, THING, "1.0.0", "library", config)
    assert (refused.status, refused.json()["errors"][0]["code"]) == (403, "DENIED")
    assert refused.json()["errors"][0]["detail"]["path"] == "orgs/acme"
    assert (await alice.client.request("DELETE", f"/v2/{THING}/manifests/1.0.0")).status == 403
    digest = (await alice.pull(THING, "1.0.0")).headers["docker-content-digest"]
    assert (await alice.client.request("DELETE", f"/v2/{THING}/manifests/{digest}")).status == 403
    assert (await push(alice, THING, "latest", "library", config)).status == 201  # a channel moves
    assert (await push(alice, THING, "latest", "library", CONFIGS["library"])).status == 201
    await alice.done("PUT", "namespaces/orgs/acme/policy/kinds.versions", {"enforcement": "warn"})
    assert (await push(alice, THING, "1.0.0", "library", config)).status == 201


STATES = [
    ("deprecate", "undeprecate", "deprecated", {"reason": "old", "replacement": "orgs/acme/new"}),
    ("yank", "unyank", "yanked", {"reason": "broken"}),
    ("unpublish", "publish", "unpublished", {}),
    ("archive", "restore", "archived", {}),
]


async def test_every_state_has_its_reverse(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "1.0.0")
    for there, back, state, body in STATES:
        assert (await alice.done("POST", f"{HERE}/versions/1.0.0/{there}", body))["state"] == state
        again = await alice.call("POST", f"{HERE}/versions/1.0.0/{there}", body)
        assert again.status in (403, 409)
        assert (await alice.done("POST", f"{HERE}/versions/1.0.0/{back}", {}))["state"] == "published"
        assert (await alice.call("POST", f"{HERE}/versions/1.0.0/{back}", {})).status == 409


async def test_deprecated_and_yanked_versions_say_so_when_pulled(site: World) -> None:
    alice = site.user("alice")
    digest = await publish(alice, "1.0.0")
    assert "warning" not in (await alice.pull(THING, "1.0.0")).headers
    await alice.done("POST", f"{HERE}/versions/1.0.0/deprecate", {"reason": "old", "replacement": "orgs/acme/new"})
    pulled = await alice.pull(THING, "1.0.0")
    assert pulled.status == 200
    assert pulled.headers["warning"] == '299 - "deprecated: old; use orgs/acme/new"'
    await alice.done("POST", f"{HERE}/versions/1.0.0/yank", {"reason": "broken"})
    pulled = await alice.pull(THING, digest)
    assert pulled.status == 200  # digests and locks still resolve
    assert "yanked: broken" in pulled.headers["warning"]
    assert (await alice.done("GET", f"{HERE}/versions/1.0.0"))["state"] == "yanked"


async def test_an_unpublished_version_is_for_members(site: World) -> None:
    alice, carol = site.user("alice"), site.user("carol")
    await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "public"})
    await publish(alice, "1.0.0")
    digest = await publish(alice, "2.0.0", description="another")
    await alice.done("POST", f"{HERE}/versions/2.0.0/unpublish", {})
    for somebody in (carol, site.nobody):
        assert (await somebody.pull(THING, "2.0.0")).status == 404
        assert (await somebody.pull(THING, digest)).status == 200
        assert [v["version"] for v in (await somebody.done("GET", f"{HERE}/versions"))["items"]] == ["1.0.0"]
        assert (await somebody.call("GET", f"{HERE}/versions/2.0.0")).status == 404
        assert (await somebody.done("GET", f"{HERE}/artifact"))["latest"] == "1.0.0"
        assert (await somebody.call("GET", f"{HERE}/versions?all=true")).status == 403
    assert (await alice.pull(THING, "2.0.0")).status == 200
    assert len((await alice.done("GET", f"{HERE}/versions?all=true"))["items"]) == 2


async def test_an_archived_version_is_read_only(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "1.0.0")
    await alice.done("POST", f"{HERE}/versions/1.0.0/archive", {})
    assert (await alice.call("PATCH", f"{HERE}/versions/1.0.0", {"description": "x"})).status == 403
    assert (await alice.call("POST", f"{HERE}/versions/1.0.0/yank", {})).status == 403
    assert (await push(alice, THING, "1.0.0", "library", {**CONFIGS["library"], "title": "x"})).status == 403
    await alice.done("POST", f"{HERE}/versions/1.0.0/restore", {})
    await alice.done("PATCH", f"{HERE}/versions/1.0.0", {"description": "x"})


async def test_the_overlay_is_optimistic_and_keeps_its_history(site: World) -> None:
    alice = site.user("alice")
    digest = await publish(alice, "1.0.0")
    read = await alice.call("GET", f"{HERE}/versions/1.0.0")
    first = await alice.call("PATCH", f"{HERE}/versions/1.0.0", {"description": "better", "labels": {"tier": "gold"}},
                             {"If-Match": read.headers["etag"]})  # fmt: skip
    assert first.status == 200
    assert first.json()["digest"] == digest
    late = await alice.call("PATCH", f"{HERE}/versions/1.0.0", {"readme": "x"}, {"If-Match": read.headers["etag"]})
    assert late.status == 412
    body = {"labels": None, "endpoints": [{"url": "https://example.com/v1", "status": "up"}]}
    second = await alice.call("PATCH", f"{HERE}/versions/1.0.0", body, {"If-Match": first.headers["etag"]})
    assert second.json()["overlay"] == {
        "description": "better",
        "endpoints": [
            {"url": "https://example.com/v1", "status": "up"},
        ],
    }
    history = (await alice.done("GET", f"{HERE}/versions/1.0.0/history"))["items"]
    assert [(entry["revision"], "labels" in entry["overlay"]) for entry in history] == [(2, False), (1, True)]
    listed = (await alice.done("GET", "kinds/namespaces/orgs/acme/artifacts?kind=library"))["items"]
    assert listed[0]["description"] == "better"
    assert (await alice.done("GET", "kinds/namespaces/orgs/acme/artifacts?kind=model"))["items"] == []
    for bad in (
        {"nonsense": 1},
        {"labels": {"a b": "x"}},
        {"endpoints": [{"url": "ftp://x"}]},
        {"readme": "x" * 200_000},
    ):
        assert (await alice.call("PATCH", f"{HERE}/versions/1.0.0", bad)).status == 400


async def test_roles(site: World) -> None:
    alice, bob = site.user("alice"), site.user("bob")
    await publish(alice, "1.0.0")
    for role, may in (("reader", {"star"}), ("contributor", {"star"}), ("maintainer", {"star", "patch", "yank"}),
                      ("publisher", {"star", "patch", "yank", "unpublish"})):  # fmt: skip
        await alice.done("PUT", "namespaces/orgs/acme/members/user/bob", {"role": role})
        tries = {
            "star": await bob.call("PUT", f"{HERE}/star"),
            "patch": await bob.call("PATCH", f"{HERE}/versions/1.0.0", {"contact": role}),
            "yank": await bob.call("POST", f"{HERE}/versions/1.0.0/yank", {}),
            "unpublish": await bob.call("POST", f"{HERE}/versions/1.0.0/unpublish", {}),
        }
        assert {name for name, answer in tries.items() if answer.status == 200} == may, (role, tries)
        for back in ("unyank", "publish"):
            await alice.call("POST", f"{HERE}/versions/1.0.0/{back}", {})
    assert (await site.user("carol").call("PUT", f"{HERE}/star")).status == 404
    assert (await site.nobody.call("GET", f"{HERE}/artifact")).status == 401


async def test_a_draft_is_for_members_until_it_is_published(site: World) -> None:
    alice, bob, carol = site.user("alice"), site.user("bob"), site.user("carol")
    await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "public"})
    await alice.done("PUT", "namespaces/orgs/acme/members/user/bob", {"role": "maintainer"})
    await publish(alice, "1.0.0")
    digest = await publish(bob, "2.0.0", description="another")
    assert (await bob.done("GET", f"{HERE}/versions/2.0.0"))["state"] == "draft"
    assert (await carol.call("GET", f"{HERE}/versions/2.0.0")).status == 404
    assert [v["version"] for v in (await carol.done("GET", f"{HERE}/versions"))["items"]] == ["1.0.0"]
    assert (await carol.done("GET", f"{HERE}/artifact"))["latest"] == "1.0.0"
    await alice.done("POST", f"/v2/{THING}/_ext/namespaces/drafts/{digest}/publish")
    assert (await carol.done("GET", f"{HERE}/versions/2.0.0"))["state"] == "published"


async def test_stars_and_ratings_count_once(site: World) -> None:
    alice, bob = site.user("alice"), site.user("bob")
    await publish(alice, "1.0.0")
    for user, stars in ((alice, 1), (alice, 1), (bob, 2)):
        assert await user.done("PUT", f"{HERE}/star") == {"stars": stars, "starred": True}
    assert await alice.done("DELETE", f"{HERE}/star") == {"stars": 1, "starred": False}
    assert await alice.done("DELETE", f"{HERE}/star") == {"stars": 1, "starred": False}
    assert (await alice.done("GET", f"{HERE}/star"))["starred"] is False
    for user, stars in ((alice, 1), (alice, 5), (bob, 2)):
        await user.done("PUT", f"{HERE}/rating", {"stars": stars, "review": "so"})
    found = await alice.done("GET", f"{HERE}/artifact")
    assert (found["stars"], found["ratings"], found["rating"]) == (1, 2, 3.5)
    assert [(r["author"], r["stars"]) for r in (await alice.done("GET", f"{HERE}/ratings"))["items"]] == [
        ("alice", 5), ("bob", 2)]  # fmt: skip
    assert (await bob.call("PUT", f"{HERE}/rating", {"stars": 6})).status == 400


async def test_custom_metadata_follow_a_schema(site: World) -> None:
    alice, bob = site.user("alice"), site.user("bob")
    await publish(alice, "1.0.0")
    schema = {"name": "Review", "namespace": "orgs/acme", "applicable_to": ["library"],
              "json_schema": {"type": "object", "required": ["score"], "additionalProperties": False,
                              "properties": {"score": {"type": "integer", "maximum": 10}, "code": {"type": "string"}}},
              "indexed_fields": [{"path": "/score"}, {"path": "/code", "unique": True}]}  # fmt: skip
    assert (await bob.call("PUT", "kinds/schemas/review", schema)).status == 403
    await alice.done("PUT", "kinds/schemas/review", schema)
    assert (await alice.done("GET", "kinds/schemas?namespace=orgs/acme"))["items"][0]["id"] == "review"
    refused = await alice.call("PATCH", f"{HERE}/versions/1.0.0", {"metadata": {"review": {"score": 11}}})
    assert refused.status == 400
    assert refused.json()["errors"][0]["detail"][0]["field"] == "/metadata/review/score"
    assert (await alice.call("PATCH", f"{HERE}/versions/1.0.0", {"metadata": {"other": {}}})).status == 400
    await alice.done("PATCH", f"{HERE}/versions/1.0.0", {"metadata": {"review": {"score": 7, "code": "A"}}})
    await publish(alice, "1.0.0", "orgs/acme/other", name="other")
    taken = await alice.call("PATCH", "/v2/orgs/acme/other/_ext/kinds/versions/1.0.0",
                             {"metadata": {"review": {"score": 1, "code": "A"}}})  # fmt: skip
    assert taken.status == 409
    for bad in ({"type": "nonsense"}, {"$ref": "https://example.com/x"}, {"pattern": "("}, {"x": "y" * 70_000}):
        answer = await alice.call("PUT", "kinds/schemas/bad", {**schema, "json_schema": bad})
        assert answer.status == 400, bad


async def test_references_must_be_there_where_a_policy_says_so(site: World) -> None:
    alice = site.user("alice")
    config = {**CONFIGS["agent"], "modelReferences": ["orgs/acme/llm@1.0.0"]}
    assert (await push(alice, "orgs/acme/agent", "0.1.0", "agent", config)).status == 201
    await alice.done("PUT", "namespaces/orgs/acme/policy/kinds.references", {"enforcement": "enforce"})
    config["description"] = "another"
    refused = await push(alice, "orgs/acme/agent", "0.2.0", "agent", config)
    assert refused.json()["errors"][0]["detail"]["missing"] == ["orgs/acme/llm"]
    assert (await push(alice, "orgs/acme/llm", "1.0.0", "model", CONFIGS["model"])).status == 201
    assert (await push(alice, "orgs/acme/agent", "0.2.0", "agent", config)).status == 201


async def test_a_transfer_takes_everything_along(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "1.0.0")
    await alice.done("PUT", f"{HERE}/star")
    await alice.done("POST", f"{HERE}/versions/1.0.0/deprecate", {"reason": "old"})
    await alice.done("POST", f"namespaces/{THING}/transfer", {"to": "users/alice/moved"})
    found = await alice.done("GET", "/v2/users/alice/moved/_ext/kinds/artifact")
    assert (found["stars"], found["version"]["state"]) == (1, "deprecated")
    assert (await alice.done("GET", "kinds/namespaces/orgs/acme/artifacts"))["items"] == []


async def test_what_is_deleted_is_gone(site: World) -> None:
    alice = site.user("alice")
    digest = await publish(alice, "1.0.0")
    assert (await alice.client.request("DELETE", f"/v2/{THING}/manifests/{digest}")).status == 202
    assert (await alice.call("GET", f"{HERE}/artifact")).status == 404
    assert (await alice.done("GET", "kinds/namespaces/orgs/acme/artifacts"))["items"] == []


_words = st.from_regex(r"[0-9A-Za-z-]{1,4}", fullmatch=True).filter(
    lambda w: not (w.isdigit() and w[0] == "0" and len(w) > 1)
)
_versions = st.builds(
    semver.Version,
    st.integers(0, 200),
    st.integers(0, 200),
    st.integers(0, 200),
    st.lists(_words, max_size=3).map(tuple),
)


def _precedence(version: semver.Version) -> Any:
    """As the specification of semver says it, clause 11."""
    words = [(0, int(word), "") if word.isdigit() else (1, 0, word) for word in version.prerelease]
    return (version.major, version.minor, version.patch, not version.prerelease, words)


@given(_versions, _versions)
def test_keys_sort_as_versions_do(one: semver.Version, other: semver.Version) -> None:
    assert (one.key < other.key) == (_precedence(one) < _precedence(other))
    assert semver.parse(str(one)) == one
    assert semver.parse(f"v{one.tag}") == one


@pytest.mark.parametrize("text", ["1.0", "01.0.0", "1.0.0-", "1.0.0-01", "a1.0.0", "1.0.0+", "1.0.0 ", "", "1." * 100])
def test_what_is_no_version(text: str) -> None:
    assert semver.parse(text) is None
