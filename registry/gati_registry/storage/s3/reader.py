"""Reading a blob by ranges: few large requests for a download, small ones for small ranges.

The first request asks for what the caller wants; who reads on gets windows that grow, and the next window is fetched
while one is handed out. So a reader holds at most two windows, and no connection while its client is slow.
"""

from __future__ import annotations

import asyncio

from gati_registry.storage.s3.client import Bucket

WINDOW = 4 * 1024 * 1024
"""Bytes of the largest window."""


class S3Reader:
    """`ports.BlobReader` on an object of `size` bytes."""

    def __init__(self, bucket: Bucket, key: str, size: int) -> None:
        self._bucket = bucket
        self._key = key
        self._size = size
        self._start = 0
        self._data = b""
        self._next: asyncio.Task[bytes] | None = None
        self._next_start = 0

    @property
    def size(self) -> int:
        """Bytes of the blob, or as many of them as may be read."""
        return self._size

    async def read(self, offset: int, length: int) -> bytes:
        length = min(length, self._size - offset)
        if length <= 0:
            return b""
        pieces: list[bytes] = []
        while length:
            if not self._start <= offset < self._end:
                await self._move(offset, length)
            piece = self._data[offset - self._start : offset - self._start + length]
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        self._data = b""
        self._drop_next()

    # --- inside -------------------------------------------------------------------------------------------------

    @property
    def _end(self) -> int:
        return self._start + len(self._data)

    async def _move(self, offset: int, length: int) -> None:
        """Make the window begin at the offset."""
        sequential = offset == self._end and offset > 0
        if self._next is not None and self._next_start == offset:
            window = await self._next
            self._next = None
        else:
            self._drop_next()
            window = await self._fetch(offset, 4 * len(self._data) if sequential else length)
        self._start, self._data = offset, window
        if sequential and self._end < self._size:
            self._next_start = self._end
            self._next = asyncio.create_task(self._fetch(self._end, 4 * len(window)))

    async def _fetch(self, offset: int, length: int) -> bytes:
        return await self._bucket.get(self._key, offset, min(length, WINDOW, self._size - offset))

    def _drop_next(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._next = None


class StagedReader:
    """`ports.BlobReader` on staged bytes: the beginning of an object, then a tail."""

    def __init__(self, head: S3Reader | None, tail: bytes) -> None:
        self._head = head
        self._start = head.size if head is not None else 0
        self._tail = tail

    async def read(self, offset: int, length: int) -> bytes:
        data = b""
        if self._head is not None and offset < self._start:
            data = await self._head.read(offset, length)
        first, end = max(offset, self._start), offset + length
        return data + self._tail[first - self._start : end - self._start] if end > self._start else data

    def close(self) -> None:
        if self._head is not None:
            self._head.close()
