"""HTTP/1.1 on a bare socket, for clients that do what libraries would not."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import ClassVar


@dataclass
class Answer:
    """An answer's head and as much of its body as came."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool  # the body has the announced length


class RawClient:
    """One connection. A fixture closes those that a test leaves open."""

    opened: ClassVar[list[RawClient]] = []

    def __init__(self, host: str, *, timeout: float = 30, receive_buffer: int | None = None) -> None:
        name, port = host.split(":")
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.opened.append(self)
        self.buffer = b""  # came and not yet read
        self.socket.settimeout(timeout)
        self.socket.connect((name, int(port)))

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def request(self, method: str, path: str, *headers: str, body: bytes = b"") -> None:
        """Send a request; a body has no Content-Length of its own."""
        head = "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", "Host: x", *headers, ""))
        self.send(head.encode("latin-1") + body)

    def head(self) -> tuple[int, dict[str, str]]:
        """Read an answer's head."""
        while b"\r\n\r\n" not in self.buffer:
            self._read()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers

    def answer(self) -> Answer:
        """Read a whole answer that has a Content-Length; interim answers are skipped."""
        status, headers = self.head()
        while status < 200:
            status, headers = self.head()
        length = 0 if status == 204 else int(headers["content-length"])
        try:
            while len(self.buffer) < length:
                self._read()
        except ConnectionError:
            return Answer(status, headers, self.buffer, whole=False)
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(status, headers, body, whole=True)

    def closed(self) -> bool:
        """Read until the server closes the connection; False if it does not within the timeout."""
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def _read(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed by the server")
        self.buffer += data


def get(host: str, path: str, *headers: str) -> Answer:
    """One GET on a connection of its own."""
    client = RawClient(host)
    try:
        client.request("GET", path, *headers)
        return client.answer()
    finally:
        client.close()
