"""Load generators that cost little beside the server under test.

- `wrk`: the C program, for GET at full speed over keep-alive connections.
- `repeat`: one fixed request over and over, for HEAD (wrk waits for the body that its answer does not have).
- `drive`: clients that speak several requests in a row, each a generator that yields requests and receives
  responses; one thread and one epoll serve them all.
- `download` and `upload`: threads over blocking sockets; the bytes come from memory and go into one buffer.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.artifacts import BigBlob

Address = tuple[str, int]

_WRK_SCRIPT = Path(__file__).with_name("wrk.lua")
_LOCATION = re.compile(rb"\r\nlocation: *([^\r\n]+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BUFFER = 1024 * 1024
_ATTEMPTS = 3  # at one request whose connection the server closes without an answer


class LoadError(Exception):
    """The server answered otherwise than the row needs, or closed a connection within an answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer without its body."""

    status: int
    head: bytes

    @property
    def location(self) -> str:
        """The path (with its query) of the Location header, without scheme and host."""
        found = _LOCATION.search(self.head)
        if found is None:
            raise LoadError(f"no Location in {self.head!r}")
        return re.sub(r"^https?://[^/]+", "", found[1].decode())

    def expect(self, status: int) -> Response:
        """Itself, if it has this status.

        Raises:
            LoadError: it has another one.
        """
        if self.status != status:
            raise LoadError(f"expected {status}: {self.head.decode(errors='replace')}")
        return self


Client = Generator[bytes, Response, None]


def request(method: str, target: str, headers: str = "", body: bytes = b"") -> bytes:
    """The bytes of one HTTP/1.1 request; `headers` are whole lines that end with CRLF."""
    length = f"Content-Length: {len(body)}\r\n" if method in ("POST", "PUT", "PATCH") else ""
    return f"{method} {target} HTTP/1.1\r\nHost: bench\r\n{headers}{length}\r\n".encode() + body


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


# --- one request at full speed ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rate:
    """What a closed loop of identical requests reached. Times in milliseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float


def wrk(
    url: str, *, connections: int, seconds: float, headers: Iterable[str] = (), targets: Path | None = None
) -> Rate:
    """GET one URL over keep-alive connections with the program wrk; or the lines of a file of paths in turn.

    Raises:
        LoadError: any answer was not 2xx, or a connection broke.
    """
    options = [
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--timeout",
        "30s",
        "-s",
        str(_WRK_SCRIPT),
    ]
    for header in headers:
        options += ["-H", header]
    environment = {**os.environ, "BENCH_TARGETS": str(targets)} if targets is not None else None
    done = subprocess.run(["wrk", *options, url], capture_output=True, text=True, check=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["errors"]:
        raise LoadError(f"wrk counted {found['errors']} errors in {found['requests']} requests to {url}")
    per_second = found["requests"] / found["seconds"]
    return Rate(found["requests"], per_second, found["p50"], found["p99"])


def repeat(address: Address, payload: bytes, *, connections: int, seconds: float) -> Rate:
    """Send a request whose answers have no body over keep-alive connections.

    Raises:
        LoadError: an answer was not 200.
    """
    deadline = time.perf_counter() + seconds
    latencies: list[float] = []

    def client() -> Client:
        while (start := time.perf_counter()) < deadline:
            response = yield payload
            latencies.append(time.perf_counter() - start)
            if response.status != 200:
                response.expect(200)

    start = time.perf_counter()
    drive(address, [client() for _ in range(connections)], bodies=False)
    elapsed = time.perf_counter() - start
    return Rate(
        len(latencies),
        len(latencies) / elapsed,
        percentile(latencies, 50) * 1000,
        percentile(latencies, 99) * 1000,
    )


# --- clients that speak several requests ------------------------------------------------------------------


@dataclass(slots=True)
class _Connection:
    client: Client
    socket: socket.socket
    pending: memoryview = field(default_factory=lambda: memoryview(b""))
    sent: bytes = b""
    attempts: int = 0
    received: bytearray = field(default_factory=bytearray)


def drive(address: Address, clients: Iterable[Client], *, bodies: bool = True) -> None:
    """Run the clients side by side, one connection each, until all have ended.

    A connection that the server closes between two requests is opened again and the request sent once more.
    `bodies=False` is for answers to HEAD.

    Raises:
        LoadError: a connection broke within an answer, or an answer's length cannot be told.
    """
    with select.epoll() as epoll:
        connections: dict[int, _Connection] = {}

        def connect(client: Client) -> _Connection:
            sock = socket.create_connection(address, timeout=60)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            connection = _Connection(client, sock)
            connections[sock.fileno()] = connection
            epoll.register(sock.fileno(), select.EPOLLIN)
            return connection

        def close(connection: _Connection) -> None:
            del connections[connection.socket.fileno()]
            connection.socket.close()

        def send(connection: _Connection, payload: bytes) -> None:
            connection.sent = payload
            connection.pending = memoryview(payload)
            _flush(epoll, connection)

        for client in clients:
            first = next(client, None)
            if first is not None:
                send(connect(client), first)
        while connections:
            for descriptor, events in epoll.poll():
                connection = connections[descriptor]
                if events & select.EPOLLOUT:
                    _flush(epoll, connection)
                if not events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    continue
                if not _receive(connection):
                    close(connection)
                    if connection.attempts == _ATTEMPTS:
                        raise LoadError(f"closed without an answer: {connection.sent[:200]!r}")
                    again = connect(connection.client)
                    again.attempts = connection.attempts + 1
                    send(again, connection.sent)
                    continue
                response = _take(connection.received, bodies)
                if response is None:
                    continue
                connection.attempts = 0
                try:
                    send(connection, connection.client.send(response))
                except StopIteration:
                    close(connection)


def _flush(epoll: select.epoll, connection: _Connection) -> None:
    """Send as much as the socket takes; ask to be told when it takes more."""
    try:
        connection.pending = connection.pending[connection.socket.send(connection.pending) :]
    except BlockingIOError:
        pass
    except (ConnectionResetError, BrokenPipeError):
        return  # reading finds the same, and decides
    wanted = select.EPOLLIN | select.EPOLLOUT if connection.pending else select.EPOLLIN
    epoll.modify(connection.socket.fileno(), wanted)


def _receive(connection: _Connection) -> bool:
    """Read what is there; False if the server closed the connection between two requests."""
    try:
        data = connection.socket.recv(65536)
    except BlockingIOError:
        return True
    except ConnectionResetError:
        data = b""
    if not data and connection.received:
        raise LoadError(f"the connection broke within an answer: {bytes(connection.received)!r}")
    connection.received += data
    return bool(data)


def _take(received: bytearray, bodies: bool) -> Response | None:
    """Cut one whole answer off the front of what was received; None while it is not whole."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[: end + 4])
    status = int(head[9:12])
    length = 0
    if bodies and status != 204:
        found = _LENGTH.search(head)
        if found is None:
            raise LoadError(f"an answer without Content-Length: {head!r}")
        length = int(found[1])
    if len(received) < end + 4 + length:
        return None
    del received[: end + 4 + length]
    return Response(status, head)


# --- big bodies -------------------------------------------------------------------------------------------


def _side_by_side(work: Sequence[Callable[[], None]]) -> float:
    """Run each in a thread; the seconds until the last has ended. The first failure is raised."""
    failures: list[BaseException] = []

    def run(each: Callable[[], None]) -> None:
        try:
            each()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(each,)) for each in work]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    if failures:
        raise failures[0]
    return elapsed


def _head(sock: socket.socket, buffer: bytearray) -> tuple[Response, int]:
    """Read up to the end of the head; how many bytes of the body came with it."""
    filled = 0
    while True:
        count = sock.recv_into(memoryview(buffer)[filled:])
        if count == 0:
            raise LoadError(f"the connection broke within an answer: {bytes(buffer[:filled])!r}")
        filled += count
        end = buffer.find(b"\r\n\r\n", 0, filled)
        if end >= 0:
            head = bytes(buffer[: end + 4])
            return Response(int(head[9:12]), head), filled - end - 4


def _receive_blob(address: Address, target: str, size: int, until: Callable[[int], bool]) -> int:
    """GET the blob again and again on one connection until `until(bytes so far)`; the bytes received."""
    buffer = bytearray(_BUFFER)
    total = 0
    with socket.create_connection(address, timeout=120) as sock:
        while True:
            sock.sendall(request("GET", target))
            response, received = _head(sock, buffer)
            response.expect(200)
            while not (done := until(total + received)) and received < size:
                count = sock.recv_into(buffer)
                if count == 0:
                    raise LoadError(f"{target} ended after {received} of {size} bytes")
                received += count
            total += received
            if done:
                return total


def fetch(address: Address, target: str, size: int) -> None:
    """GET the blob once, whole."""
    _receive_blob(address, target, size, lambda total: total >= size)


def download(address: Address, target: str, size: int, *, streams: int, seconds: float) -> float:
    """GET the blob over `streams` connections for `seconds`; bytes per second over all."""
    counts: list[int] = []
    deadline = time.perf_counter() + seconds

    def one() -> None:
        counts.append(_receive_blob(address, target, size, lambda _: time.perf_counter() >= deadline))

    elapsed = _side_by_side([one] * streams)
    return sum(counts) / elapsed


def beside_downloads(
    address: Address, target: str, size: int, work: Callable[[], Rate], *, streams: int
) -> tuple[Rate, float]:
    """What `work` measures while `streams` connections download the blob again and again.

    Returns:
        its figures, and the downloads' bytes per second.
    """
    stop = threading.Event()
    counts: list[int] = []
    rates: list[Rate] = []

    def one() -> None:
        counts.append(_receive_blob(address, target, size, lambda _: stop.is_set()))

    def beside() -> None:
        try:
            rates.append(work())
        finally:
            stop.set()

    elapsed = _side_by_side([beside, *[one] * streams])
    return rates[0], sum(counts) / elapsed


def upload(address: Address, name: str, blobs: Sequence[BigBlob]) -> float:
    """Push each blob over a connection of its own, POST then one PUT; the seconds until the last 201.

    Source: distribution-spec, "POST then PUT".
    """

    def one(blob: BigBlob) -> None:
        buffer = bytearray(_BUFFER)
        with socket.create_connection(address, timeout=600) as sock:
            sock.sendall(request("POST", f"/v2/{name}/blobs/uploads/"))
            location = _head(sock, buffer)[0].expect(202).location
            target = f"{location}{'&' if '?' in location else '?'}digest={blob.digest}"
            head = f"PUT {target} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/octet-stream\r\n"
            sock.sendall(f"{head}Content-Length: {blob.size}\r\n\r\n".encode())
            for part in blob.parts():
                sock.sendall(part)
            _head(sock, buffer)[0].expect(201)

    return _side_by_side([lambda blob=blob: one(blob) for blob in blobs])  # type: ignore[misc]
