"""One PostgreSQL server for all of these tests; a database for each that wants one."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gati_registry.metadata.postgresql import Limits, PostgresMetadata, Server
from gati_registry.ports import Metadata
from tests.core.conftest import anyio_backend, client, clock, folder, site
from tests.core.support import databases
from tests.support.postgresql import PostgresServer

__all__ = ["anyio_backend", "client", "clock", "folder", "site"]

LIMITS = Limits(wait=10, unit=20)


@pytest.fixture(scope="session")
def server(postgresql: PostgresServer) -> PostgresServer:
    """The server."""
    return postgresql


@pytest.fixture(scope="session")
def template(server: PostgresServer) -> str:
    """A database with the schema and nothing else, to copy."""
    name = f"migrated_{uuid.uuid4().hex}"  # others that import this fixture make their own on the same server
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0")

    async def migrate() -> None:
        await (await PostgresMetadata.open(Server.parse(server.url(name), LIMITS))).close()

    asyncio.run(migrate())
    return name


@pytest.fixture
def location(server: PostgresServer, template: str) -> Iterator[str]:
    """The URL of a database without content."""
    with server.database(template) as name:
        yield server.url(name)


@pytest.fixture
def on_postgresql(server: PostgresServer, template: str) -> Iterator[None]:
    """The core's tests have a database of this server for each data folder."""
    with contextlib.ExitStack() as stack:
        made: dict[Path, str] = {}

        def url_of(data: Path) -> str:
            if data not in made:
                made[data] = server.url(stack.enter_context(server.database(template)))
            return made[data]

        with databases(url_of):
            yield


@pytest.fixture
async def metadata(location: str) -> AsyncIterator[Metadata]:
    """A database."""
    opened = await PostgresMetadata.open(Server.parse(location, LIMITS))
    yield opened
    await opened.close()


@pytest.fixture
async def another(metadata: Metadata, location: str) -> AsyncIterator[Metadata]:
    """The same one, as another replica has it."""
    opened = await PostgresMetadata.open(Server.parse(location, LIMITS))
    yield opened
    await opened.close()
