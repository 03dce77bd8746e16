"""Fixtures of the extensions' tests.

A folder or a file says what its registries are by fixtures of its own: `extensions`, and `database` for PostgreSQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.conftest import anyio_backend, clock, folder
from tests.core.support import FakeClock
from tests.extensions.access.support import EXTENSIONS, World, peopled
from tests.support.postgresql import PostgresServer

__all__ = ["anyio_backend", "clock", "folder"]


@pytest.fixture
def extensions() -> str:
    """Those that `site` has."""
    return EXTENSIONS


@pytest.fixture
def database() -> PostgresServer | None:
    """Where `site` has its database; None: in a file."""
    return None


@pytest.fixture
async def site(
    folder: Path, clock: FakeClock, extensions: str, database: PostgresServer | None
) -> AsyncIterator[World]:
    """A registry with alice, bob and carol."""
    async with peopled(folder, clock, "alice", "bob", "carol", server=database, extensions=extensions) as built:
        yield built
