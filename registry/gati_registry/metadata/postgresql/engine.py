"""`ports.Metadata` on PostgreSQL, shared by any number of replicas.

Units of work run on the event loop over a pool of connections: a write in a READ COMMITTED transaction, a short read
without one, a scan on a snapshot. What one writer at a time gives SQLite for nothing is made here by row locks and by
running a unit again: after a serialization failure or a deadlock, after a row that it relied on went (a foreign key
says so) or one that it was to write came (a unique key does), after it was overtaken, and after its connection was
lost before COMMIT was sent.

Crash points: before COMMIT is sent nothing of a unit is there; once its answer has come, all of it is. In between
nobody can know: the caller gets Unavailable and asks again, which every use case bears.

Nothing waits without end: for a connection `Limits.wait`, for a unit of work `Limits.unit`; a server that is silent
for longer is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from gati_registry.errors import Unavailable
from gati_registry.metadata import migrate
from gati_registry.metadata.postgresql import schema
from gati_registry.metadata.postgresql.server import (
    Connection,
    Limits,
    Server,
    about_a_statement,
    configure,
    connect,
    cut,
    gone,
    lost,
    told,
)
from gati_registry.metadata.postgresql.transaction import Driven, PostgresTransaction
from gati_registry.metadata.sql import Overtaken
from gati_registry.ports import Work

T = TypeVar("T")

ATTEMPTS = 20
"""Times that a unit of work is run at most, as long as its time lasts."""

CONFLICTS = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.ForeignKeyViolation,
    errors.UniqueViolation,
    Overtaken,
)
"""Another transaction came between; the next attempt sees what it did."""

PAUSE = 0.005
"""Seconds (at most, and more with each attempt) before a unit that met a conflict is run again."""

MAX_WAITING = 10_000
"""Units of work that wait for a connection; beyond that they are refused at once."""

WRITE = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

log = logging.getLogger(__name__)


class PostgresMetadata:
    """The shared database; one object a process, opened after fork."""

    def __init__(self, pool: AsyncConnectionPool[Connection], limits: Limits, migrations_run: list[str]) -> None:
        self._pool = pool
        self._limits = limits
        self._writing: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.migrations_run = migrations_run

    @classmethod
    async def open(cls, server: Server, migrations: list[migrate.Migration] | None = None) -> PostgresMetadata:
        """Connect, bring the schema up to date and open the pool.

        Raises:
            Unavailable: the server is not there, or not to be trusted; one line says why.
            MigrationError: the database belongs to another version, or a migration failed.
        """
        limits, known = server.limits, migrate.load("postgresql") if migrations is None else migrations
        connection = await connect(server)
        try:
            ran = await schema.apply_migrations(connection, known, limits)
        finally:
            await connection.close()

        async def prepare(connection: Connection) -> None:
            await configure(connection, limits)

        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            kwargs={**server.parameters, "autocommit": True},
            configure=prepare,
            min_size=min(limits.pool_min, limits.pool_max),
            max_size=limits.pool_max,
            max_waiting=MAX_WAITING,
            # It gives up soon and begins anew with the next unit of work, instead of pausing longer and longer.
            reconnect_timeout=1,
            open=False,
            name="metadata",
        )
        await pool.open()
        return cls(pool, limits, ran)

    # --- ports.Metadata -----------------------------------------------------------------------------------------

    async def write(self, work: Work[T]) -> T:
        if self._closed:
            raise _closed()
        # A task of its own: what was begun is finished, whatever becomes of its caller.
        task = asyncio.ensure_future(self._write(work))
        self._writing.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    async def read(self, work: Work[T]) -> T:
        return await self._ask(work, None, self._limits.unit)

    async def scan(self, work: Work[T]) -> T:
        begin = f"{SNAPSHOT}; SET LOCAL statement_timeout = {round(self._limits.scan * 1000)}"
        return await self._ask(work, begin, self._limits.scan)

    def revision(self) -> bytes | None:
        return None

    async def check(self) -> None:
        await self.read(lambda tx: tx.one("SELECT count(*) FROM schema_migration"))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self._pool.close()

    # --- units of work ------------------------------------------------------------------------------------------

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # was seen, also where its caller is gone

    async def _write(self, work: Work[T]) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.unit
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._transaction(work, deadline - loop.time())
            except (*CONFLICTS, _Lost) as error:
                pause = random.uniform(0, PAUSE * attempt)  # noqa: S311 - not a secret
                if attempt == ATTEMPTS or loop.time() + pause >= deadline:
                    raise _final(error) from error
                log.debug("run again: %s", error)
                await asyncio.sleep(pause)
            except psycopg.Error as error:
                if about_a_statement(error):
                    raise
                raise told(error) from error
        raise AssertionError("the last attempt returns or raises")

    async def _transaction(self, work: Work[T], seconds: float) -> T:
        async with self._connection() as connection:
            tx = PostgresTransaction(connection, WRITE)
            committing = False
            timer = _cut_after(seconds, connection)
            try:
                result = await Driven(work(tx), tx)
                if connection.pgconn.transaction_status == TransactionStatus.IDLE:
                    return result  # there was no statement
                if connection.pgconn.transaction_status != TransactionStatus.INTRANS:
                    raise RuntimeError("a unit of work went on after a statement that failed")
                committing = True
                await connection.execute("COMMIT")
            except psycopg.Error as error:
                # A transaction that writes finds itself on what has become a standby: the primary is elsewhere now.
                if not (lost(connection, error) or isinstance(error, errors.ReadOnlySqlTransaction)):
                    raise
                await connection.close()
                if committing:
                    told(error)
                    raise Unavailable("the database went away during a commit; ask whether it was done") from error
                raise _Lost(error) from error
            finally:
                timer.cancel()
            return result

    async def _ask(self, work: Work[T], begin: str | None, seconds: float) -> T:
        """Run a unit that only reads; on other connections where one turns out to be dead."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.unit
        while True:
            async with self._connection() as connection:
                tx = PostgresTransaction(connection)
                timer = _cut_after(deadline - loop.time(), connection)
                try:
                    if begin is not None:
                        await connection.execute(begin.encode())
                        timer.cancel()  # the server is alive
                        timer = _cut_after(seconds, connection)
                    return await Driven(work(tx), tx)
                except psycopg.Error as error:
                    if lost(connection, error) and loop.time() < deadline:
                        await connection.close()
                    elif about_a_statement(error):
                        raise
                    else:
                        raise told(error) from error
                finally:
                    timer.cancel()

    # --- connections --------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """A connection of the pool; whatever was begun on it and not committed is rolled back."""
        connection = await self._take()
        try:
            yield connection
        finally:
            timer = _cut_after(self._limits.wait, connection)
            try:
                if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                    with contextlib.suppress(psycopg.Error):
                        await connection.execute("ROLLBACK")
            finally:
                timer.cancel()
                await self._give_back(connection)

    async def _take(self) -> Connection:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.wait
        while True:
            try:
                connection = await self._pool.getconn(max(0.001, deadline - loop.time()))
            except PoolTimeout:
                raise Unavailable("no connection to the database is to be had") from None
            except TooManyRequests:
                raise Unavailable("too many requests wait for the database") from None
            except PoolClosed:
                raise _closed() from None
            if not gone(connection):
                return connection
            # The server was restarted, perhaps: then all others are dead too, and are found to be one by one.
            await connection.close()
            await self._give_back(connection)

    async def _give_back(self, connection: Connection) -> None:
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            await connection.close()  # the pool makes another
        await self._pool.putconn(connection)


class _Lost(Exception):
    """The connection broke before COMMIT was sent: nothing was written."""


def _cut_after(seconds: float, connection: Connection) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(max(seconds, 0), cut, connection)


def _closed() -> Unavailable:
    return Unavailable("the registry is shutting down")


def _final(error: Exception) -> Exception:
    """What the caller is told when there is no time or patience left."""
    if isinstance(error, _Lost):
        return Unavailable("the database does not answer")
    if isinstance(error, (errors.ForeignKeyViolation, errors.UniqueViolation)):
        return error  # again and again: no other transaction's doing
    return Unavailable("too many changes at once; nothing was written", retry_after=1)
