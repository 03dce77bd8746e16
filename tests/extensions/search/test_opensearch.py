"""What the index in OpenSearch does beside what every index does: lateness, absence, a database that knows better."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gati_extensions.search.expression import And, Compare, Has, Not, Or, Phrase, Versions, Word, Works
from gati_extensions.search.opensearch import OpenSearchIndex
from gati_extensions.search.opensearch.server import Server
from gati_extensions.search.ports import Document, Found, Query, Reach
from gati_registry.errors import RegistryError, Unavailable
from gati_registry.extension import Visible
from tests.support.opensearch import OpenSearchNode, opensearch
from tests.support.server import free_port


class Truth:
    """The database's part: which artifacts are there for the caller."""

    def __init__(self) -> None:
        self.hidden: set[str] = set()
        self.asked = 0

    async def __call__(self, names: Sequence[str], visible: Visible) -> Sequence[str]:
        self.asked += len(names)
        return [name for name in names if name not in self.hidden]


class Tried:
    """An index of its own on a node, and its truth."""

    def __init__(self, node: OpenSearchNode) -> None:
        self.truth = Truth()
        self.prefix = f"t{uuid.uuid4().hex}"
        self.index = OpenSearchIndex(Server.parse(f"opensearch+{node.url}"), self.truth, prefix=self.prefix)

    async def __aenter__(self) -> Tried:
        await self.index.begin()
        await self.index.switch()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.index.close()


def artifact(name: str, description: str = "", **more: object) -> Document:
    words = {"kind": ("model",), "namespace": (name.partition("/")[0],), "license": ("mit",)}
    made = Document(name, "model", "1.0.0", "sha256:" + "a" * 64, "k1", description=description, words=words)
    return replace(made, level="public", **more)  # type: ignore[arg-type]


def names(found: Found) -> list[str]:
    return [hit.document.name for hit in found.hits]


async def pages(index: OpenSearchIndex, query: Query) -> list[str]:
    """The names of all pages, by their cursors."""
    seen: list[str] = []
    while True:
        found = await index.search(query)
        seen += names(found)
        if not found.more:
            return seen
        query = replace(query, after=found.hits[-1].key)


async def _late_messages(node: OpenSearchNode) -> None:
    async with Tried(node) as tried:
        index = tried.index
        late, newer = artifact("a/x", "old words", revision=5), artifact("a/x", "new words", revision=7)
        await index.put([newer], [])
        await index.put([late], [])
        await index.put([newer], [])  # again changes nothing
        assert names(await index.search(Query(Word("old")))) == []
        (hit,) = (await index.search(Query(Word("new")))).hits
        assert hit.document == replace(newer, revision=0)
        # Gone, and there again by a later push.
        await index.put([], ["a/x"])
        assert names(await index.search(Query())) == []
        await index.put([replace(newer, revision=9)], [])
        assert names(await index.search(Query())) == ["a/x"]


def test_late_messages_change_nothing(opensearch_node: OpenSearchNode) -> None:
    import asyncio

    asyncio.run(_late_messages(opensearch_node))
