"""What is known of a staged name, from S3 alone: read, taken up again, put together, thrown away."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Literal

from gati_registry.storage.s3.client import MIN_PART, Bucket, Entry, Part, PartsRefused

BLOBS, STAGED, QUARANTINE = "blobs/", "staged/", "quarantine/"

PARTS_BETWEEN_DOUBLING = 900
"""Parts of one size. After so many the size doubles: 10,000 then hold more than the 5 TiB that an object may have."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TRACE = re.compile(r"state|tail-(?P<end>\d+)|writer-(?P<generation>[0-9a-f]+)")

Fate = Literal["staged", "published", "returned"]
"""Whose the multipart's object is: the staged name's; a blob's; a blob's no more, and good for nothing."""


def doubled(size: int, number: int) -> int:
    """The size of part `number` where the first ones have `size` bytes."""
    return size << (number - 1) // PARTS_BETWEEN_DOUBLING


def new_generation() -> str:
    """Chance that makes a key unique."""
    return secrets.token_hex(12)


@dataclass(frozen=True, slots=True)
class State:
    """The multipart upload that holds a name's staged bytes; `stored` is the stored name that its object gets."""

    stored: str
    upload: str
    fate: Fate = "staged"

    @property
    def key(self) -> str:
        """The object's key."""
        return BLOBS + self.stored


@dataclass(frozen=True, slots=True)
class Traces:
    """What lies below a staged name: tails and writers with the times of their objects."""

    state: bool
    tails: Mapping[int, int]
    writers: Mapping[str, int]

    @property
    def keys(self) -> Sequence[str]:
        """The objects but for the state, relative to the name."""
        return [*(f"tail-{end}" for end in self.tails), *(f"writer-{generation}" for generation in self.writers)]


@dataclass(frozen=True, slots=True)
class Staged:
    """So many staged bytes: parts of a multipart upload or the beginning of its object, then a tail.

    `whole` is the object's size, once it has been put together; its parts are no longer known then.
    """

    size: int
    state: State | None
    parts: tuple[Part, ...]
    whole: int | None
    tail: bytes

    @property
    def start(self) -> int:
        """The offset at which the tail begins."""
        return self.size - len(self.tail)

    @property
    def apart(self) -> bool:
        """Whether there is a multipart upload that is to be put together."""
        return self.state is not None and self.whole is None

    @property
    def differs(self) -> bool:
        """Whether there is an object that is not just these bytes, or not the staged name's to make a blob of."""
        return self.whole is not None and (self.state is None or self.state.fate != "staged" or self.whole != self.size)


class Area:
    """The staged names of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.owners: dict[str, str] = {}  # of the names that this process writes to

    # --- look ---------------------------------------------------------------------------------------------------

    async def traces(self, name: str) -> Traces:
        """What there is of a name."""
        found: list[Entry] = []
        prefix = self.key(name)
        async for page in self.bucket.entries(prefix):
            found += page
        return read_traces([(entry.key.removeprefix(prefix), entry.modified) for entry in found])

    async def state(self, name: str) -> State | None:
        """The name's multipart upload, if it ever had one."""
        try:
            data = json.loads(await self.bucket.get(self.key(name, "state")))
        except FileNotFoundError:
            return None
        return State(str(data["stored"]), str(data["upload"]), data["fate"])

    async def load(self, name: str, size: int, traces: Traces | None = None) -> Staged:
        """The first `size` staged bytes, at an offset that was synced.

        Raises:
            FileNotFoundError: they are not there.
        """
        traces = traces or await self.traces(name)
        state = await self.state(name) if traces.state else None
        parts: Sequence[Part] = ()
        whole = None
        if state is not None:
            try:
                parts = await self.bucket.parts(state.key, state.upload)
            except FileNotFoundError:
                whole = await self.bucket.size(state.key)
                if whole >= size:
                    return Staged(size, state, (), whole, b"")
            else:
                if size and (up_to := _up_to(parts, size)):
                    return Staged(size, state, up_to, None, b"")
        if size not in traces.tails:
            raise FileNotFoundError(name)
        tail = await self.bucket.get(self.key(name, f"tail-{size}"))
        start = size - len(tail)
        found = (() if start == whole else None) if whole is not None else _up_to(parts, start)
        if found is None:
            raise FileNotFoundError(name)
        return Staged(size, state, found, whole, tail)

    # --- write --------------------------------------------------------------------------------------------------

    async def begin(self, name: str, generation: str) -> State:
        """Begin a multipart upload for a name. The writer's object of this generation must be there already."""
        state = await self._begin(name, generation)
        await self.save(name, state)
        return state

    async def _begin(self, name: str, generation: str) -> State:
        stored = f"{name}.{generation}"
        return State(stored, await self.bucket.begin(BLOBS + stored, self.owners.get(name, "")))

    async def save(self, name: str, state: State) -> None:
        """Replace the name's state; only who holds the name may."""
        document = {"stored": state.stored, "upload": state.upload, "fate": state.fate}
        await self.bucket.put(self.key(name, "state"), json.dumps(document).encode())

    async def put_tail(self, name: str, end: int, data: bytes | bytearray) -> None:
        """Keep the bytes before `end` that make no part yet."""
        await self.bucket.put(self.key(name, f"tail-{end}"), data)

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[str]:
        """A writer's object for the length of a `with` block; its generation. Stays where S3 does not answer."""
        generation = new_generation()
        await self.bucket.put(self.key(name, f"writer-{generation}"), b"")
        try:
            yield generation
        except FileNotFoundError:
            await self._abort_all(f"{BLOBS}{name}.{generation}")
            await self.bucket.delete([self.key(name, f"writer-{generation}")])
            raise
        await self.bucket.delete([self.key(name, f"writer-{generation}")])

    async def put_together(self, staged: Staged, *, with_tail: bool) -> Staged:
        """End the multipart upload, which has parts: its object can be read from now on, and nobody adds to it."""
        state, parts = staged.state, list(staged.parts)
        assert state is not None
        whole = staged.start
        if with_tail and staged.tail:
            parts.append(await self.bucket.part(state.key, state.upload, len(parts) + 1, staged.tail))
            whole = staged.size
        try:
            await self.bucket.complete(state.key, state.upload, parts)
        except FileNotFoundError:
            # Put together already: by a call whose answer was lost, or by who took over.
            if await self.bucket.size(state.key) != whole:
                raise
        except PartsRefused:
            return await self._with_all(staged, state)
        return replace(staged, parts=(), whole=whole, tail=staged.tail if whole == staged.start else b"")

    async def _with_all(self, staged: Staged, state: State) -> Staged:
        """The same where S3 takes all parts or none: an object that begins with the staged bytes."""
        if staged.tail:
            # In the place of a part that somebody left; as long as one has to be that is not the last.
            padded = staged.tail.ljust(MIN_PART, b"\0")
            await self.bucket.part(state.key, state.upload, len(staged.parts) + 1, padded)
        everything = await self.bucket.parts(state.key, state.upload)
        await self.bucket.complete(state.key, state.upload, everything)
        return replace(staged, parts=(), whole=sum(part.size for part in everything), tail=b"")

    async def continued(self, name: str, generation: str, staged: Staged) -> Staged:
        """Bytes that were put together, as parts and tail of `name` again, durable: copied within S3."""
        assert staged.state is not None
        source = staged.state.key
        whole = staged.start
        if whole < MIN_PART:
            tail = await self.bucket.get(source, 0, whole) + staged.tail
            await self.put_tail(name, staged.size, tail)
            return Staged(staged.size, None, (), None, tail)
        if staged.tail:
            await self.put_tail(name, staged.size, staged.tail)
        state = await self._begin(name, generation)
        parts = await self.bucket.copy_parts(source, state.key, state.upload, whole)
        await self.save(name, state)
        return Staged(staged.size, state, tuple(parts), None, staged.tail)

    async def reopened(self, name: str, generation: str, staged: Staged) -> Staged:
        """The same of one name, which loses the object that it had unless that is a blob."""
        assert staged.state is not None
        again = await self.continued(name, generation, staged)
        if again.state is None:
            await self.bucket.delete([self.key(name, "state")])
        if staged.state.fate != "published":
            await self.bucket.delete([staged.state.key])
        return again

    async def published(self, name: str, state: State) -> None:
        """The name's object is a blob from now on."""
        await self.save(name, replace(state, fate="published"))

    async def discard(self, name: str, *, mine: str | None = None) -> None:
        """Remove everything of a name but its blobs. `mine` is a generation that surely has no stray upload."""
        traces = await self.traces(name)
        state = await self.state(name) if traces.state else None
        for generation in traces.writers:
            stored = f"{name}.{generation}"
            if generation != mine and (state is None or state.stored != stored):
                await self._abort_all(BLOBS + stored)
        await self.bucket.delete([self.key(name, trace) for trace in traces.keys])
        if state is not None:
            await self.drop(name, state)
        elif not traces.keys:
            async for page in self.bucket.unfinished(f"{BLOBS}{name}.", 1):
                for key in {entry.key for entry in page}:
                    await self._abort_all(key)

    async def drop(self, name: str, state: State) -> None:
        """Remove a name's parts, and their object unless it is a blob; the state last, by which they are found."""
        await self._abort_all(state.key)
        if state.fate != "published":
            await self.bucket.delete([state.key])
        await self.bucket.delete([self.key(name, "state")])

    async def _abort_all(self, key: str) -> None:
        # More than one where the answer to its beginning was lost, and it was begun again.
        for upload in await self.bucket.uploads(key):
            await self.bucket.abort(key, upload)

    async def give_back(self, stored: str) -> bool:
        """Whether a staged name still needs a blob's object, which is now that name's to remove."""
        name = stored.rpartition(".")[0]
        state = await self.state(name) if _NAME.fullmatch(name) else None
        if state is None or state.stored != stored:
            return False
        await self.save(name, replace(state, fate="returned"))
        return True

    @staticmethod
    def key(name: str, trace: str = "") -> str:
        """The key of something below a staged name."""
        if not _NAME.fullmatch(name):
            raise ValueError("a staged name is made of letters, digits, '-' and '_'")
        return f"{STAGED}{name}/{trace}"


def read_traces(found: Sequence[tuple[str, int]]) -> Traces:
    """Sort what lies below a name; (key relative to the name, time)."""
    state, tails, writers = False, dict[int, int](), dict[str, int]()
    for key, modified in found:
        match = _TRACE.fullmatch(key)
        if match is None:
            continue
        if match["end"]:
            tails[int(match["end"])] = modified
        elif match["generation"]:
            writers[match["generation"]] = modified
        else:
            state = True
    return Traces(state, tails, writers)


def _up_to(parts: Sequence[Part], offset: int) -> tuple[Part, ...] | None:
    """The parts that end at the offset; None where none does.

    Parts beyond it are of writers that broke off. None of those ends at an offset that was acknowledged later: a part
    is always longer than a tail in its place can be.
    """
    end, taken = 0, 0
    while end < offset and taken < len(parts) and parts[taken].number == taken + 1:
        end += parts[taken].size
        taken += 1
    return tuple(parts[:taken]) if end == offset else None
