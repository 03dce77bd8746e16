"""Clients that are slow on purpose: a thousand of them do not stop a fast one, and those that stall are ended."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path

from tests.serving.http2 import Http2Client
from tests.serving.processes import demo, started, tls_flags
from tests.serving.raw import RawClient, get
from tests.support.server import RegistryProcess, wait_for

MIB = 1024 * 1024
ROUNDS = 20


def test_a_thousand_slow_clients_do_not_stop_a_fast_one(tmp_path: Path, http_server: str) -> None:
    patient = {"GATI_HTTP__IDLE_TIMEOUT": "3600", "GATI_HTTP__KEEP_ALIVE": "3600"}
    server = RegistryProcess(tmp_path / "data", args=["--open", "--server", http_server], env=patient)
    with started(server):
        blob = bytes(8 * MIB)  # more than the kernel's buffers take in
        digest = _push(server.host, blob)
        slow_heads = [RawClient(server.host) for _ in range(400)]
        for client in slow_heads:
            client.send(b"GET /v2/ HTTP/1.1\r\nHo")
        slow_bodies = [RawClient(server.host) for _ in range(300)]
        locations = [_open_upload(server.host, f"slow/{number % 10}") for number in range(300)]
        for client, location in zip(slow_bodies, locations, strict=True):
            client.request("PATCH", location, "Content-Length: 1000", body=b"a few")
        slow_readers = [RawClient(server.host, receive_buffer=16384) for _ in range(300)]
        for client in slow_readers:
            client.request("GET", f"/v2/fast/one/blobs/{digest}")
        fast = RawClient(server.host, timeout=10)
        for number in range(ROUNDS):
            content = b"%d" % number
            pushed = _push(server.host, content)
            fast.request("GET", f"/v2/fast/one/blobs/{pushed}")
            answer = fast.answer()
            assert (answer.status, answer.body) == (200, content)
            for client in slow_bodies:
                client.send(b".")
            for client in slow_heads[number::ROUNDS]:
                client.send(b"s")
        # They are slow, not wrong: each is answered when it is done.
        for client in slow_bodies:
            client.send(bytes(1000 - len("a few") - ROUNDS))
            assert client.answer().status == 202
        for client in slow_heads:
            client.send(b"t: x\r\n\r\n")
            assert client.answer().status == 200
        for client in slow_readers[:3]:
            answer = client.answer()
            assert (answer.whole, answer.body == blob) == (True, True)


def _push(host: str, content: bytes) -> str:
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    client = RawClient(host)
    client.request(
        "POST", f"/v2/fast/one/blobs/uploads/?digest={digest}", f"Content-Length: {len(content)}", body=content
    )
    assert client.answer().status == 201
    client.close()
    return digest


def _open_upload(host: str, repository: str) -> str:
    client = RawClient(host)
    client.request("POST", f"/v2/{repository}/blobs/uploads/", "Content-Length: 0")
    answer = client.answer()
    assert answer.status == 202
    client.close()
    location = answer.headers["location"]
    return location[location.index("/v2/") :]


IMPATIENT = {"GATI_HTTP__IDLE_TIMEOUT": "2", "GATI_HTTP__KEEP_ALIVE": "2"}


def test_a_body_that_stops_coming_is_408_and_the_upload_can_be_resumed(tmp_path: Path, http_server: str) -> None:
    server = RegistryProcess(tmp_path / "data", args=["--open", "--server", http_server], env=IMPATIENT)
    with started(server):
        location = _open_upload(server.host, "a/b")
        client = RawClient(server.host)
        client.request("PATCH", location, "Content-Length: 1000", body=b"half")
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert client.closed()
        status = get(server.host, location)
        assert status.status == 204


def test_a_body_that_trickles_is_taken(tmp_path: Path, http_server: str) -> None:
    with started(demo(tmp_path / "data", "--server", http_server, env=IMPATIENT)) as server:
        client = RawClient(server.host)
        client.request("PUT", "/sink", "Content-Length: 12")
        for _ in range(12):
            client.send(b"x")
            time.sleep(0.5)
        answer = client.answer()
        assert (answer.status, json.loads(answer.body).get("received")) == (200, 12)


def test_a_head_that_stops_coming_closes_the_connection(tmp_path: Path, http_server: str) -> None:
    with started(demo(tmp_path / "data", "--server", http_server, env=IMPATIENT)) as server:
        silent, half = RawClient(server.host), RawClient(server.host)
        half.send(b"GET /hello HTTP/1.1\r\nHos")
        idle = RawClient(server.host)
        idle.request("GET", "/hello")
        assert idle.answer().status == 200
        assert silent.closed()
        assert half.closed()
        assert idle.closed()


def test_a_server_that_stood_still_does_not_take_it_for_its_clients(tmp_path: Path, http_server: str) -> None:
    with started(demo(tmp_path / "data", "--server", http_server, env=IMPATIENT)) as server:
        client = RawClient(server.host)
        client.request("PUT", "/sink", "Content-Length: 2", body=b"x")
        time.sleep(0.5)
        for signal_ in (signal.SIGSTOP, signal.SIGCONT):
            for pid in server.pids():
                os.kill(pid, signal_)
            time.sleep(6 if signal_ is signal.SIGSTOP else 1.5)
        client.send(b"x")
        assert client.answer().status == 200


def test_a_reader_that_stops_is_cut_off(tmp_path: Path, http_server: str) -> None:
    with started(demo(tmp_path / "data", "--server", http_server, env=IMPATIENT)) as server:
        client = RawClient(server.host, receive_buffer=4096)
        client.request("GET", "/source?size=1000000000")
        assert _stalled(server.host) == 0
        wait_for(lambda: _stalled(server.host) > 0)
        wait_for(lambda: 'gati_requests_in_progress{worker="0"} 0.0' in get(server.host, "/metrics").body.decode())
        assert server.terminate(timeout=30) == 0, "its connection does not delay the end"


def _stalled(host: str) -> float:
    metrics = get(host, "/metrics").body.decode()
    return float(
        next(line for line in metrics.splitlines() if line.startswith("gati_request_stalled_total")).split()[1]
    )


def test_a_stalled_http2_stream_is_ended_alone(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    server = demo(tmp_path / "data", *tls_flags(certificate), scheme="https", env=IMPATIENT)
    with started(server), Http2Client(server.host) as client:
        assert client.get("/hello").status == 200
        stalled = client.streams[client.request("PUT", "/sink", end=False)]
        download = client.streams[client.request("GET", "/source?size=6000000&pause=0.1")]
        client.until(lambda: stalled.reset is not None)
        assert stalled.status == 408
        client.until(lambda: download.ended)
        assert len(download.body) == 6_000_000
