"""Requests as bytes: however they are cut they mean the same, and nothing is taken that h11 would refuse.

h11 is the strictest parser at hand that others have tried for years; where ours differs, it says so here.
"""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gati_registry.serving.framing import CHUNKED, Chunks, Head, Malformed, answer_head, head_end, parse_head

LIMIT = 1 << 20


def _ours(data: bytes) -> tuple[Head, bytes, bytes]:
    """The first request of `data`, its body, and what follows.

    Raises:
        Malformed: it is none, or not whole.
    """
    end = head_end(data, 0)
    if end < 0:
        raise Malformed
    head = parse_head(data[:end])
    rest = data[end:]
    if head.length == CHUNKED:
        chunks = Chunks()
        body = chunks.feed(rest)
        if chunks.over is None:
            raise Malformed
        return head, body, chunks.over
    if len(rest) < head.length:
        raise Malformed
    return head, rest[: head.length], rest[head.length :]


def _theirs(data: bytes) -> tuple[h11.Request, bytes, bytes]:
    """The same, by h11."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    connection.receive_data(data)
    try:
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            raise Malformed
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError:
        raise Malformed from None
    if not isinstance(event, h11.EndOfMessage):
        raise Malformed
    return request, body, connection.trailing_data[0]


PIECES = [
    b"GET", b"PUT", b"get", b" ", b"  ", b"\t", b"/", b"/a?b=c", b"*", b"http://h/", b"HTTP/1.1", b"HTTP/1.0",
    b"HTTP/1.9", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b"\x0b", b"\x7f", b"\xe9", b":", b": ", b" :", b",", b";",
    b"=", b'"', b"Host", b"Host: x\r\n", b"host:y\r\n", b"Content-Length", b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding", b"Transfer-Encoding: chunked\r\n", b"transfer-encoding:CHUNKED\r\n", b"chunked", b"identity",
    b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"X: y\r\n", b"X:\r\n", b"X", b"hello", b"5\r\nhello\r\n",
    b"5;a=b\r\nhello\r\n", b"5 ;a\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nT: u\r\n\r\n", b"0", b"5", b"+5", b"0x5", b"a",
]  # fmt: skip
JOINTS = [b" ", b": ", b":", b"\r\n", b"5", b"0", b"chunked", b"HTTP", b";"]
"""Before and in the place of which changes matter most."""
STARTS = [
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: u\r\n\r\n",
    b"PUT /a HTTP/1.0\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request with some changes, or something put together from what requests are made of."""
    if draw(st.integers(0, 9)):
        data, changes = draw(st.sampled_from(STARTS)), draw(st.integers(1, 2))
    else:
        data, changes = b"".join(draw(st.lists(st.sampled_from(PIECES), max_size=20))), 0
    for _ in range(changes):
        if draw(st.booleans()):
            old = draw(st.sampled_from(JOINTS))
            start = max(data.find(old, draw(st.integers(0, len(data)))), 0)
            end = start + draw(st.sampled_from([0, len(old)]))
        else:
            start = draw(st.integers(0, len(data)))
            end = start + draw(st.integers(0, 4))
        data = data[:start] + draw(st.sampled_from(PIECES) | st.binary(max_size=2)) + data[end:]
    return data + draw(st.sampled_from([b"", *STARTS]))


@settings(max_examples=3000, deadline=None)
@given(requests())
def test_nothing_is_taken_that_h11_refuses_or_reads_otherwise(data: bytes) -> None:
    try:
        head, body, rest = _ours(data)
    except Malformed:
        return  # what h11 takes may be refused
    # Taken by ours alone: an empty line before the request, and a Host that is missing, which the edge refuses.
    told = data.removeprefix(b"\r\n")
    if b"host" not in dict(head.headers):
        told = told.replace(b"\r\n", b"\r\nHost: \r\n", 1)
        head.headers.insert(0, (b"host", b""))
    request, their_body, their_rest = _theirs(told)
    assert (head.method, head.target) == (request.method.decode(), request.target)
    assert _lower_coding(head.headers) == _lower_coding(list(request.headers))
    assert (body, rest) == (their_body, their_rest)


def _lower_coding(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    # h11 does so.
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in headers]


@settings(max_examples=500, deadline=None)
@given(requests(), st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_a_body_means_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    def read(pieces: list[bytes]) -> tuple[bytes, bytes | None] | None:
        chunks, body = Chunks(), b""
        try:
            for piece in pieces:
                if chunks.over is not None:
                    chunks.over += piece
                else:
                    body += chunks.feed(piece)
        except Malformed:
            return None
        return body, chunks.over

    body = data.partition(b"\r\n\r\n")[2]
    pieces: list[bytes] = []
    position = 0
    while position < len(body):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(body[position : position + size])
        position += size
    assert read(pieces) == read([body])


@settings(max_examples=500, deadline=None)
@given(requests(), st.integers(0, 60))
def test_the_end_of_a_head_is_found_however_it_is_cut(data: bytes, cut: int) -> None:
    try:
        whole = head_end(data, 0)
    except Malformed:
        whole = 0
    buffer = bytearray(data[:cut])
    try:
        end = head_end(buffer, 0)
        if end < 0:
            buffer += data[cut:]
            end = head_end(buffer, cut)
    except Malformed:
        end = 0
    if end == whole:
        return
    assert end == 0, "sooner or later, but not elsewhere"
    if whole > 0:
        with pytest.raises(Malformed):
            parse_head(data[:whole])


@given(
    st.sampled_from([200, 404, 599]),
    st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=6)), max_size=4),
)
def test_an_answers_head_has_the_headers_that_it_was_given(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    try:
        head = answer_head(status, headers, bodiless=True, old=False, closes=False)
    except ValueError:
        return
    first, *lines, end, empty = head.data.split(b"\r\n")
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert lines == [name + b": " + value for name, value in headers]
    assert end == empty == b""
    assert not {b"\r", b"\n", b"\0"} & {bytes([byte]) for line in lines for byte in line}
