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
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from gati_registry.errors import Unavailable
from gati_registry.metadata import migrate
from gati_registry.metadata.postgresql import schema
from gati_registry.metadata.postgresql.hints import Hints
from gati_registry.metadata.postgresql.pool import Pool, closed, cut_after
from gati_registry.metadata.postgresql.replica import Away, ReadReplica
from gati_registry.metadata.postgresql.server import Server, about_a_statement, connect, lost, refused, told
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

WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

log = logging.getLogger(__name__)


class PostgresMetadata:
    """The shared database; one object a process, opened after fork."""

    def __init__(self, pool: Pool, replica: ReadReplica | None, hints: Hints, migrations_run: list[str]) -> None:
        self._pool = pool
        self._replica = replica
        self._hints = hints
        self._limits = pool.limits
        self._writing: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.migrations_run = migrations_run

    @classmethod
    async def open(
        cls, server: Server, migrations: list[migrate.Migration] | None = None, *, replica: Server | None = None
    ) -> PostgresMetadata:
        """Connect, bring the schema up to date and open the pool; `replica` is a standby that may be away.

        Raises:
            Unavailable: the server is not there, or not to be trusted; one line says why.
            MigrationError: the database belongs to another version, or a migration failed.
        """
        known = migrate.load("postgresql") if migrations is None else migrations
        connection = await connect(server)
        try:
            ran = await schema.apply_migrations(connection, known, server.limits)
            await schema.check_rights(connection, known, server)
        except psycopg.Error as error:
            raise refused(error, server) from error
        finally:
            await connection.close()

        pool = Pool(server, "metadata")
        await pool.open()
        standby = ReadReplica(replica) if replica is not None else None
        if standby is not None:
            await standby.open()
        return cls(pool, standby, Hints(server, pool), ran)

    # --- ports.Metadata -----------------------------------------------------------------------------------------

    async def write(self, work: Work[T]) -> T:
        if self._closed:
            raise closed()
        # A task of its own: what was begun is finished, whatever becomes of its caller.
        task = asyncio.ensure_future(self._write(work))
        self._writing.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    async def read(self, work: Work[T]) -> T:
        return await self._pool.read(work)

    async def scan(self, work: Work[T], *, may_lag: bool = False) -> T:
        if may_lag and self._replica is not None:
            with contextlib.suppress(Away):
                return await self._replica.scan(work)
        return await self._pool.scan(work)

    def revision(self) -> bytes | None:
        return None

    def tell(self) -> None:
        self._hints.tell()

    def heard(self) -> int:
        return self._hints.heard()

    async def check(self) -> None:
        await self.read(lambda tx: tx.one("SELECT count(*) FROM schema_migration"))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*self._writing, return_exceptions=True)
        await self._hints.close()
        if self._replica is not None:
            await self._replica.close()
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
        async with self._pool.connection() as connection:
            tx = PostgresTransaction(connection, WRITE)
            committing = False
            timer = cut_after(seconds, connection)
            try:
                result = await Driven(work(tx), tx)
                if not tx.used:
                    return result  # there was no statement
                if connection.pgconn.transaction_status == TransactionStatus.IDLE:
                    await tx.flush()  # none that was waited for
                if connection.pgconn.transaction_status != TransactionStatus.INTRANS:
                    raise RuntimeError("a unit of work went on after a statement that failed")
                committing = True
                await tx.commit()
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


class _Lost(Exception):
    """The connection broke before COMMIT was sent: nothing was written."""


def _final(error: Exception) -> Exception:
    """What the caller is told when there is no time or patience left."""
    if isinstance(error, _Lost):
        return Unavailable("the database does not answer")
    if isinstance(error, (errors.ForeignKeyViolation, errors.UniqueViolation)):
        return error  # again and again: no other transaction's doing
    return Unavailable("too many changes at once; nothing was written", retry_after=1)
