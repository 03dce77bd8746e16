"""HTTP/2: what happens on one stream leaves the others of its connection alive."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.connection
import h2.errors
import pytest
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.typing import ConnectionState

from gati_registry.serving.hypercorn_parts import Context, Http2
from tests.serving.http2 import Http2Client, Stream
from tests.serving.processes import demo, started, tls_flags
from tests.support.server import RegistryProcess, wait_for

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[RegistryProcess]:
    folder = tmp_path_factory.mktemp("http2")
    with started(demo(folder / "data", *tls_flags(certificate), scheme="https")) as server:
        yield server


@pytest.fixture
def client(server: RegistryProcess) -> Iterator[Http2Client]:
    with Http2Client(server.host) as client:
        assert client.protocol == "h2"
        assert client.get("/hello").status == 200  # from here on the server's settings are known
        yield client


@pytest.mark.parametrize("status", [401, 413])
def test_an_answer_before_the_body_ends_leaves_the_other_streams_alive(client: Http2Client, status: int) -> None:
    download = client.request("GET", "/source?size=3000000&pause=0.01")
    upload = client.request("PUT", "/sink", end=False)
    client.send(upload, b"first")
    refused = client.request("PUT", f"/refuse?status={status}", end=False)
    client.send(refused, bytes(100_000))
    client.until(lambda: client.streams[refused].reset is not None)
    assert client.streams[refused].status == status
    assert b'"UNAUTHORIZED"' in client.streams[refused].body
    assert client.streams[refused].ended
    assert client.streams[refused].reset == h2.errors.ErrorCodes.NO_ERROR
    client.send(upload, b"second", end=True)
    client.until(lambda: client.streams[upload].ended and client.streams[download].ended)
    assert b'"received":11' in client.streams[upload].body
    assert len(client.streams[download].body) == 3_000_000
    assert client.get("/hello").status == 200


def test_data_that_was_under_way_when_the_answer_came_is_dropped(client: Http2Client) -> None:
    refused = client.request("PUT", "/refuse", end=False)
    other = client.request("PUT", "/sink", end=False)
    # All at once, without reading what the server says in between.
    assert client.send(refused, bytes(900_000)) == 900_000
    assert client.send(other, bytes(900_000), end=True) == 900_000
    client.until(lambda: client.streams[other].ended and client.streams[refused].reset is not None)
    assert b'"received":900000' in client.streams[other].body
    assert client.get("/hello").status == 200


def test_a_stalled_upload_leaves_the_other_streams_alive(client: Http2Client) -> None:
    stalled = client.request("PUT", "/sink", end=False)
    client.send(stalled, bytes(1000))
    for _ in range(3):
        assert client.get("/hello").status == 200
    other = client.request("PUT", "/sink", end=False)
    assert client.send(other, bytes(60_000), end=True) == 60_000
    client.until(lambda: client.streams[other].ended)
    client.send(stalled, bytes(1000), end=True)
    client.until(lambda: client.streams[stalled].ended)
    assert b'"received":2000' in client.streams[stalled].body


def test_a_handler_that_does_not_read_leaves_the_other_streams_alive(client: Http2Client) -> None:
    unread = client.request("PUT", "/unread?seconds=3600", end=False)
    sent = client.send(unread, bytes(4 * MIB))
    # Small frames would fill a queue that counts messages.
    assert sent == MIB, "the stream's window, and not a byte more"
    many = client.request("PUT", "/unread?seconds=3600", end=False)
    for _ in range(500):
        assert client.send(many, b"x") == 1
    other = client.request("PUT", "/sink", end=False)
    assert client.send(other, bytes(500_000), end=True) == 500_000
    client.until(lambda: client.streams[other].ended)
    assert b'"received":500000' in client.streams[other].body
    assert client.get("/hello").status == 200


def test_streams_that_were_never_read_give_the_connection_its_window_back(client: Http2Client) -> None:
    for _ in range(20):  # more than the connection's 16 MiB in all
        unread = client.request("PUT", "/unread?seconds=0.01", end=False)
        assert client.send(unread, bytes(MIB)) == MIB
        client.until(lambda: client.streams[unread].reset is not None)  # noqa: B023 - called here
        assert client.streams[unread].status == 200
    other = client.request("PUT", "/sink", end=False)
    assert client.send(other, bytes(MIB), end=True) == MIB
    client.until(lambda: client.streams[other].ended)


def test_an_answer_that_breaks_off_is_reset_and_not_ended(client: Http2Client) -> None:
    broken = client.streams[client.request("GET", "/broken")]
    client.until(lambda: broken.reset is not None)
    assert broken.reset == h2.errors.ErrorCodes.INTERNAL_ERROR
    assert not broken.ended
    assert client.get("/hello").status == 200


def test_a_download_that_the_client_cancels_leaves_the_others_alive(client: Http2Client) -> None:
    cancelled = client.request("GET", "/source?size=1000000000")
    client.until(lambda: len(client.streams[cancelled].body) > 100_000)
    client.reset(cancelled)
    assert client.get("/hello").status == 200


def test_a_client_that_goes_away_leaves_nothing_running(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with started(demo(tmp_path / "data", *tls_flags(certificate), scheme="https")) as server:
        with Http2Client(server.host) as client:
            downloads = [client.request("GET", "/source?size=1000000000") for _ in range(3)]
            upload = client.request("PUT", "/sink", end=False)
            client.send(upload, b"half")
            client.until(lambda: all(client.streams[download].body for download in downloads))
        with Http2Client(server.host) as other:
            idle = b'gati_requests_in_progress{worker="0"} 0.0'
            wait_for(lambda: idle in other.get("/metrics").body)


def test_a_path_that_is_not_ascii_is_only_its_streams_trouble(client: Http2Client) -> None:
    upload = client.request("PUT", "/sink", end=False)
    odd = client.streams[client.request("GET", "/h\u00e9llo")]
    client.until(lambda: odd.reset is not None)
    client.send(upload, b"x", end=True)
    client.until(lambda: client.streams[upload].ended)
    assert client.streams[upload].status == 200


def test_sixty_streams_at_once(client: Http2Client) -> None:
    uploads = [client.request("PUT", "/sink", end=False) for _ in range(60)]
    for upload in uploads:
        assert client.send(upload, bytes(50_000)) == 50_000
    for upload in reversed(uploads):
        client.send(upload, bytes(1), end=True)
    client.until(lambda: all(client.streams[upload].ended for upload in uploads))
    assert all(b'"received":50001' in client.streams[upload].body for upload in uploads)


def test_an_upload_larger_than_every_window(client: Http2Client) -> None:
    upload = client.request("PUT", "/sink", end=False)
    left = 40 * MIB
    while left:
        sent = client.send(upload, bytes(min(left, MIB)))
        left -= sent
        if not sent:
            client.until(lambda: client.connection.local_flow_control_window(upload) > 0)
    client.send(upload, b"", end=True)
    client.until(lambda: client.streams[upload].ended)
    assert f'"received":{40 * MIB}'.encode() in client.streams[upload].body


def test_a_registry_refuses_and_waits_on_some_streams_and_serves_the_others(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse battery staple")
    environment = {"GATI_ADMIN_PASSWORD_FILE": str(password)}
    admin = ("authorization", "Basic " + base64.b64encode(b"admin:correct horse battery staple").decode())
    server = RegistryProcess(tmp_path / "data", args=tls_flags(certificate), env=environment, scheme="https")
    blob = os.urandom(900_000)
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    with started(server), Http2Client(server.host) as client:
        assert client.get("/v2/", admin).status == 200
        push = client.request("POST", f"/v2/a/blobs/uploads/?digest={digest}", admin, end=False)
        stranger = client.request("POST", f"/v2/a/blobs/uploads/?digest={digest}", end=False)
        large = client.request("PUT", "/v2/a/manifests/large", admin, end=False)
        stalled = client.request("POST", f"/v2/a/blobs/uploads/?digest={digest}", admin, end=False)
        client.send(stalled, b"and no more")
        client.send(stranger, bytes(50_000))
        sent = 0
        while client.streams[large].reset is None:
            sent += client.send(large, bytes(500_000))
            client.until(lambda: client.streams[large].reset is not None or _window(client, large) > 0)
        client.until(lambda: client.streams[stranger].reset is not None)
        assert (client.streams[stranger].status, client.streams[large].status) == (401, 413)
        assert client.streams[stranger].headers["www-authenticate"].startswith("Bearer ")
        assert sent >= 4 * MIB
        assert client.send(push, blob, end=True) == len(blob)
        client.until(lambda: client.streams[push].ended)
        assert client.streams[push].status == 201
        assert client.get(f"/v2/a/blobs/{digest}", admin).body == blob
        client.reset(stalled)
        assert client.get("/v2/", admin).status == 200


def _window(client: Http2Client, stream_id: int) -> int:
    if client.streams[stream_id].reset is not None:
        return 0
    return client.connection.local_flow_control_window(stream_id)


def test_http2_can_be_switched_off(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    server = demo(tmp_path / "data", *tls_flags(certificate), scheme="https", env={"GATI_HTTP__HTTP2": "false"})
    with started(server), Http2Client(server.host) as client:
        assert client.protocol is None


def test_what_no_client_should_send_is_no_error_of_ours(server: RegistryProcess, client: Http2Client) -> None:
    connect = client.connection.get_next_available_stream_id()
    client.connection.send_headers(connect, [(":method", "CONNECT"), (":authority", "x:1")], end_stream=True)
    client.streams[connect] = Stream()
    for number in range(1, 2500, 2):
        client.connection.prioritize(connect + 2 + number * 2, weight=1, depends_on=0)
    assert client.get("/hello").status == 200
    assert client.streams[connect].reset == h2.errors.ErrorCodes.PROTOCOL_ERROR
    assert "connection ended by an unexpected error" not in server.stderr()


class _Client:
    """Takes what a server says, and is a connection as far as `Http2` asks for one."""

    def __init__(self) -> None:
        self.writer = self
        self.heard = bytearray()

    def get_extra_info(self, _name: str) -> None:
        return None

    async def take(self, event: Any) -> None:
        self.heard += event.data


def test_a_flood_of_small_frames_leaves_others_their_turn() -> None:
    """A megabyte of pings came at once: all are answered, and the event loop goes round meanwhile."""
    ping = bytes((0, 0, 8, 6, 0, 0, 0, 0, 0)) + b"12345678"
    count = MIB // len(ping)

    async def flood() -> int:
        turns, over, client = 0, asyncio.Event(), _Client()

        async def others() -> None:
            nonlocal turns
            while not over.is_set():
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(others())
        protocol = Http2(None, Config(), Context(None), None, ConnectionState({}), True, None, None, client.take)
        opening = h2.connection.H2Connection()
        opening.initiate_connection()
        await protocol.handle(RawData(opening.data_to_send() + ping * count))
        assert client.heard.count(b"12345678") == count
        over.set()
        await counting
        return turns

    assert asyncio.run(flood()) > count // 100
