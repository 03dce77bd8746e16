"""A process that ends between any two steps, those beneath the encryption included.

As tests/core/test_crashes.py, whose scenes and checks these are, but here the watched adapters are the ones inside:
an upload's key commits in a step of its own, and the last frame is written at the close.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from gati_registry.keys import FileMasterKey
from gati_registry.metadata.sqlite import SqliteMetadata
from gati_registry.service.uploads import session_key
from gati_registry.storage.encrypted import EncryptedBlobs, EncryptedMetadata, Keyring
from gati_registry.storage.encrypted.frames import FRAME
from gati_registry.storage.filesystem import FilesystemBlobs
from tests.core.fakes import Crash, LastSteps, WatchedBlobs, WatchedMetadata
from tests.core.support import Client, FakeClock, assemble, files, registry
from tests.core.test_crashes import (
    LIMIT,
    Operation,
    Scene,
    Setup,
    cancel,
    check_wreck,
    chunk,
    clean,
    close,
    close_empty,
    close_wrong,
    duplicate,
    large_session,
    monolithic,
    nothing,
    session,
    small_session,
)

pytestmark = pytest.mark.anyio


class LongScene(Scene):
    """Content of several frames; chunks end within one."""

    def __init__(self, client: Client, moment: int) -> None:
        super().__init__(client, moment)
        self.large = self.large[:6] * (FRAME // 4)
        self.tail = self.tail[:8] * (FRAME // 8) + self.tail


class ReadableBlobs(WatchedBlobs):
    """Watched blobs whose staged bytes can be read."""

    def __init__(self, inner: FilesystemBlobs, watch: LastSteps) -> None:
        super().__init__(inner, watch)
        self.open_staged = inner.open_staged

    def close(self) -> None:
        """It is closed by whoever made it."""


class OpenedMetadata(WatchedMetadata):
    """A watched database whose schema is current."""

    migrations_run: list[str] = []  # noqa: RUF012 - never changed


@asynccontextmanager
async def dying(before: Registry, keys_file: Path, clock: FakeClock, watch: LastSteps) -> AsyncIterator[Client]:
    """A process that encrypts, over adapters that end with it."""
    settings = before.settings
    database, files = SqliteMetadata(settings.metadata_path), FilesystemBlobs(settings.blobs_path)
    ring = Keyring(database, FileMasterKey(keys_file), clock)
    await ring.open()
    inner = OpenedMetadata(database, watch)
    ring.metadata = inner
    blobs = EncryptedBlobs(ReadableBlobs(files, watch), ring, encrypting=True)
    metadata = EncryptedMetadata(inner, ring, encrypting=True)
    try:
        yield Client(assemble(metadata, blobs, clock, key=await session_key(before.metadata)))
    finally:
        blobs.close()
        files.close()
        await database.close()


@pytest.mark.parametrize(
    ("setup", "operation", "status"),
    [
        (nothing, monolithic, 201),
        (session, chunk, 202),
        (small_session, chunk, 202),
        (large_session, chunk, 202),
        (large_session, close, 201),
        (large_session, close_empty, 201),
        (duplicate, close, 201),
        (large_session, close_wrong, 400),
        (large_session, cancel, 204),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
async def test_an_upload_that_ends_anywhere_loses_nothing(
    folder: Path,
    clock: FakeClock,
    keys_file: Path,
    with_encryption: None,
    setup: Setup,
    operation: Operation,
    status: int,
) -> None:
    async with registry(folder, clock) as before:
        for moment in range(LIMIT):
            watch, scene, answer = LastSteps(moment), LongScene(Client(before.app), moment), None
            await setup(scene)
            async with dying(before, keys_file, clock, watch) as client:
                with suppress(Crash):
                    answer = await operation(client, scene)
            if answer is not None and not watch.dead:
                assert answer.status == status
                break
            async with registry(folder, clock) as after:
                await check_wreck(after, scene, operation)
        else:
            pytest.fail(f"it did not come through: {watch.seen}")
        assert (await before.verifier.run()).damaged == []
        await clean(before, clock)
    assert files(folder / "blobs") == set()
