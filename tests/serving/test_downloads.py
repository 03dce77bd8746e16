"""Downloads of blobs that lie in files: over plain HTTP/1.1 the kernel sends them, and only the time tells."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from gati_registry.http.exchange import ZEROCOPY, Receive, Scope, Send
from gati_registry.keys import FileMasterKey
from gati_registry.serving.http11 import Http11, Worker
from tests.serving.processes import demo, started, tls_flags
from tests.serving.raw import RawClient, get
from tests.support.server import RegistryProcess, wait_for

MIB = 1024 * 1024
BLOB = random.Random(1).randbytes(9 * MIB + 4321)  # more than the kernel's buffers take in
MIDDLING = BLOB[: 200 * 1024]
LITTLE = BLOB[: 70 * 1024]
RANGES = [(0, 0), (0, 65_535), (65_535, 65_537), (MIB - 1, MIB), (5, 3 * MIB + 5), (len(BLOB) - 1, len(BLOB) - 1)]
REPOSITORY = "some/where"


def path_of(blob: bytes) -> str:
    """Where the blob is."""
    return f"/v2/{REPOSITORY}/blobs/sha256:{hashlib.sha256(blob).hexdigest()}"


def push(server: RegistryProcess, blob: bytes) -> None:
    """Push the blob."""
    client = RawClient(server.host)
    target = f"/v2/{REPOSITORY}/blobs/uploads/?digest=sha256:{hashlib.sha256(blob).hexdigest()}"
    client.request("POST", target, f"Content-Length: {len(blob)}", body=blob)
    assert client.answer().status == 201
    client.close()


def file_of(server: RegistryProcess, size: int) -> Path:
    """The file in which the server keeps the blob of this size."""
    [found] = [path for path in (server.data / "blobs").rglob("*") if path.is_file() and path.stat().st_size == size]
    return found


def registry(data: Path, *args: str, **env: str) -> RegistryProcess:
    """A registry of one worker and without extensions, not started yet."""
    return RegistryProcess(data, args=["--open", "--workers", "1", *args], env={"GATI_EXTENSIONS": "", **env})


@pytest.fixture(scope="module", params=["hypercorn", "uvicorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A registry with the blobs."""
    if request.param == "uvicorn":
        pytest.importorskip("uvicorn", reason="the extra `fast` is not installed")
    folder = tmp_path_factory.mktemp("downloads")
    with started(registry(folder / "data", "--server", str(request.param))) as server:
        for blob in (BLOB, MIDDLING, LITTLE):
            push(server, blob)
        yield server


def held(server: RegistryProcess) -> int:
    """How many sockets and blobs its processes have open."""
    found = 0
    for pid in server.pids():
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += os.readlink(entry).startswith(("socket:", str(server.data / "blobs")))
    return found


def metric(server: RegistryProcess, name: str, about: str = "") -> float:
    """The sum of a metric's lines about something."""
    lines = get(server.host, "/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name) and about in line)


def lines_of(server: RegistryProcess) -> list[dict[str, Any]]:
    """Its log's lines about blobs."""
    lines = [json.loads(line) for line in server.stderr().splitlines() if line.startswith("{")]
    return [line for line in lines if "/blobs/sha256" in line.get("path", "")]


# --- what arrives ---------------------------------------------------------------------------------------------------


def test_one_connection_carries_all_kinds_of_answers(server: RegistryProcess) -> None:
    client = RawClient(server.host)
    for blob in (BLOB, MIDDLING, LITTLE):
        client.request("GET", path_of(blob))
        answer = client.answer()
        assert (answer.status, answer.body == blob) == (200, True)
        client.request("GET", path_of(blob), f"If-None-Match: {answer.headers['etag']}")
        assert client.head()[0] == 304
    for first, last in RANGES:
        client.request("GET", path_of(BLOB), f"Range: bytes={first}-{last}")
        answer = client.answer()
        assert (answer.status, answer.headers["content-range"]) == (206, f"bytes {first}-{last}/{len(BLOB)}")
        assert answer.body == BLOB[first : last + 1]
    client.request("GET", "/v2/")
    assert client.answer().status == 200


def test_several_ranges_in_one_answer(server: RegistryProcess) -> None:
    client = RawClient(server.host)
    parts = [(0, 9), (100, 300_000), (MIB, 3 * MIB), (4 * MIB, 4 * MIB + 5), (5 * MIB, 6 * MIB)]
    client.request("GET", path_of(BLOB), "Range: bytes=" + ",".join(f"{first}-{last}" for first, last in parts))
    answer = client.answer()
    boundary = answer.headers["content-type"].partition("boundary=")[2]
    expected = b""
    for first, last in parts:
        expected += f"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n".encode()
        expected += f"Content-Range: bytes {first}-{last}/{len(BLOB)}\r\n\r\n".encode() + BLOB[first : last + 1]
    assert (answer.status, answer.body == expected + f"\r\n--{boundary}--\r\n".encode()) == (206, True)


def test_requests_that_wait_behind_a_download(server: RegistryProcess) -> None:
    client = RawClient(server.host)
    host = "HTTP/1.1\r\nHost: x\r\n\r\n"
    big, middling = path_of(BLOB), path_of(MIDDLING)
    client.send(f"GET {big} {host}GET {middling} {host}HEAD {big} {host}GET {big} {host}GET /v2/ {host}".encode())
    assert client.answer().body == BLOB
    assert client.answer().body == MIDDLING
    status, headers = client.head()
    assert (status, headers["content-length"]) == (200, str(len(BLOB)))
    assert client.answer().body == BLOB
    assert client.answer().body == b"{}"


def test_http_1_0_is_answered_and_closed(server: RegistryProcess) -> None:
    client = RawClient(server.host)
    client.send(f"GET {path_of(BLOB)} HTTP/1.0\r\n\r\n".encode())
    assert client.answer().body == BLOB
    assert client.closed()


def test_a_slow_reader_gets_everything(server: RegistryProcess) -> None:
    slow = RawClient(server.host, receive_buffer=4096)
    slow.request("GET", path_of(BLOB))
    assert slow.head()[0] == 200
    for _ in range(3):  # meanwhile others are served
        assert get(server.host, path_of(BLOB)).body == BLOB
        slow.buffer += slow.socket.recv(1024)
    while len(slow.buffer) < len(BLOB):
        piece = slow.socket.recv(MIB)
        assert piece
        slow.buffer += piece
    assert slow.buffer == BLOB
    slow.buffer = b""
    slow.request("GET", "/v2/")
    assert slow.answer().body == b"{}"


def test_what_is_not_in_memory_is_read_from_the_disk(server: RegistryProcess) -> None:
    descriptor = os.open(file_of(server, len(BLOB)), os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
        for first, length in ((0, 0), (0, MIB), (MIB + 5000, 100_000), (3 * MIB, 0)):  # 0: to the end
            assert get(server.host, path_of(BLOB)).body == BLOB
            os.posix_fadvise(descriptor, first, length, os.POSIX_FADV_DONTNEED)
            assert get(server.host, path_of(BLOB)).body == BLOB
    finally:
        os.close(descriptor)


def test_over_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    server = registry(tmp_path / "data", *tls_flags(certificate))
    server.url = server.url.replace("http:", "https:")
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with started(server):
        digest = f"?digest=sha256:{hashlib.sha256(BLOB).hexdigest()}"
        target = f"/v2/{REPOSITORY}/blobs/uploads/{digest}"
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BLOB)}\r\nConnection: close\r\n\r\n"
        with (
            socket.create_connection(("127.0.0.1", server.port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(head.encode() + BLOB)
            assert client.recv(MIB).startswith(b"HTTP/1.1 201 ")
        with urlopen(server.url + path_of(BLOB), context=context) as answer:
            assert answer.read() == BLOB


def test_of_an_encrypted_store(tmp_path: Path) -> None:
    asyncio.run(FileMasterKey(tmp_path / "master").rotate())
    env = {"GATI_ENCRYPTION__MASTER": "file", "GATI_ENCRYPTION__FILE": str(tmp_path / "master")}
    with started(registry(tmp_path / "data", **env)) as server:
        push(server, BLOB)
        assert get(server.host, path_of(BLOB)).body == BLOB
        assert get(server.host, path_of(BLOB), "Range: bytes=100000-4000000").body == BLOB[100_000:4_000_001]


# --- what is counted ------------------------------------------------------------------------------------------------


def test_bytes_are_counted_as_sent(tmp_path: Path) -> None:
    with started(registry(tmp_path / "data")) as server:
        push(server, BLOB)
        assert get(server.host, path_of(BLOB)).body == BLOB
        assert get(server.host, path_of(BLOB), "Range: bytes=1-2000000").status == 206
        gone = RawClient(server.host, receive_buffer=4096)
        gone.request("GET", path_of(BLOB))
        assert gone.head()[0] == 200
        gone.close()
        wait_for(lambda: metric(server, "gati_requests_in_progress") == 0)
        wait_for(lambda: metric(server, "gati_http_sent_bytes_total", "/blobs/<") > len(BLOB) + 2_000_000)
        sent = metric(server, "gati_http_sent_bytes_total", "/blobs/<")
        assert server.terminate() == 0
    whole, part, broken = (line["bytes_out"] for line in lines_of(server))
    assert (whole, part) == (len(BLOB), 2_000_000)
    assert 0 < broken < len(BLOB)
    assert sent == whole + part + broken


# --- ends -----------------------------------------------------------------------------------------------------------


def test_clients_that_go_away_leave_nothing_open(server: RegistryProcess) -> None:
    get(server.host, "/v2/")
    before = held(server)
    clients = [RawClient(server.host, receive_buffer=4096) for _ in range(30)]
    for client in clients:
        client.request("GET", path_of(BLOB))
        assert client.head()[0] == 200
    assert held(server) > before + 50  # a socket and a file, of each
    for number, client in enumerate(clients):
        if number % 2:  # a reset instead of an end
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if number % 3:
            client.socket.recv(100_000)
        client.close()
    wait_for(lambda: held(server) <= before)
    assert get(server.host, path_of(BLOB)).body == BLOB


def test_a_file_shorter_than_its_row_breaks_the_answer_off(server: RegistryProcess) -> None:
    blob = BLOB[: 6 * MIB]
    push(server, blob)
    before = held(server)
    os.truncate(file_of(server, len(blob)), 5 * MIB + 70_000)
    answer = get(server.host, path_of(blob))
    assert (answer.status, answer.whole, answer.body == blob[: 5 * MIB + 70_000]) == (200, False, True)
    assert get(server.host, path_of(blob), f"Range: bytes={MIB}-{5 * MIB}").body == blob[MIB : 5 * MIB + 1]
    wait_for(lambda: held(server) <= before)


# --- the ASGI message itself ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["hypercorn", "uvicorn"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """The demo application, with a file to send."""
    if request.param == "uvicorn":
        pytest.importorskip("uvicorn", reason="the extra `fast` is not installed")
    folder = tmp_path_factory.mktemp("files")
    with started(sender(folder, str(request.param))) as server:
        yield server


def test_it_is_offered_over_plain_connections(files: RegistryProcess) -> None:
    values = json.loads(get(files.host, "/scope").body)["values"]
    assert values["extensions"] == "{'http.response.zerocopysend': {}}"


def test_it_is_not_offered_over_tls(tmp_path: Path, certificate: tuple[Path, Path], http_server: str) -> None:
    server = demo(tmp_path / "data", "--server", http_server, *tls_flags(certificate), scheme="https")
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with started(server), urlopen(f"{server.url}/scope", context=context) as answer:
        assert json.load(answer)["values"]["extensions"] == "{}"


def test_it_goes_with_other_parts(files: RegistryProcess) -> None:
    length = 300_000 + 1 + 5_000_000 + 1 + 10
    client = RawClient(files.host)
    for method in ("GET", "HEAD", "GET"):
        client.request(method, f"/file?part=7-300000&part=0-5000000&part=20-10&length={length}")
        if method == "HEAD":
            assert client.head()[1]["content-length"] == str(length)
        else:
            assert client.answer().body == BLOB[7:300_007] + b"|" + BLOB[:5_000_000] + b"|" + BLOB[20:30]


def test_it_may_come_before_the_requests_end(files: RegistryProcess) -> None:
    client = RawClient(files.host)
    for part, expected in (("0-5000000", BLOB[:5_000_000]), ("9-0", b"")):
        client.request("POST", f"/file?part={part}&length={len(expected)}", "Content-Length: 8")
        assert client.answer().body == expected
        client.send(b"not read")
    client.request("GET", "/hello")
    assert client.answer().status == 200


def test_it_is_chunked_where_the_length_is_not_known(files: RegistryProcess) -> None:
    for path, expected in (
        ("/file?part=7-300000&part=5-0&part=0-5000000", BLOB[7:300_007] + b"||" + BLOB[:5_000_000]),
        ("/file?part=7-3&part=5-0", BLOB[7:10] + b"|"),
    ):
        with urlopen(files.url + path) as answer:
            assert answer.headers["Transfer-Encoding"] == "chunked"
            assert answer.read() == expected
        client = RawClient(files.host)
        client.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert "content-length" not in client.head()[1]
        with contextlib.suppress(ConnectionError):
            while True:
                client._read()
        assert client.buffer == expected


@pytest.mark.parametrize("length", [99_999, 100_001])
def test_it_must_have_the_announced_length(files: RegistryProcess, length: int) -> None:
    client = RawClient(files.host)
    client.request("GET", f"/file?part=0-100000&length={length}")
    status, _headers = client.head()
    assert (status, client.closed()) == (500, True)
    assert get(files.host, "/hello").status == 200


def test_a_file_that_ends_early_breaks_the_answer_off(files: RegistryProcess) -> None:
    answer = get(files.host, f"/file?part={len(BLOB) - 100_000}-200000&length=200000")
    assert (answer.status, answer.whole, answer.body) == (200, False, BLOB[-100_000:])


def test_asyncios_own_loop_does_it_as_well(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BLOB)

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        with (tmp_path / "file").open("rb") as file:
            length = str(len(BLOB) + 4).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
            await send({"type": ZEROCOPY, "file": file, "offset": 0, "count": len(BLOB), "more_body": True})
            await send({"type": "http.response.body", "body": b"end."})

    @contextlib.asynccontextmanager
    async def serving() -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        worker = Worker(app, {}, patience=60, longest_head=MIB, answer_headers=lambda: ())
        async with await loop.create_server(lambda: Http11(worker, loop), "127.0.0.1", 0) as server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    def twice(host: str) -> list[bytes]:
        client = RawClient(host, receive_buffer=4096)
        bodies = []
        for _ in range(2):
            client.request("GET", "/")
            bodies.append(client.answer().body)
        client.close()
        return bodies

    async def main() -> list[bytes]:
        async with serving() as host:
            return await asyncio.to_thread(twice, host)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(main()) == [BLOB + b"end."] * 2


# --- its end --------------------------------------------------------------------------------------------------------

WHOLE = f"/file?part=0-{len(BLOB)}&length={len(BLOB)}"


def sender(folder: Path, http_server: str, **env: str) -> RegistryProcess:
    """The demo application with a file to send, not started yet."""
    (folder / "file").write_bytes(BLOB)
    return demo(folder / "data", "--server", http_server, env={"DEMO_FILE": str(folder / "file"), **env})


def stopped(server: RegistryProcess) -> RawClient:
    """A client that has read the beginning of the file and stops."""
    client = RawClient(server.host, receive_buffer=4096)
    client.request("GET", WHOLE)
    assert client.head()[0] == 200
    return client


def test_a_reader_that_stops_is_cut_off(tmp_path: Path, http_server: str) -> None:
    with started(sender(tmp_path, http_server, GATI_HTTP__IDLE_TIMEOUT="2")) as server:
        client = stopped(server)
        wait_for(lambda: metric(server, "gati_request_stalled_total") == 1)
        wait_for(lambda: metric(server, "gati_requests_in_progress") == 0)
        with contextlib.suppress(ConnectionError):
            while len(client.buffer) < len(BLOB):
                client._read()
        assert 0 < len(client.buffer) < len(BLOB)
        assert BLOB.startswith(client.buffer)
        assert server.terminate(timeout=30) == 0


def test_a_shutdown_waits_for_a_download(tmp_path: Path, http_server: str) -> None:
    with started(sender(tmp_path, http_server)) as server:
        client = stopped(server)
        ends: list[int] = []
        ending = threading.Thread(target=lambda: ends.append(server.terminate()))
        ending.start()
        with contextlib.suppress(OSError):  # until it does not listen any more
            while True:
                RawClient(server.host).close()
                time.sleep(0.02)
        while len(client.buffer) < len(BLOB):
            client._read()
        assert client.buffer == BLOB
        ending.join()
        assert ends == [0]


def test_a_shutdown_does_not_wait_for_ever(tmp_path: Path, http_server: str) -> None:
    with started(sender(tmp_path, http_server, GATI_SHUTDOWN__GRACE="1")) as server:
        client = stopped(server)
        assert server.terminate() == 0
        with contextlib.suppress(ConnectionError):
            while True:
                client._read()
        assert len(client.buffer) < len(BLOB)
