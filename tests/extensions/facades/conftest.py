"""Fixtures of the façades' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock, scratch
from tests.extensions.access.support import World, populate, world
from tests.extensions.facades.support import EXTENSIONS


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
    async with world(folder, clock, extensions=EXTENSIONS) as built:
        await populate(built, "alice", "bob", "carol")
        yield built
