"""The contracts of blob store and database, run over encrypted ones on files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gati_registry.clock import SystemClock
from gati_registry.metadata.sqlite import SqliteMetadata
from gati_registry.ports import Metadata
from gati_registry.storage.encrypted import EncryptedMetadata, Keyring
from gati_registry.storage.encrypted.frames import FRAME
from gati_registry.storage.encrypted.writer import BATCH
from gati_registry.storage.filesystem import FilesystemBlobs
from tests.core.contract_blobs import MIB, BlobsContract, Store
from tests.core.contract_garbage import GarbageContract
from tests.core.contract_metadata import TransactionsContract
from tests.core.contract_rows import RowsContract
from tests.encryption.support import encrypted, master_in

pytestmark = pytest.mark.anyio


@pytest.fixture
def location(folder: Path) -> str:
    """How another process finds the database."""
    return f"sqlite://{folder / 'metadata.sqlite'}"


async def database(folder: Path) -> EncryptedMetadata:
    """A database with encryption around it."""
    inner = SqliteMetadata(folder / "metadata.sqlite")
    ring = Keyring(inner, await master_in(folder / "master"), SystemClock())
    await ring.open()
    return EncryptedMetadata(inner, ring, encrypting=True)


class TestEncryptedMetadata(TransactionsContract, RowsContract, GarbageContract):
    """SQLite, encrypted."""

    @pytest.fixture
    async def metadata(self, folder: Path) -> AsyncIterator[Metadata]:
        """A database."""
        opened = await database(folder)
        yield opened
        await opened.close()

    @pytest.fixture
    async def another(self, metadata: Metadata, folder: Path) -> AsyncIterator[Metadata]:
        """The same one, as another worker has it."""
        opened = await database(folder)
        yield opened
        await opened.close()


class TestEncryptedBlobs(BlobsContract):
    """Files, encrypted."""

    @pytest.fixture
    async def store(self, folder: Path) -> AsyncIterator[Store]:
        """A store."""
        inner, rows = FilesystemBlobs(folder / "blobs"), SqliteMetadata(folder / "metadata.sqlite")
        async with encrypted(inner, rows, await master_in(folder / "master")) as opened:
            yield opened

    @pytest.fixture
    async def another(self, store: Store, folder: Path) -> AsyncIterator[Store]:
        """The same one, as another worker has it."""
        inner, rows = FilesystemBlobs(folder / "blobs"), SqliteMetadata(folder / "metadata.sqlite")
        async with encrypted(inner, rows, await master_in(folder / "master")) as opened:
            yield opened

    @pytest.fixture
    def sizes(self) -> list[int]:
        """Around every length at which writing changes its ways."""
        batch = BATCH * FRAME
        return [0, 1, FRAME - 1, FRAME, FRAME + 1, 100_003, batch - 1, batch, batch + 1, 2 * batch, 3 * MIB + 12_345]
