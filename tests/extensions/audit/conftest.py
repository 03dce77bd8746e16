"""A registry with the audit log, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock
from tests.extensions.audit.support import Log, opened, started
from tests.support.postgresql import PostgresServer
from tests.support.templates import copied_folder, template_database


@pytest.fixture(params=["sqlite", "postgresql"])
async def location(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[str]:
    """The URL of the database of a registry that was started once."""
    if request.param == "sqlite":
        await copied_folder("audit", folder, lambda first: started(first, f"sqlite://{first}/metadata.sqlite"))
        yield f"sqlite://{folder}/metadata.sqlite"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    template = await template_database("audit", server, lambda url: started(folder, url))
    with server.database(template) as name:
        yield server.url(name)


@pytest.fixture
async def log(location: str, folder: Path, clock: FakeClock) -> AsyncIterator[Log]:
    """The log of a registry, and its administrator."""
    async with opened(folder, location, clock) as found:
        yield found
