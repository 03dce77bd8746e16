"""What every blob store promises: `ports.BlobStore`, its writers and readers, `ports.Housekeeping`, `ports.Receiving`.

A driver's test module subclasses `BlobsContract` and provides the fixtures `store`, `another` (a second object on the
same bytes, as another worker has) and `sizes`, the lengths where its writing changes its ways.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import pytest

from gati_registry.ports import BlobStore, Busy, Housekeeping, Receiving, StagedWriter
from gati_registry.values.digest import Digest

MIB = 1024 * 1024


class Store(BlobStore, Housekeeping, Protocol):
    """All sides of a store."""


class TakingStore(Store, Receiving, Protocol):
    """One that takes blobs over from another."""


def content(length: int, seed: int = 0) -> bytes:
    """Bytes that compress badly and repeat nowhere."""
    return random.Random(f"{length} {seed}").randbytes(length)


def new_name() -> str:
    """A staged name, which is used once."""
    return str(uuid.uuid4())


async def fill(writer: StagedWriter, data: bytes, chunk: int = 100_000) -> None:
    """Write in pieces."""
    for start in range(0, len(data), chunk):
        await writer.write(data[start : start + chunk])


async def stage(
    store: BlobStore, name: str, data: bytes, *, offset: int = 0, announced: bool = True, algorithm: str = "sha256"
) -> str | None:
    """Append to staged bytes and sync; the running digest, where the store kept one."""
    writer = await store.stage(name, offset, algorithm=algorithm, expected=len(data) if announced else None)
    try:
        await fill(writer, data)
        await writer.sync()
        writer.acknowledged()
        return writer.digest(algorithm)
    finally:
        await writer.close()


async def put(store: BlobStore, data: bytes) -> str:
    """A published blob's stored name."""
    name = new_name()
    await stage(store, name, data)
    stored_name = await store.publish(name, Digest.of(data), len(data))
    await store.discard(name)
    return stored_name


async def get(store: BlobStore, stored_name: str, chunk: int = 300_000) -> bytes:
    """A whole blob."""
    reader = await store.open(stored_name)
    try:
        parts = list[bytes]()
        while part := await reader.read(sum(map(len, parts)), chunk):
            parts.append(bytes(part))
        return b"".join(parts)
    finally:
        reader.close()


async def pieces(data: bytes, *, broken: bool = False) -> AsyncIterator[bytes]:
    """The bytes in pieces, the last of which never comes if it is `broken`."""
    for start in range(0, len(data), 1_000_000):
        yield data[start : start + 1_000_000]
    if broken:
        raise ZeroDivisionError


async def names(batches: AsyncIterator[Sequence[str]]) -> set[str]:
    """What housekeeping found."""
    return {name async for batch in batches for name in batch}


class BlobsContract:
    """The suite."""

    # --- writing ------------------------------------------------------------------------------------------------

    async def test_what_is_staged_and_published_is_read_byte_for_byte(self, store: Store, sizes: list[int]) -> None:
        for announced in (True, False):
            for size in sizes:
                data, name = content(size), new_name()
                running = await stage(store, name, data, announced=announced)
                expected = Digest.of(data)
                assert running in (None, expected.encoded), size
                assert await store.digest_staged(name, size, "sha256") == expected.encoded
                stored_name = await store.publish(name, expected, size)
                assert await get(store, stored_name) == data

    async def test_writing_goes_on_at_any_offset(self, store: Store, sizes: list[int]) -> None:
        data = content(sum(sizes))
        for announced in (True, False):
            name, offset = new_name(), 0
            for size in sizes:
                piece = data[offset : offset + size]
                running = await stage(store, name, piece, offset=offset, announced=announced)
                offset += size
                assert running in (None, Digest.of(data[:offset]).encoded)
            stored_name = await store.publish(name, Digest.of(data), len(data))
            assert await get(store, stored_name) == data

    async def test_writing_goes_on_after_a_sync(self, store: Store, sizes: list[int]) -> None:
        data, name, offset = content(sum(sizes)), new_name(), 0
        writer = await store.stage(name, 0, algorithm="sha256", expected=None)
        for size in sizes:
            await fill(writer, data[offset : offset + size], 70_001)
            await writer.sync()
            offset += size
            assert writer.digest("sha256") in (None, Digest.of(data[:offset]).encoded)
        await writer.close()
        assert await get(store, await store.publish(name, Digest.of(data), len(data))) == data

    async def test_an_announced_length_may_be_a_lie(self, store: Store) -> None:
        for actual, announced in ((3 * MIB + 5, 9 * MIB), (5 * MIB + 5, 3 * MIB), (10, 1 << 50)):
            data, name = content(actual), new_name()
            writer = await store.stage(name, 0, algorithm="sha256", expected=announced)
            await fill(writer, data)
            await writer.sync()
            await writer.close()
            assert await get(store, await store.publish(name, Digest.of(data), len(data))) == data

    async def test_bytes_that_were_not_acknowledged_are_written_over(self, store: Store) -> None:
        """A writer that broke off leaves more than the offset says; the next one begins there."""
        kept, lost, new = content(300_001, 1), content(5 * MIB, 2), content(100_000, 3)
        name = new_name()
        await stage(store, name, kept)
        broken = await store.stage(name, len(kept), algorithm="sha256", expected=None)
        await fill(broken, lost)
        await broken.sync()
        await broken.close()
        await stage(store, name, new, offset=len(kept))
        data = kept + new
        assert await store.digest_staged(name, len(data), "sha256") == Digest.of(data).encoded
        assert await get(store, await store.publish(name, Digest.of(data), len(data))) == data

    async def test_a_hash_of_bytes_that_were_not_acknowledged_is_never_used_again(
        self, store: Store, another: Store
    ) -> None:
        kept, lost, new = content(300_000, 1), content(4096, 2), content(4096, 3)
        name = new_name()
        await stage(store, name, kept)
        superseded = await store.stage(name, len(kept), algorithm="sha256", expected=None)
        await fill(superseded, lost)
        await superseded.sync()
        await superseded.close()
        await stage(another, name, new, offset=len(kept))
        expected = Digest.of(kept + new).encoded
        writer = await store.stage(name, len(kept + new), algorithm="sha256", expected=0)
        await writer.sync()
        assert writer.digest("sha256") in (None, expected)
        await writer.close()
        assert await store.digest_staged(name, len(kept + new), "sha256") == expected

    async def test_another_worker_goes_on_where_one_stopped(self, store: Store, another: Store) -> None:
        data, name, offset = content(700_003), new_name(), 0
        for turn, size in enumerate((300_000, 100_001, 200_002, 100_000)):
            side = store if turn % 2 else another
            running = await stage(side, name, data[offset : offset + size], offset=offset)
            offset += size
            assert running in (None, Digest.of(data[:offset]).encoded)
        assert await store.digest_staged(name, offset, "sha256") == Digest.of(data).encoded
        assert await another.digest_staged(name, offset, "sha512") == hashlib.sha512(data).hexdigest()
        assert await get(another, await store.publish(name, Digest.of(data), offset)) == data

    async def test_each_algorithm_has_its_digest(self, store: Store) -> None:
        data, name = content(400_000), new_name()
        running = await stage(store, name, data, algorithm="sha512")
        assert running in (None, hashlib.sha512(data).hexdigest())
        assert await store.digest_staged(name, len(data), "sha512") == hashlib.sha512(data).hexdigest()
        assert await store.digest_staged(name, len(data), "sha256") == Digest.of(data).encoded
        digest = Digest.of(data, "sha512")
        assert await get(store, await store.publish(name, digest, len(data))) == data

    async def test_many_write_at_once(self, store: Store) -> None:
        contents = [content(2 * MIB + 4097 * number, number) for number in range(16)]
        stored = await asyncio.gather(*(put(store, data) for data in contents))
        assert len(set(stored)) == 16
        for stored_name, data in zip(stored, contents, strict=True):
            assert await get(store, stored_name) == data

    # --- one writer ---------------------------------------------------------------------------------------------

    async def test_a_name_has_one_writer_at_a_time(self, store: Store, another: Store) -> None:
        name = new_name()
        first = await store.stage(name, 0, algorithm="sha256", expected=None)
        await first.write(b"x" * 10)
        for side in (store, another):
            with pytest.raises(Busy):
                await side.stage(name, 0, algorithm="sha256", expected=None)
        await first.sync()
        await first.close()
        await first.close()
        second = await another.stage(name, 10, algorithm="sha256", expected=None)
        with pytest.raises(Busy):
            await store.stage(name, 10, algorithm="sha256", expected=None)
        await second.close()

    async def test_what_was_acknowledged_is_copied_from_under_a_hanging_writer(self, store: Store) -> None:
        kept, lost, new = content(3 * MIB + 17, 1), content(MIB, 2), content(50_000, 3)
        name, other = new_name(), new_name()
        await stage(store, name, kept)
        hanging = await store.stage(name, len(kept), algorithm="sha256", expected=None)
        await fill(hanging, lost)
        await store.copy_staged(name, other, len(kept))
        await fill(hanging, lost)
        await stage(store, other, new, offset=len(kept))
        stored_name = await store.publish(other, Digest.of(kept + new), len(kept + new))
        await hanging.sync()
        await hanging.close()
        assert await get(store, stored_name) == kept + new

    async def test_there_is_nothing_to_go_on_from(self, store: Store) -> None:
        name = new_name()
        with pytest.raises(FileNotFoundError):
            await store.stage(name, 10, algorithm="sha256", expected=None)
        with pytest.raises(FileNotFoundError):
            await store.digest_staged(name, 10, "sha256")
        with pytest.raises(FileNotFoundError):
            await store.copy_staged(name, new_name(), 10)
        with pytest.raises(FileNotFoundError):
            await store.publish(name, Digest.of(b""), 10)
        await stage(store, name, b"12345")
        with pytest.raises(FileNotFoundError):
            await store.digest_staged(name, 10, "sha256")
        with pytest.raises(FileNotFoundError):
            await store.copy_staged(name, new_name(), 10)

    # --- reading ------------------------------------------------------------------------------------------------

    async def test_any_part_is_read(self, store: Store) -> None:
        data = content(1_300_001)
        reader = await store.open(await put(store, data))
        for offset, length in ((0, 1), (0, 2 * MIB), (1, 4096), (1_300_000, 10), (1_300_001, 10), (655_361, 655_360)):
            assert bytes(await reader.read(offset, length)) == data[offset : offset + length]
        assert bytes(await reader.read(5 * MIB, 10)) == b""
        reader.close()
        reader.close()

    async def test_readers_share_a_blob(self, store: Store) -> None:
        data = content(2 * MIB)
        stored_name = await put(store, data)
        assert await asyncio.gather(*(get(store, stored_name, 10_000 * size) for size in range(1, 9))) == [data] * 8

    async def test_a_blob_that_is_removed_is_gone_and_can_be_removed_again(self, store: Store) -> None:
        stored_name = await put(store, b"x" * 1000)
        await store.remove(stored_name)
        with pytest.raises(FileNotFoundError):
            await store.open(stored_name)
        await store.remove(stored_name)

    async def test_what_is_discarded_is_gone_and_can_be_discarded_again(self, store: Store) -> None:
        name = new_name()
        await stage(store, name, b"x" * 1000)
        await store.discard(name)
        with pytest.raises(FileNotFoundError):
            await store.digest_staged(name, 1000, "sha256")
        await store.discard(name)

    async def test_staged_bytes_outlive_their_publication(self, store: Store) -> None:
        """Until the commit that makes it a blob, the session must keep them; and no stored name comes back."""
        data, more, name = content(300_000), content(5000, 1), new_name()
        await stage(store, name, data)
        first = await store.publish(name, Digest.of(data), len(data))
        await store.remove(first)
        await stage(store, name, more, offset=len(data))
        second = await store.publish(name, Digest.of(data + more), len(data + more))
        third = await store.publish(name, Digest.of(data + more), len(data + more))
        assert len({first, second, third}) == 3
        await store.discard(name)
        await store.remove(third)
        assert await get(store, second) == data + more

    async def test_the_same_content_twice_has_two_stored_names(self, store: Store) -> None:
        data = content(1000)
        first, second = await put(store, data), await put(store, data)
        assert first != second
        await store.remove(first)
        assert await get(store, second) == data

    # --- housekeeping -------------------------------------------------------------------------------------------

    async def test_what_is_published_is_found_by_its_stored_name(self, store: Store) -> None:
        data = content(1000)
        stored = {await put(store, data), await put(store, content(10)), await put(store, content(3 * MIB))}
        sha512 = new_name()
        await stage(store, sha512, data)
        stored.add(await store.publish(sha512, Digest.of(data, "sha512"), len(data)))
        await store.discard(sha512)
        await asyncio.sleep(0.05)  # longer than the file system's clock ticks
        assert await names(store.strays(older_than=0)) == stored
        assert await names(store.strays(older_than=3_600_000)) == set()
        assert await names(store.staged(older_than=0)) == set()

    async def test_what_is_staged_is_found_unless_somebody_writes(self, store: Store, another: Store) -> None:
        written, idle = new_name(), new_name()
        await stage(store, idle, b"x" * 1000)
        writer = await store.stage(written, 0, algorithm="sha256", expected=None)
        await fill(writer, b"x" * 1000)
        await writer.sync()
        await asyncio.sleep(0.05)
        for side in (store, another):
            assert await names(side.staged(older_than=0)) == {idle}
            assert await names(side.staged(older_than=3_600_000)) == set()
        await writer.close()
        assert await names(another.staged(older_than=0)) == {idle, written}
        assert await names(another.strays(older_than=0)) == set()

    async def test_what_is_quarantined_is_served_no_more(self, store: Store) -> None:
        stored_name, other = await put(store, content(1000)), await put(store, content(1001))
        await store.quarantine(stored_name)
        with pytest.raises(FileNotFoundError):
            await store.open(stored_name)
        await store.quarantine(stored_name)
        await asyncio.sleep(0.05)
        assert await names(store.strays(older_than=0)) == {other}
        await store.check()


class TakingContract:
    """Of stores that take blobs over from another one, with the same fixtures."""

    @pytest.mark.parametrize("kind", ["files", "s3"])
    async def test_a_blob_is_taken_over_under_the_name_it_had(
        self, store: TakingStore, another: TakingStore, sizes: Sequence[int], kind: str
    ) -> None:
        taken: dict[str, bytes] = {}
        for size in sizes:
            data = content(size)
            name = f"{new_name()}.{new_name().replace('-', '')[:24]}"  # as S3 has it
            if kind == "files":
                digest = Digest.of(data)
                name = f"sha256/{digest.encoded[:2]}/{digest.encoded}.{new_name()}"
            taken[name] = data
            assert await store.size(name) is None
            for _ in range(2):  # again is no error
                await store.receive(name, pieces(data))
                assert await another.size(name) == size
                assert await get(another, name) == data
        await asyncio.sleep(0.05)
        assert await names(store.strays(older_than=0)) == set(taken)
        for name in taken:
            await store.remove(name)
            assert await store.size(name) is None

    async def test_what_breaks_off_takes_nothing_over(self, store: TakingStore, sizes: Sequence[int]) -> None:
        whole, broken = f"{new_name()}.a", f"{new_name()}.b"
        await store.receive(whole, pieces(b"before"))
        for name in (whole, broken):
            with pytest.raises(ZeroDivisionError):
                await store.receive(name, pieces(content(max(sizes)), broken=True))
        assert await get(store, whole) == b"before"
        assert await store.size(broken) is None
        await asyncio.sleep(0.05)
        assert await names(store.strays(older_than=0)) == {whole}
        assert await names(store.staged(older_than=0)) == set()
