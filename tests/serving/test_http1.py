"""HTTP/1.1 on both servers: answers before the body's end, limits, broken answers, odd clients."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.processes import demo, started
from tests.serving.raw import Answer, RawClient, get
from tests.support.server import RegistryProcess, wait_for

MIB = 1024 * 1024


@pytest.fixture(scope="module", params=["hypercorn", "uvicorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    if request.param == "uvicorn":
        pytest.importorskip("uvicorn", reason="the extra `fast` is not installed")
    folder = tmp_path_factory.mktemp("http1")
    with started(demo(folder / "data", "--server", str(request.param))) as server:
        yield server


@pytest.fixture
def client(server: RegistryProcess) -> Iterator[RawClient]:
    client = RawClient(server.host)
    yield client
    client.close()


def _code(answer: Answer) -> str:
    return str(json.loads(answer.body)["errors"][0]["code"])


def test_a_refused_big_body_gets_its_answer_and_the_connection_closes(client: RawClient) -> None:
    # A client that reads only when it has sent everything: a reset would lose the answer.
    client.request("PUT", "/refuse?status=413", f"Content-Length: {8 * MIB}", body=bytes(8 * MIB))
    answer = client.answer()
    assert (answer.status, answer.whole, _code(answer)) == (413, True, "UNAUTHORIZED")
    assert answer.headers["connection"] == "close"
    assert client.closed()


def test_a_refused_big_body_is_answered_before_it_has_come(client: RawClient) -> None:
    client.request("PUT", "/refuse", "Content-Length: 5000000000", body=bytes(1000))
    answer = client.answer()
    assert (answer.status, answer.whole) == (401, True)
    assert answer.headers["connection"] == "close"


def test_a_refused_endless_body_does_not_hold_the_connection(server: RegistryProcess, client: RawClient) -> None:
    client.request("PUT", "/refuse", "Transfer-Encoding: chunked")
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            client.send(b"100000\r\n" + bytes(MIB) + b"\r\n")
        raise AssertionError("200 MiB were read for nothing")
    wait_for(lambda: _requests_in_progress(server) == 0)


def test_a_refused_small_body_keeps_the_connection(client: RawClient) -> None:
    client.request("PUT", "/refuse", "Content-Length: 100000", body=bytes(100_000))
    answer = client.answer()
    assert answer.status == 401
    assert "connection" not in answer.headers
    client.request("GET", "/hello")
    assert client.answer().status == 200


def test_a_refused_request_that_waits_for_100_continue_is_answered(client: RawClient) -> None:
    client.request("PUT", "/refuse", "Content-Length: 1000", "Expect: 100-continue")
    answer = client.answer()
    assert answer.status == 401
    assert answer.headers["connection"] == "close"


def test_a_handler_that_never_reads_a_big_body_still_ends(server: RegistryProcess, client: RawClient) -> None:
    client.request("PUT", "/unread?seconds=0.5", f"Content-Length: {4 * MIB}", body=bytes(4 * MIB))
    assert client.answer().body == b"late"
    wait_for(lambda: _requests_in_progress(server) == 0)


def test_a_client_that_goes_away_leaves_nothing_running(server: RegistryProcess) -> None:
    clients = [RawClient(server.host) for _ in range(6)]
    for client in clients[:3]:
        client.request("GET", "/source?size=1000000000")
        client.head()
    for client in clients[3:]:
        client.request("PUT", "/sink", "Content-Length: 1000", body=b"half")
    wait_for(lambda: _requests_in_progress(server) == 6)
    for client in clients:
        client.close()
    wait_for(lambda: _requests_in_progress(server) == 0)


def test_an_answer_that_breaks_off_is_not_taken_for_whole(client: RawClient) -> None:
    client.request("GET", "/broken")
    answer = client.answer()
    assert (answer.status, answer.whole, len(answer.body)) == (200, False, 1000)


def test_an_unexpected_error_tells_the_client_nothing_but_the_request_id(client: RawClient) -> None:
    client.request("GET", "/error", "X-Request-ID: abc-123")
    answer = client.answer()
    assert answer.status == 500
    assert answer.headers["x-request-id"] == "abc-123"
    [error] = json.loads(answer.body)["errors"]
    assert (error["code"], error["detail"]) == ("UNKNOWN", {"request_id": "abc-123"})
    assert b"abcdef" not in answer.body
    client.request("GET", "/hello")
    assert client.answer().status == 200, "the connection goes on"


def test_a_backend_that_is_gone_is_503_with_retry_after(client: RawClient) -> None:
    client.request("GET", "/gone")
    answer = client.answer()
    assert (answer.status, answer.headers["retry-after"], _code(answer)) == (503, "7", "UNAVAILABLE")


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "\u00e9"])
def test_a_request_id_that_is_not_sane_is_replaced(client: RawClient, given: str) -> None:
    client.request("GET", "/hello", f"X-Request-ID: {given}")
    made = client.answer().headers["x-request-id"]
    assert made != given
    assert made.isalnum()


def test_a_target_of_8_kib_is_refused(client: RawClient) -> None:
    client.request("GET", "/hello?" + "x" * 8192)
    answer = client.answer()
    assert (answer.status, _code(answer)) == (414, "UNSUPPORTED")


def test_a_head_over_the_limit_is_refused(client: RawClient) -> None:
    lines = [f"X-{number}: {'y' * 1000}" for number in range(70)]
    client.request("GET", "/hello", *lines)
    with contextlib.suppress(ConnectionError):
        assert client.head()[0] == 431


def test_a_head_that_never_ends_is_cut(client: RawClient) -> None:
    client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n")
    with pytest.raises(ConnectionError):  # noqa: PT012 - which write notices it is the kernel's business
        for number in range(20_000):
            client.send(f"X-{number}: {'y' * 1000}\r\n".encode())


def test_clear_text_http2_is_not_spoken(client: RawClient) -> None:
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
    first = client.socket.recv(65536)
    assert first == b"" or first.startswith(b"HTTP/1.1 4")


def test_an_upgrade_to_http2_is_ignored(client: RawClient) -> None:
    client.request("GET", "/hello", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    assert client.answer().status == 200


def test_two_thousand_requests_on_one_connection(client: RawClient) -> None:
    for _ in range(2000):
        client.request("GET", "/hello")
        answer = client.answer()
        assert answer.status == 200
        assert "connection" not in answer.headers


def test_pipelined_requests_are_answered_in_order(client: RawClient) -> None:
    client.send(
        b"".join(b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Request-ID: n%d\r\n\r\n" % number for number in range(20))
    )
    assert [client.answer().headers["x-request-id"] for _ in range(20)] == [f"n{number}" for number in range(20)]


def test_requests_over_the_limit_at_once_are_refused(tmp_path: Path, http_server: str) -> None:
    server = demo(tmp_path / "data", "--server", http_server, env={"GATI_HTTP__MAX_CONCURRENT": "3"})
    with started(server):
        busy = [RawClient(server.host) for _ in range(3)]
        for client in busy:
            client.request("PUT", "/sink", "Content-Length: 1")
        wait_for(lambda: get(server.host, "/hello").status == 503)
        refused = get(server.host, "/hello")
        assert (refused.headers["retry-after"], _code(refused)) == ("1", "UNAVAILABLE")
        assert get(server.host, "/readyz").status == 200, "probes are always answered"
        for client in busy:
            client.send(b"x")
            assert client.answer().status == 200
            client.close()
        assert get(server.host, "/hello").status == 200


def _requests_in_progress(server: RegistryProcess) -> int:
    """As of the last second, and without the one that asks."""
    lines = get(server.host, "/metrics").body.decode().splitlines()
    [line] = [line for line in lines if line.startswith("gati_requests_in_progress{")]
    return int(float(line.split()[-1]))
