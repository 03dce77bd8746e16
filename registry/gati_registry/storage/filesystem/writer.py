"""Appending to a staged file: hash and write side by side, off the event loop.

Two buffers, one filling while the other is hashed and written by two threads. Those from the pool have 2 MiB and go
past the page cache (O_DIRECT); without them it is 256 KiB at a time through the cache. `sync` writes the unaligned rest
through the cache and syncs the file; only then may the offset be acknowledged.

`room` lends the free part of the buffer that is filling. That is safe for the bytes of others: the buffers go back to
the pool in `close` alone, and whoever fills has to have let go of the view by then (`exchange.RECEIVE_INTO`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import mmap
import os
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, cast

from gati_registry.errors import Unavailable
from gati_registry.storage.filesystem.buffers import ALIGNMENT, SIZE, BufferPool

if TYPE_CHECKING:
    from hashlib import _Hash

SMALL = 256 * 1024
"""Bytes written at a time through the page cache."""

PREALLOCATE = 64 * 1024 * 1024
"""Bytes reserved ahead: a lie about the length cannot reserve the disk, extents still come out large."""


class FileWriter:
    """`ports.StagedWriter` and `ports.Fillable` on a file.

    The file's lock is held through `descriptor` until `close`. `hasher` is the running hash of the bytes before
    `offset`, if it is known; `remember` gets it once it is acknowledged, for the next chunk of the same upload.
    """

    def __init__(
        self,
        path: str,
        descriptor: int,
        offset: int,
        *,
        hasher: _Hash | None,
        algorithm: str | None,
        expected: int | None,
        executor: Executor,
        pool: BufferPool,
        remember: Callable[[int, _Hash], None],
    ) -> None:
        self._path = path
        self._cached = descriptor
        self._direct: int | None = None
        self._offset = offset  # of the first byte not handed to the threads yet
        self._filled = 0
        self._hasher = hasher
        self._algorithm = algorithm
        self._end = offset + expected if expected is not None else None
        self._allocated = self._kept = offset
        self._executor = executor
        self._pool = pool
        self._remember = remember
        self._lent: list[mmap.mmap] = []  # by the pool, while writing directly
        self._buffers: list[memoryview] = []  # two once the way is chosen; the first is being filled
        self._writing: asyncio.Future[None] | None = None
        self._given_up = False
        self._closed = False

    async def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            room = await self.room()
            part = view[: len(room)]
            room[: len(part)] = part
            self._filled += len(part)
            view = view[len(part) :]

    async def room(self) -> memoryview:
        if not self._buffers:
            self._choose()
        elif self._filled == len(self._buffers[0]):
            await self._turn()
        return self._buffers[0][self._filled :]

    def fill(self, size: int) -> None:
        self._filled += size

    async def sync(self) -> None:
        if self._filled:
            await self._turn()
        await self._settled()
        self._begin(self._finish)
        await self._settled()

    def digest(self, algorithm: str) -> str | None:
        if self._hasher is None or algorithm != self._algorithm:
            return None
        return self._hasher.hexdigest()

    def acknowledged(self) -> None:
        # Not before: another writer may replace bytes that were synced and never acknowledged.
        self._kept = self._offset
        if self._hasher is not None:
            self._remember(self._offset, self._hasher)

    def give_up(self) -> None:
        self._given_up = True

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._given_up and (self._writing is None or self._writing.done()):
            if self._writing is not None and not self._writing.cancelled():
                self._writing.exception()  # seen: the caller was told
            self._begin(self._shrink)
            with contextlib.suppress(OSError):
                await asyncio.shield(cast("asyncio.Future[None]", self._writing))
        if self._writing is not None and not self._writing.done():
            # The caller was cancelled while threads use the buffer and the descriptors: these are let go after them.
            self._writing.add_done_callback(self._release)
        else:
            self._release(self._writing)

    # --- inside -------------------------------------------------------------------------------------------------

    def _choose(self) -> None:
        """Direct I/O for what is large and aligned, as far as buffers and the file system allow."""
        expected = SIZE if self._end is None else self._end - self._offset
        if expected >= SIZE and self._offset % ALIGNMENT == 0 and (lent := self._pool.take(2)) is not None:
            try:
                self._direct = os.open(self._path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
                self._lent = lent
                self._buffers = [memoryview(buffer) for buffer in lent]
                return
            except OSError:  # tmpfs and some network file systems have no O_DIRECT
                self._pool.give_back(lent)
        size = max(min(expected, SMALL), ALIGNMENT)
        # Maps take memory as they fill, and give it all back: a client that stops after a few bytes holds no more.
        self._buffers = [memoryview(mmap.mmap(-1, size)) for _ in range(2)]

    async def _turn(self) -> None:
        """Hand what is gathered to the threads and go on gathering."""
        await self._settled()
        descriptor, gathered = self._cached, self._buffers[0][: self._filled]
        if self._direct is not None and self._filled == SIZE and self._offset % ALIGNMENT == 0:
            descriptor = self._direct
        self._buffers.reverse()
        work: list[Callable[[], None]] = [partial(self._put, descriptor, gathered, self._offset)]
        if self._hasher is not None:
            work.append(partial(self._hasher.update, gathered))
        self._begin(*work)
        self._offset += self._filled
        self._filled = 0

    def _begin(self, *work: Callable[[], None]) -> None:
        """Have a thread do each; `_writing` is done when all are. A future for each would cost several times that."""
        loop = asyncio.get_running_loop()
        self._writing = writing = loop.create_future()
        left = list(work)
        errors: list[BaseException] = []

        def run(function: Callable[[], None]) -> None:
            try:
                function()
            except BaseException as error:
                errors.append(error)
            left.pop()
            if not left:  # two threads that end together may both see it
                loop.call_soon_threadsafe(finish)

        def finish() -> None:
            if writing.done():
                return
            if errors:
                writing.set_exception(errors[0])
            else:
                writing.set_result(None)

        for function in work:
            self._executor.submit(run, function)

    async def _settled(self) -> None:
        if self._writing is None:
            return
        try:
            await asyncio.shield(self._writing)
        except OSError as error:
            raise disk_trouble(error) from error
        self._writing = None

    def _release(self, finished: asyncio.Future[None] | None) -> None:
        if finished is not None and not finished.cancelled():
            finished.exception()  # seen; whoever was to be told has gone
        self._pool.give_back(self._lent)
        self._lent, self._buffers = [], []
        for descriptor in (self._direct, self._cached):
            if descriptor is not None:
                os.close(descriptor)

    def _put(self, descriptor: int, data: memoryview, offset: int) -> None:
        end = offset + len(data)
        if self._direct is not None and self._end is not None and end > self._allocated:
            ahead = min(PREALLOCATE, self._end - self._allocated)
            if ahead > 0:
                with contextlib.suppress(OSError):  # an optimisation; the write itself reports a full disk
                    os.posix_fallocate(descriptor, self._allocated, ahead)
                self._allocated += ahead
        while offset < end:
            written = os.pwrite(descriptor, data, offset)
            data = data[written:]
            offset += written

    def _shrink(self) -> None:
        os.ftruncate(self._cached, self._kept)

    def _finish(self) -> None:
        if self._allocated > self._offset:
            os.ftruncate(self._cached, self._offset)
        os.fdatasync(self._cached)


def disk_trouble(error: OSError) -> Unavailable:
    """What the client is told when the disk does not take its bytes."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable("the registry's disk is full; nothing of this request was kept", retry_after=60)
    return Unavailable(f"the registry's disk failed ({errno.errorcode.get(error.errno or 0, 'I/O error')})")
