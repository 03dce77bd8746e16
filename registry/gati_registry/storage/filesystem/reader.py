"""Reading a blob without blocking the event loop.

Bytes in the page cache are copied at once (`RWF_NOWAIT`, tens of microseconds for 256 KiB), or left to the kernel to
send; what is not there is read by a thread.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Executor

from gati_registry.storage.filesystem.writer import disk_trouble

STRIDE = 128 * 1024
"""Bytes from one that is looked for in the page cache to the next: what Linux reads ahead at least, unless told."""

_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class FileReader:
    """`ports.BlobReader` on an open file."""

    def __init__(self, descriptor: int, executor: Executor) -> None:
        self._descriptor = descriptor
        self._executor = executor
        self._probe = bytearray(1)
        self._reading: asyncio.Future[bytes] | None = None

    def fileno(self) -> int:
        return self._descriptor

    def cached(self, offset: int, length: int) -> bool:
        """Whether a byte in every `STRIDE` and the last one are in the page cache.

        No promise: what lies between may be gone, or go before it is sent. The kernel then waits for the disk, and the
        event loop with it, for one read; it takes memory in and gives it up in runs, so that this is rare.
        """
        if not _NOWAIT:
            return False
        last = offset + length - 1
        try:
            return all(
                os.preadv(self._descriptor, [self._probe], at, _NOWAIT) for at in (*range(offset, last, STRIDE), last)
            )
        except OSError:  # not in the cache; or the file system has no such flag
            return False

    async def read(self, offset: int, length: int) -> bytes:
        if _NOWAIT:
            buffer = bytearray(length)
            try:
                got = os.preadv(self._descriptor, [buffer], offset, _NOWAIT)
            except OSError:  # not in the cache; or the file system has no such flag
                got = 0
            if got == length:
                return buffer  # type: ignore[return-value]  # bytes-like, never changed again
        self._reading = asyncio.get_running_loop().run_in_executor(
            self._executor, os.pread, self._descriptor, length, offset
        )
        try:
            return await asyncio.shield(self._reading)
        except OSError as error:
            raise disk_trouble(error) from error

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if self._reading is not None and not self._reading.done():
            # The caller was cancelled: a number closed now could be another file's by the time the thread reads.
            self._reading.add_done_callback(lambda _: os.close(descriptor))
        else:
            os.close(descriptor)
