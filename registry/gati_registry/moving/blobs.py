"""Blobs from one store to another, under the names that the database has for them.

The bytes are hashed on the way, and a blob appears in the target only after its digest was found right; so what is
there with the right size is sound, was copied by an earlier run, and is not copied again. That makes it resumable.
Encrypted bytes are opened for their digest, and copied as they are.

Crash points: (1) within a blob: the target has bytes under a name that is no blob's, which it collects; (2) between
two blobs: the next run goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from gati_registry.errors import RegistryError, Unavailable
from gati_registry.moving.progress import Progress
from gati_registry.ports import BlobStore, Metadata, Receiving, StoredBlob, Transaction
from gati_registry.storage.encrypted.frames import Frames
from gati_registry.values.digest import Digest, new_hash

if TYPE_CHECKING:
    from gati_registry.storage.encrypted import Keyring

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


async def copy_blobs(
    metadata: Metadata, source: BlobStore, target: Receiving, progress: Progress, ring: Keyring | None = None
) -> Copied:
    """Bring the target all blobs that the database names in the source; `ring` opens those that are encrypted.

    Beside a registry that serves: what comes meanwhile may be copied or not, what goes meanwhile is passed over.
    """
    done = Copied()

    async def copy(blob: StoredBlob) -> None:
        name = blob.stored_name
        assert name is not None
        try:
            opened = await opening(ring, name)
            if await target.size(name) == (opened.sealed_size(blob.size) if opened else blob.size):
                done.there += 1
                progress.add(blob.size, skipped=True)
                return
            await target.receive(name, checked(chunks(source, name, progress), blob.digest, blob.size, opened))
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


async def opening(ring: Keyring | None, stored_name: str) -> Frames | None:
    """What opens a blob's stored bytes; None where they are plain.

    Raises:
        FileNotFoundError: no blob has this name any more.
        Damaged: its key was destroyed.
        Unavailable: the key is not to be had now.
    """
    try:
        found = await ring.opening(stored_name) if ring is not None else None
    except Unavailable:
        raise
    except RegistryError as error:
        raise Damaged(error.message) from error
    return found[1] if found is not None else None


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


async def checked(
    pieces: AsyncIterator[bytes], digest: Digest, size: int, opened: Frames | None = None
) -> AsyncIterator[bytes]:
    """The same bytes; raises before the last of them unless all together are what they should be.

    With `opened` they are encrypted, and digest and size are those of what is in them.

    Raises:
        Damaged: they are not.
    """
    hasher, seen, last = new_hash(digest.algorithm), 0, b""
    async for piece, plain in unsealed(pieces, opened):
        if last:
            yield last
        await asyncio.to_thread(hasher.update, plain)
        seen += len(plain)
        last = piece
    if seen != size:
        raise Damaged(f"it has {seen} bytes, expected {size}")
    found = f"{digest.algorithm}:{hasher.hexdigest()}"
    if found != digest:
        raise Damaged(f"its content has the digest {found}")
    yield last


async def unsealed(pieces: AsyncIterator[bytes], opened: Frames | None) -> AsyncIterator[tuple[bytes, bytes]]:
    """Stored bytes, each piece with what is in it; where they are encrypted, in pieces of some frames.

    Raises:
        Damaged: frames do not open.
    """
    if opened is None:
        async for piece in pieces:
            yield piece, piece
        return
    number = 0
    async for piece in _even(pieces, AT_ONCE * opened.sealed):
        try:
            yield piece, await asyncio.to_thread(opened.open, number, piece)
        except RegistryError as error:
            raise Damaged("its encrypted bytes do not open") from error
        number += AT_ONCE


async def _even(pieces: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    buffer = bytearray()
    async for piece in pieces:
        buffer += piece
        while len(buffer) > length:
            yield bytes(buffer[:length])
            del buffer[:length]
    if buffer:
        yield bytes(buffer)
