"""Whole tables of a PostgreSQL database: read from one snapshot, written in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import psycopg
from psycopg import sql

from gati_registry.errors import Unavailable
from gati_registry.metadata.migrate import Migration
from gati_registry.metadata.postgresql import schema
from gati_registry.metadata.postgresql.server import Connection, Server, connect
from gati_registry.metadata.sql import Row
from gati_registry.metadata.tables import BATCH, History, Table, quoted

_COLUMNS = """
SELECT c.relname, a.attname, a.attidentity <> ''
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname !~ '_index_' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY c.relname COLLATE "C", a.attnum
"""
_KEY = """
SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indisprimary AND i.indrelid = quote_ident(%s)::regclass ORDER BY array_position(i.indkey::int2[], a.attnum)
"""
_FOREIGN_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND connamespace = current_schema()::regnamespace
"""


class PostgresReader:
    """`tables.Reader` on a server; also gives tables as PostgreSQL's own copies."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, server: Server, *, still: bool) -> PostgresReader:
        """Take a snapshot. With `still` nobody writes while it is open.

        Raises:
            Unavailable: the server is not there.
        """
        connection = await connect(server)
        names = [quoted(table.name) for table in await _tables(connection)]
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        if still and names:  # before the first look, which takes the snapshot
            await connection.execute(f"LOCK TABLE {', '.join(names)} IN SHARE MODE".encode())
        return cls(connection)

    async def history(self) -> History:
        return await schema.history(self._connection)

    async def tables(self) -> Sequence[Table]:
        return await _tables(self._connection)

    async def rows(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        async for batch in _rows(self._connection, table):
            yield batch

    async def select(self, statement: str) -> AsyncIterator[Sequence[Row]]:
        """A statement's rows, a batch at a time."""
        async for batch in _batches(self._connection, statement):
            yield batch

    async def copied(self, table: Table) -> AsyncIterator[bytes]:
        """The table in PostgreSQL's binary form, by its key: what changes little makes a copy that changes little."""
        key = [quoted(str(name)) for (name,) in await (await self._connection.execute(_KEY, (table.name,))).fetchall()]
        order = f" ORDER BY {', '.join(key)}" if key else ""
        rows = f"SELECT {table.listed} FROM {quoted(table.name)} WHERE {table.condition}{order}"  # noqa: S608 - names are quoted
        async with self._connection.cursor().copy(f"COPY ({rows}) TO STDOUT (FORMAT binary)".encode()) as copy:
            async for piece in copy:
                yield bytes(piece)

    async def close(self) -> None:
        await self._connection.close()


class PostgresWriter:
    """`tables.Writer` on a server.

    Crash points: all happens in one transaction, schema included; until its commit the database stays empty.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._foreign_keys: list[tuple[str, str, str]] = []

    @classmethod
    async def open(cls, server: Server) -> PostgresWriter:
        """Begin.

        Raises:
            Unavailable: the server is not there, or the database holds something.
        """
        connection = await connect(server)
        await connection.execute("BEGIN READ WRITE")
        if found := await _tables(connection):
            await connection.close()
            raise Unavailable(f"{server} has tables already ({found[0].name}, …); name an empty database")
        return cls(connection)

    async def lay_out(self, migrations: Sequence[Migration]) -> Sequence[Table]:
        await schema.made_history(self._connection)
        for migration in migrations:
            await self._connection.execute(migration.sql.encode())
        found = await _tables(self._connection)
        cursor = await self._connection.execute(_FOREIGN_KEYS)
        self._foreign_keys = [(str(a), str(b), str(c)) for a, b, c in await cursor.fetchall()]
        for table, name, _ in self._foreign_keys:
            await self._connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {quoted(name)}".encode())
        if found:  # what migrations put in
            await self._connection.execute(f"TRUNCATE {', '.join(quoted(table.name) for table in found)}".encode())
        for migration in migrations:
            await self._connection.execute(
                "INSERT INTO schema_migration VALUES (%s, %s, %s, 0)",
                (migration.owner, migration.number, migration.checksum),
            )
        return found

    async def write(self, table: Table, rows: AsyncIterator[Sequence[Row]]) -> None:
        statement = f"COPY {quoted(table.name)} ({table.listed}) FROM STDIN"
        async with self._connection.cursor().copy(statement.encode()) as copy:
            async for batch in rows:
                for row in batch:
                    await copy.write_row(row)
        await self._count_on(table)

    async def copy(self, table: Table, pieces: AsyncIterator[bytes]) -> None:
        """Fill a table from PostgreSQL's binary form and set its counter."""
        statement = f"COPY {quoted(table.name)} ({table.listed}) FROM STDIN (FORMAT binary)"
        async with self._connection.cursor().copy(statement.encode()) as copy:
            async for piece in pieces:
                await copy.write(piece)
        await self._count_on(table)

    async def _count_on(self, table: Table) -> None:
        for sequence, column in (await _sequences(self._connection, table.name)).items():
            await self._connection.execute(
                sql.SQL(
                    "SELECT setval({}, greatest(last, 1), last > 0)"
                    " FROM (SELECT greatest(%s::bigint, coalesce(max({}), 0)) AS last FROM {}) AS given"
                ).format(sql.Literal(sequence), sql.Identifier(column), sql.Identifier(table.name)),
                (table.counter or 0,),
            )

    async def rows(self, table: Table) -> AsyncIterator[Sequence[Row]]:
        async for batch in _rows(self._connection, table):
            yield batch

    async def finish(self) -> None:
        try:
            for table, name, definition in self._foreign_keys:
                await self._connection.execute(
                    f"ALTER TABLE {table} ADD CONSTRAINT {quoted(name)} {definition}".encode()
                )
        except psycopg.errors.ForeignKeyViolation as error:
            raise Unavailable(f"rows refer to rows that are not there: {str(error).partition(chr(10))[0]}") from error
        await self._connection.execute("COMMIT")
        await self._connection.execute("ANALYZE")

    async def close(self) -> None:
        await self._connection.close()


async def serving(server: Server) -> int:
    """How many other sessions of registries the database has now."""
    connection = await connect(server)
    try:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name = current_setting('application_name')"
        )
        row = await cursor.fetchone()
        return int(row[0]) if row else 0
    finally:
        await connection.close()


async def _tables(connection: Connection) -> list[Table]:
    columns: dict[str, list[str]] = {}
    counting: dict[str, int] = {}
    for name, column, identity in await (await connection.execute(_COLUMNS)).fetchall():
        columns.setdefault(name, []).append(column)
        if identity:
            counting[name] = 0
    for name in counting:
        for sequence in await _sequences(connection, name):
            cursor = await connection.execute(f"SELECT last_value, is_called FROM {sequence}".encode())  # noqa: S608 - as PostgreSQL quotes it
            row = await cursor.fetchone()
            counting[name] = int(row[0]) if row and row[1] else 0
    return [Table(name, tuple(names), counting.get(name)) for name, names in columns.items()]


async def _sequences(connection: Connection, table: str) -> Mapping[str, str]:
    """The sequences behind a table's identities, and their columns."""
    cursor = await connection.execute(
        "SELECT pg_get_serial_sequence(quote_ident(%(table)s), attname), attname FROM pg_attribute"
        " WHERE attrelid = quote_ident(%(table)s)::regclass AND attidentity <> '' AND NOT attisdropped",
        {"table": table},
    )
    return {str(sequence): str(column) for sequence, column in await cursor.fetchall()}


async def _rows(connection: Connection, table: Table) -> AsyncIterator[Sequence[Row]]:
    statement = f"SELECT {table.listed} FROM {quoted(table.name)} WHERE {table.condition}"  # noqa: S608 - names are quoted
    async for batch in _batches(connection, statement):
        yield batch


async def _batches(connection: Connection, statement: str) -> AsyncIterator[Sequence[Row]]:
    async with psycopg.AsyncServerCursor(connection, "gati_rows") as cursor:
        cursor.format = psycopg.pq.Format.BINARY
        await cursor.execute(statement.encode(), binary=True)
        while batch := await cursor.fetchmany(BATCH):
            yield batch
