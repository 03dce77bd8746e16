"""`ports.SearchIndex` on the registry's own database: what both engines share.

Hits are looked at from the highest id on, a bounded number of them (`Query.ranked`), visible ones alone: these are
ranked and counted. Where most hits are not visible to the caller, the full text is narrowed to the caller's reach; the
condition of visibility is asked of every row all the same.

Each method is one transaction, or one snapshot. A crash leaves an index that was being built half-full; it is emptied
and built anew.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Protocol

from gati_extensions.search import spelling
from gati_extensions.search.expression import And, Node, Or, Word, both, walk
from gati_extensions.search.ports import Document, Found, Hit, Query, Reach
from gati_extensions.search.store import documents, vocabulary
from gati_extensions.search.store.compiling import Compiled, Compiler, Dialect, told_by_rows, within
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Clock, Database, Transaction, Visible

LOOKED = 4
"""Times as many hits as are ranked are looked at before the search is narrowed."""

NARROWED = 20
"""The same for a narrowed one, and for one whose filters are asked of all rows."""

SIFTED, ENOUGH = 3, 4
"""The same where filters are asked of rows; and of how many that could be ranked one is enough then."""

SORTED = 20_000
"""Hits up to which a list is sorted as a whole; where there are more, it goes along the order and looks for hits."""

SUGGESTED = 40
"""The same for what is suggested."""

COMPLETED, SUGGESTED_COMPLETED = 5, 500
"""Times as many artifacts as are ranked, or suggested, up to which an unfinished word stands for all that begin so."""

COMPLETIONS, COMPLETIONS_LOOKED = 16, 4_000
"""Otherwise for so many words, the most frequent of so many."""

SAME = 50
"""Artifacts of exactly the name that was asked for."""

SAME_NAME = 100.0
"""What it is worth to be called exactly so: more than any words."""

KNOWN = 0.05
"""What each power of two of downloads adds to the rank of an artifact's words."""

CLEARED = 2_000
"""Rows that go at a time when an index is emptied."""

_ROWS = (("document", "id"), ("body", "id"), ("number", "document"), ("gati", "document"))
"""Tables with rows of a document, and the columns that say of which."""

_ORDERS = {
    "downloads": "downloads", "stars": "stars", "updated": "updated_at", "created": "created_at", "name": "name",
}  # fmt: skip


class Text(Dialect, Protocol):
    """An engine's full text."""

    async def put(self, tx: Transaction, slot: int, number: int, document: Document) -> None:
        """Keep the words of a document."""

    async def drop(self, tx: Transaction, slot: int, number: int) -> None:
        """Forget them."""

    async def clear(self, tx: Transaction, slot: int, numbers: Sequence[int]) -> None:
        """Forget those of some."""

    async def hits(
        self, tx: Transaction, slot: int, compiled: Compiled, conditions: str, ranked: int, looked: int,
        *, thorough: bool = True,
    ) -> tuple[list[tuple[Any, ...]], bool]:  # fmt: skip
        """(id, score, name, base, facets) of visible hits, from the highest id; whether these are all. Not `thorough`:
        fewer will do where more would take long."""

    async def count(self, tx: Transaction, slot: int, match: str, most: int) -> int:
        """Hits, visible or not, as far as `most`."""

    async def page(
        self, tx: Transaction, slot: int, compiled: Compiled, conditions: str, order: str, limit: int
    ) -> list[tuple[Any, ...]]:
        """(value, name) of visible hits in an order, all of them sorted."""

    def begun(self, words: Sequence[str], *, prefix: bool) -> str:
        """An expression: names, titles and keywords in which one of the words is, or with `prefix` begins."""

    async def completions(self, tx: Transaction, slot: int, word: str, looked: int, most: int) -> tuple[int, list[str]]:
        """How often the words that begin so are in artifacts (of the first `looked` words), and the most frequent."""

    async def near(self, tx: Transaction, slot: int, word: str, limit: int) -> list[str]:
        """Words that resemble one, by the engine's own means and any number of edits."""


class TableIndex:
    """`ports.SearchIndex`."""

    def __init__(self, database: Database, clock: Clock, text: Text) -> None:
        self._database = database
        self._clock = clock
        self._text = text

    # --- which of the two --------------------------------------------------------------------------------------

    async def built(self) -> bool:
        return (await self._database.read(_roles)).get("serving") is not None

    async def begin(self) -> None:
        slot = await self._database.write(_begin)
        while await self._database.write(lambda tx: self._clear(tx, slot)):
            pass

    async def switch(self) -> None:
        former = await self._database.write(_switch)
        while former is not None and await self._database.write(lambda tx: self._clear(tx, former)):
            pass

    async def _clear(self, tx: Transaction, slot: int) -> bool:
        """Remove some rows of a slot that does not serve; whether there are more."""
        if (await _roles(tx)).get("serving") == slot:
            return False
        rows = await tx.all(f"SELECT id FROM search_index_document{slot} ORDER BY id LIMIT :most", most=CLEARED)
        if not rows:
            return await tx.run(
                f"DELETE FROM search_index_word{slot} WHERE word IN (SELECT word FROM search_index_word{slot}"
                " LIMIT :most)", most=CLEARED,
            ) > 0  # fmt: skip
        numbers = [row[0] for row in rows]
        await self._text.clear(tx, slot, numbers)
        for table, column in _ROWS:
            await tx.run(f"DELETE FROM search_index_{table}{slot} WHERE {column} <= :last", last=numbers[-1])
        return True

    # --- writing -----------------------------------------------------------------------------------------------

    async def put(
        self, found: Sequence[Document], gone: Sequence[str], *, building: bool = False, revision: int = 0
    ) -> None:
        async def work(tx: Transaction) -> None:
            roles = await _roles(tx)
            for role, slot in roles.items():
                if building and role != "building":
                    continue
                await self._put(tx, slot, found, gone, keep=building)

        await self._database.write(work)

    async def _put(
        self, tx: Transaction, slot: int, found: Sequence[Document], gone: Sequence[str], *, keep: bool
    ) -> None:
        """All removals first, then all additions, each by growing ids: FTS5 writes a segment whenever an id is lower
        than the one before, and merging many small ones would cost more than all else."""
        removed: list[int] = []
        placed: list[tuple[int, Document]] = []
        new: list[Document] = []
        words: Counter[str] = Counter()
        for document in {one.name: one for one in found}.values():
            before = await _row(tx, slot, document.name)
            if before is not None and keep:
                continue
            words.update(documents.vocabulary(document))
            if before is None:
                new.append(document)
                continue
            number, former = before[0], documents.decoded(before[1])
            words.subtract(documents.vocabulary(former))
            if documents.tier_of(number) != documents.tier(document) or former.digest != document.digest:
                removed.append(number)
                new.append(document)
            else:
                placed.append((number, document))
        for name in gone:
            if (before := await _row(tx, slot, name)) is not None:
                removed.append(before[0])
                words.subtract(documents.vocabulary(documents.decoded(before[1])))
        for number in sorted(removed):
            await self._remove(tx, slot, number)
        following: dict[int, int] = {}
        for document in new:
            tier = documents.tier(document)
            number = following[tier] if tier in following else await self._next(tx, slot, tier)
            following[tier] = number + 1
            placed.append((number, document))
        placed.sort(key=itemgetter(0))
        for number, document in placed:
            await self._keep(tx, slot, number, document)
            await self._text.put(tx, slot, number, document)
        await vocabulary.count(tx, slot, words)

    async def _keep(self, tx: Transaction, slot: int, number: int, document: Document) -> None:
        columns = {
            "name": document.name, "base": documents.base(document.name), "version_key": document.version_key,
            "digest": document.digest, "stars": document.stars, "downloads": document.downloads,
            "created_at": document.created_at, "updated_at": document.updated_at,
            "facets": documents.facets(document),
        }  # fmt: skip
        await tx.send(
            f"INSERT INTO search_index_document{slot} (id, {', '.join(columns)})"
            f" VALUES (:id, {', '.join(f':{name}' for name in columns)})"
            f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = :{name}' for name in columns)}",
            id=number, **columns,
        )  # fmt: skip
        await tx.send(
            f"INSERT INTO search_index_body{slot} (id, body) VALUES (:id, :body)"
            " ON CONFLICT (id) DO UPDATE SET body = :body",
            id=number, body=documents.encoded(document),
        )  # fmt: skip
        await tx.send(f"DELETE FROM search_index_number{slot} WHERE document = :id", id=number)
        for field, value in document.numbers.items():
            await tx.send(
                f"INSERT INTO search_index_number{slot} (document, field, number) VALUES (:id, :field, :number)",
                id=number, field=field, number=float(value),
            )  # fmt: skip
        await tx.send(f"DELETE FROM search_index_gati{slot} WHERE document = :id", id=number)
        for low, high in dict(document.gati_spans).items():
            await tx.send(
                f"INSERT INTO search_index_gati{slot} (document, low, high) VALUES (:id, :low, :high)",
                id=number, low=low, high=high,
            )  # fmt: skip

    async def _next(self, tx: Transaction, slot: int, tier: int) -> int:
        low, beyond = documents.tier_range(tier)
        row = await tx.one(
            f"SELECT max(id) FROM search_index_document{slot} WHERE id >= :low AND id < :beyond", low=low, beyond=beyond
        )
        return low + 1 if row is None or row[0] is None else int(row[0]) + 1

    async def _remove(self, tx: Transaction, slot: int, number: int) -> None:
        await self._text.drop(tx, slot, number)
        for table, column in _ROWS:
            await tx.send(f"DELETE FROM search_index_{table}{slot} WHERE {column} = :number", number=number)

    # --- searching ---------------------------------------------------------------------------------------------

    async def search(self, query: Query) -> Found:
        return await self._database.scan(lambda tx: self._search(tx, query))

    async def _search(self, tx: Transaction, query: Query) -> Found:
        slot = await _serving(tx)
        if query.loose:
            query = replace(query, expression=await self._thinned(tx, slot, query.expression, query.ranked))
        completions = {}
        for one in walk(query.expression):
            if isinstance(one, Word) and one.prefix:
                completions[one.text] = await self._completions(tx, slot, one.text, COMPLETED * query.ranked)
        visible = self._visible(query.visible)
        compiled, conditions = self._compiled(slot, query, completions, visible, by_rows=False)
        sifted = None
        if compiled.ranked and any(told_by_rows(one) for one in _parts(query.expression)):
            first = self._compiled(slot, query, completions, visible, by_rows=True)
            sifted = await self._by_rows(tx, slot, first, query.ranked)
        rows, all_ = sifted or await self._text.hits(
            tx, slot, compiled, conditions, query.ranked, LOOKED * query.ranked
        )
        if sifted is None and not all_ and len(rows) < query.ranked and query.reach is not None:
            narrow = within(self._text, query.reach)
            if not narrow:
                rows, all_ = [], True
            else:
                compiled.match = self._text.all_of([compiled.match, narrow])
                looked = query.ranked * NARROWED
                rows, all_ = await self._text.hits(tx, slot, compiled, conditions, query.ranked, looked)
        exact = all_ and len(rows) < query.ranked
        found = {row[0]: row for row in rows}
        if query.sort == "relevance":
            if query.whole and not exact:
                for row in await self._same(tx, slot, compiled, conditions, query.whole):
                    found.setdefault(row[0], row)
            keys = _keys(found.values(), query.whole or "\0")
            if query.after is not None:
                last = _relevance(query.after)
                keys = [key for key in keys if key > last]
            best = heapq.nsmallest(query.limit + 1, keys)
            page: list[tuple[float | str, str]] = [(-score, name) for score, name in best]
        else:
            page = await self._sorted(tx, slot, query, compiled, conditions)
        shown = await _bodies(tx, slot, [name for _, name in page[: query.limit]], query.visible)
        return Found(
            [Hit(shown[name], (value, name)) for value, name in page[: query.limit] if name in shown],
            len(page) > query.limit,
            len(found),
            exact,
            documents.counted([row[4] for row in found.values()]) if query.facets else {},
        )

    async def _by_rows(
        self, tx: Transaction, slot: int, first: tuple[Compiled, str], ranked: int
    ) -> tuple[list[tuple[Any, ...]], bool] | None:
        """Hits of words whose rows fit the filters: among the first ones where enough of these do, else among all
        where these are not very many. None: the full text is to narrow them, which is faster where few fit."""
        rows, all_ = await self._text.hits(tx, slot, *first, ranked, SIFTED * ranked, thorough=False)
        if all_ or len(rows) * ENOUGH >= ranked:
            return rows, all_
        most = NARROWED * ranked
        if await self._text.count(tx, slot, first[0].match, most) == most:
            return None
        return await self._text.hits(tx, slot, *first, ranked, most, thorough=False)

    def _visible(self, visible: Visible) -> tuple[str, dict[str, Any]]:
        """The condition on `d`. That a row says `public` is taken for true where no change is waiting to be indexed:
        every change of a visibility is noted in its transaction. Of all else, and of what is shown, the database is
        asked, which for a thousand rows takes longer than all else."""
        condition, values = visible.where(
            "d.name",
            f"CASE WHEN {self._text.contains('d.facets', 'visible_public')} AND d.name NOT IN (SELECT name FROM"
            " search_dirty) AND NOT EXISTS (SELECT 1 FROM search_dirty WHERE below = 1) THEN 'public'"
            " ELSE {level} END",
        )
        return condition, {**values, "visible_public": documents.of_level("public")} if visible.level else values

    def _compiled(
        self, slot: int, query: Query, completions: Mapping[str, Sequence[str]], visible: tuple[str, dict[str, Any]],
        *, by_rows: bool,
    ) -> tuple[Compiled, str]:  # fmt: skip
        """The expression, and all conditions on documents."""
        compiled = Compiler(self._text, slot, self._clock.now(), completions, by_rows=by_rows).compile(query.expression)
        compiled.values |= visible[1]
        return compiled, " AND ".join(f"({one})" for one in (*compiled.conditions, visible[0]))

    async def _thinned(self, tx: Transaction, slot: int, node: Node, most: int) -> Node:
        """The rarest of the words one of which is wanted: no more than can be weighed one by one."""
        parts: list[Node] = []
        for part in _parts(node):
            words = [one for one in part.parts if isinstance(one, Word)] if isinstance(part, Or) else []
            if len(words) < 2:
                parts.append(part)
                continue
            # Those that are too short to be counted tell little.
            counted = await vocabulary.numbers(tx, slot, [word.text for word in words if len(word.text) > 2])
            kept: list[Word] = []
            for word in sorted(words, key=lambda word: counted.get(word.text, most)):
                if not kept or sum(counted.get(one.text, most) for one in (*kept, word)) <= most:
                    kept.append(word)
            parts.append(kept[0] if len(kept) == 1 else Or(tuple(kept)))
        return both(*parts)

    async def _completions(self, tx: Transaction, slot: int, word: str, few: int) -> Sequence[str]:
        """What stands for a word that is not finished: itself and the most frequent ones that begin so. Nothing where
        all of them are `few`: engines merge all that begin so before they give the first hit."""
        number, found = await self._text.completions(tx, slot, word, COMPLETIONS_LOOKED, COMPLETIONS)
        return tuple(dict.fromkeys([word, *found])) if number > few else ()

    async def _same(
        self, tx: Transaction, slot: int, compiled: Compiled, conditions: str, whole: str
    ) -> list[tuple[Any, ...]]:
        """Hits of exactly this name, however many others there are."""
        holds = self._text.holds(slot, "same_match")
        return await tx.all(
            f"SELECT d.id, CAST(0 AS DOUBLE PRECISION), d.name, d.base, d.facets FROM search_index_document{slot} AS d"
            f" WHERE d.base = :same_base AND {conditions} AND {holds} ORDER BY d.id DESC LIMIT :same_most",
            same_base=whole, same_match=compiled.match, same_most=SAME, **compiled.values,
        )  # fmt: skip

    async def _sorted(
        self, tx: Transaction, slot: int, query: Query, compiled: Compiled, conditions: str
    ) -> list[tuple[float | str, str]]:
        column = _ORDERS[query.sort]
        order = "d.name" if column == "name" else f"d.{column} DESC, d.name"
        values = compiled.values
        if query.after is not None:
            value, name = query.after
            values = {**values, "after_value": value, "after_name": name}
            conditions += (
                " AND d.name > :after_name" if column == "name"
                else f" AND d.{column} <= :after_value AND (d.{column} < :after_value OR d.name > :after_name)"
            )  # fmt: skip
        if column == "name":
            values.pop("after_value", None)
        few = await self._text.count(tx, slot, compiled.match, SORTED) < SORTED
        bounded = Compiled(compiled.match, "", [], values)
        if few:
            rows = await self._text.page(tx, slot, bounded, conditions, order, query.limit + 1)
        else:
            holds = self._text.holds(slot, "walk_match")
            rows = await tx.all(
                f"SELECT d.{column}, d.name FROM search_index_document{slot} AS d WHERE {conditions} AND {holds}"
                f" ORDER BY {order} LIMIT :walk_most",
                walk_match=compiled.match, walk_most=query.limit + 1, **values,
            )  # fmt: skip
        return [(row[0], row[1]) for row in rows]

    # --- as one types ------------------------------------------------------------------------------------------

    async def suggest(self, prefix: str, limit: int, visible: Visible, reach: Reach | None) -> Sequence[Document]:
        return await self._database.scan(lambda tx: self._suggest(tx, prefix, limit, visible, reach))

    async def _suggest(
        self, tx: Transaction, prefix: str, limit: int, visible: Visible, reach: Reach | None
    ) -> Sequence[Document]:
        slot = await _serving(tx)
        *before, last = prefix.split(" ")
        texts = [self._text.word(word, prefix=False) for word in before]
        if len(last) == 1:
            texts.append(self._text.word(last, prefix=False))
            wanted = [Word(last)]
        else:
            found = await self._completions(tx, slot, last, SUGGESTED_COMPLETED * limit)
            texts.append(self._text.begun(found or [last], prefix=not found))
            wanted = [Word(one) for one in found] or [Word(last, prefix=True)]
        condition, values = visible.where("d.name")
        narrow = within(self._text, reach) if reach is not None else ""
        if narrow:
            texts.append(narrow)
        compiled = Compiled(
            self._text.all_of(texts), "", [], values, (*((Word(one),) for one in before), tuple(wanted))
        )
        rows, _ = await self._text.hits(tx, slot, compiled, f"({condition})", limit, SUGGESTED * limit)
        names = [row[2] for row in sorted(rows, reverse=True)[:limit]]
        shown = await _bodies(tx, slot, names, visible)
        return [shown[name] for name in names if name in shown]

    async def near(self, word: str, limit: int) -> Sequence[str]:
        return await self._database.scan(lambda tx: self._near(tx, word, limit))

    async def _near(self, tx: Transaction, word: str, limit: int) -> Sequence[str]:
        slot = await _serving(tx)
        if await self._text.count(tx, slot, self._text.word(word, prefix=False), 1):
            return [word]
        return spelling.nearest(word, await self._text.near(tx, slot, word, spelling.LOOKED), limit)


# --- rows ---------------------------------------------------------------------------------------------------------


async def _roles(tx: Transaction) -> dict[str, int]:
    """The slots by what they do."""
    return {row[1]: row[0] for row in await tx.all("SELECT slot, role FROM search_index_state ORDER BY slot DESC")}


async def _serving(tx: Transaction) -> int:
    slot = (await _roles(tx)).get("serving")
    if slot is None:
        raise RegistryError(
            Code.UNAVAILABLE, "the search index is being built; ask again in a moment", headers={"Retry-After": "5"}
        )
    return slot


async def _begin(tx: Transaction) -> int:
    roles = await _roles(tx)
    slot = roles.get("building") or (2 if roles.get("serving") == 1 else 1)
    await tx.run("DELETE FROM search_index_state WHERE slot = :slot", slot=slot)
    await tx.run("INSERT INTO search_index_state (slot, role) VALUES (:slot, 'building')", slot=slot)
    return slot


async def _switch(tx: Transaction) -> int | None:
    roles = await _roles(tx)
    if "building" not in roles:
        return None
    await tx.run("DELETE FROM search_index_state WHERE role = 'serving'")
    await tx.run("UPDATE search_index_state SET role = 'serving' WHERE role = 'building'")
    return roles.get("serving")


async def _row(tx: Transaction, slot: int, name: str) -> tuple[int, str] | None:
    row = await tx.one(
        f"SELECT d.id, b.body FROM search_index_document{slot} AS d JOIN search_index_body{slot} AS b ON b.id = d.id"
        " WHERE d.name = :name", name=name,
    )  # fmt: skip
    return (row[0], row[1]) if row is not None else None


async def _bodies(tx: Transaction, slot: int, names: Sequence[str], visible: Visible) -> Mapping[str, Document]:
    given = {f"n{number}": name for number, name in enumerate(names)}
    if not given:
        return {}
    condition, values = visible.where("d.name")
    marks_ = ", ".join(f":{name}" for name in given)
    rows = await tx.all(
        f"SELECT d.name, b.body FROM search_index_document{slot} AS d JOIN search_index_body{slot} AS b ON b.id = d.id"
        f" WHERE d.name IN ({marks_}) AND ({condition})", **given, **values,
    )  # fmt: skip
    return {row[0]: documents.decoded(row[1]) for row in rows}


def _keys(rows: Iterable[Sequence[Any]], whole: str) -> list[tuple[float, str]]:
    """(minus what a hit is worth, name): its words' rank, more for the well-known, most for exactly the name that was
    asked for; among equals the higher id. Of thousands at a time: hence no function for each."""
    bits, part = documents.TIER_BITS, 1.0 / (1 << documents.TIER_BITS)
    rest = (1 << bits) - 1
    return [
        (
            -(
                rank * (1.0 + KNOWN * (number >> bits))
                + (SAME_NAME if base == whole else 0.0)
                + KNOWN * (number >> bits)
                + (number & rest) * part
            ),
            name,
        )
        for number, rank, name, base, _ in rows
    ]


def _parts(node: Node) -> Sequence[Node]:
    return node.parts if isinstance(node, And) else (node,)


def _relevance(after: tuple[float | str, str]) -> tuple[float, str]:
    return -float(after[0]), after[1]
