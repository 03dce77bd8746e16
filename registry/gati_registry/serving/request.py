"""One request over HTTP/1.1 and its answer, between a connection and ASGI."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from gati_registry.http.edge import GONE
from gati_registry.http.exchange import CERTIFICATE, FILL_TIME, RECEIVE_INTO, ZEROCOPY, Message, Scope
from gati_registry.serving.framing import (
    CHUNKED,
    CONTINUE,
    CRLF,
    LAST_CHUNK,
    UNTIL_CLOSE,
    AnswerHead,
    Chunks,
    answer_head,
)

if TYPE_CHECKING:
    from gati_registry.serving.heads import Known
    from gati_registry.serving.http11 import Http11

logger = logging.getLogger(__name__)

# Bytes of a body that is offered to go straight into the application's buffer; for fewer it is not worth it.
LARGE = 64 * 1024

_BODILESS = frozenset({204, 304})
_BODY = frozenset({"http.response.body", ZEROCOPY})


class Request:
    """One request and its answer."""

    __slots__ = (
        "_answer", "_body", "_chunks", "_closes", "_complete", "_connection", "_expects", "_filled", "_gone", "_left",
        "_method", "_old", "_rest", "_silent", "_since", "_told_end", "_view", "_waiter", "ended", "rests", "scope",
        "started", "waiting",
    )  # fmt: skip

    def __init__(self, connection: Http11, known: Known) -> None:
        head = known.head
        self._connection = connection
        self._method = head.method
        self._closes = head.closes
        self._old = head.version == "1.0"
        self._expects = head.expects
        self._left = head.length  # bytes of the body that are to come
        self._chunks = Chunks() if head.length == CHUNKED else None
        self._body: list[bytes] = []  # came, and not asked for yet
        self.waiting = 0  # its bytes
        self.ended = head.length == 0  # all of it came
        self._told_end = False  # and the application knows
        self._view = memoryview(b"")  # that the body goes into, while there is room in it
        self._filled = 0  # bytes in it
        self._since = 0.0  # when it was offered
        self.rests = False  # the body is to go into a view, and there is none at the moment
        self._waiter: asyncio.Future[None] | None = None
        self._gone = False
        self._answer: AnswerHead | None = None
        self.started = False  # the answer's head was sent
        self._silent = False  # it has no body, whatever the application says
        self._rest = 0  # bytes of its body that are to come, or CHUNKED or UNTIL_CLOSE
        self._complete = False
        self.scope: Scope = known.scope | {
            "scheme": connection.scheme,
            "client": connection.client,
            "server": connection.server,
            "state": connection.worker.state.copy(),
            "extensions": {ZEROCOPY: {}} if connection.sends_files else {},
        }
        if head.length >= LARGE:
            self.scope["extensions"][RECEIVE_INTO] = self.receive_into
        if connection.certificate is not None:
            self.scope[CERTIFICATE] = connection.certificate

    async def run(self) -> None:
        """Run the application; an answer that it leaves unfinished ends the connection."""
        try:
            await self._connection.worker.app(self.scope, self.receive, self.send)
        except Exception:
            logger.exception("unexpected error in the application")
        finally:
            if not self._complete and not self._gone:
                if self.started:
                    self._connection.break_off(silent=self._rest == UNTIL_CLOSE)
                else:
                    self._connection.refuse(500)

    def feed(self, data: bytes) -> bytes:
        """Take in the body's next bytes.

        Returns:
            What follows its end.

        Raises:
            Malformed: it is not chunked as announced.
        """
        rest = b""
        if self._chunks is not None:
            data = self._chunks.feed(data)
            if self._chunks.over is not None:
                self.ended = True
                rest = self._chunks.over
        else:
            if len(data) > self._left:
                data, rest = data[: self._left], data[self._left :]
            self._left -= len(data)
            self.ended = not self._left
        if data:
            self._body.append(data)
            self.waiting += len(data)
        self._wake()
        return rest

    def disconnect(self) -> None:
        """The client is gone."""
        self._gone = True
        self.scope[GONE] = True
        self._body.clear()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        """ASGI's `receive`."""
        self._ask()
        if self.rests:
            self.rests = False
            self._connection.body_taken()
        while not (self._body or self._gone or self._complete or (self.ended and not self._told_end)):
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        if self._gone or self._complete:
            return {"type": "http.disconnect"}
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self.waiting = 0
        self._told_end = self.ended
        self._connection.body_taken()
        return {"type": "http.request", "body": body, "more_body": not self.ended}

    async def receive_into(self, view: memoryview) -> Message:
        """`exchange.RECEIVE_INTO`.

        When this ends, however it ends, nothing writes to the view any more. The transport asks for the view anew each
        time it reads and reads there and then, without a thread and without leaving a read under way (libuv on epoll,
        and asyncio's own selector loop); after `_let_go` it has no way to ask.
        """
        self._ask()
        view = view[: self.waiting + self._left]  # what follows the body's end must not come into it
        self._filled = self._pour(view)
        if self._filled < len(view) and not (self._gone or self._complete):
            self._view, self._since, self.rests = view, self._connection.loop.time(), False
            self._waiter = self._connection.loop.create_future()
            self._connection.begin_filling(self)
            try:
                await self._waiter
            finally:
                self._let_go()
        else:
            self._connection.body_taken()
        if not self._filled and (self._gone or self._complete):
            return {"type": "http.disconnect"}
        self._told_end = self.ended and not self._body
        return {"type": "http.request", "size": self._filled, "more_body": not self._told_end}

    def _ask(self) -> None:
        # The client may wait for these words before it sends the rest.
        if self._answer is not None and not self._gone:
            self._send([])
        elif self._expects and not self._gone:
            self._expects = False
            self._connection.write([CONTINUE])

    def _pour(self, view: memoryview) -> int:
        """Move what waits into `view`; the number of bytes that fitted."""
        filled = 0
        while self._body and filled < len(view):
            piece = self._body[0]
            part = memoryview(piece)[: len(view) - filled]
            view[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) < len(piece):
                self._body[0] = piece[len(part) :]
            else:
                del self._body[0]
        self.waiting -= filled
        return filled

    def room(self) -> memoryview:
        """Where the next bytes of the body go; one at least."""
        return self._view[self._filled :]

    def filled(self, size: int) -> None:
        """So many came there."""
        self._filled += size
        self._left -= size
        self.ended = not self._left
        full = self._filled == len(self._view)
        if full:
            self._let_go()
        if full or self._connection.loop.time() > self._since + FILL_TIME:
            self._wake()

    def _let_go(self) -> None:
        if self._view:
            self._view = memoryview(b"")
            self.rests = not self.ended
            self._connection.end_filling()

    async def send(self, message: Message) -> None:
        """ASGI's `send`.

        Raises:
            ValueError: a header that would split the answer; a body that is longer or shorter than announced.
        """
        if self._gone:
            return
        kind, connection = message["type"], self._connection
        if kind == "http.response.start" and self._answer is None:
            worker, status = connection.worker, message["status"]
            self._silent = self._method == "HEAD" or status in _BODILESS
            self._answer = answer_head(
                status,
                [*message.get("headers", ()), *worker.answer_headers()],
                bodiless=self._silent,
                old=self._old,
                closes=self._closes or worker.draining,
            )
            self._rest = self._answer.length
            return
        if kind not in _BODY or self._answer is None or self._complete:
            raise RuntimeError(f"{kind} has no place here")
        more = message.get("more_body", False)
        if kind == ZEROCOPY:
            await self._send_file(message["file"].fileno(), message["offset"], message["count"], more)
        else:
            self._send(self._framed(message.get("body", b""), more))
        if connection.congested:
            await connection.flushed()
        if not more and not self._gone:
            self._complete = True
            self._wake()
            connection.answered(closes=self._answer.closes or not self.ended)

    def _send(self, parts: list[bytes]) -> None:
        if not self.started and self._answer is not None:
            self.started = True
            parts.insert(0, self._answer.data)
        if parts:
            self._connection.write(parts)

    async def _send_file(self, number: int, offset: int, count: int, more: bool) -> None:
        if self._silent or not count:
            self._send(self._framed(b"", more))
            return
        chunked = self._rest == CHUNKED
        if not chunked:
            self._count(count, more)
        self._send([b"%x\r\n" % count] if chunked else [])
        await self._connection.write_file(number, offset, count)
        if chunked and not self._gone:
            self._send([CRLF] if more else [CRLF, LAST_CHUNK])

    def _framed(self, body: bytes, more: bool) -> list[bytes]:
        size = len(body)
        if self._silent:
            return []
        if self._rest == CHUNKED:
            parts = [b"%x\r\n" % size, body, CRLF] if size else []
            return parts if more else [*parts, LAST_CHUNK]
        self._count(size, more)
        return [body] if size else []

    def _count(self, size: int, more: bool) -> None:
        if self._rest != UNTIL_CLOSE:
            if size > self._rest or (size < self._rest and not more):
                raise ValueError("the answer's body is longer or shorter than its Content-Length")
            self._rest -= size
