"""What has changed and is to be indexed.

A change notes the name in its own transaction; it is taken off when what was read after that is in the index, and only
if it was not noted again meanwhile: each note has another mark.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gati_registry.extension import Transaction


@dataclass(frozen=True, slots=True)
class Dirty:
    """A repository; with `below`, all at and below a path."""

    name: str
    below: bool
    mark: int


async def note(tx: Transaction, name: str, below: bool) -> None:
    """It has changed. Microseconds: pushes wait for it."""
    await tx.send(
        "INSERT INTO search_dirty (name, below, mark) VALUES (:name, :below, :mark)"
        " ON CONFLICT (name, below) DO UPDATE SET mark = excluded.mark",
        name=name, below=int(below), mark=random.getrandbits(62),
    )  # fmt: skip


async def some(tx: Transaction, limit: int, *, below: bool) -> Sequence[Dirty]:
    """What waits of either sort, in no order that matters."""
    rows = await tx.all(
        "SELECT name, below, mark FROM search_dirty WHERE below = :below ORDER BY name LIMIT :limit",
        below=int(below),
        limit=limit,
    )
    return [Dirty(row[0], bool(row[1]), row[2]) for row in rows]


async def any_(tx: Transaction) -> bool:
    """Whether anything waits."""
    return await tx.one("SELECT 1 FROM search_dirty LIMIT 1") is not None


async def done(tx: Transaction, found: Sequence[Dirty]) -> None:
    """These are indexed, as far as they were not noted again."""
    for one in found:
        await tx.send(
            "DELETE FROM search_dirty WHERE name = :name AND below = :below AND mark = :mark",
            name=one.name, below=int(one.below), mark=one.mark,
        )  # fmt: skip


async def turn(tx: Transaction, now: int) -> int:
    """A number above all that were given before. About the time, so that it goes on after an older database is
    restored."""
    await tx.run(
        "INSERT INTO search_turn (one, number) VALUES (1, :now) ON CONFLICT (one) DO UPDATE SET number ="
        " CASE WHEN search_turn.number >= :now THEN search_turn.number + 1 ELSE :now END", now=now,
    )  # fmt: skip
    row = await tx.one("SELECT number FROM search_turn WHERE one = 1")
    assert row is not None
    return int(row[0])
