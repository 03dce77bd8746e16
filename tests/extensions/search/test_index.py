"""The embedded index on both engines."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from gati_extensions.search.ports import SearchIndex
from tests.core.support import FakeClock, scratch
from tests.extensions.access.support import world
from tests.extensions.search.contract import *  # noqa: F403 - all of them
from tests.extensions.search.support import EXTENSIONS
from tests.support.postgresql import PostgresServer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for all: opening a registry takes longer than most of these tests."""
    return "asyncio"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def opened(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[SearchIndex]:
    """The index of a registry."""
    with contextlib.ExitStack() as stack:
        settings: dict[str, str] = {}
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgresql")
            settings["metadata_url"] = server.url(stack.enter_context(server.database()))
        folder = stack.enter_context(scratch())
        async with world(folder, FakeClock(), extensions=EXTENSIONS, **settings) as site:
            parts = site.registry.extensions.parts
            yield next(part.api.index for extension, part in parts if extension.name == "search")


@pytest.fixture
async def index(opened: SearchIndex) -> SearchIndex:
    """An empty one that serves."""
    await opened.begin()
    await opened.switch()
    return opened
