"""The registry's databases and stores by URL, opened without changing anything; and whether a registry serves there."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from gati_registry import loader
from gati_registry.bootstrap import Opened, open_metadata, postgresql_server
from gati_registry.errors import Unavailable
from gati_registry.metadata.migrate import Migration, MigrationError, outstanding
from gati_registry.metadata.sqlite.tables import SqliteReader, SqliteWriter
from gati_registry.metadata.tables import Reader, Writer
from gati_registry.settings import Settings, SettingsError

_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""The bytes of its file that SQLite locks as long as a database is open. Source: SQLite, os.h, SHARED_FIRST."""

_FLOCK = "hhqqi"  # struct flock: l_type, l_whence, l_start, l_len, l_pid


def elsewhere(settings: Settings, urls: Sequence[str]) -> Settings:
    """The settings of a registry with its database or its store at these URLs.

    Raises:
        SettingsError: one is no such URL, or two are about the same thing.
    """
    changes: dict[str, str] = {}
    for given in urls:
        url = given if "://" in given else f"file://{quote(str(Path(given).absolute()))}"
        scheme = urlsplit(url).scheme
        name = {"sqlite": "metadata_url", "postgresql": "metadata_url", "postgres": "metadata_url"}.get(scheme)
        name = name or {"file": "blobs_url", "s3": "blobs_url"}.get(scheme)
        if name is None or name in changes:
            raise SettingsError(
                "--to: expected at most one of sqlite:///FILE and postgresql://…, and one of file:///DIR and s3://…"
            )
        changes[name] = url
    try:
        Settings.model_validate(changes)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise SettingsError(f"--to: {first['msg'].removeprefix('Value error, ')}") from None
    return settings.model_copy(update=changes)


def steps(engine: str) -> list[Migration]:
    """The migrations of the core and of all extensions that are installed."""
    return loader.migrations(loader.declared(None), engine)


async def reader(settings: Settings, *, still: bool) -> Reader:
    """One snapshot of the database that the settings name. With `still` nobody writes to it meanwhile.

    Raises:
        MigrationError: its schema is not this version's.
        Unavailable: there is none.
    """
    found: Reader
    if settings.shared_metadata:
        from gati_registry.metadata.postgresql.tables import PostgresReader

        found = await PostgresReader.open(postgresql_server(settings), still=still)
        engine = "postgresql"
    else:
        found = SqliteReader(settings.metadata_path, still=still)
        engine = "sqlite"
    try:
        enabled = loader.migrations(loader.declared(settings.extensions), engine)
        if outstanding(enabled, dict(await found.history())):
            raise MigrationError("the database is of an earlier version; run `gati-registry migrate` first")
    except BaseException:
        await found.close()
        raise
    return found


async def writer(settings: Settings) -> Writer:
    """A database that comes to be where the settings say.

    Raises:
        Unavailable: there is one.
    """
    if settings.shared_metadata:
        from gati_registry.metadata.postgresql.tables import PostgresWriter

        return await PostgresWriter.open(postgresql_server(settings))
    settings.metadata_path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteWriter(settings.metadata_path)


async def vacant(settings: Settings) -> None:
    """Look whether a database can come to be where the settings say.

    Raises:
        Unavailable: there is one.
    """
    if settings.shared_metadata:
        await (await writer(settings)).close()
    elif settings.metadata_path.exists():
        raise Unavailable(f"there is a database at {settings.metadata_path} already; restore into an empty place")


@asynccontextmanager
async def serving_database(settings: Settings) -> AsyncIterator[Opened]:
    """The database as a server uses it; not one that is not there or would first have to be migrated."""
    await (await reader(settings, still=False)).close()
    metadata = await open_metadata(settings, loader.declared(settings.extensions))
    try:
        yield metadata
    finally:
        await metadata.close()


async def in_use(settings: Settings) -> str | None:
    """Who has the database open, in words. Only while this process has not."""
    if settings.shared_metadata:
        from gati_registry.metadata.postgresql.tables import serving

        sessions = await serving(postgresql_server(settings))
        return f"{sessions} sessions of a registry use the database" if sessions else None
    return _holder(settings.metadata_path)


def _holder(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError as error:
        raise Unavailable(f"it cannot be told whether a registry uses {path} ({error.strerror})") from None
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else f"process {pid} has the database open"
