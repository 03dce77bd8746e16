"""Encrypting on the way into a store: whole frames are appended, the rest that makes none waits in the database.

A batch is hashed and encrypted by two threads while the next one fills. `sync` keeps the offset: the upload's wrapped
key, and the encrypted rest, commit beside the store's own sync. Only then may the offset be acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from gati_registry.ports import StagedWriter
from gati_registry.storage.encrypted.frames import Frames

if TYPE_CHECKING:
    from hashlib import _Hash

BATCH = 16
"""Frames that are encrypted at once."""


class EncryptedWriter:
    """`ports.StagedWriter` over one of frames.

    Goes on at `offset`, with the plain bytes `rest` after the last whole frame, which are `tail` when encrypted. `keep`
    makes an offset and its encrypted rest durable; `remember` gets the running hash once its bytes are acknowledged,
    if it is known.
    """

    def __init__(
        self,
        name: str,
        inner: StagedWriter,
        opened: Frames,
        offset: int,
        rest: bytes,
        tail: bytes,
        *,
        hasher: _Hash | None,
        algorithm: str | None,
        executor: Executor,
        keep: Callable[[EncryptedWriter, int | None], Awaitable[None]],
        remember: Callable[[int, _Hash], None],
        closed: Callable[[EncryptedWriter], None],
    ) -> None:
        self.name = name
        self.frames = opened
        self.tail = tail  # the encrypted rest, as of the last sync
        self._inner = inner
        self._buffer = bytearray(rest)
        self._hashed = len(rest)  # bytes of the buffer that are in the hash
        self._number = offset // opened.frame  # of the frame that the buffer begins with
        self._end = offset
        self._synced: int | None = offset or None
        self._kept = offset or None
        self._sealed = False
        self._hasher = hasher
        self._algorithm = algorithm
        self._executor = executor
        self._keep = keep
        self._remember = remember
        self._closed = closed
        self._turning: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def write(self, chunk: bytes) -> None:
        assert not self._sealed, "nothing follows the last frame"
        self._synced = None
        self._buffer += chunk
        self._end += len(chunk)
        if len(self._buffer) >= BATCH * self.frames.frame:
            await self._turn()

    async def sync(self) -> None:
        if self._synced == self._end:
            return
        await self._turn()
        await self._settled()
        await self._hash_rest()
        rest = bytes(self._buffer)
        self.tail = self.frames.seal(self._number, rest)
        # Both or none are of use: an offset whose bytes are not down is never acknowledged.
        await _both(self._inner.sync(), self._keep(self, self._kept))
        self._synced = self._end

    def digest(self, algorithm: str) -> str | None:
        if self._hasher is None or algorithm != self._algorithm:
            return None
        return self._hasher.hexdigest()

    def acknowledged(self) -> None:
        self._kept = self._end
        self._inner.acknowledged()
        if self._hasher is not None:
            self._remember(self._end, self._hasher)

    def give_up(self) -> None:
        self._inner.give_up()

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._let_go())
        await asyncio.shield(self._closing)

    @property
    def received(self) -> int:
        """Plain bytes from the first on."""
        return self._end

    def has(self, size: int) -> bool:
        """Whether exactly so many bytes were synced, and it is still open."""
        return self._closing is None and self._synced == size

    async def seal(self) -> None:
        """Append the last frame, durable. Nothing can be written after it."""
        if not self._sealed:
            self._sealed = True
            if self.tail:
                await self._inner.write(self.tail)
                await self._inner.sync()

    # --- inside -------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        """Send the whole frames of what is gathered on their way, and go on gathering."""
        whole = len(self._buffer) - len(self._buffer) % self.frames.frame
        if not whole:
            return
        await self._settled()
        batch = bytes(memoryview(self._buffer)[:whole])
        fresh = memoryview(batch)[self._hashed :]
        del self._buffer[:whole]
        first, self._number, self._hashed = self._number, self._number + whole // self.frames.frame, 0
        self._turning = asyncio.create_task(self._process(first, batch, fresh))

    async def _process(self, first: int, batch: bytes, fresh: memoryview) -> None:
        loop = asyncio.get_running_loop()
        sealing = loop.run_in_executor(self._executor, self.frames.seal, first, batch)
        if self._hasher is not None:
            await loop.run_in_executor(self._executor, self._hasher.update, fresh)
        await self._inner.write(await sealing)

    async def _hash_rest(self) -> None:
        if self._hasher is not None:
            self._hasher.update(memoryview(bytes(self._buffer))[self._hashed :])  # less than a frame
        self._hashed = len(self._buffer)

    async def _settled(self) -> None:
        if self._turning is not None:
            await asyncio.shield(self._turning)
            self._turning = None

    async def _let_go(self) -> None:
        if self._turning is not None:
            with contextlib.suppress(Exception):  # the caller was told, or has gone
                await self._turning
        try:
            await self._inner.close()
        finally:
            self._closed(self)


async def _both(one: Awaitable[None], other: Awaitable[None]) -> None:
    """Wait for both, also where the first fails: neither goes on by itself."""
    outcomes = await asyncio.gather(one, other, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
