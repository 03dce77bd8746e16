"""What lies between a registry and its S3 server: a relay that breaks on command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Relay:
    """Passes requests on, one connection each, until it breaks; then every connection ends without an answer."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        self.left: int | None = None  # requests that still get through; None: all
        self.last_arrives = False  # whether the request after those reaches S3, and only its answer is lost
        self.once = False  # whether it is whole again after that
        self.meanwhile: tuple[int, Callable[[], Awaitable[None]]] | None = None  # so many requests pass, then this
        self.cut = 0  # answers of more than 100 kB that are still to break off in their middle

    @property
    def broken(self) -> bool:
        """Whether it broke already."""
        return self.left is not None and self.left < 0

    def mend(self) -> None:
        """Let everything through."""
        self.left = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, which has one request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            arrives, answered = True, True
            if self.left is not None and not (self.once and self.left < 0):
                self.left -= 1
                answered = self.left >= 0
                arrives = answered or (self.left == -1 and self.last_arrives)
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await reader.readexactly(int(lengths[0].partition(b":")[2])) if lengths else b""
            if self.meanwhile is not None:
                count, act = self.meanwhile
                self.meanwhile = (count - 1, act) if count else None
                if not count:
                    await act()
            if arrives:
                answer = await self._ask(head[:-2] + b"Connection: close\r\n\r\n" + body)
                if self.cut and len(answer) > 100_000:
                    self.cut -= 1
                    answer = answer[: len(answer) // 2]
                if answered:
                    writer.write(answer)
                    await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        writer.write(request)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@asynccontextmanager
async def relaying(port: int) -> AsyncIterator[Relay]:
    """A relay to a server on loopback."""
    relay = Relay(port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, limit=1 << 20)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await server.wait_closed()
