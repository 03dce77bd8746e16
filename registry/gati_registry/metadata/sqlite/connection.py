"""One SQLite connection: how it is opened, migrated, and used as an `Executor`."""

from __future__ import annotations

import logging
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import apsw

from gati_registry.errors import Unavailable
from gati_registry.metadata import migrate
from gati_registry.metadata.sql import Row
from gati_registry.metadata.sql.blobs import SqlBlobs
from gati_registry.metadata.sql.garbage import SqlGarbage, SqlInventory
from gati_registry.metadata.sql.keys import SqlBlobKeys, SqlKeys, SqlStagedKeys
from gati_registry.metadata.sql.leases import SqlLeases
from gati_registry.metadata.sql.manifests import SqlManifests, SqlTags
from gati_registry.metadata.sql.outbox import SqlOutbox
from gati_registry.metadata.sql.repositories import SqlRepositories
from gati_registry.metadata.sql.uploads import SqlUploads
from gati_registry.ports import Transaction

T = TypeVar("T")

OLDEST = (3, 51, 3)
"""Older versions can corrupt a database on a WAL reset (fixed in SQLite 3.51.3)."""

BUSY_SECONDS = 30.0
"""How long a writer waits for another process's commit before it gives up."""

log = logging.getLogger(__name__)


class SqliteTransaction:
    """`ports.Transaction` over one connection; stateless, so one serves all transactions of its connection."""

    concurrent = False  # one writer at a time, and a batch's jobs one after the other

    __slots__ = (
        "_connection",
        "blob_keys",
        "blobs",
        "garbage",
        "inventory",
        "keys",
        "leases",
        "manifests",
        "outbox",
        "repositories",
        "staged_keys",
        "tags",
        "uploads",
    )

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.repositories = SqlRepositories(self)
        self.blobs = SqlBlobs(self)
        self.manifests = SqlManifests(self)
        self.tags = SqlTags(self)
        self.uploads = SqlUploads(self)
        self.garbage = SqlGarbage(self)
        self.inventory = SqlInventory(self)
        self.leases = SqlLeases(self)
        self.outbox = SqlOutbox(self)
        self.keys = SqlKeys(self)
        self.blob_keys = SqlBlobKeys(self)
        self.staged_keys = SqlStagedKeys(self)

    async def one(self, sql: str, **values: Any) -> Row | None:
        cursor = self._connection.execute(sql, values)
        row = cursor.fetchone()
        if row is not None:
            cursor.close(True)  # ends the statement, and with it the read transaction
        return row

    async def all(self, sql: str, **values: Any) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    async def run(self, sql: str, **values: Any) -> int:
        self._connection.execute(sql, values)
        changed: int = self._connection.changes()
        return changed

    async def send(self, sql: str, **values: Any) -> None:
        self._connection.execute(sql, values)

    def items(self, parameter: str) -> str:
        return f"json_each(:{parameter}) AS item"

    async def held(self, sql: str, strength: str, **values: Any) -> list[Row]:
        return await self.all(sql, **values)

    async def serialise(self, name: str) -> None:
        pass


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits: on SQLite every await of a unit of work returns at once."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise RuntimeError("a unit of work awaited something other than its transaction")


def _wait_for_writer(tries: int) -> bool:
    """Busy handler: short naps, so that processes hand the write lock on quickly; a commit takes a few milliseconds."""
    time.sleep(0.0001 if tries < 20 else 0.0005 if tries < 200 else 0.005)
    return tries < 200 + (BUSY_SECONDS - 0.1) / 0.005


def check_version(version: str) -> None:
    """Refuse an SQLite that may lose data.

    Raises:
        Unavailable: it is older than `OLDEST`.
    """
    if tuple(int(part) for part in version.split(".")) < OLDEST:
        raise Unavailable(f"SQLite {version} is too old; {'.'.join(map(str, OLDEST))} or newer is needed")


def connect(path: Path, *, writer: bool, cache: int | None = None) -> apsw.Connection:
    """Open the database; with `writer`, make it where it does not exist. `cache` is how many KiB of pages it may keep.

    Raises:
        Unavailable: it cannot be opened.
    """
    check_version(apsw.sqlite_lib_version())
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writer else 0)
    try:
        connection = apsw.Connection(str(path), flags=flags, statementcachesize=256)
        connection.set_busy_handler(_wait_for_writer)
        # Without it, a build with STAT4 (apsw's) compiles a cached statement again at each binding: a join of three
        # tables by their keys takes 25 microseconds instead of 4.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        _wal(connection)
        connection.execute(
            "PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; PRAGMA foreign_keys = ON;"
            f"PRAGMA cache_size = {-(cache or (16384 if writer else 8192))}; PRAGMA temp_store = MEMORY;"
            "PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 2000"
        ).fetchall()  # a row that nobody takes would stop at its statement
        if not writer:
            connection.execute("PRAGMA query_only = ON")
    except apsw.Error as error:
        raise unavailable(error) from error
    return connection


def _wal(connection: apsw.Connection) -> None:
    """Use the write-ahead log. While another process makes the database, or its last connection tidies up, SQLite says
    that it is busy without asking the busy handler (https://www.sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode).
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def unavailable(error: apsw.Error) -> Unavailable:
    """What a caller is told of an engine's error; the log has the rest."""
    log.error("database error: %s: %s", type(error).__name__, error)
    if isinstance(error, apsw.FullError):
        return Unavailable("the disk of the database is full; nothing was written", retry_after=30)
    return Unavailable("the database does not answer")


def apply_migrations(connection: apsw.Connection, known: list[migrate.Migration]) -> list[str]:
    """Bring the schema up to date; what was run. Safe beside other processes that do the same.

    Each migration has a transaction of its own, but a database without any gets them all in one: a first start syncs
    the disk once.

    Raises:
        migrate.MigrationError: the database is newer than this program or was tampered with.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migration (owner TEXT NOT NULL, number INTEGER NOT NULL,"
        " checksum TEXT NOT NULL, applied_at INTEGER NOT NULL, PRIMARY KEY (owner, number)) STRICT, WITHOUT ROWID"
    )
    ran: list[str] = []
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            rows = connection.execute("SELECT owner, number, checksum FROM schema_migration").fetchall()
            todo = migrate.outstanding(known, {(str(row[0]), int(str(row[1]))): str(row[2]) for row in rows})
            now = todo[:1] if rows else todo
            for step in now:
                connection.execute(step.sql)
                connection.execute(
                    "INSERT INTO schema_migration VALUES (?, ?, ?, ?)",
                    (step.owner, step.number, step.checksum, time.time_ns() // 1_000_000),
                )
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        ran += map(str, now)
        if len(now) == len(todo):
            return ran


def is_transaction(tx: SqliteTransaction) -> Transaction:
    """The type checker's proof that the adapter fits its port."""
    return tx
