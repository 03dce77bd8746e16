"""Fixtures of the core's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from tests.core.support import Client, FakeClock, registry, scratch


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
async def site(folder: Path, clock: FakeClock) -> AsyncIterator[Registry]:
    """A registry that is open to everyone."""
    async with registry(folder, clock) as built:
        yield built


@pytest.fixture
def client(site: Registry) -> Client:
    """Sends requests to `site`."""
    return Client(site.app)
