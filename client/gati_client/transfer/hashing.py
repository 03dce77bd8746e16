"""Digests of what is on disk and in memory; long ones in threads, where hashing leaves the interpreter to others."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from gati_client.errors import GatiError, Integrity
from gati_client.transfer.sources import FileSource, Source

PIECE = 1 << 20
"""Bytes of one read."""
_NEAR = 256 * 1024  # bytes that are still near the processor when they are hashed


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """`sha256:…` of bytes in memory."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def check(data: bytes, digest: str, what: str) -> None:
    """Compare bytes with their digest.

    Raises:
        Integrity: they have another.
    """
    found = digest_of(data, digest.partition(":")[0])
    if found != digest:
        raise Integrity(f"{what} has digest {found} and not {digest}", remedy="Somebody changed it: do not use it.")


async def digest_of_source(source: Source) -> str:
    """That which it knows, else found by reading it once."""
    if source.digest is not None:
        return source.digest
    if source.size <= 64 * 1024:
        return _read(source)
    return await asyncio.to_thread(_read, source)


def _read(source: Source) -> str:
    running, seen = hashlib.sha256(), 0
    buffer = bytearray(min(_NEAR, source.size) or 1)
    view = memoryview(buffer)
    with source.open() as file:
        while count := file.readinto(buffer):  # type: ignore[attr-defined]  # BinaryIO lacks what all of them have
            running.update(view[:count])
            seen += count
    if seen != source.size:
        name = source.path if isinstance(source, FileSource) else "a source"
        raise GatiError(f"{name} changed while it was read: {seen} bytes and not {source.size}")
    return f"sha256:{running.hexdigest()}"


NOTHING: Future[None] = Future()
"""Of what needs no waiting."""
NOTHING.set_result(None)


class Following:
    """The digest of a file that is being written: a thread of its own hashes what it is given, in the file's order."""

    def __init__(self, file: int, algorithm: str) -> None:
        self._file = file
        self._running = hashlib.new(algorithm)
        self._algorithm = algorithm
        self._thread = ThreadPoolExecutor(1, "gati-hash")
        self._turn = threading.Lock()
        self.position = 0
        """Bytes before it are hashed, or about to be."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Waits for what it is at: the file's descriptor is closed after this.
        self._thread.shutdown(cancel_futures=True)

    def take(self, data: memoryview, offset: int) -> Future[None]:
        """Hash bytes that were written at `offset`, if they come next; from any thread.

        Returns: Until it is done, the bytes must stay what they are.
        """
        with self._turn:
            if offset != self.position:
                return NOTHING
            self.position += len(data)
            return self._thread.submit(self._running.update, data)

    async def feed(self, end: int) -> None:
        """Hash what is in the file, from `position` to `end`."""
        with self._turn:
            begin, self.position = self.position, max(self.position, end)
            reading = self._thread.submit(self._read, begin, end)
        await asyncio.wrap_future(reading)

    async def digest(self) -> str:
        """Of all that was given."""
        return await asyncio.wrap_future(self._thread.submit(lambda: f"{self._algorithm}:{self._running.hexdigest()}"))

    def _read(self, position: int, end: int) -> None:
        buffer = memoryview(bytearray(_NEAR))
        while position < end:
            view = buffer[: end - position]
            count = os.preadv(self._file, [view], position)
            if not count:
                raise GatiError("a file became shorter while it was written")
            self._running.update(view[:count])
            position += count


def sync_folder(folder: Path) -> None:
    """Make a rename in it durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
