"""Verification: read everything, compare digests, set aside what is damaged. Deletes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gati_registry.errors import RegistryError
from gati_registry.ports import BlobStore, Clock, Housekeeping, Metadata, StoredBlob
from gati_registry.values.digest import Digest, new_hash

BATCH = 100
MANIFESTS = 10  # of up to 4 MiB each
CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Damage:
    """One finding."""

    kind: str  # blob or manifest
    digest: str
    repository: str | None
    problem: str


@dataclass(slots=True)
class Findings:
    """What a verification read, in numbers and bytes, and what it found."""

    blobs: int = 0
    manifests: int = 0
    bytes: int = 0
    damaged: list[Damage] = field(default_factory=list)


class Verifier:
    """Checks every digest in the database and the store."""

    def __init__(self, metadata: Metadata, blobs: BlobStore, housekeeping: Housekeeping, clock: Clock) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._housekeeping = housekeeping
        self._clock = clock

    async def run(self, progress: Callable[[Findings], None] = lambda _: None) -> Findings:
        """Read all; damaged content is quarantined: served no more until it is pushed again."""
        findings = Findings()
        await self._verify_blobs(findings, progress)
        await self._verify_manifests(findings, progress)
        return findings

    async def _verify_blobs(self, findings: Findings, progress: Callable[[Findings], None]) -> None:
        after = 0
        while batch := await self._metadata.scan(lambda tx: tx.inventory.blobs(after, BATCH)):  # noqa: B023
            for blob, data in batch:
                problem = await self._problem(blob, data)
                findings.blobs += 1
                findings.bytes += blob.size
                # A blob deleted or replaced while it was being read is no finding.
                if problem and await self._still_there(blob):
                    findings.damaged.append(Damage("blob", blob.digest, None, problem))
                    # The file first: after a crash in between the row names nothing, which the next run finds.
                    if blob.stored_name is not None:
                        await self._housekeeping.quarantine(blob.stored_name)
                    now = self._clock.now()
                    await self._metadata.write(lambda tx: tx.inventory.quarantine_blob(blob, now))  # noqa: B023
                after = blob.id
            progress(findings)

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

    async def _verify_manifests(self, findings: Findings, progress: Callable[[Findings], None]) -> None:
        after = 0
        while batch := await self._metadata.scan(lambda tx: tx.inventory.manifests(after, MANIFESTS)):  # noqa: B023
            for manifest_id, repository, digest, data in batch:
                findings.manifests += 1
                findings.bytes += len(data)
                found = Digest.of(data, digest.algorithm)
                if found != digest:
                    findings.damaged.append(
                        Damage("manifest", digest, repository, f"its content has the digest {found}")
                    )
                    now = self._clock.now()
                    await self._metadata.write(
                        lambda tx: tx.inventory.quarantine_manifest(manifest_id, now)  # noqa: B023
                    )
                after = manifest_id
            progress(findings)
