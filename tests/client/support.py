"""Servers and networks for the SDK's tests: one that answers what a test says, and a link that breaks on command."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from gati_client import Patience

QUICK = Patience(connect=5, piece=20, answer=20, tries=3, first_delay=0.01, longest_delay=0.05)
"""For tests: few tries, short pauses."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. Header names are lower-case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]


Respond = Callable[[Request], bytes | AsyncIterator[bytes]]


@dataclass(slots=True)
class Server:
    """A server on loopback that a test writes the answers for; a connection ends after what does not say otherwise."""

    respond: Respond | bytes
    host: str = ""
    requests: list[Request] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client is there."""
        task = asyncio.get_running_loop().create_task(self.serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while await self._serve(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, target, _ = first.split(" ")
        request = Request(method, target, headers, body)
        self.requests.append(request)
        answered = self.respond if isinstance(self.respond, bytes) else self.respond(request)
        if isinstance(answered, bytes):
            writer.write(answered)
        else:
            async for piece in answered:
                writer.write(piece)
                await writer.drain()
        await writer.drain()
        return isinstance(answered, bytes) and b"\r\nConnection: keep-alive\r\n" in answered


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer; a Content-Length among the headers stays as it is."""
    fields = {"Content-Length": str(len(body)), "Connection": "close", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body


@asynccontextmanager
async def answering(respond: Respond | bytes) -> AsyncIterator[Server]:
    """Such a server for the length of a block."""
    made = Server(respond)
    server = await asyncio.start_server(made.connected, "127.0.0.1", 0)
    made.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)


class Link:
    """Passes connections on to a server and counts their bytes; breaks all of them when a count is reached."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        self.up = 0  # bytes from clients
        self.down = 0  # bytes to clients
        self.cuts: list[int] = []  # counts of both directions at which all connections break
        self.broken = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def host(self) -> str:
        """Where clients come in."""
        return f"127.0.0.1:{self.port}"

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client is there."""
        task = asyncio.get_running_loop().create_task(self.serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """All connections are over."""
        for each in self._open:
            each.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        both = {writer, inner_writer}
        self._open |= both

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, upward: bool) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(256 * 1024):
                    if upward:
                        self.up += len(data)
                    else:
                        self.down += len(data)
                    sink.write(data)
                    await sink.drain()
                    if self.cuts and self.up + self.down >= self.cuts[0]:
                        self.cuts.pop(0)
                        self.broken += 1
                        for each in self._open:
                            each.transport.abort()
                if sink.can_write_eof():
                    sink.write_eof()

        await asyncio.gather(
            pump(reader, inner_writer, True), pump(inner_reader, writer, False), return_exceptions=True
        )
        self._open -= both
        for each in both:
            each.close()


@contextmanager
def linked(port: int) -> Iterator[Link]:
    """A link to a server on loopback, in a thread of its own."""
    link = Link(port)
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def run() -> asyncio.Server:
        server = await asyncio.start_server(link.connected, "127.0.0.1", 0, limit=1 << 20)
        link.port = server.sockets[0].getsockname()[1]
        started.set()
        return server

    def work() -> None:
        server = loop.run_until_complete(run())
        loop.run_forever()
        server.close()
        loop.run_until_complete(link.ended())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(30)
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)


def bearer(realm: str, scope: str = "repository:a/b:pull") -> dict[str, str]:
    """A challenge as headers."""
    return {"WWW-Authenticate": f'Bearer realm="{realm}",service="s",scope="{scope}"'}


async def gather(items: AsyncIterator[object]) -> Sequence[object]:
    """All of them."""
    return [item async for item in items]
