"""`ports.BlobStore`, `ports.Housekeeping` and `ports.Redirects` on an S3 bucket."""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from gati_registry.errors import RegistryError, Unavailable
from gati_registry.ports import Busy
from gati_registry.storage.s3.client import MIN_PART, Address, Bucket, Entry, Options, Part
from gati_registry.storage.s3.reader import S3Reader, StagedReader
from gati_registry.storage.s3.staging import (
    BLOBS,
    QUARANTINE,
    STAGED,
    Area,
    Staged,
    Traces,
    doubled,
    new_generation,
    read_traces,
)
from gati_registry.storage.s3.writer import S3Writer
from gati_registry.values.digest import Digest, new_hash

if TYPE_CHECKING:
    from hashlib import _Hash

REMEMBERED = 256
"""Running hashes kept between the chunks of uploads; the oldest is read again if it is needed after all."""

ALIVE = 3_600_000
"""Milliseconds; far more than `writer.RENEWAL`."""

FRESH = 600_000
"""Milliseconds for which the list of staged names is good enough to tell strays by."""

PAGES = 10
"""Pages of unfinished multipart uploads that one walk looks at; the next one finds what is left."""

REDIRECT = 1200
"""Seconds in which a client begins the download that it was redirected to."""

_READ = 8 * 1024 * 1024
_EMPTY = Staged(0, None, (), None, b"")


class S3Blobs:
    """Blobs as objects of one bucket. One event loop; must be closed.

    `alive` is for how many milliseconds a writer's object says that somebody writes; it is renewed far more often.
    """

    def __init__(self, address: Address, options: Options, *, part_bytes: int, alive: int = ALIVE) -> None:
        self._bucket = Bucket(address, options)
        self._area = Area(self._bucket)
        self._part_bytes = max(part_bytes, MIN_PART)
        self._alive = alive
        self._writers: dict[str, S3Writer] = {}
        self._hashes: OrderedDict[tuple[str, int], tuple[str | None, _Hash]] = OrderedDict()

    # --- staging ------------------------------------------------------------------------------------------------

    async def stage(
        self, name: str, offset: int, *, algorithm: str | None, expected: int | None, owner: str = ""
    ) -> S3Writer:
        self._area.owners[name] = owner
        generation = new_generation()
        mine = self._area.key(name, f"writer-{generation}")
        await self._bucket.put(mine, b"")
        try:
            # Each of two at once finds the other's object, so at most one goes on.
            traces = await self._area.traces(name)
            if traces.writers.keys() != {generation}:
                raise Busy(name)
            staged = await self._taken_up(name, generation, offset, traces)
        except (Busy, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError):
                self._area.owners.pop(name, None)
            with contextlib.suppress(RegistryError):
                await self._bucket.delete([mine])
            raise
        hasher = new_hash(algorithm) if offset == 0 and algorithm else self._recall(name, offset, algorithm)
        writer = S3Writer(
            self._area,
            name,
            generation,
            staged,
            part_bytes=self._part_bytes,
            hasher=hasher,
            algorithm=algorithm,
            remember=lambda end, running: self._remember(name, end, algorithm, running),
            closed=self._closed,
        )
        self._writers[name] = writer
        return writer

    async def _taken_up(self, name: str, generation: str, offset: int, traces: Traces) -> Staged:
        """The staged bytes before the offset, ready to be added to."""
        if offset == 0:
            # Whoever wrote here before had nothing acknowledged.
            if traces.state and (state := await self._area.state(name)):
                await self._area.drop(name, state)
            return _EMPTY
        staged = await self._area.load(name, offset, traces)
        return staged if staged.whole is None else await self._area.reopened(name, generation, staged)

    async def digest_staged(self, name: str, size: int, algorithm: str) -> str:
        recalled = self._recall(name, size, algorithm)
        if recalled is not None:
            return recalled.hexdigest()
        reader, hasher, position = await self.open_staged(name, size), new_hash(algorithm), 0
        while chunk := await reader.read(position, _READ):
            await self._bucket.run(lambda: hasher.update(chunk))
            position += len(chunk)
        return hasher.hexdigest()

    async def open_staged(self, name: str, size: int) -> StagedReader:
        staged = await self._known(name, size)
        if staged.parts:
            self._know_no_more(name)
            staged = await self._area.put_together(staged, with_tail=True)
        head = None
        if staged.state is not None and staged.start:
            head = S3Reader(self._bucket, staged.state.key, staged.start)
        return StagedReader(head, staged.tail)

    async def copy_staged(self, source: str, target: str, size: int) -> None:
        try:
            await self._copy(source, target, size)
        except FileNotFoundError:
            # Its writer put it together or took it up again at the same time; it can do either only once.
            await self._copy(source, target, size)
        kept = self._hashes.get((source, size))
        if kept is not None:
            self._remember(target, size, *kept)

    async def _copy(self, source: str, target: str, size: int) -> None:
        staged = await self._area.load(source, size)
        if staged.parts:
            staged = await self._area.put_together(staged, with_tail=False)
        self._area.owners[target] = self._area.owners.get(source, "")
        async with self._area.held(target) as generation:
            if staged.state is not None and staged.start:
                await self._area.continued(target, generation, staged)
            else:
                await self._area.put_tail(target, size, staged.tail)

    async def publish(self, name: str, digest: Digest, size: int) -> str:
        staged = await self._known(name, size)
        self._know_no_more(name)
        if staged.apart:
            staged = await self._area.put_together(staged, with_tail=True)
        if staged.differs:
            async with self._area.held(name) as generation:
                staged = await self._area.reopened(name, generation, staged)
            if staged.apart:
                staged = await self._area.put_together(staged, with_tail=True)
        if (state := staged.state) is None:
            stored_name = f"{name}.{new_generation()}"
            await self._bucket.put(BLOBS + stored_name, staged.tail, self._area.owners.get(name, ""))
            return stored_name
        # Before anybody is given it: an object that may have a row is never the staged name's to remove.
        await self._area.published(name, state)
        return state.stored

    async def discard(self, name: str) -> None:
        if self._bucket.ailing:
            raise Unavailable("S3 does not answer; the collector removes what is left")
        for key in [key for key in self._hashes if key[0] == name]:
            del self._hashes[key]
        self._area.owners.pop(name, None)
        writer = self._writers.get(name)
        await self._area.discard(name, mine=writer.generation if writer else None)
        if writer is not None:
            writer.discarded = True

    # --- blobs --------------------------------------------------------------------------------------------------

    async def open(self, stored_name: str) -> S3Reader:
        key = BLOBS + stored_name
        return S3Reader(self._bucket, key, await self._bucket.size(key))

    async def remove(self, stored_name: str) -> None:
        if not await self._area.give_back(stored_name):
            await self._bucket.delete([BLOBS + stored_name])

    async def url(self, stored_name: str) -> str:
        return await self._bucket.presign(BLOBS + stored_name, REDIRECT)

    async def check(self) -> None:
        await self._bucket.check()

    def close(self) -> None:
        """Let go of threads and connections."""
        self._bucket.close()

    # --- taking over from another store ------------------------------------------------------------------------

    async def size(self, stored_name: str) -> int | None:
        try:
            return await self._bucket.size(BLOBS + stored_name)
        except FileNotFoundError:
            return None

    async def receive(self, stored_name: str, chunks: AsyncIterator[bytes]) -> None:
        key, buffer = BLOBS + stored_name, bytearray()
        upload, parts = "", list[Part]()
        try:
            async for chunk in chunks:
                buffer += chunk
                wanted = doubled(self._part_bytes, len(parts) + 1)
                while len(buffer) > wanted:
                    if not upload:
                        for abandoned in await self._bucket.uploads(key):
                            await self._bucket.abort(key, abandoned)
                        upload = await self._bucket.begin(key)
                    parts.append(await self._bucket.part(key, upload, len(parts) + 1, bytes(buffer[:wanted])))
                    del buffer[:wanted]
            if not upload:
                await self._bucket.put(key, buffer)
                return
            parts.append(await self._bucket.part(key, upload, len(parts) + 1, buffer))
            await self._bucket.complete(key, upload, parts)
        except BaseException:
            if upload:
                with contextlib.suppress(RegistryError):
                    await self._bucket.abort(key, upload)
            raise

    # --- housekeeping -------------------------------------------------------------------------------------------

    async def strays(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        # Not the objects of uploads under way: S3 may call an object as old as its first part. A staged name outlives
        # the commit that gives its object a row; so one that was gone when these were listed has its row by now.
        listed, staged = 0, set[str]()
        async for page in self._bucket.entries(BLOBS):
            if _now() - listed > FRESH:
                listed = _now()
                staged = {name async for name, _ in self._staged_names()}
            names = [entry.key.removeprefix(BLOBS) for entry in page if entry.modified < listed - older_than]
            if found := [name for name in names if name.rpartition(".")[0] not in staged]:
                yield found

    async def staged(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        now = _now()
        found: list[str] = []
        staged: set[str] = set()
        async for name, entries in self._staged_names():
            staged.add(name)
            traces = read_traces([(entry.key.rpartition("/")[2], entry.modified) for entry in entries])
            written = any(modified >= now - self._alive for modified in traces.writers.values())
            if not written and max(entry.modified for entry in entries) < now - older_than:
                found.append(name)
        if found:
            yield found
        # Begun by a request that S3 took up when all traces of the name were gone already.
        async for page in self._bucket.unfinished(BLOBS, PAGES):
            forgotten = {
                entry.key.removeprefix(BLOBS).rpartition(".")[0] for entry in page if entry.modified < now - older_than
            }
            if forgotten := {name for name in forgotten if name and name not in staged}:
                yield sorted(forgotten)

    async def _staged_names(self) -> AsyncIterator[tuple[str, list[Entry]]]:
        """Staged names with what lies below them."""
        carried: list[Entry] = []
        async for page in self._bucket.entries(STAGED):
            groups = [list(group) for _, group in groupby([*carried, *page], _staged_name)]
            carried = groups.pop()  # the next page may have more of it
            for group in groups:
                yield _staged_name(group[0]), group
        if carried:
            yield _staged_name(carried[0]), carried

    async def quarantine(self, stored_name: str) -> None:
        try:
            size = await self._bucket.size(BLOBS + stored_name)
        except FileNotFoundError:
            return
        await self._bucket.copy(BLOBS + stored_name, QUARANTINE + stored_name, size)
        await self._bucket.delete([BLOBS + stored_name])

    # --- inside -------------------------------------------------------------------------------------------------

    async def _known(self, name: str, size: int) -> Staged:
        """The staged bytes; from their writer, if it is one of ours and has just synced them."""
        writer = self._writers.get(name)
        return (writer and writer.staged(size)) or await self._area.load(name, size)

    def _know_no_more(self, name: str) -> None:
        if name in self._writers:
            self._writers[name].put_together()

    def _closed(self, writer: S3Writer) -> None:
        if self._writers.get(writer.name) is writer:
            del self._writers[writer.name]
            self._area.owners.pop(writer.name, None)

    def _remember(self, name: str, end: int, algorithm: str | None, running: _Hash) -> None:
        self._hashes[name, end] = (algorithm, running.copy())
        while len(self._hashes) > REMEMBERED:
            self._hashes.popitem(last=False)

    def _recall(self, name: str, offset: int, algorithm: str | None) -> _Hash | None:
        kept = self._hashes.get((name, offset))
        return kept[1].copy() if kept and kept[0] == algorithm else None


def _staged_name(entry: Entry) -> str:
    return entry.key.removeprefix(STAGED).partition("/")[0]


def _now() -> int:
    return time.time_ns() // 1_000_000
