"""Fixtures of the search tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock, scratch
from tests.extensions.access.support import World, populate, world
from tests.support.opensearch import OpenSearchNode, opensearch


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the server runs on."""
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    """A clock to set."""
    return FakeClock()


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder, in memory where that is possible."""
    with scratch() as path:
        yield path


@pytest.fixture
async def site(folder: Path, clock: FakeClock) -> AsyncIterator[World]:
    """A registry with alice, bob and carol."""
    async with world(folder, clock) as built:
        await populate(built, "alice", "bob", "carol")
        yield built


@pytest.fixture(scope="session")
def opensearch_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchNode]:
    """One node for all tests; each takes a prefix of its own."""
    with opensearch(tmp_path_factory.mktemp("opensearch")) as node:
        yield node
