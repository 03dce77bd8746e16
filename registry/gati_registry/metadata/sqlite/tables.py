"""Whole tables of an SQLite file, and the file as it is: read from one snapshot, written to a new file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import apsw

from gati_registry.errors import Unavailable
from gati_registry.metadata.migrate import Migration
from gati_registry.metadata.sql import Row
from gati_registry.metadata.sqlite.connection import connect, unavailable
from gati_registry.metadata.tables import BATCH, LEFT_OUT, History, Table, quoted

_TABLES = (
    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT GLOB 'sqlite_*'"
    " AND name NOT GLOB '*_index_*'"
    " ORDER BY name"
)


class SqliteReader:
    """`tables.Reader` on a file. With `still` nobody writes while it is open, or it does not open."""

    def __init__(self, path: Path, *, still: bool) -> None:
        if not path.is_file():
            raise Unavailable(f"there is no database at {path}")
        self._connection = connect(path, writer=True)
        try:
            self._connection.execute("BEGIN IMMEDIATE" if still else "BEGIN")
        except apsw.Error as error:
            self._connection.close()
            raise unavailable(error) from error

    async def history(self) -> History:
        return history(self._connection)

    async def tables(self) -> Sequence[Table]:
        return tables(self._connection)

    async def rows(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        async for batch in rows(self._connection, table):
            yield batch

    async def select(self, statement: str) -> AsyncIterator[Sequence[Row]]:
        """A statement's rows, a batch at a time."""
        async for batch in batches(self._connection, statement):
            yield batch

    async def close(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


class SqliteWriter:
    """`tables.Writer` of a file, which gets its name at the end.

    Crash points: before the renaming there is only a file under another name, which the next attempt replaces.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise Unavailable(f"there is a database at {path} already; name another place or move it away")
        self._path, self._making = path, path.with_name(f"{path.name}.making")
        drop(self._making)
        self._connection = apsw.Connection(str(self._making))
        self._connection.execute(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -65536"
        ).fetchall()

    async def lay_out(self, migrations: Sequence[Migration]) -> Sequence[Table]:
        self._connection.execute(
            "CREATE TABLE schema_migration (owner TEXT NOT NULL, number INTEGER NOT NULL, checksum TEXT NOT NULL,"
            " applied_at INTEGER NOT NULL, PRIMARY KEY (owner, number)) STRICT, WITHOUT ROWID; BEGIN"
        )
        for migration in migrations:
            self._connection.execute(migration.sql)
        found = tables(self._connection)
        for table in found:
            self._connection.execute(f"DELETE FROM {quoted(table.name)}")  # noqa: S608 - what migrations put in
        for migration in migrations:
            self._connection.execute(
                "INSERT INTO schema_migration VALUES (?, ?, ?, 0)",
                (migration.owner, migration.number, migration.checksum),
            )
        return found

    async def write(self, table: Table, rows: AsyncIterator[Sequence[Row]]) -> None:
        marks = ", ".join("?" * len(table.columns))
        statement = f"INSERT INTO {quoted(table.name)} ({table.listed}) VALUES ({marks})"  # noqa: S608 - names are quoted
        async for batch in rows:
            self._connection.executemany(statement, batch)
        if table.counter is not None and _counts(self._connection, table.name):
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
            self._connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table.name, table.counter))

    async def rows(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        async for batch in rows(self._connection, table):
            yield batch

    async def finish(self) -> None:
        if broken := self._connection.execute("PRAGMA foreign_key_check").fetchall():
            raise Unavailable(f"{len(broken)} rows refer to rows that are not there, the first in {broken[0][0]}")
        self._connection.execute("COMMIT")
        self._connection.close()
        put_in_place(self._making, self._path)

    async def close(self) -> None:
        self._connection.close()
        drop(self._making)


def history(connection: apsw.Connection) -> History:
    """The migrations that ran; none in a file that a first start has only just made."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_migration'").fetchone():
        return {}
    rows = connection.execute("SELECT owner, number, checksum FROM schema_migration")
    return {(str(owner), int(str(number))): str(checksum) for owner, number, checksum in rows}


def tables(connection: apsw.Connection) -> list[Table]:
    """All tables but virtual ones and what is behind these."""
    found = []
    for (name,) in connection.execute(_TABLES).fetchall():
        columns = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (name,)).fetchall()
        counter = None
        if _counts(connection, str(name)):
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (name,)).fetchone()
            counter = int(str(row[0])) if row else 0
        found.append(Table(str(name), tuple(str(column) for (column,) in columns), counter))
    return found


async def rows(connection: apsw.Connection, table: Table) -> AsyncIterator[Sequence[Row]]:
    """The rows that are taken along."""
    statement = f"SELECT {table.listed} FROM {quoted(table.name)} WHERE {table.condition}"  # noqa: S608 - names are quoted
    async for batch in batches(connection, statement):
        yield batch


async def batches(connection: apsw.Connection, statement: str) -> AsyncIterator[Sequence[Row]]:
    """A statement's rows, a batch at a time."""
    cursor = connection.execute(statement)
    while batch := [row for _, row in zip(range(BATCH), cursor, strict=False)]:
        yield batch


def _counts(connection: apsw.Connection, table: str) -> bool:
    row = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    return row is not None and "AUTOINCREMENT" in str(row[0]).upper()


def snapshot(path: Path, target: Path) -> None:
    """Copy the database as it is at one moment, page by page, beside running writers, who are not held up."""
    source, copy = connect(path, writer=False), apsw.Connection(str(target))
    try:
        copy.execute("PRAGMA synchronous = OFF").fetchall()
        with copy.backup("main", source, "main") as backup:
            backup.step(-1)  # in one go: otherwise each commit of another process makes it begin again
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file
    except apsw.Error as error:
        raise unavailable(error) from error
    finally:
        copy.close()
        source.close()


def awaken(path: Path) -> None:
    """Make a database of a copy: without what belonged to the moment it was made in.

    Raises:
        Unavailable: it is damaged.
    """
    connection = apsw.Connection(str(path))
    try:
        if (found := connection.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
            raise Unavailable(f"the restored database is damaged: {found and found[0]}")
        for table, kept in LEFT_OUT.items():
            if table != "schema_migration":
                connection.execute(f"DELETE FROM {table} WHERE NOT ({kept})")  # noqa: S608 - constants
    except apsw.Error as error:
        raise unavailable(error) from error
    finally:
        connection.close()


def data_of(path: Path, table: str, digest: str) -> bytes | None:
    """The bytes that a copy's table has under a digest, if they are in the table itself."""
    connection = apsw.Connection(str(path))
    try:
        row = connection.execute(
            f"SELECT data FROM {quoted(table)} WHERE digest = ? AND data IS NOT NULL",  # noqa: S608 - the name is quoted
            (digest,),
        ).fetchone()
        return bytes(row[0]) if row and isinstance(row[0], bytes) else None
    except apsw.Error as error:
        raise unavailable(error) from error
    finally:
        connection.close()


def put_in_place(making: Path, path: Path) -> None:
    """Give a finished file its name, durably."""
    for target in (making, path.parent):
        if target == path.parent:
            os.rename(making, path)
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def drop(path: Path) -> None:
    """Remove a file that was being made, and what SQLite puts beside it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")
