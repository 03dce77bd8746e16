"""What the index in OpenSearch does beside what every index does: lateness, absence, a database that knows better."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gati_extensions.search.expression import (
    EVERYTHING,
    And,
    Compare,
    Has,
    Node,
    Not,
    Or,
    Phrase,
    Versions,
    Word,
    Works,
    both,
)
from gati_extensions.search.opensearch import OpenSearchIndex, Server
from gati_extensions.search.ports import Document, Found, Query, Reach
from gati_registry.errors import Unavailable
from gati_registry.extension import Visible
from tests.extensions.search.support import Refreshing
from tests.support.opensearch import OpenSearchNode
from tests.support.server import free_port

pytestmark = pytest.mark.anyio


class Truth:
    """The database's part: which artifacts are there for the caller."""

    def __init__(self) -> None:
        self.hidden: set[str] = set()

    async def __call__(self, names: Sequence[str], visible: Visible) -> Sequence[str]:
        return [name for name in names if name not in self.hidden]


@contextlib.asynccontextmanager
async def tried(node: OpenSearchNode) -> AsyncIterator[tuple[OpenSearchIndex, Truth]]:
    """An empty index of its own on a node, and its truth."""
    truth = Truth()
    server = Server.parse(f"opensearch+{node.url}", timeout=30)
    prefix = f"t{uuid.uuid4().hex}"
    index = Refreshing(server, truth, prefix=prefix)
    try:
        assert not await index.built()
        await index.begin()
        await index.switch()
        assert await index.built()
        yield index, truth
        await index.client.indices.delete(index=f"{prefix}-*")
    finally:
        await index.close()


def artifact(name: str, description: str = "", **more: Any) -> Document:
    words = {"kind": ("model",), "namespace": (name.partition("/")[0],), "license": ("mit",)}
    made = Document(name, "model", "1.0.0", "sha256:" + "a" * 64, "k1", description=description, words=words)
    return replace(made, **{"level": "public", **more})


def names(found: Found) -> list[str]:
    return [hit.document.name for hit in found.hits]


async def find(index: OpenSearchIndex, expression: Node, **more: Any) -> list[str]:
    return names(await index.search(Query(expression, **more)))


async def pages(index: OpenSearchIndex, query: Query) -> list[str]:
    """The names of all pages, by their cursors."""
    seen: list[str] = []
    while True:
        found = await index.search(query)
        seen += names(found)
        if not found.more:
            return seen
        query = replace(query, after=found.hits[-1].key)


async def test_late_messages_change_nothing(opensearch_node: OpenSearchNode) -> None:
    async with tried(opensearch_node) as (index, _):
        late, newer = artifact("a/x", "old words"), artifact("a/x", "new words", numbers={"size": 7.5})
        await index.put([newer], [], revision=7)
        await index.put([late], [], revision=5)
        await index.put([newer], [], revision=7)  # again changes nothing
        assert await find(index, Word("old")) == []
        (hit,) = (await index.search(Query(Word("new")))).hits
        assert hit.document == newer
        await index.put([], ["a/x"], revision=9)
        await index.put([newer], [], revision=8)
        assert await find(index, EVERYTHING) == []
        await index.put([newer], [], revision=10)
        assert await find(index, EVERYTHING) == ["a/x"]


async def test_every_node_of_a_query(opensearch_node: OpenSearchNode) -> None:
    async with tried(opensearch_node) as (index, _):
        first = artifact(
            "orgs/acme/whisper", "Turns speech to text", keywords=("asr",), readme="with examples", stars=3,
            version_key="k5", numbers={"context_length": 8192.0}, gati_spans=(("g1", "g2"), ("g4", "g5")),
        )  # fmt: skip
        second = artifact("users/bob/piper", "Text to speech", version_key="k7", stars=9, downloads=5)
        await index.put([first, second], [])
        of_first, of_second = ["orgs/acme/whisper"], ["users/bob/piper"]
        for expression, wanted in (
            (Word("whisper"), of_first),
            (Word("whi", prefix=True), of_first),
            (Word("whi"), []),
            (Word("example"), of_first),
            (Phrase(("speech", "to", "text")), of_first),
            (Phrase(("to", "speech")), of_second),
            (And((Word("speech"), Word("asr"))), of_first),
            (Or((Word("asr"), Word("piper"))), [*of_first, *of_second]),
            (both(Word("speech"), Not(Word("asr"))), of_second),
            (Has("namespace", "users"), of_second),
            (Compare("stars", ">", 3), of_second),
            (Compare("stars", ">=", 2.5), [*of_first, *of_second]),
            (Compare("context_length", ">", 8000), of_first),
            (Compare("context_length", "=", 8192), of_first),
            (Compare("context_length", "<", 8000), []),
            (Versions((("k1", "k2"), ("k6", "k8"))), of_second),
            (Versions(()), []),
            (Works("g1"), of_first),
            (Works("g3"), []),
        ):
            assert sorted(await find(index, expression)) == wanted, expression
        assert await find(index, EVERYTHING, sort="stars") == [*of_second, *of_first]
        found = await index.search(Query(Has("kind", "model")))
        assert (found.total, found.exact) == (2, True)
        assert found.facets["namespace"] == {"orgs": 1, "users": 1}
        assert found.facets["kind"] == {"model": 2}
        assert [one.name for one in await index.suggest("whi", 5, Visible(), None)] == of_first
        assert [one.name for one in await index.suggest("bob pi", 5, Visible(), None)] == of_second
        assert list(await index.near("wisper", 3)) == ["whisper"]
        assert list(await index.near("whisper", 3)) == ["whisper"]
        assert list(await index.near("zzzzzz", 3)) == []


async def test_the_database_has_the_last_word(opensearch_node: OpenSearchNode) -> None:
    """What has become private, or is gone, is neither shown nor counted, however late the index hears of it."""
    async with tried(opensearch_node) as (index, truth):
        await index.put([artifact(f"a/x{number:03}", "speech") for number in range(60)], [])
        truth.hidden = {f"a/x{number:03}" for number in range(60) if number % 7}
        for sort in ("relevance", "name", "stars"):
            query = Query(Word("speech"), sort=sort, limit=4, ranked=10)
            assert await pages(index, query) == [f"a/x{number:03}" for number in range(0, 60, 7)], sort
        found = await index.search(Query(Word("speech")))
        assert found.total == found.facets["kind"]["model"] == 9
        assert len(await index.suggest("x", 3, Visible(), None)) == 3
        bounded = await index.search(Query(Word("speech"), ranked=10))
        assert (bounded.total, bounded.exact) == (2, False)
        # As the index has it, for who keeps it.
        assert len(await find(index, Word("speech"), raw=True, limit=100)) == 60


async def test_the_best_known_come_first_where_they_are_enough(opensearch_node: OpenSearchNode) -> None:
    async with tried(opensearch_node) as (index, truth):
        known = [artifact(f"k/x{number:03}", "common", downloads=100) for number in range(600)]
        unknown = [artifact(f"u/x{number:03}", "common", title="common things") for number in range(40)]
        await index.put([*known, *unknown, artifact("u/common"), artifact("u/rare", "seldom")], [])
        query = Query(Word("common"), whole="common", limit=70, ranked=10)
        first = await index.search(query)
        assert [name[0] for name in names(first)] == ["u", *"k" * 69], "exactly that name, then those that are known"
        assert (first.total, first.exact, first.facets["namespace"]) == (10, False, {"k": 9, "u": 1})
        everything = await pages(index, query)
        assert sorted(everything) == sorted(one.name for one in [*known, *unknown, artifact("u/common")])
        assert len(everything) == len(set(everything))
        # Where they are too few all are looked at, and the better text comes first.
        truth.hidden = {one.name for one in known[5:]}
        assert await find(index, Word("seldom"), ranked=10) == ["u/rare"]
        assert len(await pages(index, query)) == 46


async def test_what_certainly_nobody_of_a_reach_sees_is_left_out(opensearch_node: OpenSearchNode) -> None:
    async with tried(opensearch_node) as (index, _):
        await index.put(
            [artifact("orgs/a/x"), artifact("orgs/b/x", level="private"), artifact("orgs/bc/x", level="private")], []
        )
        assert await find(index, EVERYTHING, reach=Reach(("public",), ())) == ["orgs/a/x"]
        assert await find(index, EVERYTHING, reach=Reach(("public",), ("orgs/b",))) == ["orgs/a/x", "orgs/b/x"]
        assert await find(index, EVERYTHING, reach=Reach((), ())) == []
        assert [d.name for d in await index.suggest("x", 9, Visible(), Reach((), ("orgs/bc",)))] == ["orgs/bc/x"]


async def test_one_is_built_beside_the_one_that_serves(opensearch_node: OpenSearchNode) -> None:
    async with tried(opensearch_node) as (index, _):
        await index.put([artifact("a/old"), artifact("a/both", "first")], [], revision=1)
        await index.begin()
        await index.put([artifact("a/both", "second")], [], revision=2)  # meanwhile
        await index.put([artifact("a/both", "first"), artifact("a/new")], [], building=True)
        assert await find(index, EVERYTHING) == ["a/both", "a/old"]
        assert await find(index, Word("second")) == ["a/both"]
        await index.switch()
        assert await find(index, EVERYTHING) == ["a/both", "a/new"]
        assert await find(index, Word("second")) == ["a/both"]  # what was there already was newer
        await index.begin()
        await index.begin()  # a build that was stopped begins anew
        await index.switch()
        assert await find(index, EVERYTHING) == []


async def test_an_index_of_an_older_registry_is_replaced(opensearch_node: OpenSearchNode) -> None:
    prefix = f"t{uuid.uuid4().hex}"
    index = OpenSearchIndex(Server.parse(f"opensearch+{opensearch_node.url}", timeout=30), Truth(), prefix=prefix)
    try:
        await index.client.indices.create(index=f"{prefix}-old", body={"aliases": {prefix: {}}})
        assert not await index.built()
        await index.begin()
        await index.switch()
        assert await index.built()
        assert not await index.client.indices.exists(index=f"{prefix}-old")
        await index.client.indices.delete(index=f"{prefix}-*")
    finally:
        await index.close()


async def test_what_cannot_be_indexed_holds_up_nobody(opensearch_node: OpenSearchNode) -> None:
    async with tried(opensearch_node) as (index, _):
        bad = artifact("a/bad", numbers={"huge": float("inf")})
        await index.put([bad, artifact("a/good", "x" * 50_000, words={"label": ("v" * 40_000,)})], [])
        assert await find(index, EVERYTHING) == ["a/good"]


async def test_a_node_that_is_away_is_told() -> None:
    index = OpenSearchIndex(Server.parse(f"opensearch+http://127.0.0.1:{free_port()}"), Truth())
    try:
        for call in (index.search(Query()), index.put([artifact("a/y")], []), index.built(), index.near("x", 1)):
            with pytest.raises(Unavailable) as refused:
                await call
            assert refused.value.headers["Retry-After"]
    finally:
        await index.close()


async def test_nothing_of_the_password_is_told(caplog: pytest.LogCaptureFixture) -> None:
    server = Server.parse(f"opensearch+http://127.0.0.1:{free_port()}", user="search", password="right horse")
    index = OpenSearchIndex(server, Truth())
    caplog.set_level("DEBUG")
    try:
        with pytest.raises(Unavailable) as refused:
            await index.search(Query())
    finally:
        await index.close()
    told = f"{server!r} {refused.value} {caplog.text}"
    assert "right horse" not in told
    assert "cmlnaHQgaG9yc2U" not in told
