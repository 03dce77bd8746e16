"""Reading an encrypted blob by ranges: the frames that a range touches, and no others.

Who reads on gets a window of several frames at once, opened by a thread.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from gati_registry.ports import BlobReader
from gati_registry.storage.encrypted.frames import Damaged, Frames

WINDOW = 16
"""Frames that are opened at once for somebody who reads on."""


class EncryptedReader:
    """`ports.BlobReader` on `size` plain bytes, in frames that `inner` reads."""

    def __init__(self, inner: BlobReader, opened: Frames, size: int, executor: Executor) -> None:
        self._inner = inner
        self._frames = opened
        self._size = size
        self._executor = executor
        self._start = 0  # of the window, a multiple of a frame
        self._data = b""

    async def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self._size)
        if offset >= end:
            # Nothing may follow; who reads as far as this wants to know.
            if offset == self._size and await self._inner.read(self._frames.sealed_size(self._size), 1):
                raise Damaged
            return b""
        pieces = []
        while offset < end:
            if not self._start <= offset < self._start + len(self._data):
                await self._move(offset, end)
            piece = self._data[offset - self._start : end - self._start]
            pieces.append(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        self._data = b""
        self._inner.close()

    async def _move(self, offset: int, end: int) -> None:
        """Make the window begin with the frame that the offset is in."""
        frame, sealed = self._frames.frame, self._frames.sealed
        first, last = offset // frame, (end - 1) // frame
        if offset == self._start + len(self._data) and offset:
            last = max(last, first + WINDOW - 1)
        last = min(last, first + WINDOW - 1)
        wanted = min((last + 1) * sealed, self._frames.sealed_size(self._size)) - first * sealed
        data = await self._inner.read(first * sealed, wanted)
        if len(data) != wanted:
            raise Damaged  # cut off
        if first == last:
            opened = self._frames.open(first, data)
        else:
            loop = asyncio.get_running_loop()
            opened = await loop.run_in_executor(self._executor, self._frames.open, first, data)
        if len(opened) != min((last + 1) * frame, self._size) - first * frame:
            raise Damaged
        self._start, self._data = first * frame, opened
