"""Reading a blob without blocking the event loop.

Bytes in the page cache are copied at once (`RWF_NOWAIT`, tens of microseconds for 256 KiB); what is not there is
read by a thread.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Executor

from gati_registry.storage.filesystem.writer import disk_trouble

_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class FileReader:
    """`ports.BlobReader` on an open file."""

    def __init__(self, descriptor: int, executor: Executor) -> None:
        self._descriptor = descriptor
        self._executor = executor
        self._reading: asyncio.Future[bytes] | None = None

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
