"""One request and its answer, straight on ASGI.

The registry's own endpoints do without a framework's request and response objects: at a few microseconds each they
would be most of the cost of a small GET.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from gati_registry.domain.access import ANONYMOUS, Caller
from gati_registry.domain.upload import size_mismatch
from gati_registry.errors import ClientDisconnected, Code, RegistryError
from gati_registry.http.memo import MEMO, Memo
from gati_registry.http.observe.logs import request_id
from gati_registry.ports import BlobRow, FileBacked, ManifestRow
from gati_registry.values.reference import RepositoryName

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

ReceiveInto = Callable[[memoryview], Awaitable[Message]]

RECEIVE_INTO = "gati.receive_into"
"""What a server offers in a scope's `extensions` where a body's bytes can go straight into the application's buffer.

Called with a view of at least one byte, it fills that with the body's next bytes and returns when it is full, at the
body's end, with the first bytes that come after `FILL_TIME`, or with what came until the client went away. Its message
is that of `receive`, with the number of bytes under `size` in place of `body`. It may take turns with `receive`.
Whoever cancels it has the view back as soon as it has raised.
"""

FILL_TIME = 0.25
"""Seconds; a large buffer is filled in many steps by a slow client, lest it looks like one that has stopped."""

CERTIFICATE = "gati.certificate"
"""Where servers put a connection's client certificate (DER) in a request's scope, once TLS has checked it."""

ZEROCOPY = "http.response.zerocopysend"
"""ASGI's extension and its message: a stretch of a file is the next part of the body. `offset` and `count` are not left
out here.

Source: https://asgi.readthedocs.io/en/latest/extensions.html#zero-copy-send
"""

_BODILESS = frozenset({204, 304})
_NOTHING: Mapping[str, Any] = {}
_NOWHERE = RepositoryName("")


class Exchange:
    """A request with the means to answer it. `name` and `reference` are the path's parts as the router split it."""

    __slots__ = (
        "_headers", "_query", "began", "extra", "held", "memo", "method", "name", "path", "receive", "reference",
        "scope", "send", "sent", "served", "started",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        self.began = time.monotonic()
        # What requests with the same head share, and what of it was decided on: see `http.memo`.
        self.memo: Memo = scope.get(MEMO) or Memo()
        self.held: dict[str, Any] = {}
        self._headers = self.memo.headers
        self.path = ""
        self.name = _NOWHERE
        self.reference = ""
        self.started = False
        # Headers of the answer, whatever it is.
        self.extra: list[Header] = []
        # What content the answer carried, for observers.
        self.served: ManifestRow | BlobRow | None = None
        # Bytes of the answer's body, sent by whomever.
        self.sent = 0
        self._query: dict[str, list[str]] | None = None

    # --- request ------------------------------------------------------------------------------------------------

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name; None if absent. Repeated ones are joined by commas."""
        if self._headers is None:
            joined: dict[bytes, str] = {}
            for key, value in self.scope["headers"]:
                text = value.decode("latin-1")
                joined[key] = f"{joined[key]}, {text}" if key in joined else text
            self._headers = self.memo.headers = joined
        return self._headers.get(name)

    @property
    def address(self) -> str:
        """The client's address; what a trusted proxy says of it comes first."""
        forwarded: str | None = self.scope.get("gati.client")
        if forwarded is not None:
            return forwarded
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def origin(self) -> str:
        """Scheme, host and port under which the client reached us."""
        known: str = self.scope.get("gati.origin", "")
        return known or f"{self.scope.get('scheme', 'http')}://{self.header(b'host') or 'localhost'}"

    @property
    def certificate(self) -> bytes | None:
        """The client's certificate (DER), if the listener asked for one."""
        found: bytes | None = self.scope.get(CERTIFICATE)
        return found

    @property
    def caller(self) -> Caller:
        """Who asks, once that was found out."""
        return Caller(
            self.scope.get("gati.identity", ANONYMOUS),
            self.address,
            self.header(b"user-agent") or "",
            request_id.get(),
            self.began,
        )

    def queries(self, name: str) -> list[str]:
        """All values of a query parameter; unknown parameters are nobody's business."""
        if self._query is None:
            raw: bytes = self.scope["query_string"]
            try:
                # How many there may be is bounded by the target's length.
                self._query = parse_qs(raw.decode("ascii"), keep_blank_values=True, errors="strict")
            except (ValueError, UnicodeError):
                raise RegistryError(
                    Code.UNSUPPORTED, "malformed query string; percent-encode it as UTF-8", status=400
                ) from None
        return self._query.get(name, [])

    def query(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = self.queries(name)
        return values[0] if values else None

    # --- answer -------------------------------------------------------------------------------------------------

    async def answer(self, status: int, headers: list[Header], body: bytes = b"", *, length: int | None = None) -> None:
        """The whole answer with its Content-Length: `length` where HEAD tells of a body that it does not carry."""
        if status not in _BODILESS:
            headers.append((b"content-length", b"%d" % (len(body) if length is None else length)))
        await self.start(status, headers)
        if self.method == "HEAD":
            body = b""
        self.sent += len(body)
        await self.send({"type": "http.response.body", "body": body})

    async def ready(self, status: int, headers: tuple[Header, ...], body: bytes) -> None:
        """The whole answer, made before: Content-Length is among its headers, HEAD's has no body."""
        self.started = True
        more = (*headers, *self.extra) if self.extra else headers
        self.sent += len(body)
        await self.send({"type": "http.response.start", "status": status, "headers": more})
        await self.send({"type": "http.response.body", "body": body})

    async def start(self, status: int, headers: list[Header]) -> None:
        """Begin an answer whose body follows by `part`."""
        self.started = True
        headers += self.extra
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def part(self, body: bytes, *, more: bool) -> None:
        """A piece of the body."""
        self.sent += len(body)
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    @property
    def sends_files(self) -> bool:
        """Whether the server takes `stretch`."""
        return ZEROCOPY in self.scope.get("extensions", ())

    async def stretch(self, file: FileBacked, offset: int, count: int, *, more: bool) -> None:
        """A piece of the body that the kernel takes out of a file."""
        self.sent += count
        await self.send({"type": ZEROCOPY, "file": file, "offset": offset, "count": count, "more_body": more})

    async def fail(self, error: RegistryError) -> None:
        """The error as the protocol writes it."""
        headers = [(key.lower().encode(), value.encode("latin-1", "replace")) for key, value in error.headers.items()]
        headers.append((b"content-type", b"application/json"))
        await self.answer(error.status, headers, error.body())


class RequestBody:
    """A request's body as `service.staging.Body`."""

    def __init__(self, exchange: Exchange) -> None:
        self._receive = exchange.receive
        self._receive_into: ReceiveInto | None = exchange.scope.get("extensions", _NOTHING).get(RECEIVE_INTO)
        self._received = 0
        self._more = True
        self.length = _content_length(exchange)
        self.into = None if self._receive_into is None else self._into

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes that are still to be read, as they come.

        Raises:
            ClientDisconnected: the client went away.
            RegistryError: SIZE_INVALID where more or fewer bytes came than announced.
        """
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while self._more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            chunk: bytes = message.get("body", b"")
            self._count(len(chunk), message)
            if chunk:
                return chunk
        self._check_length()
        raise StopAsyncIteration

    async def _into(self, view: memoryview) -> int:
        if not self._more:
            self._check_length()
            return 0
        assert self._receive_into is not None
        message = await self._receive_into(view)
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        size: int = message["size"]
        self._count(size, message)
        return size

    def _count(self, size: int, message: Message) -> None:
        self._received += size
        self._more = message.get("more_body", False)
        if self.length is not None and self._received > self.length:
            raise size_mismatch(self.length, self._received)

    def _check_length(self) -> None:
        if self.length is not None and self._received != self.length:
            raise size_mismatch(self.length, self._received)

    async def whole(self, limit: int) -> bytes:
        """All of it, if that is at most `limit` bytes.

        Raises:
            RegistryError: 413 SIZE_INVALID.
        """
        too_large = RegistryError(
            Code.SIZE_INVALID, f"the request's body may have at most {limit} bytes", status=413, detail={"limit": limit}
        )
        if self.length is not None and self.length > limit:
            raise too_large
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise too_large
            parts.append(chunk)
        return b"".join(parts)


def _content_length(exchange: Exchange) -> int | None:
    text = exchange.header(b"content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise RegistryError(Code.SIZE_INVALID, "malformed Content-Length")
    return int(text)
