"""Appending to staged bytes: parts go out while the next one fills, hashing beside them; off the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from gati_registry.domain.upload import superseded
from gati_registry.errors import Code, RegistryError
from gati_registry.storage.s3.client import MAX_PARTS, MIN_PART, Part
from gati_registry.storage.s3.staging import Area, Staged, doubled

if TYPE_CHECKING:
    from hashlib import _Hash

T = TypeVar("T")

IN_FLIGHT = 2
"""Parts of one upload that are on their way at once, beside the one that fills."""

RENEWAL = 300.0
"""Seconds after which a writer that is at it shows so again."""


class S3Writer:
    """`ports.StagedWriter` on a multipart upload.

    Goes on from `staged`; `generation` is that of its writer's object, which keeps others off the name. `hasher` is
    the running hash of the bytes so far, if it is known; `remember` gets it once it is acknowledged.
    """

    def __init__(
        self,
        area: Area,
        name: str,
        generation: str,
        staged: Staged,
        *,
        part_bytes: int,
        hasher: _Hash | None,
        algorithm: str | None,
        remember: Callable[[int, _Hash], None],
        closed: Callable[[S3Writer], None],
    ) -> None:
        self._area = area
        self.name = name
        self.generation = generation
        self._state = staged.state
        self._parts = list(staged.parts)
        self._buffer = bytearray(staged.tail)
        self._hashed = len(staged.tail)  # bytes of the buffer that are in the hash
        self._end = staged.size
        self._synced = staged.size or None  # that much is durable and known here; a new name's nothing is not
        self._durable = staged.size
        self._kept = staged.size
        self._tails = {staged.size} if staged.tail else set[int]()
        self._part_bytes = part_bytes
        self._hasher = hasher
        self._algorithm = algorithm
        self._remember = remember
        self._closed = closed
        self._sending: list[asyncio.Future[Part]] = []
        self._renewed = time.monotonic()
        self._uncertain = False
        self._closing: asyncio.Task[None] | None = None
        self.discarded = False

    async def write(self, chunk: bytes) -> None:
        self._synced = None
        view = memoryview(chunk)
        while view:
            room = max(0, doubled(self._part_bytes, self._next_number) - len(self._buffer))
            self._buffer += view[:room]
            self._end += min(room, len(view))
            view = view[room:]
            if view:
                await self._turn()

    async def sync(self) -> None:
        if self._synced == self._end:
            return
        await self._renew()
        if len(self._buffer) >= doubled(MIN_PART, self._next_number):
            await self._turn()
        await self._hash()
        await self._settled(0)
        if self._buffer or not self._parts:
            self._tails.add(self._end)
            await self._sure(self._area.put_tail(self.name, self._end, self._buffer))
        self._synced = self._durable = self._end

    def digest(self, algorithm: str) -> str | None:
        if self._hasher is None or algorithm != self._algorithm:
            return None
        return self._hasher.hexdigest()

    def acknowledged(self) -> None:
        # Not before: another writer may replace bytes that were synced and never acknowledged.
        self._kept = self._end
        if self._hasher is not None:
            self._remember(self._end, self._hasher)

    def give_up(self) -> None:
        # Single parts cannot be taken back; they go with the upload, and the next writer puts its own in their place.
        pass

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._let_go())
        await asyncio.shield(self._closing)

    def staged(self, size: int) -> Staged | None:
        """What was written, if exactly that much of it was synced and is still as this writer knows it."""
        if size != self._synced or self._closing is not None or self.discarded:
            return None
        return Staged(size, self._state, tuple(self._parts), None, bytes(self._buffer))

    def put_together(self) -> None:
        """Its parts become an object now, or later if S3 does not say: it has to be asked, and the name is not free."""
        self._synced, self._uncertain = None, True

    # --- inside -------------------------------------------------------------------------------------------------

    @property
    def _next_number(self) -> int:
        return len(self._parts) + len(self._sending) + 1

    async def _turn(self) -> None:
        """Send what is gathered as a part and go on gathering."""
        number = self._next_number
        if number > MAX_PARTS:
            raise RegistryError(Code.SIZE_INVALID, "the blob is larger than S3 takes objects", status=413)
        await self._hash()
        await self._settled(IN_FLIGHT - 1)
        await self._renew()
        if self._state is None:
            self._state = await self._sure(self._area.begin(self.name, self.generation))
        data, self._buffer, self._hashed = self._buffer, bytearray(), 0
        sending = self._sure(self._area.bucket.part(self._state.key, self._state.upload, number, data))
        self._sending.append(asyncio.ensure_future(sending))

    async def _hash(self) -> None:
        """Bring the hash up to the buffer's end; in a thread, beside parts on their way."""
        if self._hasher is None or self._hashed == len(self._buffer):
            return
        hasher, fresh = self._hasher, memoryview(self._buffer)[self._hashed :]
        self._hashed = len(self._buffer)

        def update() -> None:
            hasher.update(fresh)
            fresh.release()  # a buffer that is looked at cannot grow

        await self._area.bucket.run(update)

    async def _settled(self, left: int) -> None:
        """Wait until at most so many parts are on their way."""
        while len(self._sending) > left:
            self._parts.append(await asyncio.shield(self._sending[0]))
            del self._sending[0]

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed > RENEWAL:
            await self._area.bucket.put(self._area.key(self.name, f"writer-{self.generation}"), b"")
            self._renewed = time.monotonic()

    async def _sure(self, step: Awaitable[T]) -> T:
        """A change in S3; without an answer it may happen later than the next writer's."""
        try:
            return await step
        except FileNotFoundError:
            raise superseded() from None  # who took the session over has put the parts together, or dropped them
        except BaseException:
            self._uncertain = True
            raise

    async def _let_go(self) -> None:
        await asyncio.gather(*self._sending, return_exceptions=True)
        self._sending = []
        try:
            if self.discarded or self._uncertain or self._area.bucket.ailing:
                return
            keys = [f"tail-{end}" for end in self._tails - {self._kept, self._durable}]
            keys.append(f"writer-{self.generation}")
            # What cannot be removed now costs the next writer a copy, no more.
            with contextlib.suppress(RegistryError):
                await self._area.bucket.delete([self._area.key(self.name, key) for key in keys])
        finally:
            self._closed(self)
