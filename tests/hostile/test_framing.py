"""Requests whose ends are unclear: lying lengths, two framings at once, broken chunks, half a head, several at once.

Where a server and the proxy before it disagree on where a request ends, one client's bytes become another's request.
So whatever is ambiguous is refused and ends its connection: nothing after it is ever taken for a request.

Sources: RFC 9110, RFC 9112 sections 2.2, 3, 5 to 7 and 11.2.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.hostile.content import LARGE, OCI_MANIFEST, SEED, SMALL, digest_of, start_upload
from tests.hostile.core import core
from tests.hostile.health import Watch
from tests.hostile.spec import assert_error, problem
from tests.hostile.trace import no_trace
from tests.hostile.wire import NoAnswer, answers, ask, ask_raw, chunked, connect, head
from tests.support.server import RegistryProcess

HOST = b"Host: registry.test\r\n"
PUT = b"PUT /v2/seed/app/manifests/smuggled HTTP/1.1\r\n" + HOST
SECOND = b"GET /v2/seed/secret/manifests/v1 HTTP/1.1\r\n" + HOST + b"\r\n"
"""What would be answered with 200 if it were taken for a request."""


@pytest.fixture(scope="module", params=["hypercorn", "uvicorn"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A server for each of the HTTP servers that the registry runs on."""
    if request.param == "uvicorn":
        pytest.importorskip("uvicorn", reason="the extra `fast` is not installed")
    with core(tmp_path_factory.mktemp("framing") / "data", args=("--open", "--server", request.param)) as server:
        SEED.plant(server)
        watch = Watch(server)
        yield server
        watch.check()
        SEED.check(server)


AMBIGUOUS = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "chunked and no length": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    "two lengths in one": b"Content-Length: 5, 0\r\n\r\n0\r\n\r\n",
    "length with a sign": b"Content-Length: +5\r\n\r\n0\r\n\r\n",
    "length below zero": b"Content-Length: -5\r\n\r\n0\r\n\r\n",
    "length in hexadecimal": b"Content-Length: 0x5\r\n\r\n0\r\n\r\n",
    "length in words": b"Content-Length: five\r\n\r\n0\r\n\r\n",
    "length empty": b"Content-Length:\r\n\r\n0\r\n\r\n",
    "length with a space": b"Content-Length: 5 0\r\n\r\n0\r\n\r\n",
    "length with an underscore": b"Content-Length: 1_0\r\n\r\n0\r\n\r\n",
    "length not in ASCII": "Content-Length: \u00b2\r\n\r\n0\r\n\r\n".encode("latin-1"),
    "length of another script": "Content-Length: \u0665\r\n\r\n0\r\n\r\n".encode(),
    "length with a dot": b"Content-Length: 5.0\r\n\r\n0\r\n\r\n",
    "space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "space before the length's colon": b"Content-Length : 5\r\n\r\n0\r\n\r\n",
    "vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "nul in the value": b"Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n",
    "nul in the name": b"Transfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "quoted coding": b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "identity": b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "coded twice": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then another": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunk size below zero": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "chunk size in words": b"Transfer-Encoding: chunked\r\n\r\nten\r\n\r\n",
    "chunk size with a prefix": b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "chunk longer than it says": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n",
    "header without a colon": b"Content-Length 5\r\n\r\n0\r\n\r\n",
    "header without a name": b": 5\r\n\r\n",
    "header name with a space": b"Content Length: 5\r\n\r\n",
    "carriage return alone": b"X-A: b\rContent-Length: 5\r\n\r\n0\r\n\r\n",
    "nul in a header": b"X-A: b\0c\r\n\r\n",
    "a second host": HOST + b"Content-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_request_ends_the_connection(either: RegistryProcess, name: str) -> None:
    with no_trace(either), connect(either) as wire:
        wire.send(PUT + AMBIGUOUS[name] + SECOND)
        found = list(answers(wire))
        assert len(found) == 1, found
        assert found[0].status in (400, 501), found[0]
        assert found[0].closes
        assert wire.closed()


@pytest.mark.parametrize(
    "start",
    [
        b"\0\0\0\0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"GET\r\n\r\n",
        b"\r\n\r\nGET\r\n\r\n",
        b"GET /v2/ HTTP/1.1 x\r\n" + HOST + b"\r\n", b"GET /v2/ HTTX/1.1\r\n\r\n",
        b"GET /v2/ HTTP/1\r\n\r\n", b"GET /v2/ HTTP/11.1\r\n\r\n", b"GE\0T /v2/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"{}[] /v2/ HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /v2/ HTTP/1.1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n", b"\xff\xfe" * 50 + b"\r\n\r\n", b" GET /v2/ HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)  # fmt: skip
def test_no_request_at_all(either: RegistryProcess, start: bytes) -> None:
    with no_trace(either), connect(either) as wire:
        wire.send(start)
        found = list(answers(wire))
        assert [answer.status for answer in found] in ([400], []), found
        assert wire.closed()


def test_clear_text_http2_is_not_spoken(either: RegistryProcess) -> None:
    """Neither with prior knowledge nor by upgrade; the upgrade's request is answered as it stands."""
    with connect(either) as wire:
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        assert {answer.status for answer in answers(wire)} <= {400, 404, 405}
    upgrade = {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    assert ask(either, "GET", "/v2/", upgrade).status == 200


def test_websocket_is_refused(either: RegistryProcess) -> None:
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    for key in ("dGhlIHNhbXBsZSBub25jZQ==", "", "x" * 5000):
        assert ask(either, "GET", "/v2/", {**fields, "Sec-WebSocket-Key": key}).status in (200, 400, 403)


def test_http_1_0(either: RegistryProcess) -> None:
    """Answered and closed; without Host too. What follows is never a second request."""
    request = b"GET /v2/seed/app/manifests/v1 HTTP/1.0\r\n\r\n"
    with connect(either) as wire:
        wire.send(request)
        answer = wire.answer()
        assert (answer.status, answer.body) == (200, SEED.manifest)
        assert answer.closes
        assert wire.closed()
    with connect(either) as wire:
        wire.send(request + SECOND)
        assert [answer.status for answer in answers(wire)] in ([200], [400])


def test_absolute_form(either: RegistryProcess) -> None:
    """Every server must take it (RFC 9112 section 3.2.2); its host is no more than a Host header."""
    for origin in ("http://registry.test", "http://evil.test:1", "https://evil.test"):
        assert ask(either, "GET", f"{origin}/v2/seed/app/manifests/v1").body == SEED.manifest
        answer = ask(either, "POST", f"{origin}/v2/seed/app/blobs/uploads/?digest={digest_of(b'x')}", body=b"y")
        assert_error(answer, 400, "DIGEST_INVALID")
        assert "evil" not in str(answer.fields)


@pytest.mark.parametrize(
    "target", ["*", "registry.test:443", "v2/", "?n=1", "http:", "http://", "file:///etc/passwd", "//", "\\v2\\"]
)
def test_targets_that_are_no_path(either: RegistryProcess, target: str) -> None:
    with no_trace(either):
        for method in ("GET", "OPTIONS", "CONNECT"):
            answer = ask(either, method, target)
            assert answer.status in (400, 404, 405), answer
            assert not answer.body or answer.closes or problem(answer) is None


@pytest.mark.parametrize("stop", ["length", "chunked"])
@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_fewer_bytes_than_announced(either: RegistryProcess, stop: str, body: bytes) -> None:
    """The client stops and says so, or vanishes: nothing is kept of a blob, a manifest or a small chunk; of a large one
    what came may be."""
    with no_trace(either):
        session = start_upload(either, SEED.repository)
        requests = [
            ("POST", f"/v2/{SEED.repository}/blobs/uploads/?digest={digest_of(body)}"),
            ("PUT", f"/v2/{SEED.repository}/manifests/short"),
            ("PATCH", session),
            ("PUT", f"{session}?digest={digest_of(body)}"),
        ]
        for method, target in requests:
            for end in ("half close", "close", "abort"):
                with connect(either) as wire:
                    fields = {"Content-Type": OCI_MANIFEST}
                    if stop == "length":
                        wire.send(head(method, target, {**fields, "Content-Length": str(len(body) + 1)}) + body)
                    else:
                        unfinished = chunked(body).removesuffix(b"0\r\n\r\n")
                        wire.send(head(method, target, {**fields, "Transfer-Encoding": "chunked"}) + unfinished)
                    if end == "half close":
                        wire.half_close()
                        with contextlib.suppress(NoAnswer):
                            assert 400 <= wire.answer(method).status < 500
                    elif end == "abort":
                        wire.abort()
        state = ask(either, "GET", session)
        assert state.status == 204
        assert int((state.header("range") or "").removeprefix("0-")) < max(1, 3 * len(body) if body == LARGE else 0)
        assert ask(either, "DELETE", session).status == 204


def test_more_bytes_than_announced(either: RegistryProcess) -> None:
    """What follows the announced length is the next request, and none: it is refused and nothing is kept."""
    digest = digest_of(SMALL + b"more")
    with no_trace(either), connect(either) as wire:
        target = f"/v2/{SEED.repository}/blobs/uploads/?digest={digest}"
        wire.send(head("POST", target, {"Content-Length": str(len(SMALL))}) + SMALL + b"more\r\n\r\n")
        assert {answer.status for answer in answers(wire)} == {400}
        assert wire.closed()


def test_pipelining(either: RegistryProcess) -> None:
    """Requests sent at once are answered in their order, also behind a refused one."""
    reading = head("GET", f"/v2/{SEED.repository}/manifests/{SEED.tag}")
    wrong = head("PUT", f"/v2/{SEED.repository}/manifests/x", {"Content-Type": OCI_MANIFEST}, b"{") + b"{"
    last = head("GET", f"/v2/{SEED.repository}/blobs/{digest_of(SMALL)}", {"Connection": "close"})
    with no_trace(either), connect(either) as wire:
        wire.send(reading + wrong + reading + wrong + wrong + last)
        found = [answer.status for answer in answers(wire)]
        assert found == [200, 400, 200, 400, 400, 200]


def test_pipelined_flood(either: RegistryProcess) -> None:
    """Hundreds of requests whose answers nobody reads; then the client goes."""
    with connect(either) as wire:
        wire.socket.settimeout(0.5)
        try:
            for _ in range(40):
                wire.socket.sendall(head("GET", f"/v2/{SEED.repository}/blobs/{digest_of(LARGE)}") * 10)
        except TimeoutError:
            pass  # the server stopped reading: as it should
        wire.abort()
    SEED.check(either)


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
def test_expect_continue(either: RegistryProcess, expectation: str) -> None:
    """A good client waits for the word; one that is refused at once need not send its body at all."""
    digest = digest_of(LARGE)
    with connect(either) as wire:
        target = f"/v2/{SEED.repository}/blobs/uploads/?digest={digest}"
        wire.send(head("POST", target, {"Expect": expectation, "Content-Length": str(len(LARGE))}))
        wire.send(LARGE)
        answer = wire.answer("POST")
        assert (answer.status, answer.interim) == (201, (100,))
    with no_trace(either), connect(either) as wire:
        target = f"/v2/{SEED.repository}/blobs/uploads/?digest=sha256:x"
        wire.send(head("POST", target, {"Expect": expectation, "Content-Length": str(10**9)}))
        assert_error(wire.answer("POST"), 400, "DIGEST_INVALID")


def test_lines_folded_and_unusual(either: RegistryProcess) -> None:
    """A folded line is refused or read as one, a bare line feed is refused or ends a line: there is no third way."""
    with no_trace(either):
        for data in (
            b"GET /v2/ HTTP/1.1\r\n" + HOST + b"X-A: b\r\n c\r\n\r\n",
            b"GET /v2/ HTTP/1.1\nHost: registry.test\n\n",
            b"\r\nGET /v2/ HTTP/1.1\r\n" + HOST + b"\r\n",
        ):
            assert ask_raw(either, data).status in (200, 400)
        folded = b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
        with connect(either) as wire:
            wire.send(PUT + folded + SECOND)
            found = list(answers(wire))
            assert len(found) == 1, found
            assert found[0].status == 400
