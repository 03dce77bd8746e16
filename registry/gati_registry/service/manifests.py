"""Manifests: reading, pushing, deleting."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gati_registry.domain import manifest as rules
from gati_registry.domain.access import NOBODY, Caller
from gati_registry.domain.events import Change, Operation, Pull, Push, Verdict
from gati_registry.domain.manifest import Manifest
from gati_registry.errors import Code, RegistryError
from gati_registry.ports import Clock, ManifestRow, Metadata, Transaction
from gati_registry.service.cache import BytesCache, RevisionCache
from gati_registry.service.hooks import NO_HOOKS, Hooks
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag

CACHED_ANSWERS = 20_000
CACHED_BYTES = 32 * 1024 * 1024
MAX_NAMED = 1000
"""Missing digests that an answer names."""

PARSE_INLINE = 64 * 1024
"""Manifests up to this many bytes are parsed on the event loop (about a millisecond); larger ones in a thread."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push made: the manifest's digest and subject, the tags that name it now, and what it refers to in vain."""

    digest: Digest
    subject: Digest | None
    tags: Sequence[Tag]
    missing: Sequence[Digest]


class ManifestService:
    """Use cases of end-3, end-7 and end-9. `sparse` accepts references to content that is not stored here."""

    def __init__(self, metadata: Metadata, clock: Clock, *, sparse: bool, hooks: Hooks = NO_HOOKS) -> None:
        self._metadata = metadata
        self._clock = clock
        self._sparse = sparse
        self._hooks = hooks
        self._rows: RevisionCache[tuple[str, str], ManifestRow | None] = RevisionCache(
            metadata.revision, CACHED_ANSWERS
        )
        self._bytes = BytesCache(CACHED_BYTES)

    async def find(self, repository: RepositoryName, reference: Tag | Digest) -> ManifestRow:
        """The manifest under a tag or digest.

        Raises:
            RegistryError: NAME_UNKNOWN or MANIFEST_UNKNOWN.
        """
        row = await self._rows.get(
            (repository, reference), lambda: self._metadata.read(lambda tx: tx.manifests.find(repository, reference))
        )
        if row is None:
            await self._metadata.read(lambda tx: _repository_id(tx, repository))
            raise unknown_manifest(reference)
        return row

    async def judge(self, repository: RepositoryName, reference: Tag | Digest, row: ManifestRow) -> Verdict | None:
        """What the pull gates say of serving a manifest; None where there are no gates."""
        if not self._hooks.judging:
            return None
        tag = None if isinstance(reference, Digest) else reference
        return await self._hooks.judge(Pull(repository, row.digest, row.media_type, tag))

    async def data(self, repository: RepositoryName, row: ManifestRow) -> bytes:
        """The bytes of a manifest that was just found in the repository.

        Raises:
            RegistryError: MANIFEST_UNKNOWN where it was deleted meanwhile; UNKNOWN where what is stored is damaged.
        """
        data = self._bytes.get(row.digest)
        if data is None:
            data = await self._metadata.read(lambda tx: tx.manifests.data(repository, row.digest))
            if data is None:
                raise unknown_manifest(row.digest)
            # What is kept must be right: it is served until the process ends, whatever is mended in the database.
            if Digest.of(data, row.digest.algorithm) != row.digest:
                raise RegistryError(Code.UNKNOWN, "the stored manifest is damaged; push it again")
            self._bytes.put(row.digest, data)
        return data

    async def push(
        self,
        repository: RepositoryName,
        reference: Tag | Digest,
        tags: Sequence[Tag],
        data: bytes,
        content_type: str | None,
        caller: Caller = NOBODY,
    ) -> Pushed:
        """Store a manifest byte for byte and point the tags at it: all of it or nothing, in one transaction.

        Raises:
            RegistryError: MANIFEST_INVALID, DIGEST_INVALID, MANIFEST_BLOB_UNKNOWN (an entry for each missing digest).
        """
        algorithm = reference.algorithm if isinstance(reference, Digest) else "sha256"
        if len(data) > PARSE_INLINE:
            manifest, digest = await asyncio.to_thread(_understand, data, content_type, algorithm)
        else:
            manifest, digest = _understand(data, content_type, algorithm)
        if isinstance(reference, Digest):
            if reference != digest:
                raise RegistryError(
                    Code.DIGEST_INVALID,
                    "the manifest's bytes have another digest than the request says",
                    detail={"expected": reference, "received": digest},
                )
            names = list(dict.fromkeys(tags))
        else:
            names = [reference]
        now = self._clock.now()
        facts: Mapping[str, Any] = {}
        if self._hooks.inspecting:
            facts = await self._hooks.inspect(
                Push(repository, digest, tuple(names), manifest.media_type, manifest, data, caller)
            )
        heard = self._hooks.hears(Operation.MANIFEST_PUT, Operation.TAG_MOVE)

        async def work(tx: Transaction) -> Sequence[Digest]:
            before = await tx.manifests.before(repository, digest, names)
            repository_id = before.repository_id if before else await tx.repositories.ensure(repository, now)
            missing = await tx.blobs.missing(repository_id, manifest.required)
            if missing and not self._sparse:
                raise _missing(missing)
            manifest_id = await tx.manifests.add(repository_id, digest, manifest, data, now)
            for name in names:
                await tx.tags.point(repository_id, name, manifest_id, now)
            if heard:
                told = _Telling(self._hooks, tx, repository, repository_id, caller, now)
                await told.put(digest, manifest, data, facts, new=before is None or not before.stored)
                for name in names:
                    await told.moved(name, digest, before.tags.get(name) if before else None)
            return missing

        missing = await self._metadata.write(work)
        self._hooks.committed(Operation.MANIFEST_PUT, Operation.TAG_MOVE)
        return Pushed(digest, manifest.subject, names, missing)

    async def delete(self, repository: RepositoryName, reference: Tag | Digest, caller: Caller = NOBODY) -> None:
        """Remove a tag; or a manifest with its tags and its entry as referrer. Seen at once by everyone.

        Raises:
            RegistryError: NAME_UNKNOWN or MANIFEST_UNKNOWN.
        """
        now = self._clock.now()

        async def work(tx: Transaction) -> None:
            repository_id = await _repository_id(tx, repository)
            row = await tx.manifests.find(repository, reference) if self._hooks.hears(*_DELETIONS) else None
            if isinstance(reference, Digest):
                removed = await tx.manifests.remove(repository_id, reference, now)
            else:
                removed = await tx.tags.remove(repository_id, reference)
            if not removed:
                raise unknown_manifest(reference)
            if row is not None:
                told = _Telling(self._hooks, tx, repository, repository_id, caller, now)
                await told.removed(reference, row)

        await self._metadata.write(work)
        self._hooks.committed(*_DELETIONS)


_DELETIONS = (Operation.MANIFEST_DELETE, Operation.TAG_DELETE)


@dataclass(frozen=True, slots=True)
class _Telling:
    """Tells the hooks of one transaction what it did."""

    hooks: Hooks
    tx: Transaction
    repository: RepositoryName
    repository_id: int
    caller: Caller
    now: int
    unit: dict[object, Any] = field(default_factory=dict)

    async def put(
        self, digest: Digest, manifest: Manifest, data: bytes, facts: Mapping[str, Any], *, new: bool
    ) -> None:
        await self._tell(
            Operation.MANIFEST_PUT, digest=digest, size=len(data), new=new, manifest=manifest, data=data, facts=facts
        )

    async def moved(self, tag: Tag, digest: Digest, previous: Digest | None) -> None:
        if previous != digest:
            await self._tell(Operation.TAG_MOVE, tag=tag, digest=digest, previous=previous, new=previous is None)

    async def removed(self, reference: Tag | Digest, row: ManifestRow) -> None:
        if isinstance(reference, Digest):
            await self._tell(Operation.MANIFEST_DELETE, digest=reference, size=row.size)
        else:
            await self._tell(Operation.TAG_DELETE, tag=reference, previous=row.digest)

    async def _tell(self, operation: Operation, **parts: Any) -> None:
        change = Change(operation, self.repository, self.repository_id, self.caller, self.now, unit=self.unit, **parts)
        await self.hooks.commit(self.tx, change)


def _understand(data: bytes, content_type: str | None, algorithm: str) -> tuple[Manifest, Digest]:
    return rules.parse(data, content_type), Digest.of(data, algorithm)


async def _repository_id(tx: Transaction, repository: RepositoryName) -> int:
    found = await tx.repositories.find(repository)
    if found is None:
        raise unknown_repository(repository)
    return found


def unknown_repository(repository: RepositoryName) -> RegistryError:
    """404 NAME_UNKNOWN."""
    return RegistryError(Code.NAME_UNKNOWN, detail={"name": repository})


def unknown_manifest(reference: Tag | Digest) -> RegistryError:
    """404 MANIFEST_UNKNOWN."""
    kind = "digest" if isinstance(reference, Digest) else "tag"
    return RegistryError(Code.MANIFEST_UNKNOWN, detail={kind: reference})


def _missing(digests: Sequence[Digest]) -> RegistryError:
    # An entry each, as the specification has it, but no answer larger than the request that asked for it.
    first, *others = (
        RegistryError(
            Code.MANIFEST_BLOB_UNKNOWN,
            f"the manifest refers to {digest}, which this repository lacks; push it first",
            detail={"digest": digest},
        )
        for digest in digests[:MAX_NAMED]
    )
    first.more = tuple(others)
    return first
