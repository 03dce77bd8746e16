"""Reading and deleting blobs."""

from __future__ import annotations

from gati_registry.domain.access import NOBODY, Caller
from gati_registry.domain.events import Change, Operation
from gati_registry.errors import Code, RegistryError
from gati_registry.ports import BlobReader, BlobRow, BlobStore, Clock, Metadata, Transaction
from gati_registry.service.hooks import NO_HOOKS, Hooks
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName


class BlobService:
    """Use cases of end-2 and end-10. `lease` is how long, in milliseconds, an unreferenced blob is safe after use."""

    def __init__(self, metadata: Metadata, blobs: BlobStore, clock: Clock, lease: int) -> None:
        self.hooks: Hooks = NO_HOOKS  # of the extensions, which ask this service themselves
        self._metadata = metadata
        self._blobs = blobs
        self._clock = clock
        self._lease = lease

    async def find(self, repository: RepositoryName, digest: Digest) -> BlobRow:
        """The blob as linked in the repository.

        Raises:
            RegistryError: BLOB_UNKNOWN.
        """
        row = await self._metadata.read(lambda tx: tx.blobs.find(repository, digest))
        if row is None:
            raise unknown_blob(digest)
        return row

    async def promise(self, repository: RepositoryName, digest: Digest) -> BlobRow:
        """The blob, safe from the collector for a while: a client that sees it will not upload it again.

        A blob that a manifest holds needs no lease; another's is renewed once half of it has passed.

        Raises:
            RegistryError: BLOB_UNKNOWN.
        """
        row = await self.find(repository, digest)
        now = self._clock.now()
        running_out = row.pending_since is not None and now - row.pending_since > self._lease // 2
        if not (row.condemned or running_out):
            return row
        if not await self._metadata.write(lambda tx: tx.blobs.renew(repository, digest, now)):
            raise unknown_blob(digest)
        return row

    async def open(self, row: BlobRow) -> BlobReader:
        """A reader of the blob's bytes.

        Raises:
            RegistryError: the bytes are damaged or gone.
        """
        if row.data is not None:
            return _MemoryReader(row.data)
        assert row.stored_name is not None
        try:
            return await self._blobs.open(row.stored_name)
        except FileNotFoundError:
            # Collected between look-up and open, or lost; either way it is not here.
            raise unknown_blob(row.digest) from None

    async def delete(self, repository: RepositoryName, digest: Digest, caller: Caller = NOBODY) -> None:
        """Unlink the blob from the repository at once.

        Raises:
            RegistryError: BLOB_UNKNOWN; UNSUPPORTED where a manifest of the repository refers to it.
        """
        now = self._clock.now()

        async def work(tx: Transaction) -> None:
            row = await tx.blobs.find(repository, digest)
            repository_id = await tx.repositories.find(repository)
            if row is None or repository_id is None:
                raise unknown_blob(digest)
            if holders := await tx.manifests.holders(repository_id, digest):
                raise RegistryError(
                    Code.UNSUPPORTED,
                    "manifests of this repository refer to the blob; delete them first",
                    detail={"digest": digest, "manifests": list(holders)},
                )
            await tx.blobs.unlink(repository_id, row.id, now)
            if self.hooks.hears(Operation.BLOB_DELETE):
                await self.hooks.commit(
                    tx,
                    Change(Operation.BLOB_DELETE, repository, repository_id, caller, now, digest=digest, size=row.size),
                )

        await self._metadata.write(work)
        self.hooks.committed(Operation.BLOB_DELETE)


def unknown_blob(digest: Digest) -> RegistryError:
    """404 BLOB_UNKNOWN."""
    return RegistryError(Code.BLOB_UNKNOWN, detail={"digest": digest})


class _MemoryReader:
    """`ports.BlobReader` over bytes from the database."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def close(self) -> None:
        pass
