"""Questions to the log, answered page by page, newest first.

Entries and the lines of segments are merged by time. However little fits, a page looks at a bounded number of entries
and lines; it says from where the next one goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gati_extensions.audit import segments
from gati_extensions.audit.persons import Person
from gati_extensions.audit.record import COLUMNS, Line
from gati_registry.extension import Transaction

Place = tuple[int, int, int]
"""(time, leaf, place in a segment): where an entry stands."""

LATEST: Place = (2**62, 2**62, 2**62)
_END = 2**62

WINDOW = 50_000
"""Entries that a page looks at where no index leads to those that fit."""

SEGMENTS = 400
SEGMENT_LINES = 50_000
"""Segments and their lines that a page looks at."""

_AT_ONCE = 200
_SEPARATORS = ("#", "/", ":", "@")
_BELOW = {mark: chr(ord(mark) + 1) for mark in _SEPARATORS}
_TOP = "\U0010ffff"
_IN_SEGMENTS = frozenset({"deny", "challenge"})


@dataclass(frozen=True, slots=True)
class Query:
    """What fits. Persons are given by their pseudonyms; an empty tuple fits nothing. Times are milliseconds.

    `prefixes` are beginnings of resources; `within` are paths of namespaces, each with the namespace at its top.
    """

    actors: tuple[str, ...] | None = None
    subjects: tuple[str, ...] | None = None
    action: str | None = None
    category: str | None = None
    prefixes: tuple[str, ...] | None = None
    within: tuple[tuple[str, str], ...] | None = None
    decision: str | None = None
    status: int | None = None
    request_id: str | None = None
    since: int = 0
    until: int = _END

    @property
    def nothing(self) -> bool:
        """Whether nothing can fit."""
        return () in (self.actors, self.subjects, self.prefixes, self.within) or self.since >= self.until

    def fits(self, line: Line) -> bool:
        """Whether a segment's group fits, apart from times and request."""
        return (
            (self.actors is None or line.actor in self.actors)
            and self.subjects is None
            and self.action in {None, line.action}
            and self.category in {None, line.category}
            and self.decision in {None, line.decision}
            and self.status in {None, line.status}
            and (self.prefixes is None or line.resource.startswith(self.prefixes))
            and (self.within is None or any(_is_within(line.resource, path) for path, _ in self.within))
        )


async def page(tx: Transaction, query: Query, after: Place, limit: int) -> tuple[list[Line], Place | None]:
    """At most `limit` entries after a place (that is, older), and from where to go on; None: there is no more."""
    if query.nothing:
        return [], None
    after = min(after, (query.until, -1, -1))
    entries, floor = await _entries(tx, query, after, limit)
    found, lowest = await _lines(tx, query, after, limit)
    bound = max(place for place in (floor, lowest, (-1, -1, -1)) if place is not None)
    complete = sorted((line for line in (*entries, *found) if line.key >= bound), key=lambda line: line.key)[::-1]
    if len(complete) > limit:
        return complete[:limit], complete[limit - 1].key
    return complete, None if floor is None and lowest is None else bound


def _is_within(resource: str, path: str) -> bool:
    return resource.startswith(path) and (len(resource) == len(path) or resource[len(path)] in _SEPARATORS)


# --- entries with a leaf of their own ---------------------------------------------------------------------------


class _Where:
    """Conditions and their parameters."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: dict[str, Any] = {}

    def add(self, column: str, value: object, how: str = "=") -> None:
        self.parts.append(f"{column} {how} {self._name(value)}")

    def one_of(self, column: str, values: Sequence[str]) -> None:
        self.parts.append(f"{column} IN ({', '.join(self._name(value) for value in values)})")

    def in_ranges(self, column: str, ranges: Sequence[tuple[str, str]], exactly: Sequence[str] = ()) -> None:
        parts = [f"{column} = {self._name(value)}" for value in exactly]
        parts += [f"({column} >= {self._name(low)} AND {column} < {self._name(high)})" for low, high in ranges]
        self.parts.append(f"({' OR '.join(parts)})")

    def _name(self, value: object) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def __str__(self) -> str:
        return " AND ".join(self.parts)


async def _entries(tx: Transaction, query: Query, after: Place, limit: int) -> tuple[list[Line], Place | None]:
    """Entries after a place, and the place down to which they are all; None: to the end."""
    if query.decision in _IN_SEGMENTS or query.action in {"pull", "challenge"}:
        return [], None
    where = _Where()
    where.parts.append("(time, leaf) < (:time, :leaf)")
    where.values |= {"time": after[0], "leaf": after[1]}
    where.add("time", query.since, ">=")
    indexed = _indexed(where, query)
    floor = None
    if not indexed:
        row = await tx.one(
            f"SELECT time, leaf FROM audit_entry WHERE {where} ORDER BY time DESC, leaf DESC LIMIT 1 OFFSET :window",
            **where.values,
            window=WINDOW,
        )
        if row is not None:
            floor = (row[0], row[1], 0)
            where.parts.append("(time, leaf) >= (:floor_time, :floor_leaf)")
            where.values |= {"floor_time": row[0], "floor_leaf": row[1]}
    for column in ("action", "category", "decision", "status"):
        value = getattr(query, column)
        if value is not None:
            where.add(column, value)
    if query.prefixes is not None:
        where.in_ranges("resource", [(prefix, prefix + _TOP) for prefix in query.prefixes])
    if query.within is not None:
        ranges = [(path + mark, path + _BELOW[mark]) for path, _ in query.within for mark in _SEPARATORS]
        where.in_ranges("resource", ranges, [path for path, _ in query.within])
    rows = await tx.all(
        f"SELECT {', '.join(COLUMNS)} FROM audit_entry WHERE {where} ORDER BY time DESC, leaf DESC LIMIT :limit",
        **where.values,
        limit=limit + 1,
    )
    found = [Line(*row) for row in rows]
    if len(found) > limit:
        return found[:limit], found[limit - 1].key
    return found, floor


def _indexed(where: _Where, query: Query) -> bool:
    """Add the conditions that an index serves; whether there are any."""
    if query.request_id is not None:
        where.add("request_id", query.request_id)
    if query.actors is not None:
        where.one_of("actor", query.actors)
    if query.subjects is not None:
        where.one_of("subject", query.subjects)
    if query.within is not None:
        where.one_of("namespace", sorted({namespace for _, namespace in query.within}))
    # A path below a namespace's top may be rare in it.
    whole = query.within is not None and all(path == namespace for path, namespace in query.within)
    return whole or any(value is not None for value in (query.request_id, query.actors, query.subjects))


# --- lines of segments ------------------------------------------------------------------------------------------


async def _lines(tx: Transaction, query: Query, after: Place, limit: int) -> tuple[list[Line], Place | None]:
    """Lines after a place, and the place down to which they are all; None: to the end."""
    changing = query.category is not None and query.category != "read"
    if query.subjects is not None or (changing and query.decision == "allow"):
        return [], None
    time, room = after[0], SEGMENT_LINES
    found: list[Line] = []
    for number, (leaf, last) in enumerate(await _refs(tx, query, time, changing or query.decision == "deny")):
        # What was not looked at ends no later than this segment.
        enough = len(found) >= limit and sum(line.time > last for line in found) >= limit
        if number == SEGMENTS or room < 0 or enough:
            return found, (last, _END, _END)
        row = await tx.one("SELECT first_time, lines, body FROM audit_segment WHERE leaf = :leaf", leaf=leaf)
        if row is not None and row[0] <= time:  # retention may have come between
            room -= row[1]
            found += [line for line in _of_segment(leaf, bytes(row[2]), query) if line.key < after]
    return found, None


async def _refs(tx: Transaction, query: Query, time: int, denials: bool) -> list[tuple[int, int]]:
    """(leaf, time of the last line) of segments that may hold what fits, latest first."""
    where = _Where()
    where.add("last_time", query.since, ">=")
    where.add("last_time", min(time, _END) + segments.MAX_SPAN, "<=")
    table = "audit_mention"
    if query.actors is not None:
        where.one_of("term", [segments.actor_term(actor) for actor in query.actors])
    elif denials:
        where.add("term", segments.DENIALS)
    elif query.within is not None:
        where.one_of("term", sorted({segments.namespace_term(namespace) for _, namespace in query.within}))
    else:
        table = "audit_segment"
    rows = await tx.all(
        f"SELECT DISTINCT leaf, last_time FROM {table} WHERE {where} ORDER BY last_time DESC, leaf DESC LIMIT :limit",
        **where.values,
        limit=SEGMENTS + 1,
    )
    return [(row[0], row[1]) for row in rows]


def _of_segment(leaf: int, body: bytes, query: Query) -> Iterator[Line]:
    for line in segments.lines(leaf, body, query.fits, query.since, query.until):
        if query.request_id in {None, line.request_id}:
            yield line


# --- leaf by leaf -----------------------------------------------------------------------------------------------

_BETWEEN = "leaf >= :start AND leaf < :end ORDER BY leaf"


async def entries_of(tx: Transaction, start: int, end: int) -> list[Line]:
    """Entries among some leaves."""
    rows = await tx.all(f"SELECT {', '.join(COLUMNS)} FROM audit_entry WHERE {_BETWEEN}", start=start, end=end)
    return [Line(*row) for row in rows]


async def segments_of(tx: Transaction, start: int, end: int) -> list[tuple[Any, ...]]:
    """(leaf, body, time of the first line, of the last, number of lines) of segments among some leaves."""
    return await tx.all(
        f"SELECT leaf, body, first_time, last_time, lines FROM audit_segment WHERE {_BETWEEN}", start=start, end=end
    )


async def mentions_of(tx: Transaction, start: int, end: int) -> list[tuple[Any, ...]]:
    """(leaf, term) of segments among some leaves."""
    return await tx.all(f"SELECT leaf, term FROM audit_mention WHERE {_BETWEEN}", start=start, end=end)


async def leaf_bytes(tx: Transaction, leaf: int) -> bytes | None:
    """What the row of a leaf says that was hashed; None if there is no row.

    Raises:
        ValueError: the row cannot be understood.
    """
    for line in await entries_of(tx, leaf, leaf + 1):
        return line.leaf_bytes()
    for row in await segments_of(tx, leaf, leaf + 1):
        return segments.inflated(bytes(row[1]))
    return None


async def outside(tx: Transaction, size: int, limit: int) -> list[int]:
    """Leaves with rows that a tree of this size has not."""
    found = []
    for table in ("audit_entry", "audit_segment"):
        rows = await tx.all(
            f"SELECT leaf FROM {table} WHERE leaf < 0 OR leaf >= :size ORDER BY leaf LIMIT :limit",
            size=size,
            limit=limit,
        )
        found += [row[0] for row in rows]
    return found


async def first_kept(tx: Transaction, start: int, end: int, before: int) -> int:
    """The first of some leaves with an entry not older than `before`; `end` if all are."""
    for table, time in (("audit_entry", "time"), ("audit_segment", "last_time")):
        row = await tx.one(
            f"SELECT min(leaf) FROM {table} WHERE leaf >= :start AND leaf < :end AND {time} >= :before",
            start=start,
            end=end,
            before=before,
        )
        end = end if row is None or row[0] is None else row[0]
    return end


async def remove(tx: Transaction, start: int, end: int) -> None:
    """Remove the rows of some leaves; their hashes stay."""
    for table in ("audit_entry", "audit_segment", "audit_mention"):
        await tx.run(f"DELETE FROM {table} WHERE leaf >= :start AND leaf < :end", start=start, end=end)


async def persons(tx: Transaction, pseudonyms: Sequence[str]) -> list[Person]:
    """Those behind some pseudonyms, and whoever has no name."""
    row = await tx.one("SELECT id, account_id, name, key FROM audit_person WHERE name = ''")
    found = [Person(*row)] if row else []
    for start in range(0, len(pseudonyms), _AT_ONCE):
        where = _Where()
        where.one_of("id", pseudonyms[start : start + _AT_ONCE])
        rows = await tx.all(f"SELECT id, account_id, name, key FROM audit_person WHERE {where}", **where.values)
        found += [Person(*row) for row in rows]
    return found
