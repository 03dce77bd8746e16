"""The core as extensions see it: questions to it, and the door for operations of their own."""

from __future__ import annotations

from gati_registry.domain.access import Access, Decision, Identity, Visible
from gati_registry.domain.events import Change, Event
from gati_registry.ports import Authorizer, BlobReader, ManifestRow, Metadata, Transaction
from gati_registry.service.blobs import BlobService
from gati_registry.service.hooks import NO_HOOKS, Hooks
from gati_registry.service.observers import Observers
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag


class CoreDoor:
    """`extension.Core`. `hooks` are those of the extensions, known once all have contributed."""

    def __init__(self, metadata: Metadata, blobs: BlobService, observers: Observers) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._observers = observers
        self.hooks: Hooks = NO_HOOKS

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
