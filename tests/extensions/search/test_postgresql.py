"""The same on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock
from tests.extensions.access.support import World, populate, world
from tests.extensions.search.support import EXTENSIONS
from tests.extensions.search.test_search import test_what_is_pushed_is_found_by_its_words
from tests.support.postgresql import PostgresServer, running_postgresql

pytestmark = pytest.mark.anyio

__all__ = ["test_what_is_pushed_is_found_by_its_words"]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """The server."""
    with running_postgresql() as running:
        yield running


@pytest.fixture
async def site(folder: Path, clock: FakeClock, server: PostgresServer) -> AsyncIterator[World]:
    """A registry with alice, bob and carol, in a database of its own."""
    with server.database() as name:
        async with world(folder, clock, metadata_url=server.url(name), extensions=EXTENSIONS) as built:
            await populate(built, "alice", "bob", "carol")
            yield built
