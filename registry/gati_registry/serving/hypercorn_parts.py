"""The parts of Hypercorn 0.18 that a registry cannot use as they are, replaced by subclasses.

Hypercorn has no door for them, so `install` puts them where its modules look them up. Each mends something that a test
in tests/serving shows from outside; `pyproject.toml` keeps Hypercorn below 0.19 for their sake.

`Stream` (HTTP/2)
    Hypercorn queues ten body messages. When the application answers before the body's end while that queue is full,
    the end of the answer waits for the queue for ever, and the connection hangs with the shutdown. Here the body waits
    in a buffer that the end of the stream empties.
`Http2`
    Hypercorn gives the client new window as soon as data is queued and stops reading the connection when the queue is
    full, so that one upload that is not read stalls all streams. Here the window opens when the application has read.
    Data for a stream that was answered already raised KeyError and ended the connection: it is dropped, and the stream
    is reset with NO_ERROR (RFC 9113 §8.1). An answer that broke off was never ended: it is reset with INTERNAL_ERROR.
    At shutdown the connection could close between a stream's last bytes and its end; when a client went away, answers
    that waited for its window waited for ever. A megabyte of the smallest frames held the event loop for a quarter of a
    second: others have their turn in between. A CONNECT without a path, and priorities for a thousand streams, were
    errors of ours in the log.
`Connection`
    An error in one connection made `serve` stop waiting for all others at shutdown: it is logged and ends the one.
    Hypercorn's HTTP/1.1 is four fifths of the cost of a small GET, and speaks clear-text HTTP/2 by upgrade and by prior
    knowledge: unless ALPN chose HTTP/2, `http11` takes the connection over. Over HTTP/2, idle time was a task made and
    cancelled for each request: here it is a timer. An answer's head and body left in system calls of their own.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import h2.errors
import h2.events
import h2.settings
import hypercorn.asyncio.run
import hypercorn.asyncio.tcp_server
import hypercorn.protocol
import hypercorn.protocol.h2
from h2.exceptions import ProtocolError
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import EventWrapper, WorkerContext
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import Body, EndBody, StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import HTTPStream

from gati_registry.http.edge import GONE
from gati_registry.http.exchange import CERTIFICATE
from gati_registry.serving.gathering import GatheringTransport
from gati_registry.serving.http11 import Http11, Worker
from gati_registry.serving.tls import client_certificate

logger = logging.getLogger(__name__)

# Bytes taken from a connection at once: at Hypercorn's 64 KiB an upload is mostly the parsing of pieces.
RECEIVE = 1024 * 1024
# Of frames over HTTP/2, bytes that are taken apart at once, and frames that are handled at once: the smallest ones cost
# the most, and floods are made of them.
PIECE = 64 * 1024
FRAMES = 64
HTTP2_STREAM_WINDOW = 1024 * 1024
# For all streams of a connection: so that some stalled uploads leave window for the others.
HTTP2_CONNECTION_WINDOW = 16 * 1024 * 1024
# Seconds that a client gets to answer TLS's farewell; uvloop gives 30, and a shutdown would wait for all of them.
FAREWELL = 2.0


class Stream(HTTPStream):
    """One request over HTTP/2; its body waits here until the application asks for it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.app = self._with_own_receive(self.app)
        self._protocol: Http2 = self.send.__self__  # type: ignore[attr-defined]
        self._body: list[bytes] = []
        self._waiting_bytes = 0
        self._ended = False
        self._delivered_end = False
        self._arrived = asyncio.Event()

    async def handle(self, event: Any) -> None:
        """Events of the protocol: request, body, end of the body, end of the stream."""
        if isinstance(event, Body):
            if event.data and not self.closed:  # empty frames cost no window: they must cost no memory
                self._body.append(bytes(event.data))
                self._waiting_bytes += len(event.data)
                self._arrived.set()
        elif isinstance(event, EndBody):
            self._ended = True
            self._arrived.set()
        elif isinstance(event, StreamClosed):
            self.closed = True
            self.scope[GONE] = True  # type: ignore[literal-required]
            unread, self._waiting_bytes = self._waiting_bytes, 0
            self._body.clear()
            self._arrived.set()
            if unread:
                await self._protocol.consumed(unread, self.stream_id)
        else:
            await super().handle(event)

    def _with_own_receive(self, app: Any) -> Any:
        async def run(scope: Any, _receive: Any, send: Any, sync_spawn: Any, call_soon: Any) -> None:
            if self._protocol.certificate is not None:
                scope[CERTIFICATE] = self._protocol.certificate
            await app(scope, self._receive, send, sync_spawn, call_soon)

        return run

    async def _receive(self) -> Any:
        while not (self._body or self.closed or (self._ended and not self._delivered_end)):
            self._arrived.clear()
            await self._arrived.wait()
        if self.closed:
            return {"type": "http.disconnect"}
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._waiting_bytes = 0
        self._delivered_end = self._ended
        if body:
            await self._protocol.consumed(len(body), self.stream_id)
        return {"type": "http.request", "body": body, "more_body": not self._ended}


class Http2(H2Protocol):
    """HTTP/2 in which one stream's trouble stays its own."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        connection: Connection = self.send.__self__  # type: ignore[attr-defined]
        # The client's, DER; checked in the handshake.
        self.certificate = client_certificate(connection.writer.get_extra_info("ssl_object"))
        self.connection.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = HTTP2_STREAM_WINDOW
        self.connection.local_settings.acknowledge()
        # Streams whose client has not ended its side.
        self._receiving: set[int] = set()
        # Set when a stream's last frame is handed over.
        self._over: dict[int, asyncio.Event] = {}

    async def initiate(self, *arguments: Any) -> None:
        """Open the connection with a window for many streams."""
        await super().initiate(*arguments)
        self.connection.increment_flow_control_window(HTTP2_CONNECTION_WINDOW - 65_535)
        await self._flush()

    async def handle(self, event: Any) -> None:
        """Bytes from the client, or the connection's end."""
        if isinstance(event, RawData):
            for start in range(0, len(event.data), PIECE):
                await self._take(event.data[start : start + PIECE])
                if self.closed:
                    return
            return
        await super().handle(event)
        if isinstance(event, Closed):
            # Hypercorn leaves answers that wait for the client waiting for ever.
            for buffer in self.stream_buffers.values():
                await buffer.close()
            for over in self._over.values():
                over.set()

    async def _take(self, data: bytes) -> None:
        try:
            events = self.connection.receive_data(data)
        except ProtocolError:
            await self._flush()
            await self.send(Closed())
            self.closed = True
            return
        for start in range(0, len(events), FRAMES):
            await self._handle_events(events[start : start + FRAMES])
            await asyncio.sleep(0)

    async def _handle_events(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                await self._data_received(event)
                continue
            if isinstance(event, h2.events.PriorityUpdated):
                continue  # RFC 9113 section 5.3.2 has done away with them, and the tree of them had its own limits
            if isinstance(event, h2.events.RequestReceived):
                target = [value for name, value in event.headers if name in {b":method", b":path"}]
                if len(target) != 2 or not all(value.isascii() for value in target):  # CONNECT has no path
                    self._reset(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
                    continue
                self._receiving.add(event.stream_id)
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                self._receiving.discard(event.stream_id)
            await super()._handle_events([event])
        await self._flush()

    async def _data_received(self, event: Any) -> None:
        stream = self.streams.get(event.stream_id)
        size = len(event.data)
        if stream is None or stream.closed or not isinstance(stream, Stream):
            await self.consumed(event.flow_controlled_length, event.stream_id)
            return
        await stream.handle(Body(stream_id=event.stream_id, data=event.data))
        if padding := event.flow_controlled_length - size:
            await self.consumed(padding, event.stream_id)

    async def consumed(self, size: int, stream_id: int) -> None:
        """The application has read so many bytes: let the client send as many."""
        if self.closed:
            return  # and the lock on the connection's writer is held by whoever noticed it
        try:
            self.connection.acknowledge_received_data(size, stream_id)
        except ProtocolError:
            return
        await self._flush()

    async def stream_send(self, event: Any) -> None:
        """Events of a stream's answer."""
        if isinstance(event, StreamClosed):
            buffer = self.stream_buffers.get(event.stream_id)
            if buffer is not None and not buffer._complete and not self.closed:
                self._reset(event.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
                await self._forget(event.stream_id)
        await super().stream_send(event)
        if isinstance(event, EndBody):
            await self._until_over(event.stream_id)

    async def _until_over(self, stream_id: int) -> None:
        # Hypercorn waits for the buffer to be empty, which it may have been before the end was put there.
        if stream_id in self.stream_buffers and not self.closed:
            over = self._over[stream_id] = asyncio.Event()
            await over.wait()
            del self._over[stream_id]

    async def _send_data(self, stream_id: int) -> None:
        # As Hypercorn's, but nothing can come between a stream's last bytes and its end: at shutdown the connection
        # was closed there.
        buffer = self.stream_buffers[stream_id]
        try:
            window = self.connection.local_flow_control_window(stream_id)
            data = await buffer.pop(max(0, min(window, self.connection.max_outbound_frame_size)))
            if data:
                self.connection.send_data(stream_id, data, end_stream=buffer.complete)
            elif buffer.complete:
                self.connection.end_stream(stream_id)
            else:
                self.priority.block(stream_id)
            ended = buffer.complete
        except (KeyError, ProtocolError):
            ended = True  # the client has reset the stream or is gone
            await buffer.close()
        if ended:
            del self.stream_buffers[stream_id]
            self.priority.remove_stream(stream_id)
            if over := self._over.get(stream_id):
                over.set()
            if stream_id in self._receiving:
                # The answer is out, the rest of the request's body is not wanted any more.
                self._reset(stream_id, h2.errors.ErrorCodes.NO_ERROR)
        await self._flush()

    def _reset(self, stream_id: int, code: h2.errors.ErrorCodes) -> None:
        self._receiving.discard(stream_id)
        try:
            self.connection.reset_stream(stream_id, code)
        except ProtocolError:
            return  # the client was quicker

    async def _forget(self, stream_id: int) -> None:
        buffer = self.stream_buffers.pop(stream_id, None)
        if buffer is not None:
            await buffer.close()
            self.priority.remove_stream(stream_id)
        await self._flush()


class IdleTimer:
    """Closes a connection on which nothing runs, after the keep-alive time or at shutdown."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._handle: asyncio.TimerHandle | None = None

    async def restart(self, _task_group: Any, _action: Any) -> None:
        """Nothing runs from now on."""
        await self.stop()
        connection = self._connection
        if connection.context.terminated.is_set():
            connection.close_soon()
            return
        self._handle = connection.loop.call_later(connection.config.keep_alive_timeout, connection.close_soon)
        connection.context.idle.add(connection)

    async def stop(self) -> None:
        """A request has begun, or the connection is closed."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._connection.context.idle.discard(self._connection)


class Connection(TCPServer):
    """One TCP connection."""

    context: Context

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.idle_task: Any = IdleTimer(self)
        self._closing: asyncio.Task[None] | None = None
        self._out = GatheringTransport(self.writer.transport, self.loop)

    async def protocol_send(self, event: Any) -> None:
        """Bytes to the client, or the connection's end."""
        if not isinstance(event, RawData):
            self._out.flush()
            await super().protocol_send(event)
        elif event.data:
            async with self.send_lock:
                try:
                    self._out.write(event.data)
                    await self.writer.drain()
                except (ConnectionError, RuntimeError):
                    await self.protocol.handle(Closed())

    async def run(self) -> None:
        """Until the connection is closed."""
        tls = self.writer.get_extra_info("ssl_object")
        try:
            if tls is not None and tls.selected_alpn_protocol() == "h2":
                await super().run()
            else:
                await self._run_http11()
        except* OSError:
            pass  # the client is gone, or was let go of
        except* Exception as error:
            logger.error("connection ended by an unexpected error", exc_info=error)

    async def _run_http11(self) -> None:
        transport = self.writer.transport
        if transport.is_closing():
            return  # and nobody would tell the new protocol
        protocol = Http11(self.context.http11(self), self.loop)
        # What came before this task had its first turn; without waiting, since there is some.
        early = await self.reader.read(RECEIVE) if self.reader._buffer else b""  # type: ignore[attr-defined]
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if early:
            protocol.data_received(early)
        if self.reader.at_eof():
            transport.close()
        try:
            await protocol.over
        finally:
            protocol.abort()

    def close_soon(self) -> None:
        """Close from a callback; nothing runs on the connection."""
        if self._closing is None:
            self._closing = self.loop.create_task(self._initiate_server_close())
            self.loop.call_later(FAREWELL, self._abort)

    def _abort(self) -> None:
        transport = self.writer.transport
        if transport.get_write_buffer_size():
            self.loop.call_later(FAREWELL, self._abort)  # a slow client still gets what was written
        else:
            transport.abort()


class Context(WorkerContext):
    """What the connections of one worker share."""

    def __init__(self, max_requests: int | None) -> None:
        super().__init__(max_requests)
        self.idle: set[Connection] = set()
        self.terminated = _Terminated(self)
        self.worker: Worker | None = None

    def http11(self, connection: Connection) -> Worker:
        """What its HTTP/1.1 connections share."""
        if self.worker is None:
            config = connection.config
            self.worker = Worker(
                app=connection.app.app,  # type: ignore[attr-defined]  # without Hypercorn's wrapper
                state=connection.state,
                patience=config.keep_alive_timeout,
                longest_head=config.h11_max_incomplete_size,
                answer_headers=partial(config.response_headers, "h11"),
                draining=self.terminated.is_set(),
            )
        return self.worker


class _Terminated(EventWrapper):
    """Set when the server stops: what is idle is closed; what becomes idle later closes by itself."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    async def set(self) -> None:
        await super().set()
        for connection in list(self._context.idle):
            connection.close_soon()
        if self._context.worker is not None:
            self._context.worker.drain()


_PARTS = (
    (hypercorn.asyncio.run, "WorkerContext", Context),
    (hypercorn.asyncio.run, "TCPServer", Connection),
    (hypercorn.protocol, "H2Protocol", Http2),
    (hypercorn.protocol.h2, "HTTPStream", Stream),
)


def install() -> None:
    """Make Hypercorn use the classes of this module, in this process.

    Raises:
        RuntimeError: this Hypercorn is not built as 0.18 is.
    """
    hypercorn.asyncio.tcp_server.MAX_RECV = RECEIVE
    for module, name, part in _PARTS:
        if not hasattr(module, name):
            raise RuntimeError(f"{module.__name__} has no {name}: this version of Hypercorn is not supported")
        setattr(module, name, part)
