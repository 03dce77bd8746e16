"""Fixtures of the identity tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock, scratch
from tests.extensions.identity.support import Site, prepared, worker


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
async def site(folder: Path, clock: FakeClock) -> AsyncIterator[Site]:
    """A registry where everybody may sign up."""
    settings = await prepared(folder, signup="open")
    async with worker(settings, clock) as built:
        yield built
