"""`gati-registry check`: would a server start? Looks at settings, schema and backends; changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gati_registry.commands.context import loaded, print_json
from gati_registry.commands.options import ExitCode
from gati_registry.errors import Unavailable
from gati_registry.loader import declared, migrations
from gati_registry.metadata import migrate
from gati_registry.settings import Settings, SettingsError


def run(arguments: argparse.Namespace) -> int:
    """0: all is well; 1: something is not."""
    settings = loaded(arguments).settings
    rows = [
        _row("settings", lambda: "fit"),
        _row("tls", lambda: _tls(settings)),
        _row("extensions", lambda: ", ".join(found.name for found in declared(settings.extensions)) or "none"),
        _row("database", lambda: _database(settings)),
        _row("blobs", lambda: _blobs(settings)),
        _row("encryption", lambda: _encryption(settings)),
    ]
    if arguments.output == "json":
        print_json(rows)
    else:
        for row in rows:
            print(f"{row['check']}: {'ok' if row['ok'] else 'FAILED'}: {row['detail']}")
    return ExitCode.DONE if all(row["ok"] for row in rows) else ExitCode.FAILED


def _row(name: str, check: Callable[[], str]) -> dict[str, object]:
    try:
        return {"check": name, "ok": True, "detail": check()}
    except (Unavailable, SettingsError, migrate.MigrationError, OSError) as error:
        return {"check": name, "ok": False, "detail": str(error)}


def _tls(settings: Settings) -> str:
    from gati_registry.serving.tls import tls_context

    return "not used" if tls_context(settings) is None else "certificate and key fit"


def _database(settings: Settings) -> str:
    if settings.shared_metadata:
        from gati_registry.bootstrap import inspect_postgresql

        return asyncio.run(inspect_postgresql(settings))
    path, known = settings.metadata_path, migrations(declared(settings.extensions), "sqlite")
    if not path.exists():
        return f"{_folder(path.parent)}; {path.name} is made at the first start"
    from gati_registry.metadata.sqlite.connection import connect

    connection = connect(path, writer=False)
    try:
        applied = {
            (str(owner), int(str(number))): str(checksum)
            for owner, number, checksum in connection.execute("SELECT owner, number, checksum FROM schema_migration")
        }
        waiting = migrate.outstanding(known, applied)
        broken = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)") if row[0] != "ok"]
    finally:
        connection.close()
    if broken:
        raise Unavailable(f"the database is damaged: {'; '.join(broken)}")
    return "schema is current" if not waiting else f"{len(waiting)} migrations run at the next start"


def _blobs(settings: Settings) -> str:
    if settings.bucket is None:
        return _folder(settings.blobs_path)
    from gati_registry.bootstrap import inspect_s3

    return asyncio.run(inspect_s3(settings))


def _encryption(settings: Settings) -> str:
    from gati_registry.bootstrap import master_key

    master = master_key(settings)
    if master is None:
        return "not used"
    current = asyncio.run(master.current())
    if settings.shared_metadata or not settings.metadata_path.exists():
        return f"the master key {current} is there"
    from gati_registry.metadata.sqlite.connection import connect
    from gati_registry.ports import Wrapped

    connection = connect(settings.metadata_path, writer=False)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'namespace_key'").fetchall():
            return f"the master key {current} is there"
        rows = connection.execute(
            "SELECT master, wrapped, namespace FROM namespace_key WHERE destroyed_at IS NULL LIMIT 1"
        ).fetchall()
    finally:
        connection.close()
    for name, wrapped, namespace in rows:
        assert isinstance(wrapped, bytes)
        asyncio.run(master.unwrap(Wrapped(str(name), wrapped), str(namespace)))
    return f"the master key {current} is there and opens what it wrapped"


def _folder(path: Path) -> str:
    existing = next(_parents(path))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"{existing} cannot be written; change its owner or choose another folder")
    status = os.statvfs(existing)
    free = status.f_bavail * status.f_frsize
    if free == 0:
        raise OSError(f"the disk of {existing} is full")
    return f"{path} can be written, {free >> 20} MiB free"


def _parents(path: Path) -> Iterator[Path]:
    for folder in (path.absolute(), *path.absolute().parents):
        if folder.exists():
            yield folder
