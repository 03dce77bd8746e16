"""The contract of the blob store, run over files; on a disk, and on a file system without direct I/O."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from gati_registry.errors import Unavailable
from gati_registry.storage.filesystem import FilesystemBlobs
from gati_registry.storage.filesystem.buffers import ALIGNMENT, SIZE, BufferPool
from gati_registry.storage.filesystem.writer import SMALL
from gati_registry.values.digest import Digest
from tests.core.contract_blobs import (
    MIB,
    BlobsContract,
    Store,
    TakingContract,
    content,
    fill,
    get,
    names,
    new_name,
    put,
    stage,
)
from tests.core.support import files

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["disk", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path, folder: Path) -> Path:
    """The store's folder: on a disk (where direct I/O works on most), or in memory (where it works on few)."""
    return (tmp_path if request.param == "disk" else folder) / "blobs"


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    """A store."""
    opened = FilesystemBlobs(root)
    yield opened
    opened.close()


@pytest.fixture
def another(store: Store, root: Path) -> Iterator[Store]:
    """The same one, as another worker has it."""
    opened = FilesystemBlobs(root)
    yield opened
    opened.close()


@pytest.fixture
def sizes() -> list[int]:
    """Around every length at which writing changes its ways."""
    return [
        0, 1, ALIGNMENT - 1, ALIGNMENT, SMALL - 1, SMALL + 1, 100_003, SIZE - ALIGNMENT, SIZE - 1, SIZE, SIZE + 1,
        2 * SIZE, 2 * SIZE + ALIGNMENT, 5 * MIB + 12_345,
    ]  # fmt: skip


class TestBlobs(BlobsContract, TakingContract):
    """Files."""


# --- what only files have ---------------------------------------------------------------------------------------


async def test_the_tree_is_as_it_is_drawn(root: Path) -> None:
    store = FilesystemBlobs(root)
    data, name = content(1000), new_name()
    await stage(store, name, data)
    assert files(root) == {f"staged/{name}"}
    stored_name = await store.publish(name, Digest.of(data), len(data))
    hexadecimal = Digest.of(data).encoded
    folder, _, generation = stored_name.partition(".")
    assert folder == f"sha256/{hexadecimal[:2]}/{hexadecimal}"
    assert files(root) == {f"blobs/{stored_name}", f"staged/{name}"}
    await store.discard(name)
    assert files(root) == {f"blobs/{stored_name}"}
    await store.quarantine(stored_name)
    assert files(root) == {f"quarantine/sha256-{hexadecimal[:2]}-{hexadecimal}.{generation}"}
    store.close()
    FilesystemBlobs(root).close()
    assert len(files(root)) == 1


async def test_reserved_space_is_given_back(store: Store, root: Path) -> None:
    name = new_name()
    writer = await store.stage(name, 0, algorithm="sha256", expected=40 * MIB)
    await fill(writer, content(5 * MIB + 1))
    await writer.sync()
    await writer.close()
    status = (root / "staged" / name).stat()
    assert status.st_size == 5 * MIB + 1
    assert status.st_blocks * 512 < 8 * MIB
    assert await store.digest_staged(name, 5 * MIB + 1, "sha256") == Digest.of(content(5 * MIB + 1)).encoded


async def test_writers_that_got_little_hold_little(store: Store) -> None:
    """Of uploads that stop after a few bytes there may be many, and not all find a buffer in the pool."""
    before = _resident()
    writers = [await store.stage(new_name(), 0, algorithm=None, expected=SIZE - 1) for _ in range(200)]
    for writer in writers:
        await writer.write(b"x")
    held = _resident() - before
    for writer in writers:
        await writer.close()
    assert held < 200 * SMALL // 2


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_bytes_that_left_the_page_cache_are_read_from_the_disk(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    data = content(5 * MIB + 7)
    stored_name = await put(store, data)
    descriptor = os.open(tmp_path / "blobs" / stored_name, os.O_RDONLY)
    reader = await store.open(stored_name)
    for chunk in (4096, 256 * 1024, MIB + 1):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        parts = [bytes(await reader.read(at, chunk)) for at in range(0, len(data), chunk)]
        assert b"".join(parts) == data
    reader.close()
    os.close(descriptor)
    store.close()


async def test_a_reader_closed_while_it_reads_lets_go_afterwards(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    stored_name = await put(store, content(3 * MIB))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        reader = await store.open(stored_name)
        descriptor = os.open(tmp_path / "blobs" / stored_name, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        reading = asyncio.ensure_future(reader.read(0, 3 * MIB))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        reader.close()
        reader.close()
    store.close()
    for _ in range(5):  # the loop hears of what the threads did
        await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_disk_that_takes_no_more_is_told_and_costs_nothing(tmp_path: Path) -> None:
    """More writers fail at once than buffers stay warm; afterwards the store works as before, and nothing is held."""
    store = FilesystemBlobs(tmp_path)
    await put(store, content(MIB))
    before = len(os.listdir("/proc/self/fd"))
    pool = store._pool
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB, limits[1]))
    try:
        for expected in (None, 8 * MIB):
            writers = [await store.stage(new_name(), 0, algorithm="sha256", expected=expected) for _ in range(6)]
            for writer in writers:
                with pytest.raises(Unavailable):
                    await fill(writer, content(8 * MIB))
                await writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(os.listdir("/proc/self/fd")) <= before
    lent = [pool.take(2) for _ in range(12)]
    assert None not in lent
    for buffers in lent:
        pool.give_back(buffers or [])
    await asyncio.sleep(0.05)
    for name in await names(store.staged(older_than=0)):
        await store.discard(name)
    data = content(8 * MIB)
    assert await get(store, await put(store, data)) == data
    store.close()


def test_the_pool_lends_so_many_and_takes_them_back() -> None:
    pool = BufferPool(6)
    first, second, third = pool.take(2), pool.take(2), pool.take(2)
    assert first is not None
    assert second is not None
    assert third is not None
    assert pool.take(2) is None
    view = memoryview(first[0])[:10]  # somebody still looks at it, as an exception's traceback does
    for buffers in (third, second, first):
        pool.give_back(buffers)
    assert bytes(view) == bytes(10)
    again = [pool.take(2) for _ in range(3)]
    assert None not in again
    assert pool.take(2) is None


async def test_what_cannot_be_opened_is_a_trouble_of_the_disk(store: Store, root: Path) -> None:
    stored_name = await put(store, content(1000))
    path = root / "blobs" / stored_name
    path.unlink()
    path.symlink_to(path.name)
    with pytest.raises(Unavailable):
        await store.open(stored_name)


async def test_staging_lets_go_when_its_caller_is_cancelled(store: Store, another: Store) -> None:
    for _ in range(10):
        name = new_name()
        staging = asyncio.ensure_future(store.stage(name, 0, algorithm="sha256", expected=None))
        await asyncio.sleep(0)
        staging.cancel()
        await asyncio.wait([staging])
        for _ in range(500):
            await asyncio.sleep(0.01)
            if await names(another.staged(older_than=-60_000)) >= {name}:
                break
        else:
            pytest.fail("the lock is still held")
