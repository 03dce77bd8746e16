"""Blobs from one store to another, under the names that the database has for them.

The bytes are hashed on the way, and a blob appears in the target only after its digest was found right; so what is
there with the right size is sound, was copied by an earlier run, and is not copied again. That makes it resumable.

Crash points: (1) within a blob: the target has bytes under a name that is no blob's, which it collects; (2) between
two blobs: the next run goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from gati_registry.errors import RegistryError
from gati_registry.moving.progress import Progress
from gati_registry.ports import BlobStore, Metadata, Receiving, StoredBlob, Transaction
from gati_registry.values.digest import Digest, new_hash

T = TypeVar("T")

AT_ONCE = 8
"""Blobs on their way at a time."""

BATCH = 200
CHUNK = 1024 * 1024


class Damaged(Exception):
    """A blob's bytes are not what its digest says, or not there."""


@dataclass(slots=True)
class Copied:
    """What a run did, in numbers and bytes; `damaged` are digests with what is wrong."""

    blobs: int = 0
    bytes: int = 0
    there: int = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)


async def copy_blobs(metadata: Metadata, source: BlobStore, target: Receiving, progress: Progress) -> Copied:
    """Bring the target all blobs that the database names in the source.

    Beside a registry that serves: what comes meanwhile may be copied or not, what goes meanwhile is passed over.
    """
    done = Copied()

    async def copy(blob: StoredBlob) -> None:
        name = blob.stored_name
        assert name is not None
        if await target.size(name) == blob.size:
            done.there += 1
            progress.add(blob.size, skipped=True)
            return
        try:
            await target.receive(name, checked(chunks(source, name, progress), blob.digest, blob.size))
        except (Damaged, FileNotFoundError) as error:
            # One that was deleted or replaced while it was being read is no finding.
            now = await metadata.scan(lambda tx: tx.blobs.stored(blob.digest))
            if now is not None and now.stored_name == name:
                done.damaged.append(
                    (blob.digest, str(error) if isinstance(error, Damaged) else "its bytes are missing")
                )
            return
        done.blobs += 1
        done.bytes += blob.size

    progress.stage("blobs", await _total(metadata))
    await each(stored_blobs(metadata), copy)
    progress.end()
    return done


async def stored_blobs(metadata: Metadata) -> AsyncIterator[StoredBlob]:
    """All sound blobs with bytes in the store."""
    after = 0
    while batch := await metadata.scan(lambda tx: tx.inventory.blobs(after, BATCH)):  # noqa: B023 - awaited here
        for blob, _ in batch:
            if blob.stored_name is not None:
                yield blob
        after = batch[-1][0].id


async def _total(metadata: Metadata) -> int:
    async def work(tx: Transaction) -> int:
        row = await tx.one("SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM blob WHERE stored_name IS NOT NULL")
        return int(row[0]) if row else 0

    return await metadata.scan(work)


async def each(items: AsyncIterator[T], work: Callable[[T], Awaitable[None]], at_once: int = AT_ONCE) -> None:
    """Do the work for each item, for a few at a time; the first failure ends all."""
    free = asyncio.Semaphore(at_once)

    async def one(item: T) -> None:
        try:
            await work(item)
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as group:
            async for item in items:
                await free.acquire()
                group.create_task(one(item))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def chunks(source: BlobStore, stored_name: str, progress: Progress) -> AsyncIterator[bytes]:
    """A blob's bytes.

    Raises:
        FileNotFoundError: there are none.
    """
    reader, offset = await source.open(stored_name), 0
    try:
        while chunk := await reader.read(offset, CHUNK):
            offset += len(chunk)
            progress.add(len(chunk))
            yield chunk
    except RegistryError as error:
        raise Damaged(f"it cannot be read: {error.message}") from error
    finally:
        reader.close()


async def checked(pieces: AsyncIterator[bytes], digest: Digest, size: int) -> AsyncIterator[bytes]:
    """The same bytes; raises before the last of them unless all together are what they should be.

    Raises:
        Damaged: they are not.
    """
    hasher, seen, last = new_hash(digest.algorithm), 0, b""
    async for piece in pieces:
        if last:
            yield last
        await asyncio.to_thread(hasher.update, piece)
        seen += len(piece)
        last = piece
    if seen != size:
        raise Damaged(f"it has {seen} bytes, expected {size}")
    found = f"{digest.algorithm}:{hasher.hexdigest()}"
    if found != digest:
        raise Damaged(f"its content has the digest {found}")
    yield last
