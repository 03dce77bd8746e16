"""What goes over the wire between a registry and its backends, counted by relays on loopback."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """Of one backend so far. A round trip is a message after which the client waits for the server."""

    statements: int = 0
    trips: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class PostgresMessages:
    """Reads what a client sends. Source: PostgreSQL's "Message Formats"; after the start each is a letter and a length
    that counts itself."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._rest = b""
        self._started = False

    def __call__(self, data: bytes) -> None:
        self._rest += data
        while True:
            head = 5 if self._started else 4
            if len(self._rest) < head:
                return
            length = int.from_bytes(self._rest[head - 4 : head]) + head - 4
            if len(self._rest) < length:
                return
            kind, self._rest = (self._rest[:1] if self._started else b""), self._rest[length:]
            self._started = True
            with self._counts.lock:
                self._counts.statements += kind in (b"Q", b"E")  # a simple query, or the execution of a statement
                self._counts.trips += kind in (b"Q", b"S")  # the latter ends a batch of messages


class HttpRequests:
    """Reads what a client sends, and skips bodies."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._head = b""
        self._body = 0

    def __call__(self, data: bytes) -> None:
        while data:
            if self._body:
                skipped = min(self._body, len(data))
                self._body -= skipped
                data = data[skipped:]
                continue
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
            self._body = int(found[1]) if found else 0
            with self._counts.lock:
                self._counts.statements += 1
                self._counts.trips += 1


Reader = Callable[[bytes], None]


@contextmanager
def relay(port: int, reader: Callable[[Counts], Reader]) -> Iterator[tuple[int, Counts]]:
    """A port of loopback that leads to another, and what was sent through it."""
    counts = Counts()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as server:
                back = threading.Thread(target=_pump, args=(server, self.request, lambda _: None), daemon=True)
                back.start()
                _pump(self.request, server, reader(counts))
                back.join()

    class Relay(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Relay(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield listening.server_address[1], counts
        finally:
            listening.shutdown()


def _pump(source: socket.socket, target: socket.socket, read: Reader) -> None:
    try:
        while data := source.recv(65536):
            read(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()  # one of both is gone, and so is the other
