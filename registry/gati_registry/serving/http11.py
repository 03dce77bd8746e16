"""HTTP/1.1 on one connection: requests one after the other, a task each, straight from the transport to ASGI.

Reading stops while a body waits for the application or requests wait for their turn; the application waits while the
client does not read. An answer's head leaves with the first part of its body, in one system call.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from gati_registry.http.exchange import Receive, Scope, Send
from gati_registry.serving import framing
from gati_registry.serving.framing import Header, Malformed
from gati_registry.serving.heads import Heads
from gati_registry.serving.request import Request
from gati_registry.serving.tls import client_certificate

Address = tuple[str, int] | None
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

# Bytes of a request's body that may wait for the application.
BODY_WAITING = 256 * 1024
# Bytes of further requests that may wait for an answer to go out.
REQUESTS_WAITING = 64 * 1024
# Parts of an answer up to so many bytes are copied into one, and so are answers to a client that asks ahead; larger
# ones are handed over as they are.
SMALL = 16 * 1024
# Turns of the event loop that an answer waits for the next one to a client that has asked ahead.
TURNS = 2
# Bytes that show when the client has made room: see `write_file`.
WEDGE = 16 * 1024
# Seconds that a client gets to close its side, or to answer TLS's farewell; uvloop gives 30, and a shutdown would wait.
FAREWELL = 2.0
# Bytes that are dropped meanwhile; a reset for what was not read could overtake the answer.
FAREWELL_BYTES = 1024 * 1024

_RESET = struct.pack("ii", 1, 0)  # struct linger: on, no time


@dataclass(slots=True)
class Worker:
    """What the HTTP/1.1 connections of one process share."""

    app: Asgi
    state: dict[str, Any]  # the lifespan's
    patience: float  # seconds that a head may take, and that a connection may be idle
    longest_head: int  # bytes
    answer_headers: Callable[[], Iterable[Header]]  # for every answer, like Date
    draining: bool = False
    connections: set[Http11] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)  # of requests
    heads: Heads = field(default_factory=Heads)  # of plain connections

    def drain(self) -> None:
        """Close what is idle now, and all else after its answer."""
        self.draining = True
        for connection in list(self.connections):
            connection.close_if_idle()


class _Filling(asyncio.BufferedProtocol):
    """Stands in for a connection while a request's body goes straight into the application's buffer."""

    def __init__(self, connection: Http11, request: Request) -> None:
        self._connection = connection
        self._request = request

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._request.room()

    def buffer_updated(self, nbytes: int) -> None:
        self._request.filled(nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class Http11(asyncio.Protocol):
    """One connection."""

    def __init__(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self.worker = worker
        self.loop = loop
        self.transport = cast(asyncio.Transport, None)
        self.over: asyncio.Future[None] = loop.create_future()
        """Done when the connection is closed and nothing runs on it."""
        self.scheme = "http"
        self.certificate: bytes | None = None
        """The client's, DER; checked in the handshake."""
        self.sends_files = False
        """Whether `write_file` can be used."""
        self.heads = worker.heads
        self.client: Address = None
        self.server: Address = None
        self._request: Request | None = None  # that is being answered
        self._tasks: set[asyncio.Task[None]] = set()  # its, and what the application does after an answer
        self._buffer = bytearray()  # of requests that wait, or of a head that is not whole
        self._searched = 0  # so many bytes of it
        self._since = 0.0  # when the connection fell idle or a head began
        self._timer: asyncio.TimerHandle | None = None
        self._dropped = -1  # bytes since the last answer; -1 before it
        self._reading_paused = False
        self._writable: asyncio.Future[None] | None = None  # while the client does not read
        self._lost = False
        self._held: list[bytes] = []  # small answers that wait for the next
        self._held_size = 0
        self._looking = False  # `_look` is to be called
        self._number = -1  # of the socket, once a file was sent; valid while the transport is not closing

    # --- the transport's calls ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self.transport = cast(asyncio.Transport, transport)
        self.scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        self.certificate = client_certificate(transport.get_extra_info("ssl_object"))
        self.sends_files = self.scheme == "http" and hasattr(os, "sendfile")
        if self.scheme == "https":
            self.heads = Heads()  # what the client's certificate proves holds on its own connection
        self.client = _address(transport.get_extra_info("peername"))
        self.server = _address(transport.get_extra_info("sockname"))
        self.worker.connections.add(self)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(self.worker.patience, self._end_idle)
        if self.worker.draining:
            self._close()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        request = self._request
        if self._dropped >= 0:
            self._dropped += len(data)
            if self._dropped > FAREWELL_BYTES:
                self.transport.abort()
        elif request is None:
            if self._buffer:
                self._buffer += data
                self._begin_request(self._buffer)
            else:
                self._since = self.loop.time()
                self._begin_request(data)
        else:
            try:
                self._buffer += data if request.ended else request.feed(data)
            except Malformed as malformed:
                # The application must not take what came for the whole.
                request.disconnect()
                if request.started:
                    self._close()
                else:
                    self.refuse(malformed.status)
            self._regulate_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._lost = True
        self.worker.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._request is not None:
            self._request.disconnect()
        self.resume_writing()
        self._check_over()

    def pause_writing(self) -> None:
        """The client does not read as fast as the application writes."""
        if self._writable is None:
            self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        """It does again."""
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    # --- requests -----------------------------------------------------------------------------------------------

    def _begin_request(self, data: bytes | bytearray) -> None:
        # Of `data`, which is either what has just come to an empty buffer, or the buffer.
        try:
            end = framing.head_end(data, self._searched)
            if end < 0:
                if len(data) > self.worker.longest_head:
                    raise Malformed(431)
                if data is not self._buffer:
                    self._buffer += data
                self._searched = len(data)
                return
            request = Request(self, self.heads.parse(bytes(data[:end])))
            if data is self._buffer:
                del self._buffer[:end]
            elif len(data) > end:
                self._buffer += data[end:]
            self._searched = 0
            if self._buffer and not request.ended:
                rest = request.feed(bytes(self._buffer))
                self._buffer[:] = rest
        except Malformed as malformed:
            self.refuse(malformed.status)
            return
        self._request = request
        task = self.loop.create_task(request.run())
        self._tasks.add(task)
        self.worker.tasks.add(task)
        task.add_done_callback(self._task_done)
        self._regulate_reading()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.worker.tasks.discard(task)
        self._check_over()

    def _check_over(self) -> None:
        if self._lost and not self._tasks and not self.over.done():
            self.over.set_result(None)

    def answered(self, *, closes: bool) -> None:
        """The request's answer is out whole."""
        self._request = None
        if self.transport.is_closing():
            return
        if closes or self.worker.draining:
            self._close()
            return
        self._since = self.loop.time()
        if self._buffer:
            self._begin_request(self._buffer)
        self._regulate_reading()

    def refuse(self, status: int) -> None:
        """Answer with a status and nothing else; whatever follows is not taken for a request."""
        headers = [(b"content-length", b"0"), *self.worker.answer_headers()]
        self.write([framing.answer_head(status, headers, bodiless=True, old=False, closes=True).data])
        self._flush()
        self._request = None
        self._buffer.clear()
        self._dropped = 0
        self._regulate_reading()
        if not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(FAREWELL, self.transport.abort)
        else:
            self._close()

    def break_off(self, *, silent: bool) -> None:
        """The answer will never be whole.

        Args:
            silent: nothing of what was sent would tell the client so.
        """
        self._request = None
        self._flush()
        if silent and not self.transport.is_closing():
            with contextlib.suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if silent or self.congested:
            self.transport.abort()
        else:
            self._close()

    # --- reading and writing ------------------------------------------------------------------------------------

    def _regulate_reading(self) -> None:
        request = self._request
        full = request is not None and (
            request.waiting >= BODY_WAITING or request.rests or len(self._buffer) >= REQUESTS_WAITING
        )
        if full != self._reading_paused and not self.transport.is_closing():
            self._reading_paused = full
            if full:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def body_taken(self) -> None:
        """The application has taken what waited of the body."""
        if self._reading_paused:
            self._regulate_reading()

    def begin_filling(self, request: Request) -> None:
        """What comes goes into the view that the request has for it."""
        self.transport.set_protocol(_Filling(self, request))
        self._regulate_reading()

    def end_filling(self) -> None:
        """The view is full, or wanted back."""
        if not self._lost:
            self.transport.set_protocol(self)
            self._regulate_reading()

    def write(self, parts: list[bytes]) -> None:
        """Send; nothing on a closed connection, where uvloop would raise."""
        if self.transport.is_closing():
            return
        size = self._held_size + sum(map(len, parts))
        if self._held:
            parts = [*self._held, *parts]
        if self._buffer and size <= SMALL:
            self._held, self._held_size = parts, size
            if not self._looking:
                self._looking = True
                self.loop.call_soon(self._look, size, TURNS)
            return
        self._held, self._held_size = [], 0
        if len(parts) == 1:
            self.transport.write(parts[0])
        elif size <= SMALL:
            self.transport.write(b"".join(parts))
        else:
            self.transport.writelines(parts)

    def _look(self, size: int, turns: int) -> None:
        """Send what is held if nothing has joined it for some turns: the next answer takes its time."""
        if not self._held or not turns:
            self._looking = False
            self._flush()
        elif self._held_size == size:
            self.loop.call_soon(self._look, size, turns - 1)
        else:
            self.loop.call_soon(self._look, self._held_size, TURNS)

    def _flush(self) -> None:
        if self._held:
            held, self._held, self._held_size = self._held, [], 0
            if not self.transport.is_closing():
                self.transport.write(b"".join(held))

    async def write_file(self, file: int, offset: int, count: int) -> None:
        """Send a stretch of an open file without copying it; returns when the kernel has it.

        Where the socket takes no more, a small piece goes the usual way: the transport sends it as soon as there is
        room, and that is the sign to go on. So nobody but the transport waits for the socket, notices that the client
        is gone, or holds a descriptor of it.

        Raises:
            ValueError: the file ends before.
            OSError: it cannot be read.
        """
        transport = self.transport
        if transport.is_closing():
            return
        if self._number < 0:
            self._number = transport.get_extra_info("socket").fileno()
        self._flush()
        transport.set_write_buffer_limits(0)  # from here on `flushed` means all of it
        try:
            await self.flushed()
            while count and not transport.is_closing():
                try:
                    sent = os.sendfile(self._number, file, offset, count)
                except OSError:  # no room; if it is the connection's end, the transport will find out
                    piece = os.pread(file, min(count, WEDGE), offset)
                    transport.write(piece)
                    await self.flushed()
                    sent = len(piece)
                if not sent:
                    raise ValueError("the file is shorter than what is to be sent of it")
                offset += sent
                count -= sent
        finally:
            if not transport.is_closing():
                transport.set_write_buffer_limits()

    @property
    def congested(self) -> bool:
        """Whether the client does not read as fast as the application writes."""
        return self._writable is not None

    async def flushed(self) -> None:
        """Until it has read most of what was written."""
        while self._writable is not None:
            await asyncio.shield(self._writable)

    # --- the end ------------------------------------------------------------------------------------------------

    def close_if_idle(self) -> None:
        """Close unless a request is being answered."""
        if self._request is None:
            self._close()

    def abort(self) -> None:
        """Close at once, whatever runs."""
        for task in self._tasks:
            task.cancel()
        self.transport.abort()

    def _end_idle(self) -> None:
        # One timer for the connection's life: to set and cancel one for each request would cost more.
        patience = self.worker.patience
        left = patience if self._request is not None else self._since + patience - self.loop.time()
        if left <= 0:
            self._close()
        else:
            self._timer = self.loop.call_later(left, self._end_idle)

    def _close(self) -> None:
        if not self.transport.is_closing():
            self._flush()
            waiting = self.transport.get_write_buffer_size() or self.scheme == "https"
            self.transport.close()
            if waiting:
                self.loop.call_later(FAREWELL, self._end_farewell)

    def _end_farewell(self) -> None:
        if self.transport.get_write_buffer_size():
            self.loop.call_later(FAREWELL, self._end_farewell)  # a slow client still gets what was written
        else:
            self.transport.abort()


def _address(found: object) -> Address:
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else None
