"""Plain requests over blocking connections, by a few threads: what moves most bytes and most files.

A request costs a twentieth of the processor time that it costs through httpx, and bytes go between file and socket
without a copy in between. Only the usual case goes this way, to the registry's own origin: whoever asks takes anything
else that comes back (a challenge, a redirect, an error, a body of no known length) as a reason to ask again by the
careful way.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import select
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Generic, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")

_AT_ONCE = 8  # single requests, which carry many bytes
_SHARING = 16  # threads that share many small ones: a registry commits what comes at once together
_AHEAD = 16  # small requests that one connection has unanswered
_ASKING_AHEAD = 4  # threads that share those: more would wait for each other, for the interpreter and for the folder
_IDLE = 3.0  # seconds after which a server may have closed what nobody used
_HEAD = 64 * 1024  # bytes of an answer's head
_EARLY = 8  # answers of status 1xx before the one that was asked for
_BODILESS = (204, 304)
_SENDFILE = 8 << 20  # bytes that the kernel sends before progress is told
_BLOCK = 256 * 1024  # bytes sent at once where it cannot


class Odd(OSError):
    """Not how answers usually look."""


class Reply:
    """An answer whose head came; `headers` by lower-case name, `length` the bytes of its body still to be read."""

    __slots__ = ("_lane", "headers", "length", "status")

    def __init__(self, lane: Lane, status: int, headers: dict[str, str], length: int) -> None:
        self._lane = lane
        self.status = status
        self.headers = headers
        self.length = length

    def readinto(self, view: memoryview) -> int:
        """Bytes of the body, as many as fit or are left; fewer only where the server is slow; in the lane's thread.

        Raises:
            OSError: the connection broke before the body's end.
        """
        count = self._lane.receive(view[: self.length])
        self.length -= count
        return count

    def read(self) -> bytes:
        """What is left of it."""
        data = bytearray(self.length)
        view = memoryview(data)
        while view:
            view = view[self.readinto(view) :]
        return bytes(data)


Take = Callable[[Reply], T]
"""Reads an answer, in the thread."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file as a request's body."""

    file: BinaryIO
    offset: int
    count: int
    told: Callable[[int], None]
    """Hears how many more bytes are on their way; in the lane's thread."""


Sent = bytes | Part | None


@dataclass(frozen=True, slots=True)
class Errand(Generic[Item]):
    """The same request about many items; both functions are called in a lane's thread."""

    method: str
    headers: Mapping[str, str]
    ask: Callable[[Item], tuple[str, bytes | None] | None]
    """Its target and body about an item; None: there is nothing to ask."""
    take: Callable[[Item, Reply], bool]
    """Reads the answer; False: it is not a usual one."""

    @property
    def ahead(self) -> int:
        """How many may be asked before the first is answered: RFC 9112 section 9.3.2 has that for what is safe."""
        return _AHEAD if self.method == "GET" else 1

    @property
    def lanes(self) -> int:
        """How many share the work."""
        return _ASKING_AHEAD if self.method == "GET" else _SHARING


class Queue(Generic[Item]):
    """Items that several lanes share; what is left when one of them met something unusual."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = deque(items)
        self.stopped = False

    def next(self) -> Item | None:
        """One that nobody has; None: there is none, or no further ones shall be begun."""
        with contextlib.suppress(IndexError):
            return None if self.stopped else self._items.popleft()
        return None

    def give_back(self, items: Iterable[Item]) -> None:
        """Nothing was done about them."""
        self._items.extendleft(items)

    def left(self) -> list[Item]:
        """Those that nothing was done about."""
        return list(self._items)


class Lanes:
    """Connections to one origin."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, connect: float, piece: float) -> None:
        self._address = (host, port, context, connect, piece)
        self._threads = ThreadPoolExecutor(_AT_ONCE + _SHARING, "gati-lane")
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._turn = asyncio.Lock()
        self._idle: list[Lane] = []

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: Sent, take: Take[T], allowed: float
    ) -> T:
        """One request within `allowed` seconds; when this returns or raises, no thread is at work for it any more.

        Raises:
            OSError: it broke, or the answer is not a usual one.
        """
        async with self._gate:
            lane = self._take()
            return await self._run([lane], allowed, lambda: lane.ask(method, target, headers, body, take))

    async def each(self, items: Sequence[Item], errand: Errand[Item], allowed: float) -> list[Item]:
        """Every item once, by as many threads as there are; those left after one that did not go as usual.

        Raises:
            TimeoutError: it took longer than `allowed` seconds.
        """
        queue = Queue(items)
        async with self._turn:
            lanes = [self._take() for _ in range(min(errand.lanes, len(items)))]
            if lanes:
                await self._run(lanes, allowed, *(partial(lane.run, errand, queue) for lane in lanes))
        return queue.left()

    async def _run(self, lanes: list[Lane], allowed: float, *functions: Callable[[], T]) -> T:
        """The first's result, when all have ended; each works for the lane in its place."""
        loop = asyncio.get_running_loop()
        working = [loop.run_in_executor(self._threads, function) for function in functions]
        try:
            async with asyncio.timeout(allowed):
                done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_EXCEPTION)
            for each in done:
                each.result()
        except BaseException:
            # They may write to files that the caller is about to close.
            for lane in lanes:
                lane.cut()
            await asyncio.wait(working)
            for each, lane in zip(working, lanes, strict=True):
                if not each.cancelled():
                    each.exception()
                lane.close()
            raise
        self._idle += lanes
        return working[0].result()

    def _take(self) -> Lane:
        return self._idle.pop() if self._idle else Lane(*self._address)

    def close(self) -> None:
        """Close all connections."""
        for lane in self._idle:
            lane.close()
        self._idle.clear()
        self._threads.shutdown(wait=False)


class Lane:
    """One connection, opened when it is needed; one thread at a time."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, connect: float, piece: float) -> None:
        self._host = host
        self._address = (host, port)
        self._context = context
        self._connect = connect
        self._piece = piece
        default = 80 if context is None else 443
        name = f"[{host}]" if ":" in host else host
        self._name = name if port == default else f"{name}:{port}"
        self._sock: socket.socket | None = None
        self._ahead = b""  # came, and was not read yet
        self._used = 0.0
        self._cut = False

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: Sent, take: Take[T]) -> T:
        """One request and its answer; in a thread.

        Raises:
            OSError: it broke, or the answer is not a usual one.
        """
        head = self._written(method, target, headers, body)
        done = False
        try:
            sock = self._open()
            if isinstance(body, Part):
                sock.sendall(head)
                _send(sock, body)
            else:
                sock.sendall(head + body if body else head)
            reply, last = self._reply(method)
            result = take(reply)
            done = not reply.length and not last  # what is left unread would be taken for the next answer
        finally:
            if not done:
                self.close()
        self._used = time.monotonic()
        return result

    def run(self, errand: Errand[Item], queue: Queue[Item]) -> None:
        """Ask about items of the queue until it has no more; in a thread. What is odd stops the queue for all."""
        asked: deque[Item] = deque()
        ahead = 1
        try:
            while True:
                if len(asked) <= ahead // 2:
                    self._ask_ahead(errand, queue, asked, ahead)
                if not asked:
                    self._used = time.monotonic()
                    return
                reply, last = self._reply(errand.method)
                if not errand.take(asked[0], reply) or reply.length:
                    break
                asked.popleft()
                ahead = errand.ahead  # it knows what it is asked
                if last:
                    queue.give_back(asked)
                    asked.clear()
                    self.close()
                    ahead = 1
        except OSError:
            pass
        except BaseException:
            self.close()
            raise
        queue.stopped = True
        queue.give_back(asked)
        self.close()

    def _ask_ahead(self, errand: Errand[Item], queue: Queue[Item], asked: deque[Item], ahead: int) -> None:
        """Have as many unanswered as may be."""
        written, waiting = bytearray(), bool(asked)
        while len(asked) < ahead and (item := queue.next()) is not None:
            try:
                request = errand.ask(item)
            except BaseException:
                queue.give_back([item])
                raise
            if request is not None:
                asked.append(item)
                target, body = request
                written += self._written(errand.method, target, errand.headers, body) + (body or b"")
        if written:
            # Where answers are on their way, it is open and may be read from.
            sock = self._sock if waiting and self._sock is not None else self._open()
            sock.sendall(written)

    def _written(self, method: str, target: str, headers: Mapping[str, str], body: Sent) -> bytes:
        """A request's head."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._name}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body) if isinstance(body, bytes) else body.count}")
        if any("\r" in line or "\n" in line for line in lines):
            raise Odd("a header that would be two")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")

    def receive(self, view: memoryview) -> int:
        """Fill as much as comes without waiting long.

        Raises:
            OSError: it ended.
        """
        if not view:
            return 0
        if self._ahead:
            count = min(len(view), len(self._ahead))
            view[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
            return count
        assert self._sock is not None
        if isinstance(self._sock, ssl.SSLSocket):
            count = self._sock.recv_into(view)
        else:
            # In one call what would else be a hundred; a slow server's bytes come when its time is over.
            count = self._sock.recv_into(view, 0, socket.MSG_WAITALL)
        if not count:
            raise Odd("the answer ended early")
        return count

    def cut(self) -> None:
        """End what a thread is doing with it."""
        self._cut = True
        sock = self._sock
        if sock is not None:
            # The connection below TLS: SSLSocket's own would have a thread go on in clear text.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it; it may be opened again."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        self._ahead = b""

    def _open(self) -> socket.socket:
        if self._sock is not None and (
            self._ahead or time.monotonic() - self._used > _IDLE or _readable(self._sock)
        ):  # what came without being asked for is no answer to what will be
            self.close()
        if self._sock is None:
            sock = socket.create_connection(self._address, self._connect)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is not None:
                    sock = self._context.wrap_socket(sock, server_hostname=self._host)
                    sock.settimeout(self._piece)
                else:
                    # The kernel keeps the time: Python's own way asks before each call whether there is something.
                    sock.settimeout(None)
                    seconds = struct.pack("ll", int(self._piece), int(self._piece % 1 * 1e6))  # struct timeval
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
            except BaseException:
                sock.close()
                raise
            self._sock = sock
        if self._cut:
            raise TimeoutError("it was given up")
        return self._sock

    def _reply(self, method: str) -> tuple[Reply, bool]:
        """The answer's head, and whether the connection ends with it."""
        for _ in range(_EARLY):
            first, *lines = self._head().split("\r\n")
            version, status, *_ = *first.split(" ", 2), ""
            if version not in ("HTTP/1.1", "HTTP/1.0") or not (status.isascii() and status.isdigit()):
                raise Odd("that is not HTTP")
            code = int(status)
            if 100 <= code < 200:
                continue
            headers: dict[str, str] = {}
            for line in lines:
                name, _, value = line.partition(":")
                name, value = name.lower(), value.strip(" \t")
                if name == "content-length" and headers.get(name, value) != value:
                    raise Odd("two lengths of one answer")
                headers[name] = value
            length = headers.get("content-length", "")
            if method == "HEAD" or code in _BODILESS:
                length = "0"
            elif "transfer-encoding" in headers or not (length.isascii() and length.isdigit() and len(length) < 19):
                raise Odd("an answer of no known length")
            last = version == "HTTP/1.0" or "close" in headers.get("connection", "").lower()
            return Reply(self, code, headers, int(length)), last
        raise Odd("answers that announce others without end")

    def _head(self) -> str:
        assert self._sock is not None
        data = self._ahead
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = self._sock.recv(_HEAD)
            if not more or len(data) > _HEAD:
                raise Odd("an answer without an end of its head")
            data = data + more if data else more
        self._ahead = data[end + 4 :]
        return data[:end].decode("latin-1")


def _send(sock: socket.socket, part: Part) -> None:
    offset, left = part.offset, part.count
    if not isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(io.UnsupportedOperation):  # it is in memory
            while left:
                count = os.sendfile(sock.fileno(), part.file.fileno(), offset, min(_SENDFILE, left))
                if not count:
                    raise Odd("a file became shorter while it was sent")
                offset, left = offset + count, left - count
                part.told(count)
    part.file.seek(offset)
    buffer = memoryview(bytearray(min(_BLOCK, left)))
    while left:
        count = part.file.readinto(buffer[:left])  # type: ignore[attr-defined]  # BinaryIO lacks what all of them have
        if not count:
            raise Odd("a file became shorter while it was sent")
        sock.sendall(buffer[:count])
        left -= count
        part.told(count)


def _readable(sock: socket.socket) -> bool:
    """Whether the server closed it, or sent what nobody asked for."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
