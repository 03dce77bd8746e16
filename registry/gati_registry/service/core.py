"""The core as extensions see it: questions to it, the door for operations of their own, and the one for pushes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gati_registry.domain.access import Access, Action, Caller, Circumstances, Decision, Identity, Visible
from gati_registry.domain.events import Change, Event, Pull, Verdict
from gati_registry.errors import Code, RegistryError
from gati_registry.ports import Authorizer, BlobReader, ManifestRow, Metadata, Transaction
from gati_registry.service.blobs import BlobService
from gati_registry.service.hooks import NO_HOOKS, Hooks
from gati_registry.service.manifests import ManifestService, unknown_repository
from gati_registry.service.observers import Observers
from gati_registry.service.uploads import UploadService
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag


@dataclass(frozen=True, slots=True)
class Pushing:
    """The services that a push goes through."""

    uploads: UploadService
    manifests: ManifestService


class CoreDoor:
    """`extension.Core`. `hooks` are those of the extensions; they and `pushing` are known once all have contributed."""

    def __init__(self, metadata: Metadata, blobs: BlobService, observers: Observers, deciding: Deciding) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._observers = observers
        self._deciding = deciding
        self.hooks: Hooks = NO_HOOKS
        self.pushing: Pushing | None = None

    async def manifest(self, repository: RepositoryName, reference: Tag | Digest) -> ManifestRow | None:
        return await self._metadata.read(lambda tx: tx.manifests.find(repository, reference))

    async def manifest_bytes(self, repository: RepositoryName, digest: Digest) -> bytes | None:
        return await self._metadata.read(lambda tx: tx.manifests.data(repository, digest))

    async def blob(self, repository: RepositoryName, digest: Digest) -> tuple[int, BlobReader] | None:
        row = await self._metadata.read(lambda tx: tx.blobs.find(repository, digest))
        return (row.size, await self._blobs.open(row)) if row is not None else None

    async def emit(self, tx: Transaction, change: Change) -> None:
        await self.hooks.commit(tx, change)

    def tell(self, event: Event) -> None:
        self._observers.tell(event)

    async def judge(self, pull: Pull) -> Verdict:
        return await self.hooks.judge(pull)

    async def push_blob(
        self, repository: RepositoryName, data: bytes, caller: Caller, request: Circumstances | None = None
    ) -> Digest:
        pushing = await self._admitted(repository, caller, request)
        digest = Digest.of(data)
        await pushing.uploads.monolithic(repository, digest, _Body(data), caller)
        return digest

    async def push_manifest(
        self,
        repository: RepositoryName,
        tag: Tag | None,
        data: bytes,
        media_type: str,
        caller: Caller,
        request: Circumstances | None = None,
    ) -> Digest:
        pushing = await self._admitted(repository, caller, request)
        pushed = await pushing.manifests.push(repository, tag or Digest.of(data), (), data, media_type, caller)
        return pushed.digest

    async def _admitted(self, repository: RepositoryName, caller: Caller, request: Circumstances | None) -> Pushing:
        assert self.pushing is not None, "asked before the registry was put together"
        access = Access(Action.PUSH, repository, request=request)
        decision = await self._deciding.decide(caller.identity, access)
        if decision is Decision.ALLOW:
            return self.pushing
        if decision is Decision.HIDE:
            raise unknown_repository(repository)
        code = Code.UNAUTHORIZED if decision is Decision.CHALLENGE else Code.DENIED
        raise RegistryError(code, detail={"action": access.action.value, "resource": repository})


class _Body:
    """`service.staging.Body` over bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length: int | None = len(data)
        self.into: None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._data


class Deciding:
    """`extension.Decide`: the decision point, known once all extensions have contributed."""

    def __init__(self) -> None:
        self.authorizer: Authorizer | None = None

    async def decide(self, identity: Identity, access: Access) -> Decision:
        assert self.authorizer is not None, "asked before the registry was put together"
        return await self.authorizer.decide(identity, access)

    async def visible(self, identity: Identity) -> Visible:
        assert self.authorizer is not None, "asked before the registry was put together"
        return await self.authorizer.visible(identity)
