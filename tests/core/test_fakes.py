"""The contract suites, run over the tests' own adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gati_registry.metadata.sqlite import SqliteMetadata
from gati_registry.ports import Metadata
from gati_registry.storage.filesystem import FilesystemBlobs
from tests.core.contract_blobs import BlobsContract, Store
from tests.core.contract_garbage import GarbageContract
from tests.core.contract_metadata import TransactionsContract
from tests.core.contract_rows import RowsContract
from tests.core.fakes import Gate, LastSteps, WatchedBlobs, WatchedMetadata
from tests.core.support import AgedHousekeeping, FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def location(folder: Path) -> str:
    """How another process finds the database."""
    return f"sqlite://{folder / 'metadata.sqlite'}"


@pytest.fixture
async def metadata(folder: Path) -> AsyncIterator[Metadata]:
    """A watched database."""
    opened = WatchedMetadata(SqliteMetadata(folder / "metadata.sqlite"), LastSteps(1_000_000))
    yield opened
    await opened.close()


@pytest.fixture
async def another(metadata: Metadata, folder: Path) -> AsyncIterator[Metadata]:
    """The same one behind an open gate."""
    opened = WatchedMetadata(SqliteMetadata(folder / "metadata.sqlite"), Gate(closed=False))
    yield opened
    await opened.close()


class TestWatchedMetadata(TransactionsContract, RowsContract, GarbageContract):
    """The watched database."""


class TestWatchedBlobs(BlobsContract):
    """The watched blob store."""

    @pytest.fixture
    def store(self, folder: Path) -> Iterator[Store]:
        """A watched store."""
        inner = FilesystemBlobs(folder)
        yield WatchedBlobs(inner, LastSteps(1_000_000))
        inner.close()

    @pytest.fixture
    def another(self, store: Store, folder: Path) -> Iterator[Store]:
        """The same one behind an open gate."""
        inner = FilesystemBlobs(folder)
        yield WatchedBlobs(inner, Gate(closed=False))
        inner.close()

    @pytest.fixture
    def sizes(self) -> list[int]:
        """A few; the wrapped store is tested with more."""
        return [0, 1, 4096, 300_000]

    async def test_files_age_by_the_tests_clock(self, store: Store) -> None:
        clock = FakeClock()
        housekeeping = AgedHousekeeping(store, clock)
        writer = await store.stage("name", 0, algorithm="sha256", expected=None)
        await writer.sync()
        await writer.close()
        assert [batch async for batch in housekeeping.staged(older_than=3_600_000)] == []
        clock.advance(3601)
        assert [batch async for batch in housekeeping.staged(older_than=3_600_000)] == [["name"]]
