"""Transactions that stand still before a statement of the test's choice, while another one comes between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from gati_registry.metadata.sql import Part, Row
from gati_registry.ports import Metadata, Transaction, Work

T = TypeVar("T")

GATE = 4711
"""An advisory lock: who comes to the gate waits for it, as a statement of the transaction."""

WAIT_FOR_GATE = f"SELECT 1 FROM pg_advisory_xact_lock({GATE})"


class _Stepwise:
    """A transaction that calls before each statement."""

    def __init__(self, inner: Any, before: Callable[[str], Awaitable[None]]) -> None:
        self._inner = inner
        self._before = before
        self.concurrent: bool = inner.concurrent
        for name in inner.__slots__:
            part = getattr(inner, name)
            if isinstance(part, Part):
                setattr(self, name, type(part)(self))

    def __getattr__(self, name: str) -> Any:  # one of the parts, for the type checker
        raise AttributeError(name)

    async def one(self, sql: str, **values: Any) -> Row | None:
        await self._before(sql)
        row: Row | None = await self._inner.one(sql, **values)
        return row

    async def all(self, sql: str, **values: Any) -> list[Row]:
        await self._before(sql)
        rows: list[Row] = await self._inner.all(sql, **values)
        return rows

    async def run(self, sql: str, **values: Any) -> int:
        await self._before(sql)
        changed: int = await self._inner.run(sql, **values)
        return changed

    async def send(self, sql: str, **values: Any) -> None:
        await self._before(sql)
        await self._inner.send(sql, **values)

    async def held(self, sql: str, strength: str, **values: Any) -> list[Row]:
        await self._before(f"{sql} FOR {strength}")
        rows: list[Row] = await self._inner.held(sql, strength, **values)
        return rows

    def items(self, parameter: str) -> str:
        found: str = self._inner.items(parameter)
        return found

    async def serialise(self, name: str) -> None:
        await self._before(f"serialise {name}")
        await self._inner.serialise(name)


class Halting:
    """`ports.Metadata` whose next writing transaction stops at the gate before a statement that holds `words`."""

    def __init__(self, inner: Metadata) -> None:
        self._inner = inner
        self._words: str | None = None

    def halt_before(self, words: str) -> None:
        """The first time only: a unit that is run again goes through."""
        self._words = words

    async def write(self, work: Work[T]) -> T:
        async def stepwise(tx: Transaction) -> T:
            async def before(sql: str) -> None:
                if self._words is not None and self._words in sql:
                    self._words = None
                    await tx.one(WAIT_FOR_GATE)

            return await work(_Stepwise(tx, before))

        return await self._inner.write(stepwise)

    async def read(self, work: Work[T]) -> T:
        return await self._inner.read(work)

    async def scan(self, work: Work[T], *, may_lag: bool = False) -> T:
        return await self._inner.scan(work, may_lag=may_lag)

    def revision(self) -> bytes | None:
        return self._inner.revision()

    def tell(self) -> None:
        self._inner.tell()

    def heard(self) -> int:
        return self._inner.heard()

    async def check(self) -> None:
        await self._inner.check()

    async def close(self) -> None:
        await self._inner.close()


class Gate:
    """Holds the gate closed, and tells who waits; for the length of an `async with` block."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._connection: psycopg.AsyncConnection[Row]

    async def __aenter__(self) -> Gate:
        self._connection = await psycopg.AsyncConnection.connect(self._location, autocommit=True)
        await self._connection.execute("SELECT pg_advisory_lock(%s)", (GATE,))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def waiting(self, number: int, *works: asyncio.Future[Any]) -> None:
        """Return when so many transactions wait for a lock, this one or another."""
        while True:
            cursor = await self._connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            row = await cursor.fetchone()
            assert row is not None
            if row[0] == number:
                return
            assert row[0] < number, row
            ended = [work for work in works if work.done()]
            assert len(ended) < len(works), ended
            await asyncio.sleep(0.005)

    async def open(self) -> None:
        """Let on who waits."""
        await self._connection.execute("SELECT pg_advisory_unlock_all()")
