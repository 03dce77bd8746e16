"""Which bytes of which blobs a server may leave to the kernel, and what the store says of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from gati_registry.domain.events import Event
from gati_registry.http.blobs import SMALL, STRETCH
from gati_registry.keys import FileMasterKey
from gati_registry.ports import FileBacked
from gati_registry.settings import Encryption
from gati_registry.storage.filesystem import FilesystemBlobs
from tests.core.contract_blobs import content, put
from tests.core.support import Client, FakeClock, configure, registry, sha256

pytestmark = pytest.mark.anyio

BIG = content(3 * STRETCH + SMALL + 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder on a disk: of a file system in memory nothing is known, and nothing left to the kernel."""
    probe = tmp_path / "probe"
    probe.write_bytes(b"x")
    descriptor = os.open(probe, os.O_RDONLY)
    try:
        os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError:
        pytest.skip(f"the file system of {tmp_path} does not tell what is in memory")
    finally:
        os.close(descriptor)
    return tmp_path


async def pull(client: Client, blob: bytes, **headers: str) -> tuple[bytes, int]:
    """What comes of a blob, and how many bytes of it a server could leave to the kernel."""
    call = client.begin("GET", f"/v2/a/blobs/{sha256(blob)}", headers)
    call.feed(b"", more=False)
    return (await call.answer()).body, call.from_files


async def pull_warm(client: Client, blob: bytes, expected: int, **headers: str) -> bytes:
    """What comes of a blob when it is in memory, where so many bytes are left to the kernel."""
    for _ in range(100):  # memory may be short
        body, kernels = await pull(client, blob, **headers)
        if kernels == expected:
            return body
    raise AssertionError(f"{kernels} bytes instead of {expected} were left to the kernel")


async def test_large_blobs_are_left_to_the_kernel(site: Registry, client: Client) -> None:
    for blob, expected in ((BIG, len(BIG)), (content(SMALL), 0), (content(SMALL + 1), SMALL + 1), (b"inline", 0)):
        assert (await client.push_blob("a", blob)).status == 201
        assert (await pull(client, blob))[0] == blob
        assert await pull_warm(client, blob, expected) == blob
    assert await pull_warm(client, BIG, 200_000, Range="bytes=5-200004") == BIG[5:200_005]
    assert await pull_warm(client, BIG, 0, Range="bytes=5-500") == BIG[5:501]
    await pull_warm(client, BIG, 200_000, Range="bytes=5-14,100-200099")


async def test_observers_hear_how_much_was_sent(site: Registry, client: Client) -> None:
    heard: list[Event] = []

    async def observe(events: Sequence[Event]) -> None:
        heard.extend(events)

    site.observers.add([observe])
    assert (await client.push_blob("a", BIG)).status == 201
    assert await pull_warm(client, BIG, len(BIG)) == BIG
    assert (await pull(client, BIG, Range="bytes=5-200004"))[0] == BIG[5:200_005]
    broken = client.begin("GET", f"/v2/a/blobs/{sha256(BIG)}")
    broken.feed(b"", more=False)
    await broken.breaks_off(after=STRETCH + 1)
    await site.observers.flush()
    *whole, part, begun = (event.sent for event in heard)
    assert (set(whole), part) == ({len(BIG)}, 200_000)
    assert STRETCH < begun < len(BIG)


async def test_those_of_an_encrypted_store_are_not(folder: Path, clock: FakeClock) -> None:
    await FileMasterKey(folder / "master").rotate()
    encryption = Encryption(master="file", file=folder / "master")
    async with registry(folder, clock, configure(folder).model_copy(update={"encryption": encryption})) as site:
        client = Client(site.app)
        assert (await client.push_blob("a", BIG)).status == 201
        assert await pull(client, BIG) == (BIG, 0)


async def becomes(reader: FileBacked, offset: int, length: int, cached: bool) -> None:
    """Bring the file into memory, or drop it from there, until the reader knows it of these bytes."""
    async with asyncio.timeout(30):  # the kernel may be busy with it, or short of memory
        while True:
            if cached:
                assert os.pread(reader.fileno(), len(BIG), 0) == BIG
            else:
                os.posix_fadvise(reader.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if reader.cached(offset, length) == cached:
                return
            await asyncio.sleep(0.01)


async def test_what_is_in_memory_is_known(folder: Path) -> None:
    store = FilesystemBlobs(folder / "blobs")
    reader = await store.open(await put(store, BIG))
    assert isinstance(reader, FileBacked)
    try:
        os.fdatasync(reader.fileno())
        for offset, length in ((0, len(BIG)), (STRETCH, 1), (len(BIG) - 1, 1), (7, STRETCH)):
            await becomes(reader, offset, length, False)
            await becomes(reader, offset, length, True)
        assert not reader.cached(0, len(BIG) + 1), "there is less"
        assert not reader.cached(len(BIG), 1)
    finally:
        reader.close()
        store.close()
