"""Blobs from a registry to files: in ranges over several connections, going on where an earlier try ended.

Beside the file stand, until it is whole, `<name>.partial` with the bytes and `<name>.partial.json`, which says which of
its segments are there. Bytes are hashed by another thread while the next ones come: those that come in the file's order
out of the buffer that they came in, the others out of the file. The file appears under its name by a rename, after its
digest was found right.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gati_client.errors import Conflict, GatiError, Integrity, Network
from gati_client.lanes import Reply
from gati_client.quick import httpx
from gati_client.together import first
from gati_client.transfer.hashing import NOTHING, Following, check, digest_of, sync_folder
from gati_client.transfer.model import Descriptor, Progress
from gati_client.transfer.relay import Relay
from gati_client.transfer.upload import pull_scopes
from gati_client.transport import Transport, pieces

_SMALL = 1 << 20  # bytes that come in one request and are held in memory
_AT_ONCE = 64 * 1024
_SEGMENT = 16 << 20
_RUN = 16  # segments that one request asks for at most
_CONNECTIONS = 4  # of one file; more than one only where one is slow
_SLOW = 0.2  # seconds for a segment, from which on another connection is begun
_FILES = 8  # that are fetched the careful way, or are large, at a time
_BUFFER = 1 << 20  # bytes of one write
_BUFFERS = 2  # of one connection: one is filled while the other is hashed
_LITTLE = 64 * 1024  # bytes that are waited for where a buffer takes long to fill
_PATIENT = 0.1  # seconds that are long
_NOTED = 0.5  # seconds of work that whoever is killed loses
_PROGRESS = 64 * 1024  # bytes after which a connection that broke counts as one that worked


class Downloads:
    """Fetches blobs of one registry's repositories."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def blob(self, repository: str, descriptor: Descriptor, limit: int) -> bytes:
        """A small blob, checked.

        Raises:
            Integrity: it is larger than `limit` bytes, or not what its descriptor says.
        """
        if descriptor.size > limit:
            raise Integrity(
                f"blob {descriptor.digest} has {descriptor.size} bytes, more than the {limit} looked for here"
            )
        path, scopes, data = f"/v2/{repository}/blobs/{descriptor.digest}", pull_scopes(repository), None
        with contextlib.suppress(Network):
            data = await self._transport.straight("GET", path, scopes=scopes, take=partial(_whole, descriptor.size))
        if data is None:
            action = f"give blob {descriptor.digest}"
            answer = await self._transport.ask("GET", path, action=action, scopes=scopes, limit=descriptor.size)
            data = answer.body
        if len(data) != descriptor.size:
            raise Integrity(f"blob {descriptor.digest} has {len(data)} bytes and not {descriptor.size}")
        check(data, descriptor.digest, "what the registry gave")
        return data

    async def file(
        self, repository: str, descriptor: Descriptor, path: Path, progress: Progress | None, durable: bool
    ) -> None:
        """A blob as a file; see `Artifacts.download`."""
        what = descriptor.title or descriptor.digest
        if descriptor.size <= _SMALL:
            data = await self.blob(repository, descriptor, _SMALL)
            if len(data) <= _AT_ONCE and not durable:
                _write(_beside(path), path, data, durable)  # a thread would take longer than the page cache does
            else:
                await asyncio.to_thread(_write, _beside(path), path, data, durable)
        else:
            with _partial(path, descriptor) as state:
                resumed = bool(state.done)
                try:
                    await self._fill(repository, descriptor, state, progress, what)
                except _Wrong as wrong:
                    state.discard()
                    if not resumed:
                        raise Integrity(*wrong.args, remedy="Somebody changed it: do not use it.") from None
                    # What an earlier try left may have been lost with the power: the whole once more.
                    await self._fill(repository, descriptor, state, progress, what)
                await asyncio.to_thread(state.finish, path, durable)
        if progress is not None:
            progress(what, descriptor.size, descriptor.size)

    async def files(
        self, repository: str, wanted: Sequence[tuple[Descriptor, Path]], progress: Progress | None, durable: bool
    ) -> None:
        """Blobs as files; see `Artifacts.download_all`."""
        told = Relay(progress)

        def ask(item: tuple[Descriptor, Path]) -> tuple[str, None]:
            return f"/v2/{repository}/blobs/{item[0].digest}", None

        def take(item: tuple[Descriptor, Path], reply: Reply) -> bool:
            descriptor, path = item
            data = _whole(descriptor.size, reply)
            if data is None or digest_of(data, descriptor.digest.partition(":")[0]) != descriptor.digest:
                return False
            _write(_beside(path), path, data, durable)
            told(descriptor.title or descriptor.digest, descriptor.size, descriptor.size)
            return True

        left = [item for item in wanted if item[0].size <= _AT_ONCE]
        gate = asyncio.Semaphore(_FILES)

        async def one(descriptor: Descriptor, path: Path) -> None:
            async with gate:
                await self.file(repository, descriptor, path, progress, durable)

        scopes, seconds = pull_scopes(repository), sum(each.size for each, _ in left) / (1 << 20)
        try:
            async with asyncio.TaskGroup() as group:
                for item in wanted:
                    if item[0].size > _AT_ONCE:
                        group.create_task(one(*item))
                for item in await self._transport.straight_each(
                    left, ask, take, method="GET", scopes=scopes, allowed=seconds
                ):
                    group.create_task(one(*item))
        except ExceptionGroup as failures:
            raise first(failures) from None

    async def _fill(
        self, repository: str, descriptor: Descriptor, state: _State, progress: Progress | None, what: str
    ) -> None:
        with Following(state.file, descriptor.digest.partition(":")[0]) as following:
            try:
                async with asyncio.TaskGroup() as group:
                    filling = _Filling(self._transport, repository, descriptor, state, following, progress, what, group)
                    filling.begin()
            except ExceptionGroup as failures:
                raise first(failures) from None
            found = await following.digest()
        if found != descriptor.digest:
            raise _Wrong(f"what the registry gave has digest {found} and not {descriptor.digest}")


class _Wrong(Exception):
    """All bytes are there, and they are others."""


@dataclass(slots=True)
class _State:
    """Which segments of a partial file are there."""

    partial: Path
    note: Path
    file: int
    digest: str
    size: int
    done: set[int] = field(default_factory=set)
    noted: float = 0.0  # when
    fresh: bool = False  # there are segments that the note does not know

    def load(self) -> None:
        """What an earlier try left, as far as it fits."""
        try:
            document = json.loads(self.note.read_bytes())
            same = (document["digest"], document["size"], document["segment"]) == (self.digest, self.size, _SEGMENT)
            done = {int(each) for each in document["done"]} if same else set()
        except (OSError, ValueError, TypeError, KeyError):
            done = set()
        count = -(-self.size // _SEGMENT)
        self.done = {each for each in done if 0 <= each < count}
        if os.fstat(self.file).st_size != self.size:
            self.done = set()
        if not self.done:
            self._empty()

    def missing(self) -> list[int]:
        """Segments that are not there, in order."""
        return [each for each in range(-(-self.size // _SEGMENT)) if each not in self.done]

    def add(self, segment: int) -> None:
        """A segment is written."""
        self.done.add(segment)
        self.fresh = True
        if time.monotonic() - self.noted > _NOTED:
            self.keep()

    def keep(self) -> None:
        """Write down which segments there are, for who goes on after us."""
        document = {"digest": self.digest, "size": self.size, "segment": _SEGMENT, "done": sorted(self.done)}
        fresh = self.note.with_name(self.note.name + ".new")
        fresh.write_text(json.dumps(document))
        fresh.replace(self.note)
        self.noted, self.fresh = time.monotonic(), False

    def whole(self) -> int:
        """Bytes from the beginning on that are there without a gap."""
        count = 0
        while count in self.done:
            count += 1
        return min(count * _SEGMENT, self.size)

    def discard(self) -> None:
        """Forget all."""
        self.done, self.fresh = set(), False
        self.note.unlink(missing_ok=True)
        self._empty()

    def _empty(self) -> None:
        # Not what is empty already: ext4 takes that for a file that is written anew, and allocates it all in `close`.
        if os.fstat(self.file).st_size:
            os.ftruncate(self.file, 0)
        os.ftruncate(self.file, self.size)

    def finish(self, path: Path, durable: bool) -> None:
        """Give it its name."""
        if durable:
            os.fsync(self.file)
        self.fresh = False
        self.partial.replace(path)
        self.note.unlink(missing_ok=True)
        if durable:
            sync_folder(path.parent)


@contextmanager
def _partial(path: Path, descriptor: Descriptor) -> Iterator[_State]:
    """The partial file, held by this process alone."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        # A link that somebody laid there is not followed.
        file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise GatiError(f"{partial}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(f"{path} is being downloaded by another process") from None
        note = partial.with_name(f"{partial.name}.json")
        state = _State(partial, note, file, descriptor.digest, descriptor.size)
        state.load()
        try:
            yield state
        finally:
            if state.fresh:
                state.keep()
    finally:
        os.close(file)


@dataclass(slots=True)
class _Run:
    """Segments that follow one another and are asked for together."""

    position: int  # bytes before it are written
    end: int
    since: float  # when the segment at `position` was begun


class _Filling:
    """Workers that fetch runs of segments, and one that has hashed what came out of order."""

    def __init__(
        self,
        transport: Transport,
        repository: str,
        descriptor: Descriptor,
        state: _State,
        following: Following,
        progress: Progress | None,
        what: str,
        group: asyncio.TaskGroup,
    ) -> None:
        self._transport = transport
        self._repository = repository
        self._descriptor = descriptor
        self._state = state
        self._following = following
        self._progress = progress
        self._what = what
        self._group = group
        self._clock = asyncio.get_running_loop().time
        self._waiting = state.missing()
        self._connections = 0
        self._grown = asyncio.Event()
        self._got = min(len(state.done) * _SEGMENT, state.size)

    def begin(self) -> None:
        """Begin; all is there and hashed, or about to be, when the group's tasks have ended."""
        self._group.create_task(self._hash())
        self._connect()

    def _connect(self) -> None:
        if self._waiting and self._connections < _CONNECTIONS:
            self._connections += 1
            self._group.create_task(self._work())

    async def _hash(self) -> None:
        while self._following.position < self._state.size:
            end = self._state.whole()
            if end > self._following.position:
                await self._following.feed(end)
                continue
            self._grown.clear()
            await self._grown.wait()

    async def _work(self) -> None:
        """Runs, one after the other, until none is left."""
        while self._waiting:
            run = self._next()
            await self._straight(run)
            if run.position < run.end:
                await self._careful(run)

    def _next(self) -> _Run:
        """Less and less, so that all end together."""
        waiting, count = self._waiting, 1
        most = min(_RUN, len(waiting) // (2 * self._connections))
        while count < most and waiting[count] == waiting[0] + count:
            count += 1
        first = waiting[0]
        del waiting[:count]
        return _Run(first * _SEGMENT, min((first + count) * _SEGMENT, self._state.size), self._clock())

    def _reach(self, run: _Run, position: int) -> None:
        """Bytes of a run are written, up to `position`."""
        before, run.position = run.position, position
        for segment in range(before // _SEGMENT, -(-position // _SEGMENT)):
            if position >= min((segment + 1) * _SEGMENT, self._state.size):
                self._state.add(segment)
                self._grown.set()
                now = self._clock()
                if now - run.since > _SLOW:
                    self._connect()
                run.since = now
        self._got += position - before
        if self._progress is not None and position > before:
            self._progress(self._what, self._got, self._state.size)

    async def _straight(self, run: _Run) -> None:
        """As far as the short way brings it."""
        begin, end, size = run.position, run.end, self._state.size
        reached = Relay(partial(self._reach, run))
        quiet = self._progress is None
        position = begin

        def take(reply: Reply) -> bool | None:
            nonlocal position
            expected = f"bytes {begin}-{end - 1}/{size}"
            if reply.status != 206 or reply.headers.get("content-range") != expected or reply.length != end - begin:
                return None
            room = _LITTLE
            buffers = deque((memoryview(bytearray(min(_BUFFER, end - begin))), NOTHING) for _ in range(_BUFFERS))
            while position < end:
                buffer, hashed = buffers.popleft()
                hashed.result()
                began = time.monotonic()
                data = buffer[: _fill(reply, buffer[: min(room, end - position)])]
                _pwrite(self._state.file, data, position)
                # After it is written: what is hashed is never anything but what is in the file.
                buffers.append((buffer, self._following.take(data, position)))
                before, position = position, position + len(data)
                if not quiet or position == end or position // _SEGMENT > before // _SEGMENT:
                    reached(position)
                room = _BUFFER if time.monotonic() - began < _PATIENT else _LITTLE
            return True

        with contextlib.suppress(Network):
            await self._transport.straight(
                "GET",
                f"/v2/{self._repository}/blobs/{self._descriptor.digest}",
                scopes=pull_scopes(self._repository),
                headers={"Range": f"bytes={begin}-{end - 1}"},
                take=take,
                allowed=(end - begin) / self._transport.patience.slowest,
            )
        self._reach(run, position)

    async def _careful(self, run: _Run) -> None:
        """The rest, by the way that knows redirects, challenges and broken connections."""
        failures = 0
        while run.position < run.end:
            before = run.position
            try:
                async for data in self._range(run.position, run.end):
                    await asyncio.to_thread(_pwrite, self._state.file, data, run.position)
                    self._reach(run, run.position + len(data))
                if run.position < run.end:
                    raise httpx.ReadError("the answer ended early")
            except (httpx.TransportError, TimeoutError) as error:
                failures = 1 if run.position - before >= _PROGRESS else failures + 1
                if failures >= self._transport.patience.tries:
                    raise Network(
                        f"cannot fetch blob {self._descriptor.digest} from {self._transport.host}: "
                        f"{error or type(error).__name__}",
                        remedy="Try again: what was transferred is kept.",
                    ) from None
                await self._transport.pause(failures)

    async def _range(self, begin: int, end: int) -> AsyncIterator[bytes]:
        """Bytes of the blob in pieces worth writing; ends early where the connection does."""
        size = self._state.size
        async with self._transport.open(
            "GET",
            f"/v2/{self._repository}/blobs/{self._descriptor.digest}",
            action=f"give blob {self._descriptor.digest}",
            scopes=pull_scopes(self._repository),
            headers={"Range": f"bytes={begin}-{end - 1}"},
            expected=(200, 206),
        ) as response:
            skip, left = 0, end - begin
            if response.status_code == 200:  # it knows no ranges: what lies before is read and left
                skip = begin
            elif response.headers.get("content-range", "").strip() != f"bytes {begin}-{end - 1}/{size}":
                raise Integrity(f"{self._transport.host} answers with another range than was asked for")
            gathered: list[bytes] = []
            held = 0
            try:
                async for piece in pieces(response, self._transport.patience):
                    data = piece[skip:] if skip else piece
                    skip -= min(skip, len(piece))
                    if len(data) > left:
                        if response.status_code == 206:
                            raise Integrity(f"{self._transport.host} sends more of a blob than was asked for")
                        data = data[:left]
                    left -= len(data)
                    gathered.append(data)
                    held += len(data)
                    if held >= _BUFFER:
                        yield b"".join(gathered)
                        gathered, held = [], 0
                    if not left and response.status_code == 200:
                        break
            except (httpx.TransportError, TimeoutError):
                if held:
                    yield b"".join(gathered)
                raise
            if held:
                yield b"".join(gathered)


def _whole(size: int, reply: Reply) -> bytes | None:
    return reply.read() if reply.status == 200 and reply.length == size else None


def _fill(reply: Reply, view: memoryview) -> int:
    """How many bytes came: fewer than fit only where they come slowly, or the connection broke behind them."""
    count, until = 0, time.monotonic() + _PATIENT
    while count < len(view) and (not count or time.monotonic() < until):
        try:
            count += reply.readinto(view[count:])
        except OSError:
            if not count:
                raise
            break
    return count


def _beside(path: Path) -> str:
    """Where a small file's bytes are until they are whole."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{os.getpid()}.partial")


def _pwrite(file: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count


def _write(partial: str, path: Path, data: bytes, durable: bool) -> None:
    try:
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise GatiError(f"{partial}: {error.strerror}") from None
    try:
        _pwrite(file, data, 0)
        if durable:
            os.fsync(file)
    finally:
        os.close(file)
    os.replace(partial, path)
    if durable:
        sync_folder(path.parent)
