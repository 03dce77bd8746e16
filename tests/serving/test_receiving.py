"""Bodies that go from the transport straight into the application's buffer, and the registry's uploads by that way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serving.processes import demo, started, tls_flags
from tests.serving.raw import Answer, RawClient, get
from tests.support.server import RegistryProcess, wait_for

KIB, MIB = 1024, 1024 * 1024
HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
SIZES = [64 * KIB, 64 * KIB + 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 5 * MIB + 4097]
IMPATIENT = {"GATI_HTTP__IDLE_TIMEOUT": "2"}


def _bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def _send_in_pieces(client: RawClient, data: bytes, seed: int = 0) -> None:
    """Pieces of any size, from a byte to a megabyte."""
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sizes, position = random.Random(seed), 0
    while position < len(data):
        size = int(2 ** sizes.uniform(0, 20))
        client.send(data[position : position + size])
        position += size


def _head(target: str, size: int, *headers: str, method: str = "PUT") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", f"Content-Length: {size}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def _check(answer: Answer, body: bytes) -> None:
    assert answer.status == 200, answer
    assert json.loads(answer.body) == {"received": len(body), "sha256": hashlib.sha256(body).hexdigest()}


# --- the server's promise -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["hypercorn", "uvicorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    if request.param == "uvicorn":
        pytest.importorskip("uvicorn", reason="the extra `fast` is not installed")
    folder = tmp_path_factory.mktemp("receiving")
    with started(demo(folder / "data", "--server", str(request.param))) as server:
        yield server


@pytest.mark.parametrize("query", ["view=1000", "view=65537&turn=3", "view=2097152", "view=9000000"])
def test_all_bytes_come_in_order(server: RegistryProcess, query: str) -> None:
    client = RawClient(server.host)
    for size in SIZES:
        body = _bytes(size)
        _send_in_pieces(client, _head(f"/into?{query}", size) + body, seed=size)
        _check(client.answer(), body)


def test_all_bytes_come_in_order_over_tls(tmp_path: Path, certificate: tuple[Path, Path], http_server: str) -> None:
    server = demo(tmp_path / "data", "--server", http_server, *tls_flags(certificate), scheme="https")
    context = ssl.create_default_context(cafile=certificate[0])
    with started(server):
        client = RawClient(server.host)
        client.socket = context.wrap_socket(client.socket, server_hostname="127.0.0.1")
        for size in SIZES:
            body = _bytes(size)
            for query in ("view=65537&turn=3", "view=2097152"):
                _send_in_pieces(client, _head(f"/into?{query}", size) + body, seed=size)
                _check(client.answer(), body)
        client.close()


def test_what_follows_the_body_is_the_next_request(server: RegistryProcess) -> None:
    client, body = RawClient(server.host), _bytes(3 * MIB + 5)
    request = _head("/into?view=2097152", len(body)) + body
    _send_in_pieces(client, request + HELLO + request + HELLO + HELLO)
    for _ in range(2):
        _check(client.answer(), body)
        assert client.answer().status == 200
    assert "pid" in json.loads(client.answer().body)


def test_a_client_that_waits_for_100_continue_hears_it(server: RegistryProcess) -> None:
    client, body = RawClient(server.host), _bytes(3 * MIB)
    client.send(_head("/into?view=2097152", len(body), "Expect: 100-continue"))
    assert client.head()[0] == 100
    client.send(body)
    _check(client.answer(), body)


def test_nothing_is_read_while_no_buffer_is_there(server: RegistryProcess) -> None:
    client = RawClient(server.host, timeout=2)
    client.send(_head("/into?view=100000&pause=3600", 512 * MIB))
    with pytest.raises(TimeoutError):
        client.send(bytes(512 * MIB))


def test_a_client_that_goes_away_ends_its_request(server: RegistryProcess) -> None:
    before = _told(server, "/into")
    for sent in (0, 70_000, 2 * MIB, 3 * MIB):
        client = RawClient(server.host)
        client.send(_head("/into?view=2097152", 4 * MIB) + bytes(sent))
        wait_for(lambda: _told(server, "/into") == before + 1)
        client.close()
        wait_for(lambda: _told(server, "/into") == before)


def _told(server: RegistryProcess, path: str) -> int:
    return int(json.loads(get(server.host, path).body))


def test_a_body_that_trickles_into_a_large_buffer_is_taken(tmp_path: Path, http_server: str) -> None:
    body = _bytes(64 * KIB)
    with started(demo(tmp_path / "data", "--server", http_server, env=IMPATIENT)) as server:
        client = RawClient(server.host)
        client.send(_head("/into?view=2097152", len(body)) + body[:-9])
        for position in range(len(body) - 9, len(body)):
            time.sleep(0.5)
            client.send(body[position : position + 1])
        _check(client.answer(), body)


def test_a_buffer_that_was_taken_back_is_left_alone(server: RegistryProcess) -> None:
    client, before = RawClient(server.host), _told(server, "/cancel")
    client.send(_head("/cancel?view=4000000", 4 * MIB) + b"\1" * MIB)
    wait_for(lambda: _told(server, "/cancel") == before + 1)
    client.send(b"\2" * (3 * MIB))
    found = json.loads(client.answer().body)
    assert found["untouched"]
    assert found["came"] + found["rest"] == 4 * MIB


# --- the registry's uploads -----------------------------------------------------------------------------------------


@pytest.fixture(params=["http", "https"])
def registry(
    request: pytest.FixtureRequest, tmp_path: Path, certificate: tuple[Path, Path]
) -> Iterator[RegistryProcess]:
    flags = ["--open", "--workers", "1", *(tls_flags(certificate) if request.param == "https" else ())]
    env = IMPATIENT if "stall" in request.node.name else {}
    with started(RegistryProcess(tmp_path / "data", args=flags, env=env, scheme=str(request.param))) as server:
        yield server


class Uploader:
    """Uploads to one repository over one connection."""

    def __init__(self, registry: RegistryProcess, certificate: tuple[Path, Path]) -> None:
        self.client = RawClient(registry.host, timeout=120)
        if registry.url.startswith("https"):
            context = ssl.create_default_context(cafile=certificate[0])
            self.client.socket = context.wrap_socket(self.client.socket, server_hostname="127.0.0.1")

    def ask(self, method: str, target: str, body: bytes = b"", *headers: str) -> Answer:
        """A request with all its body, sent in pieces."""
        _send_in_pieces(self.client, _head(target, len(body), *headers, method=method) + body, seed=len(body))
        return self.client.answer()

    def open(self) -> str:
        """A new session's path."""
        return _path(self.ask("POST", "/v2/up/load/blobs/uploads/"))

    def close(self, path: str, content: bytes) -> None:
        """End the session and compare what the registry has with `content`."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        assert self.ask("PUT", f"{path}?digest={digest}").status == 201
        answer = self.ask("GET", f"/v2/up/load/blobs/{digest}")
        assert (answer.status, answer.whole, answer.body == content) == (200, True, True)


def _path(answer: Answer) -> str:
    assert answer.status in (202, 204), answer
    location = answer.headers["location"]
    return location[location.index("/v2/") :]


def test_chunks_of_all_sizes(registry: RegistryProcess, certificate: tuple[Path, Path]) -> None:
    uploader = Uploader(registry, certificate)
    for number, (first, second) in enumerate(
        [(SIZES[-1], 0), (0, 2 * MIB), (2 * MIB, 2 * MIB + 1), (100_003, 4 * MIB), (4 * MIB + 1, 100_000), (70_000, 7)]
    ):
        content = _bytes(first + second, seed=number)
        path = uploader.open()
        for chunk in (content[:first], content[first:]):
            if chunk:
                path = _path(uploader.ask("PATCH", path, chunk))
        uploader.close(path, content)


def test_what_came_of_a_broken_chunk_is_kept(registry: RegistryProcess, certificate: tuple[Path, Path]) -> None:
    content, sent = _bytes(8 * MIB), 5 * MIB + 12_345
    uploader, broken = Uploader(registry, certificate), Uploader(registry, certificate)
    path = uploader.open()
    head = _head(path, len(content), f"Content-Range: 0-{len(content) - 1}", method="PATCH")
    _send_in_pieces(broken.client, head + content[:sent])
    broken.client.close()

    def received() -> int:
        return int(uploader.ask("GET", path).headers["range"].partition("-")[2]) + 1

    wait_for(lambda: received() > 1)
    offset = received()
    assert offset == sent
    chunk = f"Content-Range: {offset}-{len(content) - 1}"
    path = _path(uploader.ask("PATCH", path, content[offset:], chunk))
    uploader.close(path, content)


def test_uploads_that_break_and_stall_leave_the_others_alone(
    registry: RegistryProcess, certificate: tuple[Path, Path]
) -> None:
    """Some break off at any byte, some stall until their request is cancelled and then send on, beside whole ones."""

    def upload(number: int) -> None:
        chance = random.Random(number)
        content = _bytes(chance.randrange(2 * MIB, 6 * MIB), seed=1000 + number)
        uploader = Uploader(registry, certificate)
        path = uploader.open()
        if number % 3 == 0:
            while (answer := uploader.ask("PATCH", path, content)).status == 408:  # on a machine that stands still
                uploader = Uploader(registry, certificate)
            uploader.close(_path(answer), content)
            return
        wrong = b"\xee" * len(content)
        cut = chance.randrange(len(wrong))
        _send_in_pieces(uploader.client, _head(path, len(wrong), method="PATCH") + wrong[:cut], seed=number)
        if number % 3 == 1:
            uploader.client.close()
            return
        answer = uploader.client.answer()
        assert answer.status == 408
        with contextlib.suppress(OSError):  # the connection may be closed by now
            uploader.client.send(wrong[cut:])

    with ThreadPoolExecutor(18) as threads:  # more than there are large buffers for
        for result in [threads.submit(upload, number) for number in range(36)]:
            result.result()
