"""What HTTP/1.1 promises byte by byte, on both servers: framing, pipelines, early words, refusals, odd answers."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.serving.processes import demo, started, tls_flags
from tests.serving.raw import RawClient, get
from tests.support.server import RegistryProcess, wait_for

MIB = 1024 * 1024
HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHUNKED = b"PUT /sink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module", params=["hypercorn", "uvicorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    if request.param == "uvicorn":
        pytest.importorskip("uvicorn", reason="the extra `fast` is not installed")
    folder = tmp_path_factory.mktemp("http11")
    with started(demo(folder / "data", "--server", str(request.param))) as server:
        yield server


@pytest.fixture
def client(server: RegistryProcess) -> RawClient:
    return RawClient(server.host)


def _everything(client: RawClient) -> bytes:
    """All that comes until the server closes the connection.

    Raises:
        ConnectionResetError: it does not close it properly.
    """
    data = bytearray(client.buffer)
    while part := client.socket.recv(65536):
        data += part
    return bytes(data)


def _received(client: RawClient) -> int:
    answer = client.answer()
    assert answer.status == 200
    return int(json.loads(answer.body)["received"])


# --- the application's view -----------------------------------------------------------------------------------------


SCOPE = {
    "type": "str", "http_version": "str", "asgi": "dict", "method": "str", "scheme": "str", "path": "str",
    "raw_path": "bytes", "query_string": "bytes", "root_path": "str", "headers": "list", "client": "tuple",
    "server": "tuple", "state": "dict", "extensions": "dict",
}  # fmt: skip


def test_the_scope(server: RegistryProcess) -> None:
    client = RawClient(server.host)
    client.request("GET", "/sc%6Fpe?a=%20b&c", "X-Name:  some value\t", "X-NAME: other", "Cookie: \u00e9")
    found = json.loads(client.answer().body)
    assert {name: found["types"].get(name) for name in SCOPE} == SCOPE
    values = found["values"]
    assert (values["method"], values["http_version"], values["scheme"]) == ("'GET'", "'1.1'", "'http'")
    assert (values["path"], values["raw_path"], values["query_string"]) == ("'/scope'", "b'/sc%6Fpe'", "b'a=%20b&c'")
    headers = [(b"host", b"x"), (b"x-name", b"some value"), (b"x-name", b"other"), (b"cookie", b"\xe9")]
    assert values["headers"] == repr(headers)
    assert values["client"] == repr(client.socket.getsockname())
    assert values["server"] == repr(("127.0.0.1", server.port))


def test_the_scheme_over_tls(tmp_path: Path, certificate: tuple[Path, Path], http_server: str) -> None:
    server = demo(tmp_path / "data", "--server", http_server, *tls_flags(certificate), scheme="https")
    context = ssl.create_default_context(cafile=certificate[0])
    with started(server):
        client, idle = RawClient(server.host), RawClient(server.host)
        for one in (client, idle):
            one.socket = context.wrap_socket(one.socket, server_hostname="127.0.0.1")
        client.request("GET", "/scope")
        assert json.loads(client.answer().body)["values"]["scheme"] == "'https'"
        client.request("PUT", "/sink", f"Content-Length: {4 * MIB}", body=bytes(4 * MIB))
        assert _received(client) == 4 * MIB
        client.request("GET", "/source?size=5000000")
        assert client.answer().whole
        client.send(b"no request\r\n\r\n")
        assert client.head()[0] == 400
        assert client.closed()
        assert server.terminate(timeout=30) == 0
        assert idle.closed()
    client.close()
    idle.close()


def test_a_request_that_comes_with_the_end_of_the_handshake(
    tmp_path: Path, certificate: tuple[Path, Path], http_server: str
) -> None:
    server = demo(tmp_path / "data", "--server", http_server, *tls_flags(certificate), scheme="https")
    with started(server):
        client = RawClient(server.host)
        came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = ssl.create_default_context(cafile=certificate[0]).wrap_bio(came, goes, server_hostname="127.0.0.1")
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            client.send(goes.read())
            came.write(client.socket.recv(65536))
        tls.write(LAST)
        client.send(goes.read())
        said = b""
        while b"pid" not in said:
            came.write(client.socket.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                said += tls.read()
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")


# --- requests -------------------------------------------------------------------------------------------------------


def test_a_request_that_comes_byte_by_byte(client: RawClient) -> None:
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in CHUNKED + b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: y\r\n\r\n":
        client.send(bytes([byte]))
    assert _received(client) == 6


def test_a_request_behind_another_ones_body(client: RawClient) -> None:
    body = b"3\r\nabc\r\n0\r\n\r\n"
    counted = b"PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd"
    client.send(CHUNKED + body + counted + CHUNKED + body + b"\r\n" + LAST)
    assert [_received(client) for _ in range(3)] == [3, 4, 3]
    assert client.answer().headers["connection"] == "close"
    assert client.closed()


def test_lengths_are_read_leniently_where_it_is_safe(client: RawClient) -> None:
    client.send(b"\r\n" + b"PUT /sink HTTP/1.1\r\nHOST:x\r\ncontent-LENGTH:\t004\t\r\nExpect: something\r\n\r\nabcd")
    assert _received(client) == 4
    client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X\r\nX:\r\n\r\n" + HELLO)
    assert [client.answer().status for _ in range(2)] == [200, 200]


def test_a_client_that_only_speaks_does_not_fill_memory(server: RegistryProcess, client: RawClient) -> None:
    client.request("GET", "/source?size=1000000000")  # which it does not read
    before = server.rss()
    client.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        client.send(HELLO * (64 * MIB // len(HELLO)))
    assert server.rss() - before < 16 * MIB


def test_100_continue_is_said_only_to_a_body_that_is_read(server: RegistryProcess) -> None:
    for path, statuses in (("/sink", ["100", "200"]), ("/unread?seconds=0.1", ["200"])):
        client = RawClient(server.host)
        client.request("PUT", path, "Content-Length: 5", "Expect: 100-continue", "Connection: close", body=b"hello")
        assert re.findall(r"^HTTP/1\.1 (\d+)", _everything(client).decode(), re.MULTILINE) == statuses


def test_http_1_0_gets_no_100_continue_and_no_chunks(server: RegistryProcess, client: RawClient) -> None:
    client.send(b"PUT /sink HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
    assert client.head()[0] == 200
    other = RawClient(server.host)
    other.send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    status, headers = other.head()
    assert (status, headers["connection"]) == (200, "close")
    assert not {"transfer-encoding", "content-length"} & headers.keys()
    assert _everything(other) == b"one,two,three"


def test_an_upgrade_to_a_websocket_is_a_request_like_others(client: RawClient) -> None:
    fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA")
    client.request("GET", "/hello", *fields)
    assert client.answer().status == 200
    client.send(LAST)
    assert client.answer().status == 200


REFUSED = {
    "folded line": b"GET /hello HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "folded first line": b"GET /hello HTTP/1.1\r\n Host: x\r\n\r\n",
    "bare line feeds": b"GET /hello HTTP/1.1\nHost: x\n\n",
    "bare line feed in the head": b"GET /hello HTTP/1.1\r\nHost: x\nX: a\r\n\r\n",
    "bare line feed at the end": b"GET /hello HTTP/1.1\r\nHost: x\r\n\n",
    "bare carriage return": b"GET /hello HTTP/1.1\r\nHost: x\rX: a\r\n\r\n",
    "control character in a value": b"GET /hello HTTP/1.1\r\nHost: x\r\nX: a\x01b\r\n\r\n",
    "delete in a value": b"GET /hello HTTP/1.1\r\nHost: x\r\nX: a\x7fb\r\n\r\n",
    "letter beyond ASCII in a name": b"GET /hello HTTP/1.1\r\nHost: x\r\nX\xe9: a\r\n\r\n",
    "letter beyond ASCII in the target": b"GET /h\xe9llo HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  /hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "space at the end of the line": b"GET /hello HTTP/1.1 \r\nHost: x\r\n\r\n",
    "tab for a space": b"GET\t/hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /hello\r\n\r\n",
    "other version": b"GET /hello HTTP/2.0\r\nHost: x\r\n\r\n",
    "small version": b"GET /hello http/1.1\r\nHost: x\r\n\r\n",
    "two empty lines before": b"\r\n\r\n" + HELLO,
    "the same length twice": b"PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "the same length twice in one": b"PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello",
    "a length of twenty digits": b"PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000000000000\r\n\r\n",
    "chunks over 1.0": b"PUT /sink HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two hosts over 1.0": b"GET /hello HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n",
    "chunk size with a space": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "chunk size of seventeen digits": CHUNKED + b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk size with an underscore": CHUNKED + b"1_0\r\nhello\r\n0\r\n\r\n",
    "chunk size ended by a line feed": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "chunk ended by a line feed": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "chunk shorter than it says": CHUNKED + b"6\r\nhello\r\n0\r\n\r\n",
    "nul in a chunk's extension": CHUNKED + b"5;a=\0\r\nhello\r\n0\r\n\r\n",
    "bare carriage return in a chunk's extension": CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "endless chunk extension": CHUNKED + b"5;" + b"a" * 20_000,
    "trailer that is none": CHUNKED + b"0\r\nX Y: z\r\n\r\n",
    "trailer that frames": CHUNKED + b"0\r\nX: y\r\nContent-length: 5\r\n\r\nhello",
    "chunk size with a space before its extension": CHUNKED + b"5 ;a\r\nhello\r\n0\r\n\r\n",
    "folded trailer": CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n",
    "trailers without end": CHUNKED + b"0\r\n" + b"X: y\r\n" * 4000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_ends_the_connection(client: RawClient, name: str) -> None:
    client.send(REFUSED[name] + LAST)
    status, headers = client.head()
    assert (status, headers["content-length"], headers["connection"]) == (400, "0", "close")
    assert _everything(client) == b"", "nothing after it was taken for a request"


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02", b"\0", b" GET", b"\xff", b"\r\n "])
def test_what_can_be_no_head_is_refused_before_its_end(client: RawClient, first: bytes) -> None:
    client.send(first)
    assert client.head()[0] == 400
    assert client.closed()


def test_a_coding_that_nobody_knows_is_501(client: RawClient) -> None:
    client.send(b"PUT /sink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + LAST)
    assert client.head()[0] == 501
    assert _everything(client) == b""


def test_a_body_that_breaks_its_framing_is_not_taken_for_whole(server: RegistryProcess, client: RawClient) -> None:
    client.send(CHUNKED + b"5\r\nhello\r\n")
    wait_for(lambda: _in_progress(server) == 1)
    client.send(b"oops\r\n")
    assert client.head()[0] == 400
    assert _everything(client) == b""
    wait_for(lambda: _in_progress(server) == 0)


def test_whoever_is_still_sending_its_head_gets_the_refusal(client: RawClient) -> None:
    client.send(b"GET /hello HTTP/1.1\r\nX: " + b"y" * (MIB // 2))
    assert client.head()[0] == 431
    assert _everything(client) == b""


def test_an_answer_does_not_wait_for_a_slow_one_behind_it(client: RawClient) -> None:
    client.send(HELLO + HELLO + b"PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
    assert [client.answer().status for _ in range(2)] == [200, 200]
    client.send(b"x" + HELLO)
    assert [client.answer().status for _ in range(2)] == [200, 200]
    client.send(HELLO + b"GET /hel")
    assert client.answer().status == 200
    client.send(b"lo HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.answer().status == 200


def test_a_pipeline_ends_at_what_is_refused(client: RawClient) -> None:
    client.send(HELLO + HELLO + b"no request\r\n\r\n" + LAST)
    assert [client.answer().status for _ in range(3)] == [200, 200, 400]
    assert _everything(client) == b""


# --- answers --------------------------------------------------------------------------------------------------------


def test_an_answer_of_unknown_length_is_chunked(client: RawClient) -> None:
    client.request("GET", "/stream", "Connection: close")
    status, headers = client.head()
    assert (status, headers["transfer-encoding"], headers["connection"]) == (200, "chunked", "close")
    assert "content-length" not in headers
    assert _everything(client) == b"4\r\none,\r\n4\r\ntwo,\r\n5\r\nthree\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", "/stream"),
        ("HEAD", "/source?size=100000"),
        ("GET", "/stream?status=204"),
        ("GET", "/stream?status=304"),
    ],
)
def test_answers_without_a_body(client: RawClient, method: str, path: str) -> None:
    client.request(method, path)
    status, headers = client.head()
    assert status in (200, 204, 304)
    assert headers.get("content-length") == ("100000" if "source" in path else None)
    client.send(LAST)
    rest = _everything(client)
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n"), "the next answer, and no body before it"


def test_a_method_is_what_it_says(client: RawClient) -> None:
    # A proxy that forwards `head` waits for the body that the answer announces.
    client.send(b"head /hello HTTP/1.1\r\nHost: x\r\n\r\n" + HELLO)
    answer = client.answer()
    assert (answer.status, answer.whole) == (405, True)
    assert client.answer().status == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_broken_answer_of_unknown_length_is_not_taken_for_whole(client: RawClient, version: str) -> None:
    client.send(f"GET /stream?broken HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    client.head()
    if version == "1.0":
        with pytest.raises(ConnectionResetError):
            _everything(client)
    else:
        assert _everything(client) == b"4\r\none,\r\n4\r\ntwo,\r\n"


def test_a_body_longer_than_its_length_breaks_the_answer(client: RawClient) -> None:
    client.request("GET", "/odd?length=3&parts=two")
    assert client.head()[0] == 200
    assert _everything(client) == b"ab"


def test_a_body_shorter_than_its_length_breaks_the_answer(client: RawClient) -> None:
    client.request("GET", "/odd?length=5&parts=two")
    answer = client.answer()
    assert (answer.status, answer.whole, answer.body) == (200, False, b"abab")


@pytest.mark.parametrize(
    "query",
    [
        "length=3", "length=%2B4", "length=", "length=4,4", "length=four",
        *(f"value={quote(value)}" for value in ("a\r\nX-Evil: yes", "a\nX-Evil: yes", "a\rb", "a\0b", "a\x7f")),
        *(f"name={quote(name)}" for name in ("a\r\nx-evil", "x evil", "x:evil", "", "x-\u00e9", "x\t", "\r\n\r\nx")),
        "name=transfer-encoding&value=chunked", "name=Content-Length&value=4",
    ],
)  # fmt: skip
def test_an_answer_that_would_mislead_is_replaced(server: RegistryProcess, client: RawClient, query: str) -> None:
    client.request("GET", f"/odd?{query}")
    status, headers = client.head()
    assert (status, headers["content-length"], headers["connection"]) == (500, "0", "close")
    assert "x-evil" not in headers
    assert _everything(client) == b""
    assert get(server.host, "/odd").body == b"abcd"


def test_every_answer_has_one_date_and_does_not_name_the_server(client: RawClient) -> None:
    client.send(HELLO + b"no request\r\n\r\n")
    said = _everything(client).lower()
    assert (said.count(b"http/1.1 "), said.count(b"\r\ndate: "), said.count(b"\r\nserver:")) == (2, 2, 0)


def _in_progress(server: RegistryProcess) -> int:
    lines = get(server.host, "/metrics").body.decode().splitlines()
    [line] = [line for line in lines if line.startswith("gati_requests_in_progress{")]
    return int(float(line.split()[-1]))
