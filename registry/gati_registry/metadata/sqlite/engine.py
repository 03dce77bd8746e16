"""`ports.Metadata` on SQLite.

Writes go to one thread of the process, which runs whatever has gathered in one transaction and answers after the
COMMIT, so that a hundred clients share one fsync. Where one of them fails half-way, the others are run again, each in a
savepoint. Short reads run on the event loop's own
connection (microseconds); scans run in a thread on a snapshot. Processes contend by busy timeout.

Crash points: before the COMMIT returns nothing of a batch is there after a restart; after it, all of it is
(`synchronous=FULL` syncs the WAL before COMMIT returns).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import apsw

from gati_registry.errors import Unavailable
from gati_registry.metadata import migrate
from gati_registry.metadata.sqlite.changes import HEADER, watch
from gati_registry.metadata.sqlite.connection import (
    SqliteTransaction,
    apply_migrations,
    connect,
    drive,
    unavailable,
)
from gati_registry.ports import Work

T = TypeVar("T")

MAX_BATCH = 256
"""Units of work after which no more are added to a commit; bounds how long the first of them waits."""

SCANNERS = 2
"""Threads for reads of many rows."""

SCANNED = 65_536
"""KiB of pages that each of them may keep: a search among a million artifacts looks at thousands of rows all over a
table, for which 8 MiB are too few. Of a small database they keep little."""

OWN_ERRORS = (
    apsw.BindingsError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
    apsw.SQLError,
    apsw.TooBigError,
)
"""Errors of the engine that are about one statement; after any other the transaction may be gone."""

log = logging.getLogger(__name__)


class _Job:
    """A unit of work on its way to the writer thread, and the future that its caller awaits."""

    __slots__ = ("error", "future", "loop", "result", "work")

    def __init__(self, work: Work[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():  # its caller was cancelled
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class SqliteMetadata:
    """The embedded database; one object a process, opened after fork."""

    def __init__(self, path: Path, migrations: list[migrate.Migration] | None = None) -> None:
        self._path = path
        self._writer = connect(path, writer=True)
        try:
            self.migrations_run = apply_migrations(
                self._writer, migrate.load("sqlite") if migrations is None else migrations
            )
        except BaseException:
            self._writer.close()
            raise
        self._reader = connect(path, writer=False)
        self._reading = SqliteTransaction(self._reader)
        self._index = watch(path)
        self._view = self._index.view if self._index is not None else None
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        self._jobs: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._scanners = ThreadPoolExecutor(SCANNERS, thread_name_prefix="metadata-scan")
        self._scanning = threading.local()
        self._scan_connections: list[apsw.Connection] = []
        self._thread = threading.Thread(target=self._write_forever, name="metadata-writer", daemon=True)
        self._thread.start()
        self._closed = False

    # --- ports.Metadata -----------------------------------------------------------------------------------------

    async def write(self, work: Work[T]) -> T:
        if self._closed:
            raise Unavailable("the registry is shutting down")
        loop = asyncio.get_running_loop()
        job = _Job(work, loop)
        gathered = self._gathered.get(loop)
        if gathered is None:
            gathered = self._gathered[loop] = []
            loop.call_soon(self._hand_over, loop)
        gathered.append(job)
        return cast(T, await job.future)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the writer what a turn of the loop has brought: it wakes once for that, and commits it together."""
        gathered = self._gathered.pop(loop, [])
        for start in range(0, len(gathered), MAX_BATCH):
            self._jobs.put(gathered[start : start + MAX_BATCH])

    async def read(self, work: Work[T]) -> T:
        try:
            return drive(work(self._reading))
        except apsw.Error as error:
            raise unavailable(error) from error

    async def scan(self, work: Work[T], *, may_lag: bool = False) -> T:
        if self._closed:
            raise Unavailable("the registry is shutting down")
        return await asyncio.get_running_loop().run_in_executor(self._scanners, self._scan, work)

    def revision(self) -> bytes | None:
        return self._view[:HEADER] if self._view is not None else None

    def tell(self) -> None:
        pass  # the revision says it

    def heard(self) -> int:
        return 0

    async def check(self) -> None:
        async def ask(tx: Any) -> None:
            await tx.one("SELECT count(*) FROM schema_migration")

        await self.scan(ask)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for loop in list(self._gathered):
            self._hand_over(loop)
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._scanners.shutdown(wait=True)
        for connection in (*self._scan_connections, self._reader, self._writer):
            connection.close()
        self._view = None
        if self._index is not None:
            self._index.close()

    def integrity_problems(self) -> Iterator[str]:
        """What SQLite's own check of the whole file finds; reads all of it."""
        connection = connect(self._path, writer=False)
        try:
            for (line,) in connection.execute("PRAGMA integrity_check"):
                if line != "ok":
                    yield line
        except apsw.Error as error:  # too damaged for the check itself
            yield str(error)
        finally:
            connection.close()

    # --- threads ------------------------------------------------------------------------------------------------

    def _scan(self, work: Work[T]) -> T:
        try:
            tx = getattr(self._scanning, "tx", None)
            if tx is None:
                connection = connect(self._path, writer=False, cache=SCANNED)
                self._scan_connections.append(connection)
                tx = self._scanning.tx = SqliteTransaction(connection)
            with tx._connection:  # a savepoint: one snapshot for all statements
                return drive(work(tx))
        except apsw.Error as error:
            raise unavailable(error) from error

    def _write_forever(self) -> None:
        tx = SqliteTransaction(self._writer)
        running = True
        while running:
            batch = self._jobs.get()
            if batch is None:
                break
            with contextlib.suppress(queue.Empty):
                while len(batch) < MAX_BATCH:
                    more = self._jobs.get_nowait()
                    if more is None:
                        running = False
                        break
                    batch += more
            self._commit(tx, batch)
            self._answer(batch)

    def _commit(self, tx: SqliteTransaction, batch: list[_Job]) -> None:
        """Run a batch in one transaction. A job's own error undoes that job alone; the engine's error, all."""
        connection = self._writer
        try:
            if not self._run(tx, batch, apart=False):
                self._run(tx, batch, apart=True)
        except apsw.Error as error:
            with contextlib.suppress(apsw.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            failure = unavailable(error)
            for job in batch:
                job.error = failure

    def _run(self, tx: SqliteTransaction, batch: list[_Job], *, apart: bool) -> bool:
        """Run a batch and commit it; False, with all of it undone, where one of several jobs must be undone alone.

        Errors are rare, and savepoints cost two statements for each job: only with `apart` there are any. A job that
        failed before it changed a row has nothing to undo (none ever changes the schema).
        """
        connection = self._writer
        connection.execute("BEGIN IMMEDIATE")
        for job in batch:
            if apart:
                connection.execute("SAVEPOINT job")
            changes = connection.total_changes()
            job.error = None
            try:
                job.result = drive(job.work(tx))
            except BaseException as error:
                if isinstance(error, apsw.Error) and not isinstance(error, OWN_ERRORS):
                    raise
                job.error = error
                if apart:
                    connection.execute("ROLLBACK TO job")
                elif connection.total_changes() != changes:
                    connection.execute("ROLLBACK")
                    return False
            if apart:
                connection.execute("RELEASE job")
        connection.execute("COMMIT")
        return True

    @staticmethod
    def _answer(batch: list[_Job]) -> None:
        def settle(jobs: list[_Job]) -> None:
            for job in jobs:
                job.settle()

        by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        for job in batch:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, jobs in by_loop.items():
            with contextlib.suppress(RuntimeError):  # that loop is closed; nobody waits any more
                loop.call_soon_threadsafe(settle, jobs)
