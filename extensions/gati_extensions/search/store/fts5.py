"""The full text of SQLite: FTS5 without its own copy of the texts.

Source: https://www.sqlite.org/fts5.html, sections 3 (query syntax), 4.4.4 (contentless-delete) and 5.1.1 (bm25).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gati_extensions.search.ports import Document
from gati_extensions.search.store import documents, marks, vocabulary
from gati_extensions.search.store.compiling import Compiled
from gati_registry.extension import Transaction

WEIGHTS = "10.0, 6.0, 5.0, 2.0, 0.5, 0.0"
"""Of name, title, keywords, description, readme; marks rank nothing."""

COLUMNS = ("name", "title", "keywords", "description", "readme", "marks")

ANYWHERE, TITLED, NAMED = 1.0, 4.0, 8.0
"""What a hit is worth where there are too many to weigh: with all words anywhere, in title or keywords, in the name."""

_BETWEEN = "\x1e"
"""Between values of a column; no name has it, and facets have it no more (`documents.facet`)."""


class Fts5:
    """`index.Text`."""

    # --- expressions -------------------------------------------------------------------------------------------

    def word(self, text: str, *, prefix: bool) -> str:
        return f'"{text}"*' if prefix else f'"{text}"'

    def phrase(self, words: Sequence[str]) -> str:
        return f'"{" ".join(words)}"'

    def mark(self, text: str) -> str:
        return f'"{text}"'

    def all_of(self, parts: Sequence[str]) -> str:
        return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"

    def one_of(self, parts: Sequence[str]) -> str:
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def without(self, part: str, excluded: str) -> str:
        return f"({part} NOT {excluded})"

    def holds(self, slot: int, parameter: str) -> str:
        text = f"search_index_text{slot}"
        return f"EXISTS (SELECT 1 FROM {text} WHERE {text} MATCH :{parameter} AND {text}.rowid = d.id)"

    def contains(self, column: str, parameter: str) -> str:
        return f"instr({column}, :{parameter}) > 0"

    # --- rows --------------------------------------------------------------------------------------------------

    async def put(self, tx: Transaction, slot: int, number: int, document: Document) -> None:
        values = dict(zip(COLUMNS, columns_of(document), strict=True))
        await tx.run(
            f"INSERT OR REPLACE INTO search_index_text{slot} (rowid, {', '.join(COLUMNS)})"
            f" VALUES (:number, {', '.join(f':{name}' for name in COLUMNS)})",
            number=number, **values,
        )  # fmt: skip

    async def drop(self, tx: Transaction, slot: int, number: int) -> None:
        await tx.run(f"DELETE FROM search_index_text{slot} WHERE rowid = :number", number=number)

    async def clear(self, tx: Transaction, slot: int, numbers: Sequence[int]) -> None:
        # All go in the end: forgetting everything at once takes milliseconds, row by row it takes minutes.
        await tx.run(f"INSERT INTO search_index_text{slot} (search_index_text{slot}) VALUES ('delete-all')")

    # --- questions ---------------------------------------------------------------------------------------------

    async def hits(
        self, tx: Transaction, slot: int, compiled: Compiled, conditions: str, ranked: int, looked: int,
        *, thorough: bool = True,
    ) -> tuple[list[tuple[Any, ...]], bool]:  # fmt: skip
        if compiled.ranked and await self.count(tx, slot, compiled.ranked, ranked) < ranked:
            return await self._weighed(tx, slot, compiled, conditions, ranked)
        rows, all_ = await self._first(tx, slot, compiled.match, ANYWHERE, compiled, conditions, ranked, looked)
        if not compiled.words or all_:
            return rows, all_
        # Very many have these words. Of those that are less known and older, the ones that are called so.
        found = {row[0]: row for row in rows}
        for sign, worth in ((marks.TITLED, TITLED), (marks.NAMED, NAMED)):
            words = [
                self.one_of([self.word(sign + word.text, prefix=word.prefix) for word in alternatives])
                for alternatives in compiled.words
            ]
            match = self.all_of([*words, compiled.match])
            some = ranked // 4
            better, _ = await self._first(tx, slot, match, worth, compiled, conditions, some, 3 * some)
            found |= {row[0]: row for row in better}
        return list(found.values()), all_

    async def _weighed(
        self, tx: Transaction, slot: int, compiled: Compiled, conditions: str, ranked: int
    ) -> tuple[list[tuple[Any, ...]], bool]:
        """All hits with the weight of their words. Marks stay out of it: bm25 goes through all that bear one."""
        text = f"search_index_text{slot}"
        hit, values = "weighed", compiled.values
        if compiled.match != compiled.ranked:
            hit += f" JOIN (SELECT rowid AS number FROM {text} WHERE {text} MATCH :hits_match) AS hit USING (number)"
            values = {**values, "hits_match": compiled.match}
        rows = await _packed(
            tx,
            f"WITH weighed AS MATERIALIZED (SELECT rowid AS number, -bm25({text}, {WEIGHTS}) AS score FROM {text}"
            f" WHERE {text} MATCH :hits_ranks)"
            f" SELECT d.id, score, d.name, d.base, d.facets FROM {hit}"
            f" CROSS JOIN search_index_document{slot} AS d ON d.id = number"
            f" WHERE {conditions} ORDER BY d.id DESC LIMIT :hits_ranked",
            hits_ranks=compiled.ranked, hits_ranked=ranked, **values,
        )  # fmt: skip
        return rows, len(rows) < ranked

    async def _first(
        self, tx: Transaction, slot: int, match: str, worth: float, compiled: Compiled, conditions: str, ranked: int,
        looked: int,
    ) -> tuple[list[tuple[Any, ...]], bool]:  # fmt: skip
        """Hits from the highest id on, each worth the same."""
        text, free = f"search_index_text{slot}", conditions == "(1 = 1)"
        rows = await _packed(
            tx,
            f"SELECT d.id, :hits_worth AS score, d.name, d.base, d.facets FROM (SELECT rowid AS number FROM {text}"
            f" WHERE {text} MATCH :hits_match ORDER BY rowid DESC LIMIT :hits_looked) AS hit"
            f" CROSS JOIN search_index_document{slot} AS d ON d.id = hit.number WHERE {conditions}"
            " LIMIT :hits_ranked",
            hits_worth=worth, hits_match=match, hits_looked=ranked if free else looked, hits_ranked=ranked,
            **compiled.values,
        )  # fmt: skip
        return rows, len(rows) < ranked and (free or await self.count(tx, slot, match, looked) < looked)

    def begun(self, words: Sequence[str], *, prefix: bool) -> str:
        signs = (marks.NAMED, marks.TITLED)
        return self.one_of([self.word(sign + word, prefix=prefix) for word in words for sign in signs])

    async def completions(self, tx: Transaction, slot: int, word: str, looked: int, most: int) -> tuple[int, list[str]]:
        row = await tx.one(
            f"WITH begun AS MATERIALIZED (SELECT word, number FROM search_index_word{slot} WHERE word >= :low"
            " AND word < :high LIMIT :looked) SELECT (SELECT sum(number) FROM begun), (SELECT group_concat(word, ' ')"
            " FROM (SELECT word FROM begun ORDER BY number DESC, word LIMIT :most))",
            low=word, high=word + "\U0010ffff", looked=looked, most=most,
        )  # fmt: skip
        return (row[0], row[1].split(" ")) if row is not None and row[1] else (0, [])

    async def count(self, tx: Transaction, slot: int, match: str, most: int) -> int:
        text = f"search_index_text{slot}"
        row = await tx.one(
            f"SELECT count(*) FROM (SELECT 1 FROM {text} WHERE {text} MATCH :match LIMIT :most)", match=match, most=most
        )
        return int(row[0]) if row is not None else 0

    async def page(
        self, tx: Transaction, slot: int, compiled: Compiled, conditions: str, order: str, limit: int
    ) -> list[tuple[Any, ...]]:
        text, column = f"search_index_text{slot}", order.partition(",")[0].removesuffix(" DESC")
        return await tx.all(
            f"SELECT {column}, d.name FROM {text} CROSS JOIN search_index_document{slot} AS d ON d.id = {text}.rowid"
            f" WHERE {text} MATCH :page_match AND {conditions} ORDER BY {order} LIMIT :page_limit",
            page_match=compiled.match, page_limit=limit, **compiled.values,
        )  # fmt: skip

    async def near(self, tx: Transaction, slot: int, word: str, limit: int) -> list[str]:
        return await vocabulary.by_shape(tx, slot, word, limit)


async def _packed(tx: Transaction, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """Rows of (id, score, name, base, facets), which come as one. SQLite hands out row by row, and each time the thread
    lets go of the interpreter and waits for its turn: beside a busy event loop that is a thousand waits."""
    row = await tx.one(
        "SELECT group_concat(id, ' '), group_concat(score, ' '),"
        f" group_concat(name, '{_BETWEEN}'), group_concat(base, '{_BETWEEN}'), group_concat(facets, '{_BETWEEN}')"
        f" FROM ({sql})",
        **values,
    )
    if row is None or row[0] is None:
        return []
    numbers, scores = row[0].split(" "), row[1].split(" ")
    return list(zip(map(int, numbers), map(float, scores), *(text.split(_BETWEEN) for text in row[2:]), strict=True))


def columns_of(document: Document) -> tuple[str, ...]:
    """A document's texts, by `COLUMNS`."""
    texts = documents.texts(document)
    name, title, keywords, _, _ = texts
    found = [*marks.of_document(document), *(marks.NAMED + word for word in name)]
    found += [marks.TITLED + word for word in (*title, *keywords)]
    return (*map(" ".join, texts), " ".join(dict.fromkeys(found)))
