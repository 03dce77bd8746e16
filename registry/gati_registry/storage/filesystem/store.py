"""`ports.BlobStore` and `ports.Housekeeping` on a local file system."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gati_registry.errors import Unavailable
from gati_registry.ports import Busy
from gati_registry.storage.filesystem.buffers import BufferPool
from gati_registry.storage.filesystem.reader import FileReader
from gati_registry.storage.filesystem.writer import FileWriter, disk_trouble
from gati_registry.values.digest import ALGORITHMS, Digest, new_hash

if TYPE_CHECKING:
    from hashlib import _Hash

T = TypeVar("T")

THREADS = 8
"""Threads for disk and hashing; both release the interpreter lock."""

REMEMBERED = 256
"""Running hashes kept between the chunks of uploads; the oldest is read again if it is needed after all."""

_READ = 1024 * 1024
_BATCH = 500


class FilesystemBlobs:
    """Blobs as files under one root folder."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._staged = os.path.join(self._root, "staged")
        self._quarantine = os.path.join(self._root, "quarantine")
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self._pool = BufferPool()
        self._hashes: OrderedDict[tuple[str, int], tuple[str | None, _Hash]] = OrderedDict()
        self._lay_out()

    def _lay_out(self) -> None:
        """Make every folder, durably, so that publishing never has to.

        All of it at each start: what an earlier start made and could not sync may be here and still not be durable.
        """
        blobs = os.path.join(self._root, "blobs")
        for folder in (self._root, self._staged, self._quarantine, blobs):
            make_folder(folder)
        for algorithm in ALGORITHMS:
            base = os.path.join(blobs, algorithm)
            make_folder(base)
            for name in {f"{number:02x}" for number in range(256)}.difference(os.listdir(base)):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(os.path.join(base, name))
            sync_folder(base)

    # --- staging ------------------------------------------------------------------------------------------------

    async def stage(
        self, name: str, offset: int, *, algorithm: str | None, expected: int | None, owner: str = ""
    ) -> FileWriter:
        path = self._staged_path(name)
        descriptor = await self._run(lambda: self._open_staged(path, fresh=offset == 0), lost=os.close)
        hasher = new_hash(algorithm) if offset == 0 and algorithm else self._recall(name, offset, algorithm)
        return FileWriter(
            path,
            descriptor,
            offset,
            hasher=hasher,
            algorithm=algorithm,
            expected=expected,
            executor=self._executor,
            pool=self._pool,
            remember=lambda end, running: self._remember(name, end, algorithm, running),
        )

    def _open_staged(self, path: str, *, fresh: bool) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if fresh else 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(descriptor).st_nlink:  # discarded between opening and locking
                os.close(descriptor)
                return self._open_staged(path, fresh=fresh)
            if fresh:
                sync_folder(self._staged)  # the name must survive together with the bytes
        except BlockingIOError:
            os.close(descriptor)
            raise Busy(path) from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    async def digest_staged(self, name: str, size: int, algorithm: str) -> str:
        recalled = self._recall(name, size, algorithm)
        if recalled is not None:
            return recalled.hexdigest()

        def read() -> str:
            hasher, left = new_hash(algorithm), size
            with open(self._staged_path(name), "rb", buffering=0) as file:
                while left:
                    chunk = file.read(min(_READ, left))
                    if not chunk:
                        raise FileNotFoundError(name)
                    hasher.update(chunk)
                    left -= len(chunk)
            return hasher.hexdigest()

        return await self._run(read)

    async def open_staged(self, name: str, size: int) -> FileReader:
        descriptor = await self._run(
            lambda: os.open(self._staged_path(name), os.O_RDONLY | os.O_CLOEXEC), lost=os.close
        )
        if os.fstat(descriptor).st_size < size:
            os.close(descriptor)
            raise FileNotFoundError(name)
        return FileReader(descriptor, self._executor)

    async def copy_staged(self, source: str, target: str, size: int) -> None:
        def copy() -> None:
            with (
                open(self._staged_path(source), "rb", buffering=0) as old,
                open(self._staged_path(target), "wb", buffering=0) as new,
            ):
                left = size
                while left:
                    copied = os.copy_file_range(old.fileno(), new.fileno(), left)
                    if not copied:
                        raise FileNotFoundError(source)
                    left -= copied
                os.fdatasync(new.fileno())
            sync_folder(self._staged)

        await self._run(copy)

    async def publish(self, name: str, digest: Digest, size: int) -> str:
        # A second name, not a new one: until the commit the session keeps its bytes, come what may.
        stored_name = f"{digest.algorithm}/{digest.encoded[:2]}/{digest.encoded}.{uuid.uuid4()}"

        def link() -> None:
            source, target = self._staged_path(name), self._blob_path(stored_name)
            if os.stat(source).st_size != size:  # bytes that were reserved or never acknowledged
                descriptor = os.open(source, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.ftruncate(descriptor, size)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            os.link(source, target)
            sync_folder(os.path.dirname(target))

        await self._run(link)
        return stored_name

    async def discard(self, name: str) -> None:
        self._forget(name)
        await self._run(lambda: _unlink(self._staged_path(name)))

    # --- blobs --------------------------------------------------------------------------------------------------

    async def open(self, stored_name: str) -> FileReader:
        # An open of a cached directory entry takes microseconds; a thread would take longer.
        try:
            descriptor = os.open(self._blob_path(stored_name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise disk_trouble(error) from error
        return FileReader(descriptor, self._executor)

    async def remove(self, stored_name: str) -> None:
        await self._run(lambda: _unlink(self._blob_path(stored_name)))

    async def check(self) -> None:
        def probe() -> None:
            status = os.statvfs(self._staged)
            if status.f_bavail == 0:
                raise Unavailable("the registry's disk is full", retry_after=60)

        await self._run(probe)

    def close(self) -> None:
        """Let go of the threads."""
        self._executor.shutdown(wait=True)

    # --- taking over from another store ------------------------------------------------------------------------

    async def size(self, stored_name: str) -> int | None:
        try:
            return await self._run(lambda: os.stat(self._blob_path(stored_name)).st_size)
        except FileNotFoundError:
            return None

    async def receive(self, stored_name: str, chunks: AsyncIterator[bytes]) -> None:
        if ".." in stored_name.split("/") or stored_name.startswith("/"):
            raise ValueError("a stored name that leads elsewhere")
        path, target = self._staged_path(f"{uuid.uuid4()}_received"), self._blob_path(stored_name)
        file = await self._run(lambda: open(path, "xb", buffering=0), lost=lambda opened: opened.close())  # noqa: SIM115 - closed below
        try:
            async for chunk in chunks:
                await self._run(lambda: _write_all(file, chunk))  # noqa: B023 - awaited here
            await self._run(lambda: os.fsync(file.fileno()))
            await self._run(lambda: _move(path, target))
        except BaseException:
            _unlink(path)
            raise
        finally:
            file.close()

    # --- housekeeping -------------------------------------------------------------------------------------------

    async def strays(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        # Names that came from S3 have no folder.
        for prefix in ("", *(f"{algorithm}/{number:02x}/" for algorithm in ALGORITHMS for number in range(256))):
            names = await self._run(lambda p=prefix: list(self._old_names(self._blob_path(p), older_than)))  # type: ignore[misc]
            for start in range(0, len(names), _BATCH):
                yield [f"{prefix}{name}" for name in names[start : start + _BATCH]]

    async def staged(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        names = await self._run(lambda: [n for n in self._old_names(self._staged, older_than) if self._unlocked(n)])
        for start in range(0, len(names), _BATCH):
            yield names[start : start + _BATCH]

    async def quarantine(self, stored_name: str) -> None:
        def move() -> None:
            target = os.path.join(self._quarantine, stored_name.replace("/", "-"))
            with contextlib.suppress(FileNotFoundError):
                os.rename(self._blob_path(stored_name), target)
                sync_folder(self._quarantine)
                sync_folder(os.path.dirname(self._blob_path(stored_name)))

        await self._run(move)

    # --- inside -------------------------------------------------------------------------------------------------

    def _staged_path(self, name: str) -> str:
        return os.path.join(self._staged, name)

    def _blob_path(self, stored_name: str) -> str:
        return os.path.join(self._root, "blobs", stored_name)

    @staticmethod
    def _old_names(folder: str, older_than: int) -> Iterator[str]:
        limit = time.time() - older_than / 1000
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_ctime < limit and entry.name not in ALGORITHMS:
                        yield entry.name

    def _unlocked(self, name: str) -> bool:
        try:
            descriptor = os.open(self._staged_path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    async def _run(self, function: Callable[[], T], *, lost: Callable[[T], None] | None = None) -> T:
        """Run in a thread. `lost` disposes of the result where the caller was cancelled and nobody takes it."""
        running = asyncio.get_running_loop().run_in_executor(self._executor, function)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(lambda done: _dispose(done, lost))
            raise
        except FileNotFoundError:
            raise
        except OSError as error:
            raise disk_trouble(error) from error

    def _remember(self, name: str, end: int, algorithm: str | None, running: _Hash) -> None:
        self._hashes[name, end] = (algorithm, running.copy())
        while len(self._hashes) > REMEMBERED:
            self._hashes.popitem(last=False)

    def _recall(self, name: str, offset: int, algorithm: str | None) -> _Hash | None:
        kept = self._hashes.get((name, offset))
        return kept[1].copy() if kept and kept[0] == algorithm else None

    def _forget(self, name: str) -> None:
        for key in [key for key in self._hashes if key[0] == name]:
            del self._hashes[key]


def sync_folder(path: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dispose(done: asyncio.Future[T], lost: Callable[[T], None] | None) -> None:
    if not done.cancelled() and done.exception() is None and lost is not None:
        lost(done.result())


def make_folder(path: str) -> None:
    """Make a folder and what is missing above it, durably."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(path):
        make_folder(parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        sync_folder(parent)
        return
    with contextlib.suppress(PermissionError):  # not ours to read, then not ours to have made
        sync_folder(parent)


def _write_all(file: RawIOBase, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _move(source: str, target: str) -> None:
    make_folder(os.path.dirname(target))
    os.rename(source, target)
    sync_folder(os.path.dirname(target))


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
