"""A process's connections to one server, and units of work that only read over them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from gati_registry.errors import Unavailable
from gati_registry.metadata.postgresql.server import (
    Connection,
    Limits,
    Server,
    about_a_statement,
    configure,
    cut,
    gone,
    lost,
    told,
)
from gati_registry.metadata.postgresql.transaction import Driven, PostgresTransaction
from gati_registry.ports import Work

T = TypeVar("T")

MAX_WAITING = 10_000
"""Units of work that wait for a connection; beyond that they are refused at once."""

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Pool:
    """Connections to one server, made as they are needed. One event loop; must be closed."""

    def __init__(self, server: Server, name: str) -> None:
        limits = server.limits

        async def prepare(connection: Connection) -> None:
            await configure(connection, limits)

        self.limits: Limits = limits
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            kwargs={**server.parameters, "autocommit": True},
            configure=prepare,
            min_size=min(limits.pool_min, limits.pool_max),
            max_size=limits.pool_max,
            max_waiting=MAX_WAITING,
            # It gives up soon and begins anew with the next unit of work, instead of pausing longer and longer.
            reconnect_timeout=1,
            open=False,
            name=name,
        )

    async def open(self) -> None:
        """Begin; waits for no connection."""
        await self._pool.open()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    async def read(self, work: Work[T]) -> T:
        """Run a short unit that only reads."""
        return await self._ask(work, None, self.limits.unit)

    async def scan(self, work: Work[T]) -> T:
        """Run a unit that reads many rows, on one snapshot."""
        begin = f"{SNAPSHOT}; SET LOCAL statement_timeout = {round(self.limits.scan * 1000)}"
        return await self._ask(work, begin, self.limits.scan)

    async def _ask(self, work: Work[T], begin: str | None, seconds: float) -> T:
        """Run a unit that only reads; on other connections where one turns out to be dead."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.unit
        while True:
            async with self.connection() as connection:
                tx = PostgresTransaction(connection)
                timer = cut_after(deadline - loop.time(), connection)
                try:
                    if begin is not None:
                        await connection.execute(begin.encode())
                        timer.cancel()  # the server is alive
                        timer = cut_after(seconds, connection)
                    result = await Driven(work(tx), tx)
                    if begin is not None:
                        # Nothing was written; but with a ROLLBACK psycopg forgets all statements that it has prepared.
                        await connection.execute("COMMIT")
                    return result
                except psycopg.Error as error:
                    if lost(connection, error) and loop.time() < deadline:
                        await connection.close()
                    elif about_a_statement(error):
                        raise
                    else:
                        raise told(error) from error
                finally:
                    timer.cancel()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of the pool; whatever was begun on it and not committed is rolled back.

        Raises:
            Unavailable: there is none to be had in time.
        """
        connection = await self._take()
        try:
            yield connection
        finally:
            timer = cut_after(self.limits.wait, connection)
            try:
                if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                    with contextlib.suppress(psycopg.Error):
                        await connection.execute("ROLLBACK")
            finally:
                timer.cancel()
                await self._give_back(connection)

    async def _take(self) -> Connection:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.wait
        while True:
            try:
                connection = await self._pool.getconn(max(0.001, deadline - loop.time()))
            except PoolTimeout:
                raise Unavailable("no connection to the database is to be had") from None
            except TooManyRequests:
                raise Unavailable("too many requests wait for the database") from None
            except PoolClosed:
                raise closed() from None
            if not gone(connection):
                return connection
            # The server was restarted, perhaps: then all others are dead too, and are found to be one by one.
            await connection.close()
            await self._give_back(connection)

    async def _give_back(self, connection: Connection) -> None:
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            await connection.close()  # the pool makes another
        await self._pool.putconn(connection)


def cut_after(seconds: float, connection: Connection) -> asyncio.TimerHandle:
    """Break the connection off after so long, unless the timer is cancelled."""
    return asyncio.get_running_loop().call_later(max(seconds, 0), cut, connection)


def closed() -> Unavailable:
    """What is said to those who come after the end."""
    return Unavailable("the registry is shutting down")
