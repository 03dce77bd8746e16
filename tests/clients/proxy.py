"""A loopback TCP proxy that breaks one connection after so many bytes of answer."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

CHUNK = 64 * 1024


@dataclass(slots=True)
class CuttingProxy:
    """Forwards to `upstream` (host, port); the first connection that carries `cut_after` bytes back is cut.

    `requests` is what clients sent, in the order of its arrival, up to `kept` bytes. With a `rate` (bytes a
    second) each of them sends no quicker.
    """

    upstream: tuple[str, int]
    cut_after: int
    kept: int = sys.maxsize
    rate: float = 0
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    cuts: int = 0
    requests: bytearray = field(default_factory=bytearray)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Its own `127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def ranges(self) -> list[int]:
        """The first byte asked for in each request with a Range, in order."""
        return [int(start) for start in re.findall(rb"(?im)^range: bytes=(\d+)-", bytes(self.requests))]

    def accept(self) -> None:
        """Serve until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.upstream)
            self._open += [client, server]
            self._start(self._send, client, server)
            self._start(self._answer, server, client)

    def close(self) -> None:
        """Close everything and wait for the threads."""
        # shutdown, not close alone: only that wakes a thread that waits in accept or recv.
        for sock in [self.listener, *self._open]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: object, *arguments: socket.socket) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        """Client to server: remember and pass on."""
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK):
                with self._lock:
                    self.requests += data[: self.kept - len(self.requests)]
                server.sendall(data)
                if self.rate:
                    time.sleep(len(data) / self.rate)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        """Server to client: pass on, and cut once."""
        carried = 0
        with contextlib.suppress(OSError):
            while data := server.recv(CHUNK):
                carried += len(data)
                with self._lock:
                    cut = self.cuts == 0 and carried > self.cut_after
                    self.cuts += cut
                if cut:
                    server.shutdown(socket.SHUT_RDWR)
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def cutting(host: str, *, cut_after: int) -> Iterator[CuttingProxy]:
    """A proxy before `host` (`address:port`) for the length of a `with` block."""
    with _serving(CuttingProxy(_parts(host), cut_after)) as proxy:
        yield proxy


@contextlib.contextmanager
def listening(host: str) -> Iterator[CuttingProxy]:
    """One that only remembers what is sent."""
    with _serving(CuttingProxy(_parts(host), sys.maxsize)) as proxy:
        yield proxy


@contextlib.contextmanager
def slow(host: str, rate: float) -> Iterator[CuttingProxy]:
    """One that lets clients send so many bytes a second."""
    with _serving(CuttingProxy(_parts(host), sys.maxsize, kept=0, rate=rate)) as proxy:
        yield proxy


def _parts(host: str) -> tuple[str, int]:
    address, _, port = host.partition(":")
    return address, int(port)


@contextlib.contextmanager
def _serving(proxy: CuttingProxy) -> Iterator[CuttingProxy]:
    acceptor = threading.Thread(target=proxy.accept, daemon=True)
    acceptor.start()
    try:
        yield proxy
    finally:
        proxy.close()
        acceptor.join(10)
