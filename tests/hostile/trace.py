"""What a server keeps: every row and every file. A refused request must change none of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import apsw

from tests.support.server import RegistryProcess

SETTLES = 5.0
"""Seconds that clearing up after a client that vanished may take."""

# Leases of background jobs change by themselves; nothing that a client does is in there.
_OF_THE_SERVER = frozenset({"lease"})

# A session that ended leaves its id behind until that is too old to be used again; nothing else of it.
_TRACES = {"upload": "touched_at IS NOT NULL OR data IS NOT NULL OR staged IS NOT NULL"}


def rows(data: Path) -> dict[str, set[str]]:
    """Every row of every table."""
    connection = apsw.Connection(str(data / "metadata.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5000)
    try:
        names = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found: dict[str, set[str]] = {}
        with connection:
            for name in names:
                if name not in _OF_THE_SERVER:
                    where = _TRACES.get(name, "TRUE")
                    found[name] = {_brief(row) for row in connection.execute(f'SELECT * FROM "{name}" WHERE {where}')}
        return found
    finally:
        connection.close()


def files(data: Path) -> dict[str, str]:
    """Every file but the database's own, with size and digest."""
    found: dict[str, str] = {}
    folders = [str(data)]
    while folders:  # os.walk takes four times as long, and there are hundreds of empty folders
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.name.startswith("metadata.sqlite"):
                    with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                        found[entry.path.removeprefix(f"{data}/")] = _digest(entry.path)
    return found


def staged(server: RegistryProcess) -> list[str]:
    """The files of bytes on their way."""
    return [name for name in files(server.data) if name.startswith("blobs/staged/")]


def snapshot(data: Path) -> dict[str, set[str]]:
    """Rows and files together."""
    return {**rows(data), "files": {f"{name} {what}" for name, what in files(data).items()}}


def difference(before: Mapping[str, set[str]], after: Mapping[str, set[str]]) -> list[str]:
    """What came and what went, one line each."""
    found: list[str] = []
    for table in sorted({*before, *after}):
        old, new = before.get(table, set()), after.get(table, set())
        found += [f"- {table}: {item}" for item in sorted(old - new)]
        found += [f"+ {table}: {item}" for item in sorted(new - old)]
    return found


@contextlib.contextmanager
def no_trace(server: RegistryProcess) -> Iterator[None]:
    """Fails where what happens in the block leaves anything behind, or takes anything away."""
    before = snapshot(server.data)
    yield
    deadline = time.monotonic() + SETTLES
    # Clearing up after a vanished client follows the last answer; everything else is as it was at once.
    while changed := difference(before, snapshot(server.data)):
        assert time.monotonic() < deadline, "\n".join(changed)
        time.sleep(0.05)


def _brief(row: tuple[object, ...]) -> str:
    return repr(tuple(_short(value) for value in row))


def _short(value: object) -> object:
    if isinstance(value, bytes) and len(value) > 32:
        return f"{len(value)} bytes {hashlib.sha256(value).hexdigest()[:16]}"
    return value


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return f"{os.fstat(file.fileno()).st_size} bytes {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
