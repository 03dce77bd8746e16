"""HTTP/1.1 as bytes: a request's head, a chunked body, an answer's head. No I/O.

Strict where a proxy could read something else (RFC 9112 sections 2.2, 5 and 11.2): no folded lines, no bare line
feeds, no space before a colon, no control characters, one way to say where a body ends.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

Header = tuple[bytes, bytes]

CRLF = b"\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CHUNKED = -1
"""A body's length that its chunks tell."""
UNTIL_CLOSE = -2
"""A body's length that the connection's end tells: answers to HTTP/1.0 without Content-Length."""

# Bytes of a chunk's size and its extensions, or of all trailers.
LONGEST_LINE = 16 * 1024

_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]++"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
_FIELDS = rb"(?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*+"
# An empty line may stand before a request (RFC 9112 section 2.2).
_HEAD = re.compile(rb"(?:\r\n)?+(" + _TOKEN + rb") ([!-~]++) HTTP/1\.([0-9])\r\n(" + _FIELDS + rb")\r\n").fullmatch
_BEGINS = re.compile(rb"(?:\r\n?)?+(?:[-!#$%&'*+.^_`|~0-9A-Za-z]|\Z)").match
_CHUNK = re.compile(rb"\r\n([0-9A-Fa-f]{1,16})(?:;" + _VALUE + rb")?+\r\n").match
_TRAILERS = re.compile(_FIELDS + rb"\r\n").match
_FRAMES = re.compile(rb"(?:^|\n)(?:content-length|transfer-encoding):", re.IGNORECASE).search
_LENGTH = re.compile(rb"[0-9]{1,19}").fullmatch
_NAME = re.compile(_TOKEN).fullmatch
_TEXT = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_SPECIAL = frozenset({b"connection", b"content-length", b"expect", b"host", b"transfer-encoding"})


class Malformed(Exception):
    """The client does not speak HTTP/1.1; `status` is the answer that it gets, and its last."""

    def __init__(self, status: int = 400) -> None:
        super().__init__(status)
        self.status = status


class Head(NamedTuple):
    """A request's head."""

    method: str
    target: bytes
    version: str
    headers: list[Header]  # names in lower case
    length: int  # of the body, in bytes; or CHUNKED
    closes: bool  # the client wants no further request on this connection
    expects: bool  # it waits for "100 Continue"


def head_end(data: bytes | bytearray, start: int) -> int:
    """Where the head ends that `data` begins with; -1 while it does not, as far as can be told from `start` on.

    Raises:
        Malformed: this will never be a head.
    """
    end = data.find(b"\r\n\r\n", max(start - 3, 0))
    if end == 0:  # the empty line that may come before a request, and the beginning of another one
        end = data.find(b"\r\n\r\n", 2)
    if end >= 0:
        return end + 4
    if not _BEGINS(data) or data.count(b"\n", start) != data.count(CRLF, max(start - 1, 0)):
        raise Malformed
    return -1


def parse_head(data: bytes) -> Head:
    """Parse a head, up to and with its empty line.

    Raises:
        Malformed: 400; 501 for a transfer coding other than chunked.
    """
    match = _HEAD(data)
    if match is None:
        raise Malformed
    method, target, minor, fields = match.groups()
    headers: list[Header] = []
    seen: dict[bytes, bytes] = {}
    for line in fields.split(CRLF)[:-1]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        headers.append((name, value))
        if name in _SPECIAL:
            if name in seen:
                if name not in {b"connection", b"expect"}:
                    raise Malformed
                value = seen[name] + b"," + value
            seen[name] = value
    old = minor == b"0"
    return Head(
        # As it is: to a proxy `head` is no HEAD, and its answer has a body.
        method.decode("ascii"),
        target,
        "1.0" if old else "1.1",
        headers,
        _body_length(seen, old),
        old or b"close" in _tokens(seen.get(b"connection")),
        not old and b"100-continue" in _tokens(seen.get(b"expect")),
    )


def _body_length(seen: dict[bytes, bytes], old: bool) -> int:
    coding, length = seen.get(b"transfer-encoding"), seen.get(b"content-length")
    if coding is not None:
        # RFC 9112 section 6.1: both is an attack or a mistake, and HTTP/1.0 knows no codings.
        if old or length is not None:
            raise Malformed
        if coding.lower() != b"chunked":
            raise Malformed(501)
        return CHUNKED
    if length is None:
        return 0
    if not _LENGTH(length):
        raise Malformed
    return int(length)


def _tokens(value: bytes | None) -> Iterable[bytes]:
    return () if value is None else [token.strip() for token in value.lower().split(b",")]


class Chunks:
    """Takes a chunked body apart (RFC 9112 section 7.1). Extensions and trailers are read and dropped."""

    __slots__ = ("_left", "_rest", "_trailing", "over")

    def __init__(self) -> None:
        self._left = 0  # bytes to come of a chunk that has begun
        self._rest = CRLF  # not understood yet; as if a chunk had just ended
        self._trailing = False
        self.over: bytes | None = None  # after the end: what came behind it

    def feed(self, data: bytes) -> bytes:
        """The content in the next bytes from the client.

        Raises:
            Malformed: not chunked.
        """
        pieces: list[bytes] = []
        if self._rest:
            data, self._rest = self._rest + data, b""
        position = 0
        while not self._trailing:
            if self._left:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if self._left:
                    return b"".join(pieces)
            match = _CHUNK(data, position)
            if match is None:
                self._keep(data[position:], data.find(b"\n", position + 2) >= 0)
                return b"".join(pieces)
            position = match.end()
            self._left = int(match[1], 16)
            self._trailing = not self._left
        match = _TRAILERS(data, position)
        if match is None:
            rest = data[position:]
            self._keep(rest, rest.startswith(CRLF) or b"\r\n\r\n" in rest)
        elif _FRAMES(match[0]):
            raise Malformed  # no trailer may say where a body ends (RFC 9110 section 6.5.1)
        else:
            self.over = data[match.end() :]
        return b"".join(pieces)

    def _keep(self, rest: bytes, hopeless: bool) -> None:
        if hopeless or len(rest) > LONGEST_LINE:
            raise Malformed
        self._rest = rest


def _status_line(code: int) -> bytes:
    try:
        phrase = HTTPStatus(code).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {code} {phrase}\r\n".encode("ascii")


_STATUS_LINES = {code: _status_line(code) for code in range(200, 600)}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class AnswerHead(NamedTuple):
    """An answer's head as it goes out, and what it says."""

    data: bytes
    length: int  # of the body, in bytes; or CHUNKED or UNTIL_CLOSE
    closes: bool  # the connection ends after the answer


def answer_head(status: int, headers: Iterable[Header], *, bodiless: bool, old: bool, closes: bool) -> AnswerHead:
    """Write an answer's head.

    Args:
        status: 200 to 599.
        headers: their names in any case.
        bodiless: no body follows, whatever the headers say of its length.
        old: for HTTP/1.0.
        closes: the connection ends after the answer, even if the headers do not say so.

    Raises:
        KeyError: no such status.
        ValueError: a header that is none, or that would split the answer.
    """
    lines = [_STATUS_LINES[status]]
    length = None
    said = False
    for name, value in headers:
        line, special = _line(name, value) if name in _UNIQUE else _repeated(name, value)
        lines.append(line)
        if not special:
            continue
        if special == b"content-length":
            if length is not None or not _LENGTH(value):
                raise ValueError("an answer needs one Content-Length that is a number")
            length = int(value)
        elif special == b"connection":
            said = said or b"close" in _tokens(value)
        elif special == b"transfer-encoding":
            raise ValueError("an answer's transfer coding is the server's business")
    if length is None and not bodiless:
        length = UNTIL_CLOSE if old else CHUNKED
        if not old:
            lines.append(b"transfer-encoding: chunked\r\n")
    if closes and not said:
        lines.append(b"connection: close\r\n")
    lines.append(CRLF)
    return AnswerHead(b"".join(lines), 0 if bodiless or length is None else length, closes or said)


def _line(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A header's line, and the lower-case name of one that says something about the body or the connection."""
    start, special = _start(name)
    if value.translate(None, _TEXT):
        raise ValueError("an answer's header has a control character or a line end in its value")
    return b"%s%s\r\n" % (start, value), special


# Most headers are those of an answer before, and need no second look; the others would only push them out.
_repeated = functools.lru_cache(maxsize=4096)(_line)
_UNIQUE = frozenset({b"x-request-id", b"location", b"docker-upload-uuid"})


# Names are few: each is checked once.
@functools.lru_cache(maxsize=1024)
def _start(name: bytes) -> tuple[bytes, bytes]:
    if not _NAME(name):
        raise ValueError("an answer's header has a name that is none")
    lower = name.lower()
    return name + b": ", lower if lower in _SPECIAL else b""
