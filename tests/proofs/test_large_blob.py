"""A blob much larger than memory should be: up and down in constant memory, and exact."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proofs.sizes import size
from tests.support.server import RegistryProcess, running

MIB = 1024 * 1024
BLOCK = bytes(range(256)) * (8 * MIB // 256)
CHUNK = 100 * MIB  # of the chunked upload; some clients send as much
MOST_GROWTH = 64 * MIB
SAMPLING = 0.02  # seconds


def pieces(total: int, start: int = 0) -> Iterator[bytes]:
    """Bytes start..total of a stream of numbered blocks; only one block is in memory."""
    while start < total:
        number, offset = divmod(start, len(BLOCK))
        block = number.to_bytes(8, "big") + BLOCK[8:]
        piece = block[offset : offset + total - start]
        yield piece
        start += len(piece)


def digest_of(total: int) -> str:
    digest = hashlib.sha256()
    for piece in pieces(total):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


class Memory:
    """Samples the server's resident memory while a block runs; `growth` is the most it grew by, in bytes."""

    def __init__(self, server: RegistryProcess) -> None:
        self._server, self._stop = server, threading.Event()
        self._before = self._most = server.rss()
        self._thread = threading.Thread(target=self._sample)

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLING):
            self._most = max(self._most, self._server.rss())

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        return self._most - self._before


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = b"", **headers: str
) -> http.client.HTTPResponse:
    """One request; the answer's body is left to read. Header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named, encode_chunked="Transfer-Encoding" in named)  # type: ignore[arg-type]
    return connection.getresponse()


def send_stream(connection: http.client.HTTPConnection, location: str, total: int) -> str:
    """One PATCH without a length, as docker sends it."""
    answer = exchange(connection, "PATCH", location, pieces(total), Transfer_Encoding="chunked")
    assert (answer.status, answer.read()) == (202, b"")
    return answer.headers["Location"]


def send_chunks(connection: http.client.HTTPConnection, location: str, total: int) -> str:
    """Many PATCHes, each with its range."""
    for start in range(0, total, CHUNK):
        end = min(start + CHUNK, total)
        length, bounds = str(end - start), f"{start}-{end - 1}"
        body = pieces(end, start)
        answer = exchange(connection, "PATCH", location, body, Content_Length=length, Content_Range=bounds)
        assert (answer.status, answer.read()) == (202, b"")
        location = answer.headers["Location"]
    return location


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("send", [send_stream, send_chunks], ids=["stream", "chunks"])
def test_a_large_blob_passes_in_constant_memory(
    tmp_path: Path, send: Callable[[http.client.HTTPConnection, str, int], str]
) -> None:
    total = size("BLOB_BYTES", 5 * 1024 * MIB)
    digest = digest_of(total)
    with running(tmp_path / "data") as server:
        connection = http.client.HTTPConnection(server.host, timeout=300)
        with Memory(server) as up:
            opened = exchange(connection, "POST", "/v2/large/blobs/uploads/")
            assert (opened.status, opened.read()) == (202, b"")
            location = send(connection, opened.headers["Location"], total)
            closed = exchange(connection, "PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}")
            assert (closed.status, closed.read()) == (201, b"")
        with Memory(server) as down:
            answer = exchange(connection, "GET", f"/v2/large/blobs/{digest}")
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(total))
            received = hashlib.sha256()
            while piece := answer.read(MIB):
                received.update(piece)
        connection.close()
    shutil.rmtree(tmp_path / "data")
    assert f"sha256:{received.hexdigest()}" == digest
    assert up.growth < MOST_GROWTH, f"the upload took {up.growth / MIB:.1f} MiB"
    assert down.growth < MOST_GROWTH, f"the download took {down.growth / MIB:.1f} MiB"
    grown = f"memory grew by {up.growth / MIB:.1f} MiB up, {down.growth / MIB:.1f} MiB down"
    print(f"\n{total // MIB} MiB blob by {send.__name__}: {grown}")
