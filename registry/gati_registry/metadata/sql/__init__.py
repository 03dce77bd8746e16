"""The core's SQL, in the dialect that SQLite and PostgreSQL share, behind the Protocols of `ports`.

Each class holds an `Executor`: an engine's connection within a transaction. Parameters are written `:name`.

Whether there is a row is asked by `(SELECT 1 FROM … LIMIT 1) IS NOT NULL` wherever there are many to ask about. EXISTS
and IN say the same, but leave PostgreSQL the choice to read the whole table once instead, or all of a repository: right
for a repository of average size, not for one that holds a thousand times as much. `LIMIT` takes the choice away. In the
same spirit a row is found by values for its whole key, never by a join with the rest of it
(tests/postgresql/test_plans.py).
"""

from __future__ import annotations

from typing import Any, Protocol

Row = tuple[Any, ...]


class Executor(Protocol):
    """What an engine offers inside a transaction."""

    async def one(self, sql: str, **values: Any) -> Row | None:
        """The first row."""

    async def all(self, sql: str, **values: Any) -> list[Row]:
        """All rows."""

    async def run(self, sql: str, **values: Any) -> int:
        """The number of rows changed."""

    async def send(self, sql: str, **values: Any) -> None:
        """Nothing: the engine may be told together with the next statement, in its turn."""

    @property
    def concurrent(self) -> bool:
        """Whether other transactions change rows while this one, which changes some, runs."""

    def items(self, parameter: str) -> str:
        """A table expression `item` with the column `value`: the strings of a parameter that is a JSON array."""

    async def held(self, sql: str, strength: str, **values: Any) -> list[Row]:
        """All rows of a SELECT; where it matters they are locked `FOR` this to the transaction's end."""

    async def serialise(self, name: str) -> None:
        """Where it matters, wait for other transactions that do something under this name, and keep later ones out."""


class Overtaken(Exception):
    """Another transaction came between two statements: the unit of work is to be run again."""


class Part:
    """One part of a transaction: SQL over an executor."""

    __slots__ = ("_db",)

    def __init__(self, db: Executor) -> None:
        self._db = db

    async def _hold(self, sql: str, strength: str = "UPDATE", **values: Any) -> None:
        """Lock the rows of a SELECT, so that what the next statements see of them stays; nothing on a single writer."""
        if self._db.concurrent:
            await self._db.held(sql, strength, **values)
