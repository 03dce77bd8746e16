"""Stores whose blobs are encrypted, with the database that holds their keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gati_registry.clock import SystemClock
from gati_registry.keys import FileMasterKey
from gati_registry.ports import MasterKey, Transaction
from gati_registry.storage.encrypted import EncryptedBlobs, EncryptedMetadata, Keyring
from gati_registry.storage.encrypted.metadata import Opened
from gati_registry.storage.encrypted.store import Inner
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName

REPOSITORY = RepositoryName("orgs/acme/app")


class BlobsWithRows(EncryptedBlobs):
    """Encrypted blobs that get a row as soon as they are published, as the services give them one.

    Rows have digests of their own: what the contract publishes twice is two blobs to it.
    """

    def __init__(self, inner: Inner, ring: Keyring, metadata: EncryptedMetadata, *, encrypting: bool = True) -> None:
        super().__init__(inner, ring, encrypting=encrypting)
        self.metadata = metadata

    async def publish(self, name: str, digest: Digest, size: int) -> str:
        stored_name = await super().publish(name, digest, size)

        async def work(tx: Transaction) -> None:
            repository = await tx.repositories.ensure(REPOSITORY, 0)
            blob = await tx.blobs.add(Digest.of(stored_name.encode()), size, stored_name, None, 0)
            await tx.blobs.link(repository, blob, 0, fresh=True)

        await self.metadata.write(work)
        return stored_name


async def master_in(path: Path) -> FileMasterKey:
    """A master key in a file, which is made if it is not there."""
    master = FileMasterKey(path)
    if not path.exists():
        await master.rotate()
    return master


@asynccontextmanager
async def encrypted(
    inner: Inner, database: Opened, master: MasterKey, *, encrypting: bool = True
) -> AsyncIterator[BlobsWithRows]:
    """An encrypted store over another one; closes both, and the database."""
    ring = Keyring(database, master, SystemClock())
    await ring.open()
    metadata = EncryptedMetadata(database, ring, encrypting=encrypting)
    store = BlobsWithRows(inner, ring, metadata, encrypting=encrypting)
    try:
        yield store
    finally:
        store.close()
        await metadata.close()
