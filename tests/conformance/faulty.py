"""A proxy in front of a real registry that breaks its answers on purpose: a suite is worth what it can catch."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from tests.support.server import free_port

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came; `target` is its path and query, byte for byte."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """A header's value; empty when it is missing."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, about to be sent. `cut` closes the connection before the body has ended."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    cut: bool = False

    def header(self, name: str) -> str:
        """A header's value; empty when it is missing."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def without(self, *names: str) -> Reply:
        """The reply without some headers."""
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0].lower() not in names))

    def having(self, name: str, value: str) -> Reply:
        """The reply with a header instead of those of that name."""
        shorter = self.without(name.lower())
        return replace(shorter, headers=(*shorter.headers, (name, value)))

    def saying(self, body: bytes) -> Reply:
        """The reply with another body, and its length."""
        return replace(self.having("Content-Length", str(len(body))), body=body)


Forward = Callable[[Asked], Reply]
Fault = Callable[[Asked, Forward], Reply]


def sound(asked: Asked, forward: Forward) -> Reply:
    """No fault at all."""
    return forward(asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: ClassVar[str]
    fault: ClassVar[Fault]

    def _answer(self) -> None:
        asked = Asked(self.command, self.path, tuple(self.headers.items()), self._body())
        reply = type(self).fault(asked, self._forward)
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if not reply.header("content-length") and reply.status not in (204, 304):
            self.send_header("Connection", "close")
        self.end_headers()
        if asked.method != "HEAD":
            self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
        if reply.cut:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _forward(self, asked: Asked) -> Reply:
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            connection.putrequest(asked.method, asked.target, skip_host=True, skip_accept_encoding=True)
            for name, value in asked.headers:
                if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                    connection.putheader(name, value)
            if asked.body or asked.method in ("POST", "PUT", "PATCH"):
                connection.putheader("Content-Length", str(len(asked.body)))
            connection.endheaders(asked.body or None)
            response = connection.getresponse()
            body = response.read()
            headers = [pair for pair in response.getheaders() if pair[0].lower() not in _HOP_BY_HOP]
            return Reply(response.status, tuple(headers), body)
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:  # its parameters are named by the base class
        """Say nothing."""


@contextlib.contextmanager
def proxy(upstream: str, fault: Fault = sound) -> Iterator[str]:
    """HOST:PORT of a proxy that forwards to HOST:PORT `upstream`, for the length of a `with` block."""
    handler = type("Handler", (_Handler,), {"upstream": upstream, "fault": staticmethod(fault)})
    host = f"127.0.0.1:{free_port()}"
    server = ThreadingHTTPServer(("127.0.0.1", int(host.rpartition(":")[2])), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
