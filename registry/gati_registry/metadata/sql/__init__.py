"""The core's SQL, in the dialect that SQLite and PostgreSQL share, behind the Protocols of `ports`.

Each class holds an `Executor`: an engine's connection within a transaction. Parameters are written `:name`.
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


class Part:
    """One part of a transaction: SQL over an executor."""

    __slots__ = ("_db",)

    def __init__(self, db: Executor) -> None:
        self._db = db
