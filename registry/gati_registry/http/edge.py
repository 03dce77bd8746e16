"""The outermost ASGI layer: everything that holds for every request, in one place and for a few microseconds.

- a request id, in the answer's `X-Request-ID` and in every log line
- limits before the application sees anything: target, head, requests at once
- an answer for every error: protocol errors as they are, anything else as 500 without a word of what it was
- an answer before the body's end reaches the client (`_answer_early`)
- transfers in which nothing moves are ended
- counted, logged, traced
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from gati_registry.errors import ClientDisconnected, Code, RegistryError
from gati_registry.http.exchange import FILL_TIME, RECEIVE_INTO, ZEROCOPY, Message, Receive, ReceiveInto, Scope, Send
from gati_registry.http.memo import MEMO, Memo
from gati_registry.http.observe.labels import method_of, route_of
from gati_registry.http.observe.logs import Access, AccessLog, request_id
from gati_registry.http.observe.metrics import Metrics
from gati_registry.settings import Settings

logger = logging.getLogger(__name__)

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

# Set in the scope by whoever notices that the client is gone: sending on would be for nobody.
GONE = "gati.disconnected"
# RFC 9110 §4.1 recommends 8000 octets at least; oci.md: 414 from 8 KiB.
LONGEST_TARGET = 8192
# Unread bytes of a body that are taken in to keep an HTTP/1.1 connection; a body with more costs the connection.
KEEP_ALIVE_DRAIN = 256 * 1024
# After "Connection: close": bytes and seconds for which the rest of a body is read and dropped. A client that is still
# sending gets a reset when the connection closes, and the reset may overtake the answer.
LINGER_BYTES = 32 * 1024 * 1024
LINGER_SECONDS = 10.0
TICK = 1.0

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}").fullmatch
_ORIGIN = re.compile(rb"https?://[^/]+", re.IGNORECASE)
_READS = frozenset({"GET", "HEAD"})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY = frozenset({"http.response.body", ZEROCOPY})
_ALWAYS_ANSWERED = frozenset({"/livez", "/readyz", "/metrics"})
_flatten = itertools.chain.from_iterable


class Edge:
    """Wraps the application. One for each worker; holds what it counts."""

    def __init__(self, app: Asgi, settings: Settings, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self.draining = False
        # Seconds that this loop has run, in steps of TICK. Not the wall's: a process or a machine that stood still must
        # not find that its clients did.
        self.now = TICK
        self.requests: set[_Exchange] = set()
        self.settings = settings
        self.access = AccessLog()
        self.max_header_bytes = settings.http.max_header_bytes
        self.max_concurrent = settings.http.max_concurrent or float("inf")
        self.log_infos = settings.log.level in {"debug", "info"}
        self.log_reads = settings.log.reads and self.log_infos
        self._prefix = os.urandom(6).hex()
        self._numbers = itertools.count(1)
        self.tracer: Any = None
        if settings.telemetry.otlp_endpoint is not None:
            from gati_registry.http.observe.traces import Tracer

            self.tracer = Tracer(settings.telemetry)

    def drain(self) -> None:
        """The process is about to end: `/readyz` turns to 503, HTTP/1.1 connections close after their answer."""
        self.draining = True

    def new_id(self) -> str:
        """A request id that no other process makes."""
        return f"{self._prefix}{next(self._numbers):08x}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._lifespan(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close"})
            return
        if scope["raw_path"][:1] != b"/":
            _take_absolute_form(scope)
        exchange = _Exchange(self, scope, receive, send)
        self.requests.add(exchange)
        try:
            refusal = None
            if not exchange.about.sane or len(self.requests) > self.max_concurrent:
                refusal = self._refusal(scope) or exchange.ambiguity()
            if refusal is None:
                await self.app(scope, exchange.receive, exchange.send)
            else:
                await exchange.answer(refusal)
        except Exception as error:
            await exchange.failed(error)
        except asyncio.CancelledError:
            if not exchange.stalled:
                raise
            await exchange.answer_stall()
        finally:
            self.requests.discard(exchange)
            exchange.finish()

    def about(self, scope: Scope) -> _About:
        """What a request's head says to the edge."""
        memo: Memo | None = scope.get(MEMO)
        if memo is not None and memo.about is not None:
            known: _About = memo.about
            return known
        about = _About(scope)
        about.sane = self._unfit(scope) is None and about.problem is None
        if memo is not None:
            memo.about = about
        return about

    def _refusal(self, scope: Scope) -> RegistryError | None:
        if (unfit := self._unfit(scope)) is not None:
            return unfit
        if len(self.requests) > self.max_concurrent and scope["path"] not in _ALWAYS_ANSWERED:
            self.metrics.add("gati_request_refused_total")
            return RegistryError(
                Code.UNAVAILABLE, "too many requests at once; retry later", headers={"Retry-After": "1"}
            )
        return None

    def _unfit(self, scope: Scope) -> RegistryError | None:
        target: bytes = scope["raw_path"]
        if not target.startswith(b"/"):
            return RegistryError(Code.UNSUPPORTED, "request target is not a path", status=400)
        if len(target) + len(scope["query_string"]) >= LONGEST_TARGET:
            return RegistryError(Code.UNSUPPORTED, f"request target longer than {LONGEST_TARGET} bytes", status=414)
        if sum(map(len, _flatten(scope["headers"]))) > self.max_header_bytes:
            return RegistryError(Code.UNSUPPORTED, f"headers longer than {self.max_header_bytes} bytes", status=431)
        return None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        decided = False
        ticker = asyncio.create_task(self._tick())
        self.access.start()

        async def stop() -> None:
            ticker.cancel()
            await asyncio.to_thread(self._close)

        async def sending(message: Message) -> None:
            nonlocal decided
            kind = message["type"]
            decided = decided or kind.startswith("lifespan.startup.")
            if kind in {"lifespan.shutdown.complete", "lifespan.startup.failed"}:
                # Before it is said: Hypercorn cancels this task as soon as it hears the first, and serves on if this
                # task is not over at once after the second.
                await stop()
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if decided:
                raise
            # Hypercorn takes an exception for "no lifespan support" and would serve an application that never started.
            await sending({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})

    def _close(self) -> None:
        self.metrics.set("gati_requests_in_progress", 0)
        self.metrics.flush()
        self.access.close()
        if self.tracer is not None:
            self.tracer.close()

    async def _tick(self) -> None:
        while True:
            self.now += TICK
            self._end_stalled()
            self.metrics.set("gati_requests_in_progress", len(self.requests))
            if dropped := self.access.dropped:
                self.access.dropped -= dropped
                self.metrics.add("gati_log_dropped_total", dropped)
            self.metrics.flush()
            await asyncio.sleep(TICK)

    def _end_stalled(self) -> None:
        # `waiting` may be almost a TICK too old, and bytes may have come since within FILL_TIME.
        oldest = self.now - self.settings.http.idle_timeout - TICK - FILL_TIME
        for exchange in self.requests:
            if 0 < exchange.waiting < oldest and not exchange.stalled:
                exchange.stalled = True
                exchange.task.cancel()
                self.metrics.add("gati_request_stalled_total")


def _take_absolute_form(scope: Scope) -> None:
    """`GET http://host/path` is `GET /path` (RFC 9112 section 3.2.2); the host is of no use to us."""
    target: bytes = scope["raw_path"]
    if not target.startswith(b"/") and (origin := _ORIGIN.match(target)):
        scope["raw_path"] = target[origin.end() :] or b"/"
        scope["path"] = unquote(scope["raw_path"].decode("ascii"))


class _About:
    """What a head says to the edge; the same for all requests that begin with the same bytes."""

    __slots__ = ("agent", "bodiless", "headers", "http1", "method", "problem", "request_id", "sane")

    def __init__(self, scope: Scope) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id")
        self.request_id = given.decode("ascii") if given is not None and _SANE_ID(given) else None
        self.http1 = str(scope["http_version"]).startswith("1")
        self.method = method_of(scope["method"])
        self.agent = self.headers.get(b"user-agent", b"").decode("latin-1")
        self.bodiless = scope["method"] in _BODILESS or self.headers.get(b"content-length") == b"0"
        self.problem = self._ambiguity(scope) if self.http1 else None
        self.sane = False  # neither refused as such nor ambiguous

    def _ambiguity(self, scope: Scope) -> str | None:
        """Where a proxy before us could see another end of this request (RFC 9112 sections 3.2, 6.1 and 11.2)."""
        coding = self.headers.get(b"transfer-encoding")
        if coding is not None and (b"content-length" in self.headers or coding.strip().lower() != b"chunked"):
            return "the body's framing is ambiguous; send Content-Length or Transfer-Encoding: chunked"
        if scope["http_version"] == "1.1" and sum(name == b"host" for name, _ in scope["headers"]) != 1:
            return "exactly one Host header is needed"
        return None


class _Exchange:
    """One request and its answer, seen from outside."""

    __slots__ = (
        "_edge", "_receive", "_receive_into", "_send", "about", "bytes_in", "bytes_out", "closing", "complete", "gone",
        "headers", "id", "scope", "stalled", "start", "started", "status", "task", "unread", "waiting",
    )  # fmt: skip

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        self._edge = edge
        self._receive = receive
        self._send = send
        self.scope = scope
        self.about = about = edge.about(scope)
        self.headers = about.headers
        self.id = about.request_id or edge.new_id()
        request_id.set(self.id)  # for this request's task alone
        self.task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        self.start = time.perf_counter()
        self.status = 0
        self.bytes_in = self.bytes_out = 0
        self.waiting = 0.0  # since when a transfer waits for the client; 0: it does not
        self.unread = not about.bodiless
        if self.unread and RECEIVE_INTO in scope.get("extensions", ()):
            self._receive_into: ReceiveInto = scope["extensions"][RECEIVE_INTO]
            scope["extensions"][RECEIVE_INTO] = self.receive_into
        self.closing = False  # the connection ends after the answer
        self.started = self.complete = self.gone = self.stalled = False

    def ambiguity(self) -> RegistryError | None:
        """Why the connection must end without the request being looked at."""
        if self.about.problem is None:
            return None
        self.closing = True
        return RegistryError(Code.UNSUPPORTED, self.about.problem, status=400)

    async def receive(self) -> Message:
        """The application's `receive`."""
        if not self.unread:
            return await self._receive()
        self.waiting = self._edge.now
        message = await self._receive()
        self._came(message, len(message.get("body", b"")))
        return message

    async def receive_into(self, view: memoryview) -> Message:
        """The application's `exchange.RECEIVE_INTO`."""
        self.waiting = self._edge.now
        message = await self._receive_into(view)
        self._came(message, message.get("size", 0))
        return message

    def _came(self, message: Message, size: int) -> None:
        self.waiting = 0.0
        if message["type"] == "http.request":
            self.bytes_in += size
            self.unread = message.get("more_body", False)
        else:
            self.gone = True
            self.unread = False

    async def send(self, message: Message) -> None:
        """The application's `send`.

        Raises:
            ClientDisconnected: there is no use in going on.
        """
        if message["type"] == "http.response.start":
            await self._send_start(message)
            return
        if message["type"] in _BODY:
            self.bytes_out += message["count"] if message["type"] == ZEROCOPY else len(message.get("body", b""))
            if not message.get("more_body", False):
                if self.unread and self.about.http1:
                    await self._answer_early(message)
                else:
                    self.waiting = self._edge.now
                    await self._send(message)
                    self.waiting = 0.0
                self.complete = True
                return
            if GONE in self.scope:
                self.gone = True
                raise ClientDisconnected
        self.waiting = self._edge.now
        await self._send(message)
        self.waiting = 0.0

    async def _send_start(self, message: Message) -> None:
        self.started = True
        self.status = message["status"]
        headers = [*message.get("headers", ()), (b"x-request-id", self.id.encode())]
        if (self.closing or self._edge.draining or (self.unread and self._must_close())) and self.about.http1:
            self.closing = True
            headers.append((b"connection", b"close"))
        # A new message: the application may use its own for many answers.
        await self._send({"type": "http.response.start", "status": self.status, "headers": headers})

    def _must_close(self) -> bool:
        """Whether the rest of the body is too long to be read only to keep the connection."""
        if b"expect" in self.headers:
            return True  # nobody knows whether the body will come (RFC 9110 §10.1.1)
        length = self.headers.get(b"content-length", b"")
        if not length.isdigit():
            return b"transfer-encoding" in self.headers
        return int(length) - self.bytes_in > KEEP_ALIVE_DRAIN

    async def _answer_early(self, message: Message) -> None:
        """Send the answer's last part while the client still sends its body, over HTTP/1.1.

        The client has the whole answer before the rest of its body is read; a good one stops there. Closing with
        unread bytes would reset the connection, and the answer might never be seen.
        """
        if message.get("body") or message["type"] == ZEROCOPY:
            await self._send({**message, "more_body": True})
        left = self.bytes_in + (LINGER_BYTES if self.closing else KEEP_ALIVE_DRAIN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while self.unread and self.bytes_in < left:
                    await self.receive()
        self.waiting = 0.0
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def answer(self, error: RegistryError) -> None:
        """Answer with an error in the protocol's format."""
        body = error.body()
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in error.headers.items()]
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def failed(self, error: Exception) -> None:
        """The application raised."""
        self.waiting = 0.0
        if self.gone or GONE in self.scope:
            self.gone = True
            return
        if isinstance(error, RegistryError):
            known = error
        else:
            self._edge.metrics.add("gati_request_failed_total")
            logger.error("unexpected error in %s %s", self.scope["method"], self.scope["path"], exc_info=error)
            known = RegistryError(Code.UNKNOWN, detail={"request_id": self.id})
        if self.started:
            # Too late for another status. Returning without the last part makes the server break the connection
            # (HTTP/1.1) or reset the stream (HTTP/2), so that nobody takes what was sent for the whole.
            self.status = 500 if known.code is Code.UNKNOWN else known.status
            return
        with contextlib.suppress(OSError):
            await self.answer(known)

    async def answer_stall(self) -> None:
        """The task was cancelled because nothing moved for too long."""
        self.task.uncancel()
        self.waiting = 0.0
        if self.started:
            return
        self.closing = True
        self.unread = False  # it does not come
        with contextlib.suppress(OSError):
            await self.answer(RegistryError(Code.BLOB_UPLOAD_INVALID, "the body stopped coming; resume it", status=408))

    def finish(self) -> None:
        """Count, log and trace."""
        edge, scope = self._edge, self.scope
        seconds = time.perf_counter() - self.start
        status = self.status or 499
        method, path = scope["method"], scope["path"]
        edge.metrics.request(route_of(scope), self.about.method, status, seconds, self.bytes_in, self.bytes_out)
        if (edge.log_reads if method in _READS and status < 400 else edge.log_infos) or status >= 500:
            client = scope.get("client")
            if forwarded := scope.get("gati.client"):
                client = (forwarded,)
            edge.access.append(
                Access(
                    time.time() - seconds, self.id, client[0] if client else "", method, path,
                    scope["query_string"].decode("latin-1"), scope["http_version"], status, seconds,
                    self.bytes_in, self.bytes_out, self.about.agent, self.complete,
                )
            )  # fmt: skip
        if edge.tracer is not None and edge.tracer.keep(status):
            self._trace(seconds, status)

    def _trace(self, seconds: float, status: int) -> None:
        method, route = self.about.method, route_of(self.scope)
        attributes: dict[str, Any] = {
            # Source: OpenTelemetry semantic conventions, HTTP server spans.
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "http.request.body.size": self.bytes_in,
            "http.response.body.size": self.bytes_out,
            "url.path": self.scope["path"],
            "url.scheme": self.scope["scheme"],
            "gati.request_id": self.id,
        }
        self._edge.tracer.span(
            f"{method} {route}",
            self.scope["headers"],
            attributes,
            time.time() - seconds,
            seconds,
            failed=status >= 500,
        )
