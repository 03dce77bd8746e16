"""A registry with the audit log, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.core.conftest import anyio_backend, clock, folder
from tests.core.support import FakeClock
from tests.extensions.audit.support import Log, opened
from tests.support.postgresql import PostgresServer, running_postgresql

__all__ = ["anyio_backend", "clock", "folder"]


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    with running_postgresql() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite://{folder}/metadata.sqlite"
        return
    server: PostgresServer = request.getfixturevalue("server")
    with server.database() as name:
        yield server.url(name)


@pytest.fixture
async def log(location: str, folder: Path, clock: FakeClock) -> AsyncIterator[Log]:
    """The log of a registry, and its administrator."""
    async with opened(folder, location, clock) as found:
        yield found
