"""The contract of the blob store, run over a real S3 server; and what only this store has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gati_registry.errors import RegistryError
from gati_registry.ports import Busy, StagedWriter
from gati_registry.storage.s3 import Address, Options, S3Blobs
from gati_registry.storage.s3.client import MAX_PARTS, MIN_PART
from gati_registry.storage.s3.staging import doubled
from gati_registry.values.digest import Digest
from tests.core.contract_blobs import (
    MIB,
    BlobsContract,
    TakingContract,
    content,
    fill,
    get,
    names,
    new_name,
    put,
    stage,
)
from tests.support.minio import BUCKET, MinioServer, S3Server

pytestmark = pytest.mark.anyio

OPTIONS = Options(connections=16, timeout=20)


@pytest.fixture
def address(minio: S3Server, prefix: str) -> Address:
    """Where this test's blobs are."""
    return Address(BUCKET, f"{prefix}/", minio.endpoint, "us-east-1")


@pytest.fixture
async def store(address: Address) -> AsyncIterator[S3Blobs]:
    """A store."""
    opened = S3Blobs(address, OPTIONS, part_bytes=MIN_PART)
    yield opened
    opened.close()


@pytest.fixture
async def another(store: S3Blobs, address: Address) -> AsyncIterator[S3Blobs]:
    """The same one, as another replica has it, with another size of parts."""
    opened = S3Blobs(address, OPTIONS, part_bytes=MIN_PART + MIB)
    yield opened
    opened.close()


@pytest.fixture
def sizes() -> list[int]:
    """Around every length at which writing changes its ways."""
    return [0, 1, 100_003, MIN_PART - 1, MIN_PART, 7 * MIB, 2 * MIN_PART + 1]


class TestS3(BlobsContract, TakingContract):
    """MinIO."""


async def written(writer: StagedWriter, data: bytes) -> None:
    """Write and sync."""
    await fill(writer, data)
    await writer.sync()


# --- what only S3 has -------------------------------------------------------------------------------------------


async def test_the_keys_are_as_they_are_drawn(store: S3Blobs, minio: MinioServer, prefix: str) -> None:
    data, name, before = content(2 * MIN_PART + 1000), new_name(), minio.multiparts()
    await stage(store, name, data)
    assert minio.keys(prefix) == {f"staged/{name}/state", f"staged/{name}/tail-{len(data)}"}
    assert minio.multiparts() == before + 1
    writer = await store.stage(name, len(data), algorithm="sha256", expected=0)
    assert minio.keys(prefix) > {f"staged/{name}/writer-{writer.generation}"}
    await writer.close()
    stored_name = await store.publish(name, Digest.of(data), len(data))
    assert stored_name.partition(".")[0] == name
    await store.discard(name)
    assert minio.keys(prefix) == {f"blobs/{stored_name}"}
    assert minio.multiparts() == before
    await store.quarantine(stored_name)
    assert minio.keys(prefix) == {f"quarantine/{stored_name}"}


async def test_what_is_discarded_leaves_nothing(
    store: S3Blobs, another: S3Blobs, minio: MinioServer, prefix: str
) -> None:
    """Parts, tails, what was put together to be read, and what a writer that died left."""
    before = minio.multiparts()
    for size in (1000, MIN_PART, 2 * MIN_PART + 5):
        name = new_name()
        await stage(store, name, content(size))
        await store.discard(name)
        await stage(store, name, content(size))
        assert await another.digest_staged(name, size, "sha256") == Digest.of(content(size)).encoded
        await store.discard(name)
        dying = await store.stage(name, 0, algorithm="sha256", expected=None)
        await fill(dying, content(size))
        await dying.sync()
        await another.discard(name)
        await dying.close()
    assert minio.keys(prefix) == set()
    assert minio.multiparts() == before


async def test_parts_outlive_their_publication(store: S3Blobs, another: S3Blobs, minio: S3Server, prefix: str) -> None:
    """Blobs that were made of the same staged bytes live and die by themselves."""
    data, more, name = content(MIN_PART + 300_000), content(MIN_PART + 5000, 1), new_name()
    await stage(store, name, data)
    first = await store.publish(name, Digest.of(data), len(data))
    assert await get(another, first) == data
    await store.remove(first)
    await stage(another, name, more, offset=len(data))
    second = await store.publish(name, Digest.of(data + more), len(data + more))
    third = await another.publish(name, Digest.of(data + more), len(data + more))
    fourth = await store.publish(name, Digest.of(data + more), len(data + more))
    assert len({first, second, third, fourth}) == 4
    await store.remove(third)
    await store.remove(fourth)
    await store.discard(name)
    assert await get(store, second) == data + more
    assert minio.keys(prefix) == {f"blobs/{second}"}


async def test_a_writer_that_was_taken_over_can_do_no_harm(store: S3Blobs, another: S3Blobs) -> None:
    """S3 itself refuses its parts, whatever it goes on sending."""
    kept, lost, new = content(MIN_PART + 17, 1), content(4 * MIN_PART, 2), content(2 * MIN_PART, 3)
    name, other = new_name(), new_name()
    await stage(store, name, kept)
    hanging = await store.stage(name, len(kept), algorithm="sha256", expected=None)
    await fill(hanging, lost[: 2 * MIN_PART])
    with pytest.raises(Busy):
        await another.stage(name, len(kept), algorithm="sha256", expected=None)
    await another.copy_staged(name, other, len(kept))
    with pytest.raises(RegistryError) as refused:
        await written(hanging, lost)
    assert refused.value.status == 409
    await stage(another, other, new, offset=len(kept))
    await hanging.close()
    await another.discard(name)
    stored_name = await another.publish(other, Digest.of(kept + new), len(kept + new))
    await another.discard(other)
    assert await get(store, stored_name) == kept + new


async def test_a_name_whose_bytes_may_be_put_together_late_is_not_free(store: S3Blobs, another: S3Blobs) -> None:
    """Without S3's word on it, it may still happen when the next writer's bytes are acknowledged."""
    data, name = content(MIN_PART + 5), new_name()
    writer = await store.stage(name, 0, algorithm="sha256", expected=None)
    await written(writer, data)
    await store.digest_staged(name, len(data), "sha512")
    await writer.close()
    with pytest.raises(Busy):
        await another.stage(name, len(data), algorithm="sha256", expected=None)


async def test_names_of_another_store_are_nothing_here(store: S3Blobs) -> None:
    other = "sha256/ab/abcdef.0123"
    with pytest.raises(FileNotFoundError):
        await store.open(other)
    await store.remove(other)
    await store.quarantine(other)


async def test_a_writer_that_died_keeps_its_name_until_it_is_old(store: S3Blobs, address: Address) -> None:
    kept, name, other = content(2 * MIN_PART + 5), new_name(), new_name()
    await stage(store, name, kept)
    dead = await store.stage(name, len(kept), algorithm="sha256", expected=None)
    await fill(dead, content(MIN_PART, 1))  # and no word of it again
    later = S3Blobs(address, OPTIONS, part_bytes=MIN_PART, alive=0)
    with pytest.raises(Busy):
        await later.stage(name, len(kept), algorithm="sha256", expected=None)
    await asyncio.sleep(0.05)
    assert await names(store.staged(older_than=0)) == set()
    assert await names(later.staged(older_than=0)) == {name}
    await later.copy_staged(name, other, len(kept))
    assert await later.digest_staged(other, len(kept), "sha512") == await store.digest_staged(name, len(kept), "sha512")
    later.close()
    await dead.close()


async def test_an_object_of_an_upload_under_way_is_no_stray(store: S3Blobs, another: S3Blobs) -> None:
    data, name = content(MIN_PART + 5), new_name()
    await stage(store, name, data)
    await another.digest_staged(name, len(data), "sha512")
    await asyncio.sleep(0.05)
    assert await names(store.strays(older_than=0)) == set()
    stored_name = await store.publish(name, Digest.of(data), len(data))
    assert await names(store.strays(older_than=0)) == set()
    await store.discard(name)
    assert await names(store.strays(older_than=0)) == {stored_name}


async def test_housekeeping_walks_more_than_a_page(store: S3Blobs, minio: MinioServer, prefix: str) -> None:
    """More names and objects than one listing tells of, and a name whose objects end up on two pages."""
    wanted = {f"name{number:04d}" for number in range(350)}

    async def make(name: str) -> None:
        for trace in ("state", "tail-1", "tail-2"):
            await store._bucket.put(f"staged/{name}/{trace}", b"")

    await asyncio.gather(*(make(name) for name in wanted))
    await asyncio.sleep(0.05)
    found = [name async for batch in store.staged(older_than=0) for name in batch]
    assert len(found) == len(set(found))
    assert set(found) == wanted
    assert len(minio.keys(prefix)) == 1050


async def test_a_large_download_asks_for_few_ranges_and_holds_little(store: S3Blobs) -> None:
    data = content(20 * MIB)
    reader = await store.open(await put(store, data))
    position, held = 0, 0
    while piece := await reader.read(position, 256 * 1024):
        assert bytes(piece) == data[position : position + len(piece)]
        position += len(piece)
        held = max(held, len(reader._data))
    assert position == len(data)
    assert held == 4 * MIB
    assert bytes(await reader.read(5, 10)) == data[5:15]
    assert len(reader._data) == 10
    reader.close()


def test_ten_thousand_parts_are_enough_for_the_largest_object() -> None:
    """Source: Amazon S3 user guide: 5 TiB. Of each part at least as much is filled as a tail may not have."""
    assert sum(doubled(MIN_PART, number) for number in range(1, MAX_PARTS + 1)) > 5 << 40
    assert doubled(MIN_PART, 1) == MIN_PART
