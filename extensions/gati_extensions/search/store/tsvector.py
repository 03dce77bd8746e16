"""The full text of PostgreSQL: a tsvector made of our own words, so that both engines find the same.

A GIN index gives all hits at once, in no order. Where there are very many, only those of the highest blocks of ids are
asked for first: an artifact bears a mark for its block of ids. How many blocks that are follows from how often the
words are in artifacts: each further one costs time, and so does each attempt that does not find enough.

Source: https://www.postgresql.org/docs/current/datatype-textsearch.html and textsearch-controls.html.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

from gati_extensions.search.ports import Document
from gati_extensions.search.store import documents, marks, vocabulary
from gati_extensions.search.store.compiling import Compiled
from gati_registry.extension import Transaction

BLOCK = 14
"""Bits of an id within its block."""

STEPS = (2, 16)
"""Blocks that are asked first, before all are, where nobody knows how many hits there are."""

FEW = 12
"""Times as many hits as are ranked that are asked for at once."""

ENOUGH, FILTERED = 1.5, 3.0
"""Times as many hits as are ranked that the first blocks should hold, as far as is known; with conditions on rows."""

WEIGHTS = "{0.05, 0.2, 0.55, 1.0}"
"""Of readme (D), description (C), title and keywords (B), name (A)."""

SCALE = 10.0
"""A rank is at most 1; as much as FTS5 gives."""

BELIEVED = 30.0
"""Seconds for which the highest blocks are believed."""

_LAST = 16_000
"""Positions after the last one that PostgreSQL tells apart are one: words stand no further back than this."""

_GAP = 8
"""Positions between two fields, so that no phrase reaches across."""


class TsVector:
    """`index.Text`. `trigrams` is asked of the server once."""

    def __init__(self) -> None:
        self._trigrams: bool | None = None
        self._blocks: dict[int, tuple[float, list[tuple[int, int]], int]] = {}

    # --- expressions -------------------------------------------------------------------------------------------

    def word(self, text: str, *, prefix: bool) -> str:
        return f"{_lexeme(text)}:*" if prefix else _lexeme(text)

    def phrase(self, words: Sequence[str]) -> str:
        return f"({' <-> '.join(map(_lexeme, words))})"

    def mark(self, text: str) -> str:
        return _lexeme(text)

    def all_of(self, parts: Sequence[str]) -> str:
        return parts[0] if len(parts) == 1 else f"({' & '.join(parts)})"

    def one_of(self, parts: Sequence[str]) -> str:
        return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"

    def without(self, part: str, excluded: str) -> str:
        return f"({part} & !({excluded}))"

    def holds(self, slot: int, parameter: str) -> str:
        return (
            f"EXISTS (SELECT 1 FROM search_index_text{slot} AS t WHERE t.id = d.id"
            f" AND t.words @@ CAST(:{parameter} AS tsquery))"
        )

    def contains(self, column: str, parameter: str) -> str:
        return f"strpos({column}, :{parameter}) > 0"

    def begun(self, words: Sequence[str], *, prefix: bool) -> str:
        return self.one_of([f"{_lexeme(word)}:{'*' if prefix else ''}AB" for word in words])

    # --- rows --------------------------------------------------------------------------------------------------

    async def put(self, tx: Transaction, slot: int, number: int, document: Document) -> None:
        await tx.send(
            f"INSERT INTO search_index_text{slot} (id, words) VALUES (:number, CAST(:words AS tsvector))"
            " ON CONFLICT (id) DO UPDATE SET words = excluded.words",
            number=number, words=vector(number, document),
        )  # fmt: skip

    async def drop(self, tx: Transaction, slot: int, number: int) -> None:
        await tx.send(f"DELETE FROM search_index_text{slot} WHERE id = :number", number=number)

    async def clear(self, tx: Transaction, slot: int, numbers: Sequence[int]) -> None:
        await tx.run(f"DELETE FROM search_index_text{slot} WHERE id <= :last", last=numbers[-1])

    # --- questions ---------------------------------------------------------------------------------------------

    async def hits(
        self, tx: Transaction, slot: int, compiled: Compiled, conditions: str, ranked: int, looked: int,
        *, thorough: bool = True,
    ) -> tuple[list[tuple[Any, ...]], bool]:  # fmt: skip
        free = conditions == "(1 = 1)"
        most = ranked if free else looked
        score, values = "0.0", {**compiled.values}
        if compiled.ranked:
            score = f"{SCALE} * ts_rank('{WEIGHTS}', t.words, CAST(:hits_ranks AS tsquery), 1)"
            values["hits_ranks"] = compiled.ranked
        sql = (
            # Materialised, so that the index gives the hits: the planner would rather go along the ids from their end,
            # which takes for ever where the words are rare. Lateral, so that no more rows are read than are wanted.
            f"WITH hit AS MATERIALIZED (SELECT id FROM search_index_text{slot}"
            " WHERE words @@ CAST(:hits_match AS tsquery)),"
            " best AS MATERIALIZED (SELECT id FROM hit ORDER BY id DESC LIMIT :hits_looked),"
            " seen AS MATERIALIZED (SELECT one.* FROM best CROSS JOIN LATERAL (SELECT d.id, d.name, d.base, d.facets"
            f" FROM search_index_document{slot} AS d WHERE d.id = best.id AND {conditions} OFFSET 0) AS one"
            " LIMIT :hits_ranked)"
            f" SELECT seen.id, CAST({score} AS DOUBLE PRECISION), seen.name, seen.base, seen.facets FROM seen"
            + (f" JOIN search_index_text{slot} AS t ON t.id = seen.id" if compiled.ranked else "")
        )
        rows: list[tuple[Any, ...]] = []
        steps = await self._steps(tx, slot, compiled, ranked)
        for blocks in steps:
            if blocks is None and len(steps) > 1 and not thorough:
                return rows, False
            match = compiled.match
            if blocks is not None:
                match = self.all_of([match, self.one_of([self.mark(_block(number)) for number in blocks])])
            rows = await tx.all(sql, hits_match=match, hits_looked=most, hits_ranked=ranked, **values)
            if len(rows) >= ranked:
                break
        all_ = len(rows) < ranked and (free or await self.count(tx, slot, compiled.match, looked) < looked)
        return rows, all_

    async def _steps(self, tx: Transaction, slot: int, compiled: Compiled, ranked: int) -> list[list[int] | None]:
        """Blocks to ask one after the other until enough is found; None: all of them."""
        blocks, artifacts = await self._highest(tx, slot)
        among = [number for number, _ in blocks]
        share = await self._share(tx, slot, compiled, artifacts)
        if share is None:
            return [*(among[:number] for number in STEPS if len(among) >= number), None]
        if share * artifacts <= FEW * ranked:
            return [None]
        wanted = ranked * (FILTERED if compiled.conditions else ENOUGH)
        held = list(itertools.accumulate(share * number for _, number in blocks))
        first = next((place + 1 for place, hits in enumerate(held) if hits >= wanted), len(among))
        return [among[:first], *([among] if first < len(among) else []), None]

    async def _share(self, tx: Transaction, slot: int, compiled: Compiled, artifacts: int) -> float | None:
        """Of all artifacts, those that have the rarest word; None where there is no word, or one is not counted."""
        texts = sorted({word.text for alternatives in compiled.words for word in alternatives})
        if not texts or not artifacts or any(word.prefix for one in compiled.words for word in one):
            return None
        counted = await vocabulary.numbers(tx, slot, texts)
        numbers = [sum(counted[word.text] for word in alternatives) for alternatives in compiled.words]
        return min(1.0, min(numbers) / artifacts) if all(numbers) else None

    async def _highest(self, tx: Transaction, slot: int) -> tuple[list[tuple[int, int]], int]:
        """(block, artifacts in it) of the highest ones, and about how many artifacts there are in all."""
        until, blocks, artifacts = self._blocks.get(slot, (0.0, [], 0))
        if time.monotonic() >= until:
            table = f"search_index_document{slot}"
            rows = await tx.all(
                f"WITH RECURSIVE top AS (SELECT (SELECT max(id) >> {BLOCK} FROM {table}) AS block, 1 AS place"
                f" UNION ALL SELECT (SELECT max(id) >> {BLOCK} FROM {table} WHERE id < (top.block << {BLOCK})),"
                f" place + 1 FROM top WHERE block IS NOT NULL AND place < {STEPS[-1]})"
                f" SELECT block, (SELECT count(*) FROM {table} WHERE id >= block << {BLOCK}"
                f" AND id < (block + 1) << {BLOCK}) FROM top WHERE block IS NOT NULL ORDER BY block DESC"
            )
            blocks = [(int(block), int(number)) for block, number in rows]
            row = await tx.one(
                "SELECT CAST(GREATEST(reltuples, 0) AS BIGINT) FROM pg_class WHERE oid = to_regclass(:name)", name=table
            )
            artifacts = max(int(row[0]) if row is not None else 0, sum(number for _, number in blocks))
            self._blocks[slot] = time.monotonic() + BELIEVED, blocks, artifacts
        return blocks, artifacts

    async def count(self, tx: Transaction, slot: int, match: str, most: int) -> int:
        row = await tx.one(
            f"SELECT count(*) FROM (SELECT 1 FROM search_index_text{slot} WHERE words @@ CAST(:match AS tsquery)"
            " LIMIT :most) AS few",
            match=match, most=most,
        )  # fmt: skip
        return int(row[0]) if row is not None else 0

    async def completions(self, tx: Transaction, slot: int, word: str, looked: int, most: int) -> tuple[int, list[str]]:
        row = await tx.one(
            f"WITH begun AS MATERIALIZED (SELECT word, number FROM search_index_word{slot} WHERE word >= :low"
            " AND word < :high LIMIT :looked) SELECT (SELECT CAST(sum(number) AS BIGINT) FROM begun),"
            " (SELECT string_agg(word, ' ')"
            " FROM (SELECT word FROM begun ORDER BY number DESC, word LIMIT :most) AS few)",
            low=word, high=word + "\U0010ffff", looked=looked, most=most,
        )  # fmt: skip
        return (row[0], row[1].split(" ")) if row is not None and row[1] else (0, [])

    async def page(
        self, tx: Transaction, slot: int, compiled: Compiled, conditions: str, order: str, limit: int
    ) -> list[tuple[Any, ...]]:
        column = order.partition(",")[0].removesuffix(" DESC")
        return await tx.all(
            f"WITH hit AS MATERIALIZED (SELECT id FROM search_index_text{slot}"
            " WHERE words @@ CAST(:page_match AS tsquery))"
            f" SELECT {column}, d.name FROM hit JOIN search_index_document{slot} AS d ON d.id = hit.id"
            f" WHERE {conditions} ORDER BY {order} LIMIT :page_limit",
            page_match=compiled.match, page_limit=limit, **compiled.values,
        )  # fmt: skip

    async def near(self, tx: Transaction, slot: int, word: str, limit: int) -> list[str]:
        if self._trigrams is None:
            sql = "SELECT 1 FROM pg_class WHERE relname = 'search_index_word1_trigrams' AND pg_table_is_visible(oid)"
            self._trigrams = await tx.one(sql) is not None
        if not self._trigrams:
            return await vocabulary.by_shape(tx, slot, word, limit)
        rows = await tx.all(
            f"SELECT word FROM search_index_word{slot} WHERE word % :word AND length BETWEEN :low AND :high"
            " ORDER BY similarity(word, :word) DESC, number DESC LIMIT :limit",
            word=word, low=len(word) - 2, high=len(word) + 2, limit=limit,
        )  # fmt: skip
        return [row[0] for row in rows]


def vector(number: int, document: Document) -> str:
    """A document's tsvector, as text."""
    return in_block(words_of(document), number)


def words_of(document: Document) -> str:
    """The same without the mark of its place."""
    places: dict[str, list[str]] = {}
    position = 1
    name, title, keywords, description, readme = documents.texts(document)
    for words, weight in ((name, "A"), (title, "B"), (keywords, "B"), (description, "C"), (readme, "D")):
        for word in words:
            if position > _LAST:
                break
            places.setdefault(word, []).append(f"{position}{weight}")
            position += 1
        position += _GAP
    found = [f"{_lexeme(word)}:{','.join(at[:64])}" for word, at in places.items()]
    found += [_lexeme(one) for one in dict.fromkeys(marks.of_document(document))]
    return " ".join(found)


def in_block(vector_: str, number: int) -> str:
    """With the mark of the block that an id lies in."""
    return f"{vector_} {_lexeme(_block(number >> BLOCK))}"


def _block(number: int) -> str:
    return marks.mark("block#", str(number))


def _lexeme(text: str) -> str:
    """Quoted. What is asked for has neither quotes nor backslashes: words are letters and digits."""
    return "'" + text.replace("\\", "").replace("'", "") + "'"
