"""The same on PostgreSQL: what writes SQL of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock
from tests.extensions.access.support import World, populate, world
from tests.extensions.resolve.test_resolve import (
    test_advisories_warn_or_refuse,
    test_drafts_and_unpublished_versions_are_not_taken,
    test_the_most_downloaded_is_what_was_counted,
    test_the_whole_graph_and_its_lock_in_one_request,
    test_what_clashes_within_a_namespace_is_told_on_demand,
    test_what_one_may_not_pull_is_not_there,
)
from tests.support.postgresql import PostgresServer, running_postgresql

pytestmark = pytest.mark.anyio

__all__ = [
    "test_advisories_warn_or_refuse",
    "test_drafts_and_unpublished_versions_are_not_taken",
    "test_the_most_downloaded_is_what_was_counted",
    "test_the_whole_graph_and_its_lock_in_one_request",
    "test_what_clashes_within_a_namespace_is_told_on_demand",
    "test_what_one_may_not_pull_is_not_there",
]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """The server."""
    with running_postgresql() as running:
        yield running


@pytest.fixture
async def site(folder: Path, clock: FakeClock, server: PostgresServer) -> AsyncIterator[World]:
    """A registry with alice, bob and carol, in a database of its own."""
    with server.database() as name:
        async with world(folder, clock, metadata_url=server.url(name)) as built:
            await populate(built, "alice", "bob", "carol")
            yield built
