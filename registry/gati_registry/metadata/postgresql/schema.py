"""Migrations on PostgreSQL: each once, whatever number of replicas starts."""

from __future__ import annotations

import asyncio
import re
import time

import psycopg
from psycopg import errors

from gati_registry.errors import Unavailable
from gati_registry.metadata import migrate
from gati_registry.metadata.postgresql.server import Connection, Limits, Server, connect, migration_failed, told

LOCK = 0x67617469_6D696772
"""The advisory lock that migrations take turns by: "gatimigr"."""

ATTEMPTS = 5
"""Times that a migration asks for its locks."""


async def history(connection: Connection) -> dict[tuple[str, int], str]:
    """The migrations that ran: (owner, number) to checksum. Empty for a database that is new.

    Raises:
        migrate.MigrationError: it may not be read.
    """
    try:
        cursor = await connection.execute("SELECT owner, number, checksum FROM schema_migration")
    except errors.UndefinedTable:
        return {}
    except errors.InsufficientPrivilege as error:
        raise migration_failed(error, "reading which migrations ran") from error
    return {(owner, number): checksum for owner, number, checksum in await cursor.fetchall()}


async def check_rights(connection: Connection, known: list[migrate.Migration], server: Server) -> None:
    """Refuse a user who could not work with the core's tables as far as they are there; an extension's may be guarded.

    Raises:
        Unavailable: it lacks a right; one line names the tables.
    """
    tables = [name for step in known if step.owner == "core" for name in _CREATED.findall(step.sql)]
    cursor = await connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE NOT (has_table_privilege(to_regclass(name), 'SELECT')"
        " AND has_table_privilege(to_regclass(name), 'INSERT') AND has_table_privilege(to_regclass(name), 'UPDATE')"
        " AND has_table_privilege(to_regclass(name), 'DELETE')) ORDER BY name",
        (tables,),
    )
    lacking = ", ".join([name for (name,) in await cursor.fetchall()])
    if lacking:
        raise Unavailable(
            f"metadata_url: {server}: the user may not read and change {lacking}; grant it SELECT, INSERT, UPDATE and"
            " DELETE"
        )


_CREATED = re.compile(r"(?m)^CREATE TABLE (\w+)")


async def apply_migrations(connection: Connection, known: list[migrate.Migration], limits: Limits) -> list[str]:
    """Bring the schema up to date; what was run.

    Raises:
        migrate.MigrationError: the database is newer than this program or was tampered with, or a step failed.
    """
    ran: list[str] = []
    if not migrate.outstanding(known, await history(connection)):
        return ran  # the usual start changes nothing and waits for nobody
    while True:
        step = await _next(connection, known, limits)
        if step is None:
            return ran
        ran.append(str(step))


async def _next(connection: Connection, known: list[migrate.Migration], limits: Limits) -> migrate.Migration | None:
    """Run the first outstanding migration in a transaction of its own; None where none is left."""
    for attempt in range(ATTEMPTS):
        step: migrate.Migration | None = None
        try:
            await _begin(connection, limits)
            todo = migrate.outstanding(known, await made_history(connection))
            if todo:
                step = todo[0]
                await connection.execute(f"SET LOCAL lock_timeout = {round(limits.lock * 1000)}")
                await connection.execute(step.sql.encode())
                await connection.execute(
                    "INSERT INTO schema_migration VALUES (%s, %s, %s, %s)",
                    (step.owner, step.number, step.checksum, time.time_ns() // 1_000_000),
                )
            await connection.execute("COMMIT")
        except psycopg.Error as error:
            await _roll_back(connection)
            if isinstance(error, errors.LockNotAvailable) and attempt + 1 < ATTEMPTS:
                await asyncio.sleep(limits.lock)  # what queued behind it goes on
                continue
            raise migration_failed(error, f"migration {step}" if step else "preparing migrations") from error
        except BaseException:
            await _roll_back(connection)
            raise
        return step
    raise AssertionError("every attempt returns or raises")


async def _begin(connection: Connection, limits: Limits) -> None:
    milliseconds = round(limits.migration * 1000)
    await connection.execute("BEGIN READ WRITE")
    # Another replica's migration may take its whole time; ours begins only then.
    await connection.execute(f"SET LOCAL lock_timeout = {milliseconds}")
    await connection.execute(f"SET LOCAL statement_timeout = {milliseconds}")
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))


async def made_history(connection: Connection) -> dict[tuple[str, int], str]:
    """The migrations that ran; the table that tells of them is made where it is not there."""
    await connection.execute(
        'CREATE TABLE IF NOT EXISTS schema_migration (owner TEXT COLLATE "C" NOT NULL, number BIGINT NOT NULL,'
        " checksum TEXT NOT NULL, applied_at BIGINT NOT NULL, PRIMARY KEY (owner, number))"
    )
    return await history(connection)


async def _roll_back(connection: Connection) -> None:
    if not connection.closed:
        await connection.execute("ROLLBACK")


async def inspect(server: Server, known: list[migrate.Migration]) -> str:
    """What a start would find, in words; changes nothing.

    Raises:
        Unavailable: the server is not there, not to be trusted, or refuses us a right.
        migrate.MigrationError: the database is newer than this program or was tampered with.
    """
    connection = await connect(server)
    try:
        waiting = migrate.outstanding(known, await history(connection))
        await check_rights(connection, known, server)
    except psycopg.Error as error:
        raise told(error) from error
    finally:
        await connection.close()
    return f"{server}: {f'{len(waiting)} migrations run at the next start' if waiting else 'schema is current'}"
