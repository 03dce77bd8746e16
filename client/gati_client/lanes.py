"""Plain requests over blocking connections, by a few threads: what moves most bytes and most files.

A request costs a tenth of the processor time that it costs through httpx, and bytes go between file and socket without
being copied in between. Only the usual case goes this way, to the registry's own origin: whoever asks takes anything
else that comes back (a challenge, a redirect, an error) as a reason to ask again by the careful way.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Take = Callable[[http.client.HTTPResponse], T]
"""Reads an answer, in the thread."""

_THREADS = 8
_IDLE = 3.0  # seconds after which a server may have closed what nobody used
BLOCK = 256 * 1024
"""Bytes of one read and one write."""


class Lanes:
    """Connections to one origin."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, connect: float, piece: float) -> None:
        self._address = (host, port, context, connect, piece)
        self._threads = ThreadPoolExecutor(_THREADS, "gati-lane")
        self._gate = asyncio.Semaphore(_THREADS)
        self._idle: list[_Lane] = []

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes | memoryview] | None,
        take: Take[T],
        allowed: float,
    ) -> T:
        """One request within `allowed` seconds; when this returns or raises, no thread is at work for it any more.

        Raises:
            OSError, http.client.HTTPException, TimeoutError: it broke.
        """
        async with self._gate:
            lane = self._idle.pop() if self._idle else _Lane(*self._address)
            loop = asyncio.get_running_loop()
            working = loop.run_in_executor(self._threads, lane.ask, method, target, headers, body, take)
            try:
                async with asyncio.timeout(allowed):
                    done = await asyncio.shield(working)
            except BaseException:
                # It may write to a file that the caller is about to close.
                lane.cut()
                await asyncio.wait([working])
                if not working.cancelled():
                    working.exception()
                lane.close()
                raise
            self._idle.append(lane)
            return done

    def close(self) -> None:
        """Close all connections."""
        for lane in self._idle:
            lane.close()
        self._idle.clear()
        self._threads.shutdown(wait=False)


class _Lane:
    """One connection, opened when it is needed; one thread at a time."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, connect: float, piece: float) -> None:
        self._connect = connect
        self._piece = piece
        self._used = 0.0
        self._cut = False
        if context is None:
            self._connection = http.client.HTTPConnection(host, port, timeout=connect)
        else:
            self._connection = http.client.HTTPSConnection(host, port, timeout=connect, context=context)

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes | memoryview] | None,
        take: Take[T],
    ) -> T:
        """One request and its answer; in a thread."""
        connection = self._connection
        if connection.sock is not None and (time.monotonic() - self._used > _IDLE or _readable(connection)):
            connection.close()
        if connection.sock is None:
            connection.timeout = self._connect
            connection.connect()
        sock: socket.socket = connection.sock
        sock.settimeout(self._piece)
        if self._cut:
            raise TimeoutError("it was given up")
        connection.request(method, target, body, headers)
        with connection.getresponse() as response:
            done = take(response)
            if not response.isclosed():  # what is left unread would be taken for the next answer
                connection.close()
        self._used = time.monotonic()
        return done

    def cut(self) -> None:
        """End what a thread is doing with it."""
        self._cut = True
        sock = self._connection.sock
        if sock is not None:
            # The connection below TLS: SSLSocket's own would have a thread go on in clear text.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it; it may be opened again."""
        self._connection.close()


def _readable(connection: http.client.HTTPConnection) -> bool:
    """Whether the server closed it, or sent what nobody asked for."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
