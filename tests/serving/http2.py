"""HTTP/2 over TLS with the `h2` library: streams that start, stall and end when the test says so."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.events

WINDOW = 16 * 1024 * 1024


@dataclass
class Stream:
    """What came back on one stream."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: int | None = None  # error code


class Http2Client:
    """One connection; `until` moves it."""

    def __init__(self, host: str) -> None:
        name, port = host.split(":")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        self._socket = context.wrap_socket(socket.create_connection((name, int(port)), 30))
        self.protocol = self._socket.selected_alpn_protocol()
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.streams: dict[int, Stream] = {}
        self.terminated = False
        self._authority = host
        if self.protocol == "h2":
            self.connection.initiate_connection()
            self.connection.increment_flow_control_window(WINDOW)
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(self, method: str, path: str, *headers: tuple[str, str], end: bool = True) -> int:
        """Open a stream; returns its number."""
        stream_id = self.connection.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "https"), (":authority", self._authority)]
        self.connection.send_headers(stream_id, [*pseudo, *headers], end_stream=end)
        self.streams[stream_id] = Stream()
        self._flush()
        return stream_id

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> int:
        """Send as much as the windows let through; returns how many bytes went."""
        sent = 0
        while sent < len(data):
            window = min(self.connection.local_flow_control_window(stream_id), self.connection.max_outbound_frame_size)
            if window <= 0:
                break
            piece = data[sent : sent + window]
            self.connection.send_data(stream_id, piece)
            sent += len(piece)
            self._flush()
        if end and sent == len(data):
            self.connection.end_stream(stream_id)
            self._flush()
        return sent

    def reset(self, stream_id: int) -> None:
        """Cancel a stream."""
        self.connection.reset_stream(stream_id, error_code=8)
        self._flush()

    def until(self, condition: Callable[[], bool], *, timeout: float = 30) -> None:
        """Take in what the server sends until the condition holds.

        Raises:
            AssertionError: it does not, or the server ends the connection first.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise AssertionError(f"not within {timeout} s: {self.streams}") from None
            assert data, "the server closed the connection"
            for event in self.connection.receive_data(data):
                self._take(event)
            self._flush()

    def get(self, path: str, *headers: tuple[str, str]) -> Stream:
        """A GET on a new stream, whole."""
        stream = self.streams[self.request("GET", path, *headers)]
        self.until(lambda: stream.ended)
        return stream

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            assert event.headers is not None
            stream = self.streams[event.stream_id]
            stream.headers = {str(name): str(value) for name, value in event.headers}
            stream.status = int(stream.headers[":status"])
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id].body += event.data
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.streams[event.stream_id].ended = True
        elif isinstance(event, h2.events.StreamReset):
            self.streams[event.stream_id].reset = int(event.error_code or 0)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.terminated = True

    def _flush(self) -> None:
        if data := self.connection.data_to_send():
            self._socket.settimeout(30)
            self._socket.sendall(data)
