"""HTTP/1.1 by hand: what no client library would send, and a strict reader of what comes back."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.support.server import RegistryProcess

PATIENCE = 20.0
"""Seconds that an answer may take; a server that needs more hangs."""

Headers = Iterable[tuple[str, str]] | Mapping[str, str]


class NoAnswer(Exception):
    """The server closed the connection without one byte of an answer."""


class BadAnswer(AssertionError):
    """What came is not HTTP/1.1, or breaks off."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One final answer. Header names are in lower case; repeated headers all stand in `fields`."""

    status: int
    fields: Sequence[tuple[str, str]]
    body: bytes
    interim: Sequence[int] = ()

    def header(self, name: str) -> str | None:
        """The header's value; None without one.

        Raises:
            BadAnswer: there are several.
        """
        found = [value for key, value in self.fields if key == name]
        if len(found) > 1:
            raise BadAnswer(f"{name} stands {len(found)} times in the answer")
        return found[0] if found else None

    def headers(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for key, value in self.fields if key == name]

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        """Whether the server says that it closes the connection."""
        return "close" in (self.header("connection") or "").lower()


class Wire:
    """One TCP connection."""

    def __init__(self, address: tuple[str, int], *, patience: float = PATIENCE) -> None:
        self.socket = socket.create_connection(address, timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._patience = patience
        self._buffer = bytearray()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send; a server that has closed already is no error here: its answer may still be there to read."""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            self.socket.sendall(data)

    def request(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send one request, with Content-Length and Host unless they are given, and read its answer."""
        self.send(head(method, target, headers, body) + body)
        return self.answer(method)

    def answer(self, method: str = "GET", *, patience: float | None = None) -> Answer:
        """Read one answer whole, within `patience` seconds.

        Raises:
            NoAnswer: the connection was closed before it began.
            BadAnswer: it is malformed, breaks off, or does not come in time.
        """
        interim: list[int] = []
        deadline = time.monotonic() + (self._patience if patience is None else patience)
        while True:
            status, fields = self._head(deadline)
            if status >= 200:
                break
            interim.append(status)
        lengths = [value for key, value in fields if key == "content-length"]
        encodings = [value for key, value in fields if key == "transfer-encoding"]
        if len(lengths) > 1 or (lengths and encodings):
            raise BadAnswer(f"ambiguous framing: {fields}")
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif lengths:
            body = self._exactly(int(lengths[0]), deadline)
        elif encodings:
            body = self._chunked(deadline)
        else:
            body = self._rest(deadline)
        return Answer(status, tuple(fields), body, tuple(interim))

    def closed(self, *, within: float = PATIENCE) -> bool:
        """Whether the server closes the connection, without another byte, within some seconds."""
        if self._buffer:
            return False
        self.socket.settimeout(within)
        try:
            return not self.socket.recv(1)
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def half_close(self) -> None:
        """Say that nothing more comes; answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Close with a reset, as a client that died."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        """Close."""
        self.socket.close()

    # --- inside -------------------------------------------------------------------------------------------------

    def _more(self, deadline: float) -> bool:
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            raise BadAnswer(f"no answer within the time allowed; so far {bytes(self._buffer[:200])!r}") from None
        except ConnectionError:
            data = b""
        self._buffer += data
        return bool(data)

    def _head(self, deadline: float) -> tuple[int, list[tuple[str, str]]]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._more(deadline):
                if not self._buffer:
                    raise NoAnswer
                raise BadAnswer(f"broken off in the head: {bytes(self._buffer[:200])!r}")
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        version, _, rest = lines[0].partition(" ")
        status = rest[:3]
        if version != "HTTP/1.1" or not status.isdigit():
            raise BadAnswer(f"no status line: {lines[0]!r}")
        fields: list[tuple[str, str]] = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip() or "\r" in value or "\n" in value or "\0" in value:
                raise BadAnswer(f"no header: {line!r}")
            fields.append((name.lower(), value.strip()))
        return int(status), fields

    def _exactly(self, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            if not self._more(deadline):
                raise BadAnswer(f"body broken off after {len(self._buffer)} of {size} bytes")
        body = bytes(self._buffer[:size])
        del self._buffer[:size]
        return body

    def _line(self, deadline: float) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._more(deadline):
                raise BadAnswer("chunked body broken off")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _chunked(self, deadline: float) -> bytes:
        body = bytearray()
        while size := int(self._line(deadline).partition(b";")[0], 16):
            body += self._exactly(size, deadline)
            if self._line(deadline):
                raise BadAnswer("a chunk is longer than it says")
        while self._line(deadline):
            pass
        return bytes(body)

    def _rest(self, deadline: float) -> bytes:
        while self._more(deadline):
            pass
        body = bytes(self._buffer)
        self._buffer.clear()
        return body


def address(server: RegistryProcess) -> tuple[str, int]:
    """Where a server listens."""
    return "127.0.0.1", server.port


def connect(server: RegistryProcess, *, patience: float = PATIENCE) -> Wire:
    """A new connection to a server."""
    return Wire(address(server), patience=patience)


def head(method: str, target: str, headers: Headers = (), body: bytes = b"") -> bytes:
    """A request's head. Content-Length and Host are added unless they, or Transfer-Encoding, are given."""
    fields = list(headers.items() if isinstance(headers, Mapping) else headers)
    names = {name.lower() for name, _ in fields}
    if "host" not in names:
        fields.insert(0, ("Host", "registry.test"))
    if not names & {"content-length", "transfer-encoding"} and (body or method in ("POST", "PUT", "PATCH")):
        fields.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunked(*parts: bytes) -> bytes:
    """A body in chunked transfer coding."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"


def ask(server: RegistryProcess, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    with connect(server) as wire:
        return wire.request(method, target, headers, body)


class Client:
    """Requests to one server, one after the other, on one connection as long as the server keeps it."""

    def __init__(self, server: RegistryProcess) -> None:
        self._server = server
        self._wire: Wire | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        if self._wire is not None:
            self._wire.close()

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """One request."""
        wire = self._wire or connect(self._server)
        self._wire = None
        try:
            answer = wire.request(method, target, headers, body)
        except BaseException:
            wire.close()
            raise
        if answer.closes:
            wire.close()
        else:
            self._wire = wire
        return answer


def ask_raw(server: RegistryProcess, data: bytes, method: str = "GET") -> Answer:
    """Bytes as they are on a connection of their own, and the first answer."""
    with connect(server) as wire:
        wire.send(data)
        return wire.answer(method)


def answers(wire: Wire) -> Iterator[Answer]:
    """Every further answer until the server closes the connection."""
    with contextlib.suppress(NoAnswer):
        while True:
            answer = wire.answer()
            yield answer
            if answer.closes:
                return
