"""SIGTERM: what runs is finished, on every worker; then the process ends."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.http2 import Http2Client
from tests.serving.processes import demo, started, tls_flags
from tests.serving.raw import RawClient, get
from tests.support.server import RegistryProcess, wait_for

MIB = 1024 * 1024
SIZE = 24 * MIB


def _upload(server: RegistryProcess, started: threading.Event, go: threading.Event) -> bool:
    """Send a blob of which half goes before `go` and half after; whether it was taken whole."""
    content = os.urandom(SIZE)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    client = RawClient(server.host)
    client.request(
        "POST", f"/v2/a/b/blobs/uploads/?digest={digest}", f"Content-Length: {SIZE}", body=content[: SIZE // 2]
    )
    started.set()
    go.wait(60)
    for start in range(SIZE // 2, SIZE, MIB):
        client.send(content[start : start + MIB])
        time.sleep(0.02)
    answer = client.answer()
    return answer.status == 201 and answer.headers["docker-content-digest"] == digest


def _download(server: RegistryProcess, digest: str, started: threading.Event, go: threading.Event) -> bool:
    """Read a blob of which a little comes before `go`; whether it came whole."""
    client = RawClient(server.host, receive_buffer=65536)
    client.request("GET", f"/v2/a/b/blobs/{digest}")
    status, headers = client.head()
    started.set()
    go.wait(60)
    body = hashlib.sha256(client.buffer)
    left = int(headers["content-length"]) - len(client.buffer)
    while left:
        data = client.socket.recv(MIB)
        if not data:
            return False
        body.update(data)
        left -= len(data)
    return status == 200 and "sha256:" + body.hexdigest() == digest


def _push(server: RegistryProcess, content: bytes) -> str:
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    client = RawClient(server.host)
    length = f"Content-Length: {len(content)}"
    client.request("POST", f"/v2/a/b/blobs/uploads/?digest={digest}", length, body=content)
    assert client.answer().status == 201
    client.close()
    return digest


@pytest.mark.parametrize("signalled", ["supervisor", "group"])
def test_eight_transfers_on_three_workers_end_whole(tmp_path: Path, http_server: str, signalled: str) -> None:
    server = RegistryProcess(tmp_path / "data", args=["--open", "--workers", "3", "--server", http_server])
    with started(server):
        digest = _push(server, os.urandom(SIZE))
        go = threading.Event()
        transfers: list[Callable[[threading.Event], bool]] = [
            *[lambda began: _upload(server, began, go)] * 4,
            *[lambda began: _download(server, digest, began, go)] * 4,
        ]
        outcomes: list[bool] = []
        threads, begun = [], []
        for transfer in transfers:
            event = threading.Event()
            begun.append(event)
            thread = threading.Thread(target=lambda run=transfer, event=event: outcomes.append(run(event)))
            threads.append(thread)
            thread.start()
        assert all(event.wait(30) for event in begun)
        assert server.process is not None
        if signalled == "group":  # as systemd and a terminal do
            os.killpg(server.process.pid, signal.SIGTERM)
        else:
            server.process.terminate()
        wait_for(lambda: _refused(server))
        go.set()
        for thread in threads:
            thread.join(60)
        assert outcomes == [True] * 8
        assert server.process.wait(30) == 0


def _refused(server: RegistryProcess) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_idle_connections_do_not_delay_the_end(tmp_path: Path, http_server: str, workers: str) -> None:
    with started(demo(tmp_path / "data", "--server", http_server, "--workers", workers)) as server:
        clients = [RawClient(server.host) for _ in range(20)]
        for client in clients[:10]:
            client.request("GET", "/hello")
            assert client.answer().status == 200
        clients[10].send(b"GET /hello HTTP/1.1\r\nHost")  # half a head
        assert server.terminate(timeout=30) == 0, "keep-alive is 75 s, the grace period 300 s"
        assert all(client.closed() for client in clients)


def test_idle_http2_connections_do_not_delay_the_end(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with (
        started(demo(tmp_path / "data", *tls_flags(certificate), scheme="https")) as server,
        Http2Client(server.host) as idle,
        Http2Client(server.host) as busy,
    ):
        assert idle.get("/hello").status == 200
        download = busy.streams[busy.request("GET", "/source?size=3000000&pause=0.02")]
        busy.until(lambda: len(download.body) > 0)
        assert server.process is not None
        server.process.terminate()
        busy.until(lambda: download.ended)
        assert len(download.body) == 3_000_000
        assert server.process.wait(30) == 0


def test_the_last_answer_says_that_the_connection_closes(tmp_path: Path, http_server: str) -> None:
    with started(demo(tmp_path / "data", "--server", http_server)) as server:
        client = RawClient(server.host)
        client.request("PUT", "/sink", "Content-Length: 1")
        wait_for(lambda: b"gati_requests_in_progress" in get(server.host, "/metrics").body)
        assert server.process is not None
        server.process.terminate()
        wait_for(lambda: _refused(server))
        client.send(b"x")
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert client.closed()
        assert server.process.wait(30) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_grace_period_ends_what_does_not(tmp_path: Path, http_server: str, workers: str) -> None:
    server = demo(tmp_path / "data", "--server", http_server, "--workers", workers, env={"GATI_SHUTDOWN__GRACE": "1"})
    with started(server):
        client = RawClient(server.host)
        client.request("PUT", "/sink", "Content-Length: 1000", body=b"half")
        wait_for(lambda: get(server.host, "/hello").status == 200)
        server.terminate(timeout=30)
        assert client.closed()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_second_sigterm_ends_at_once(tmp_path: Path, workers: str) -> None:
    with started(demo(tmp_path / "data", "--workers", workers)) as server:
        client = RawClient(server.host)
        client.request("PUT", "/sink", "Content-Length: 1000", body=b"half")
        assert server.process is not None
        for _ in range(3):  # together they are one
            server.process.terminate()
        wait_for(lambda: _refused(server))
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(1.5)
        server.process.terminate()
        assert server.process.wait(30) == 1
        assert client.closed()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_delay_lets_load_balancers_notice(tmp_path: Path, http_server: str, workers: str) -> None:
    server = demo(tmp_path / "data", "--server", http_server, "--workers", workers, env={"GATI_SHUTDOWN__DELAY": "3"})
    with started(server):
        assert get(server.host, "/readyz").status == 200
        assert server.process is not None
        server.process.terminate()
        wait_for(lambda: get(server.host, "/readyz").status == 503)
        assert b'"draining"' in get(server.host, "/readyz").body
        answer = get(server.host, "/hello")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert server.process.wait(30) == 0


def test_a_closed_terminal_does_not_stop_the_server(tmp_path: Path) -> None:
    with started(demo(tmp_path / "data", "--workers", "2")) as server:
        assert server.process is not None
        os.killpg(server.process.pid, signal.SIGHUP)
        assert get(server.host, "/hello").status == 200
        assert server.terminate() == 0


def test_ctrl_c_finishes_like_sigterm(tmp_path: Path) -> None:
    with started(demo(tmp_path / "data", "--workers", "2")) as server:
        client = RawClient(server.host)
        client.request("GET", "/source?size=3000000&pause=0.02")
        status, _ = client.head()
        assert server.process is not None
        os.killpg(server.process.pid, signal.SIGINT)
        assert status == 200
        assert _length_until_closed(client) == 3_000_000
        assert server.process.wait(30) == 0


def _length_until_closed(client: RawClient) -> int:
    length = len(client.buffer)
    while data := client.socket.recv(MIB):
        length += len(data)
    return length
