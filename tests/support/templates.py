"""What many tests begin with: made once in a process and copied for each, folders and PostgreSQL databases."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.postgresql import PostgresServer

_folders: dict[str, Path] = {}
_databases: weakref.WeakKeyDictionary[PostgresServer, set[str]] = weakref.WeakKeyDictionary()


async def copied_folder(what: str, folder: Path, make: Callable[[Path], Awaitable[object]]) -> None:
    """Copy into `folder` the files that `make` puts into an empty one; `what` says what they are."""
    if what not in _folders:
        kept = Path(tempfile.mkdtemp(prefix="gati-template-"))
        atexit.register(shutil.rmtree, kept)
        with tempfile.TemporaryDirectory(prefix="gati-") as first:
            await make(Path(first))
            _copy_files(Path(first), kept)
        _folders[what] = kept
    shutil.copytree(_folders[what], folder, dirs_exist_ok=True)


async def template_database(what: str, server: PostgresServer, make: Callable[[str], Awaitable[object]]) -> str:
    """The database for `server.database` to copy, with what `make` puts into it; it is given a URL."""
    name = f"template_{hashlib.sha256(what.encode()).hexdigest()[:16]}"
    made = _databases.setdefault(server, set())
    if name not in made:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        await make(server.url(name))
        made.add(name)
    return name


def _copy_files(source: Path, target: Path) -> None:
    """The files, without the thousand empty folders of a store that has no content."""
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
