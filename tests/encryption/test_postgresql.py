"""The contract of the database over an encrypted one on PostgreSQL, and its keys where others come in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gati_registry.clock import SystemClock
from gati_registry.keys import FileMasterKey
from gati_registry.metadata.postgresql import PostgresMetadata, Server
from gati_registry.ports import Metadata, Transaction
from gati_registry.service.keys import KeyService
from gati_registry.storage.encrypted import EncryptedMetadata, Keyring
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName
from tests.core.contract_garbage import GarbageContract
from tests.core.contract_rows import RowsContract
from tests.postgresql.conftest import LIMITS, location, server, template

__all__ = ["location", "server", "template"]

pytestmark = pytest.mark.anyio


async def opened(location: str, master: FileMasterKey) -> EncryptedMetadata:
    """A database with encryption around it."""
    inner = await PostgresMetadata.open(Server.parse(location, LIMITS))
    ring = Keyring(inner, master, SystemClock())
    await ring.open()
    return EncryptedMetadata(inner, ring, encrypting=True)


@pytest.fixture
def master(keys_file: Path) -> FileMasterKey:
    """A master key."""
    return FileMasterKey(keys_file)


@pytest.fixture
async def metadata(location: str, master: FileMasterKey) -> AsyncIterator[Metadata]:
    """A database."""
    database = await opened(location, master)
    yield database
    await database.close()


@pytest.fixture
async def another(metadata: Metadata, location: str, master: FileMasterKey) -> AsyncIterator[Metadata]:
    """The same one, as another replica has it."""
    database = await opened(location, master)
    yield database
    await database.close()


class TestRows(RowsContract, GarbageContract):
    """Its rows."""


async def test_links_that_come_and_go_at_once_never_leave_a_blob_without_a_key(
    metadata: Metadata, another: Metadata, master: FileMasterKey
) -> None:
    """Two replicas link a blob in two namespaces and take it out again, over and over; then one key is destroyed."""
    data, digest = b"content", Digest.of(b"content")
    names = [RepositoryName(name) for name in ("orgs/a/x", "orgs/a/y", "orgs/b/x")]

    async def make(tx: Transaction) -> int:
        blob = await tx.blobs.add(digest, len(data), None, data, 0)
        await tx.blobs.link(await tx.repositories.ensure(RepositoryName("library"), 0), blob, 0, fresh=True)
        return blob

    blob = await metadata.write(make)

    async def come_and_go(side: Metadata, name: RepositoryName) -> None:
        async def link(tx: Transaction) -> int:
            repository = await tx.repositories.ensure(name, 0)
            await tx.blobs.link(repository, blob, 0)
            return repository

        for _ in range(15):
            repository = await side.write(link)
            row = await side.read(lambda tx: tx.blobs.find(name, digest))
            assert row is not None
            assert row.data == data
            await side.write(lambda tx: tx.blobs.unlink(repository, blob, 0))  # noqa: B023 - awaited here
        await side.write(link)

    async def destroy() -> None:
        service = KeyService(metadata, master, SystemClock())
        for _ in range(5):
            await service.destroy("orgs/b")

    await asyncio.gather(
        *(come_and_go(side, name) for side, name in zip((metadata, another, another), names, strict=True)), destroy()
    )
    for name in (*names, RepositoryName("library")):
        row = await another.read(lambda tx: tx.blobs.find(name, digest))  # noqa: B023 - awaited here
        assert row is not None
        assert row.data == data
    namespaces = await metadata.scan(
        lambda tx: tx.all(
            "SELECT namespace_key.namespace FROM blob_key JOIN namespace_key ON namespace_key.id = blob_key.key_id"
            " WHERE namespace_key.destroyed_at IS NULL ORDER BY namespace"
        )
    )
    assert [row[0] for row in namespaces] == ["library", "orgs/a", "orgs/b"]
    assert await metadata.scan(lambda tx: tx.all("SELECT count(*) FROM blob_key")) == [(3,)]
