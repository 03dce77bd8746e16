"""Blobs by content, shared by all projects and processes of a user.

    $XDG_CACHE_HOME/gati/
        blobs/sha256/<hex>      whole and checked: they appear by a rename
        partial/<hex>           what is being fetched, by whoever holds the lock
        packs/<random>/         what is being published
        locks/<hex>             empty; one process at a time fetches a blob, and the kernel lets go when it dies
        projects/<hash>         empty; one process at a time changes a project (`gati_client.project.project`)
        in-use                  shared by those who read, held alone by `prune`

A process that is killed leaves at most a part under `partial/`, which the next one goes on with.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gati_client.errors import Integrity, NotFound
from gati_client.locks import locked, shared

Fetch = Callable[[Path], Awaitable[None]]
"""Writes a blob to a path, checked: what has another digest is not there afterwards.

It need not outlast a power cut, as nothing is taken from the cache without a look at its digest. What an earlier
attempt left beside the path may be gone on with."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_READ = 1024 * 1024


def default_root() -> Path:
    """`$XDG_CACHE_HOME/gati`."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "gati"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and the digests of what was damaged, which is gone now."""

    blobs: int
    size: int
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted: blobs and bytes."""

    blobs: int
    size: int


class Cache:
    """The cache in a folder, which is made when it is first needed."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_root()

    def path(self, digest: str) -> Path:
        """Where a blob lies, or would.

        Raises:
            Integrity: it is no digest.
        """
        if _DIGEST.fullmatch(digest) is None:
            raise Integrity(f"{digest[:100]!r} is no digest")
        algorithm, _, text = digest.partition(":")
        return self.root / "blobs" / algorithm / text

    @contextlib.asynccontextmanager
    async def using(self) -> AsyncIterator[None]:
        """While this is open nothing is pruned."""
        async with locked(self.root / "in-use", shared=True):
            yield

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder for packs that are being made, which nobody prunes while it is open; it goes afterwards."""
        folder = self.root / "packs" / f"{os.getpid()}-{secrets.token_hex(4)}"
        with shared(self.root / "in-use"):
            folder.mkdir(parents=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    async def get(self, digest: str, fetch: Fetch | None) -> Path:
        """A blob's file, its bytes checked just now; `fetch` is called where it is not here, by one process alone.

        What lies here damaged is fetched anew. Without `fetch` (offline) nothing is.

        Raises:
            NotFound: it is not here, and there is no `fetch`.
            Integrity: what lies here while offline is not what the digest says.
        """
        path = self.path(digest)
        if await self._sound(path, digest):
            return path
        async with self.using(), locked(self.root / "locks" / path.name):
            if await self._sound(path, digest):
                return path
            if fetch is None:
                if path.exists():
                    raise Integrity(f"{digest} is damaged in the cache",
                                    remedy="run `gati cache verify`, then install again without --offline")  # fmt: skip
                raise NotFound(f"{digest} is not in the cache", remedy="run it once without --offline")
            await self._fetched(path, fetch)
        return path

    async def _fetched(self, path: Path, fetch: Fetch) -> None:
        partial = self.root / "partial" / path.name
        for folder in (partial.parent, path.parent):
            if not folder.is_dir():  # to make one that is there takes ten times as long
                folder.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # whole, but its process died before the rename: it is asked for again
        await fetch(partial)
        partial.chmod(0o444)
        partial.replace(path)

    async def _sound(self, path: Path, digest: str) -> bool:
        if not path.exists():
            return False
        try:
            if await asyncio.to_thread(_hashed, path, digest) != digest:
                return False
        except FileNotFoundError:
            return False
        with contextlib.suppress(OSError):  # a cache to read alone
            os.utime(path)  # when it was last used: what `prune` goes by
        return True

    async def verify(self) -> Verified:
        """Look at every blob; delete what is not what its name says."""
        blobs, size, damaged = 0, 0, []
        for path, digest in self._blobs():
            async with locked(self.root / "locks" / path.name):
                with contextlib.suppress(FileNotFoundError):
                    blobs, size = blobs + 1, size + path.stat().st_size
                    if await asyncio.to_thread(_hashed, path, digest) != digest:
                        path.unlink()
                        damaged.append(digest)
        return Verified(blobs, size, tuple(damaged))

    async def prune(self, *, older_than: float = 0) -> Pruned:
        """Delete blobs that nobody used for so many seconds, and what was left half-fetched."""
        blobs, size, limit = 0, 0, time.time() - older_than
        async with locked(self.root / "in-use"):
            for path, _ in self._blobs():
                status = path.stat()
                if status.st_mtime <= limit:
                    path.unlink()
                    blobs, size = blobs + 1, size + status.st_size
            for folder in ("partial", "locks", "packs"):
                shutil.rmtree(self.root / folder, ignore_errors=True)
        return Pruned(blobs, size)

    def _blobs(self) -> Iterator[tuple[Path, str]]:
        for folder in sorted((self.root / "blobs").glob("*")):
            for path in sorted(folder.iterdir()):
                digest = f"{folder.name}:{path.name}"
                if _DIGEST.fullmatch(digest) is not None:
                    yield path, digest


def _hashed(path: Path, digest: str) -> str:
    algorithm = digest.partition(":")[0]
    found = hashlib.new(algorithm)
    with path.open("rb") as file:
        while part := file.read(_READ):
            found.update(part)
    return f"{algorithm}:{found.hexdigest()}"
