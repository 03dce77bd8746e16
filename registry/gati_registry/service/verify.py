"""Verification: read everything, compare digests, set aside what is damaged, mend what can be mended.

Deletes nothing. Crash points of mending: (1) sound bytes without a row, which are collected; (2) all is done.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gati_registry.errors import RegistryError
from gati_registry.ports import BlobStore, Clock, Housekeeping, Metadata, StoredBlob
from gati_registry.values.digest import Digest, new_hash

BATCH = 100
MANIFESTS = 10  # of up to 4 MiB each
CHUNK = 1024 * 1024
LINKING = 20  # repositories in which a peer is asked for a blob
EARLIER = "it was found damaged earlier"


@dataclass(frozen=True, slots=True)
class Damage:
    """One finding."""

    kind: str  # blob or manifest
    digest: str
    repository: str | None
    problem: str
    mended: bool = False


@dataclass(slots=True)
class Findings:
    """What a verification read, in numbers and bytes, and what it found."""

    blobs: int = 0
    manifests: int = 0
    bytes: int = 0
    damaged: list[Damage] = field(default_factory=list)


class Spare(Protocol):
    """Where sound bytes may be had. What it gives is checked; it may as well be damaged."""

    def blob(self, blob: StoredBlob, repositories: Sequence[str]) -> AsyncIterator[bytes]:
        """A blob's bytes; `repositories` are some that link it here. Raises FileNotFoundError if it has none."""

    async def manifest(self, repository: str, digest: str) -> bytes:
        """A manifest's bytes. Raises FileNotFoundError if it has none."""


class Verifier:
    """Checks every digest in the database and the store."""

    def __init__(self, metadata: Metadata, blobs: BlobStore, housekeeping: Housekeeping, clock: Clock) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._housekeeping = housekeeping
        self._clock = clock

    async def run(
        self, progress: Callable[[Findings], None] = lambda _: None, spares: Sequence[Spare] = ()
    ) -> Findings:
        """Read all; damaged content is quarantined: served no more until it is pushed again.

        With spares, what was found damaged, now or earlier, gets sound bytes from the first that has them.
        """
        findings = Findings()
        if spares:
            await self._mend_earlier(findings, spares)
        await self._verify_blobs(findings, progress, spares)
        await self._verify_manifests(findings, progress, spares)
        return findings

    async def _verify_blobs(
        self, findings: Findings, progress: Callable[[Findings], None], spares: Sequence[Spare]
    ) -> None:
        after = 0
        while batch := await self._metadata.scan(lambda tx: tx.inventory.blobs(after, BATCH)):  # noqa: B023
            for blob, data in batch:
                problem = await self._problem(blob, data)
                findings.blobs += 1
                findings.bytes += blob.size
                # A blob deleted or replaced while it was being read is no finding.
                if problem and await self._still_there(blob):
                    # The file first: after a crash in between the row names nothing, which the next run finds.
                    if blob.stored_name is not None:
                        await self._housekeeping.quarantine(blob.stored_name)
                    now = self._clock.now()
                    await self._metadata.write(lambda tx: tx.inventory.quarantine_blob(blob, now))  # noqa: B023
                    mended = await self._mended(blob, spares)
                    findings.damaged.append(Damage("blob", blob.digest, None, problem, mended))
                after = blob.id
            progress(findings)

    async def _mend_earlier(self, findings: Findings, spares: Sequence[Spare]) -> None:
        for blob in await self._metadata.scan(lambda tx: tx.inventory.quarantined()):
            mended = await self._mended(blob, spares)
            findings.damaged.append(Damage("blob", blob.digest, None, EARLIER, mended))
        for manifest_id, repository, digest in await self._metadata.scan(
            lambda tx: tx.inventory.quarantined_manifests()
        ):
            mended = await self._mended_manifest(manifest_id, repository, digest, spares)
            findings.damaged.append(Damage("manifest", digest, repository, EARLIER, mended))

    async def _mended(self, blob: StoredBlob, spares: Sequence[Spare]) -> bool:
        """Whether one of the spares had sound bytes, which the blob has now."""
        if not spares:
            return False
        linking = await self._metadata.scan(lambda tx: tx.blobs.linking(blob.digest, LINKING))
        for spare in spares:
            name = str(uuid.uuid4())
            try:
                stored_name = await self._taken(name, blob, spare.blob(blob, [str(found) for found in linking]))
            except (FileNotFoundError, RegistryError):
                stored_name = None  # this one has none, or none that is sound
            finally:
                await self._blobs.discard(name)
            if stored_name is None:
                continue
            sound = stored_name
            if not await self._metadata.write(lambda tx: tx.inventory.mend_blob(blob.digest, sound)):  # noqa: B023
                await self._blobs.remove(stored_name)  # it was pushed again meanwhile
            return True
        return False

    async def _taken(self, name: str, blob: StoredBlob, chunks: AsyncIterator[bytes]) -> str | None:
        """The stored name of what a spare gives, if that is what it should be."""
        hasher, size = new_hash(blob.digest.algorithm), 0
        writer = await self._blobs.stage(name, 0, algorithm=blob.digest.algorithm, expected=blob.size)
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > blob.size:
                    return None
                await asyncio.to_thread(hasher.update, chunk)
                await writer.write(chunk)
            await writer.sync()
            writer.acknowledged()
        finally:
            await writer.close()
        if size != blob.size or hasher.hexdigest() != blob.digest.encoded:
            return None
        return await self._blobs.publish(name, blob.digest, size)

    async def _mended_manifest(
        self, manifest_id: int, repository: str, digest: Digest, spares: Sequence[Spare]
    ) -> bool:
        for spare in spares:
            try:
                data = await spare.manifest(repository, digest)
            except (FileNotFoundError, RegistryError):
                continue
            if Digest.of(data, digest.algorithm) == digest:
                await self._metadata.write(lambda tx: tx.inventory.mend_manifest(manifest_id, data))  # noqa: B023
                return True
        return False

    async def _still_there(self, blob: StoredBlob) -> bool:
        now = await self._metadata.scan(lambda tx: tx.blobs.stored(blob.digest))
        return now is not None and now.stored_name == blob.stored_name

    async def _problem(self, blob: StoredBlob, data: bytes | None) -> str | None:
        hasher, size = new_hash(blob.digest.algorithm), 0
        if data is not None:
            hasher.update(data)
            size = len(data)
        elif blob.stored_name is None:
            return "the row has neither bytes nor a stored name"
        else:
            try:
                reader = await self._blobs.open(blob.stored_name)
                try:
                    while chunk := await reader.read(size, CHUNK):
                        await asyncio.to_thread(hasher.update, chunk)
                        size += len(chunk)
                finally:
                    reader.close()
            except FileNotFoundError:
                return "its file is missing"
            except RegistryError as error:
                return f"it cannot be read: {error.message}"
        if size != blob.size:
            return f"it has {size} bytes, expected {blob.size}"
        found = f"{blob.digest.algorithm}:{hasher.hexdigest()}"
        return None if found == blob.digest else f"its content has the digest {found}"

    async def _verify_manifests(
        self, findings: Findings, progress: Callable[[Findings], None], spares: Sequence[Spare]
    ) -> None:
        after = 0
        while batch := await self._metadata.scan(lambda tx: tx.inventory.manifests(after, MANIFESTS)):  # noqa: B023
            for manifest_id, repository, digest, data in batch:
                findings.manifests += 1
                findings.bytes += len(data)
                found = Digest.of(data, digest.algorithm)
                if found != digest:
                    now = self._clock.now()
                    await self._metadata.write(
                        lambda tx: tx.inventory.quarantine_manifest(manifest_id, now)  # noqa: B023
                    )
                    problem = f"its content has the digest {found}"
                    mended = await self._mended_manifest(manifest_id, repository, digest, spares)
                    findings.damaged.append(Damage("manifest", digest, repository, problem, mended))
                after = manifest_id
            progress(findings)
