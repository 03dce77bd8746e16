"""The same on PostgreSQL: what writes SQL of its own; the index itself is tested on both (`test_index`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock
from tests.extensions.access.support import World, populate, world
from tests.extensions.search.support import EXTENSIONS
from tests.extensions.search.test_search import (
    test_all_is_built_anew_while_it_serves,
    test_downloads_count_once_a_client_and_hour,
    test_fields_of_a_registered_schema_are_searched,
    test_one_sees_what_one_may_pull_in_hits_counts_facets_and_suggestions,
    test_states_overlays_and_stars_are_followed,
    test_what_is_deleted_or_renamed_is_followed,
    test_what_is_pushed_is_found_by_its_words,
)
from tests.extensions.search.test_types import test_exact_ones_come_first, test_it_follows_what_happens
from tests.support.postgresql import PostgresServer, running_postgresql

pytestmark = pytest.mark.anyio

__all__ = [
    "test_all_is_built_anew_while_it_serves",
    "test_downloads_count_once_a_client_and_hour",
    "test_exact_ones_come_first",
    "test_fields_of_a_registered_schema_are_searched",
    "test_it_follows_what_happens",
    "test_one_sees_what_one_may_pull_in_hits_counts_facets_and_suggestions",
    "test_states_overlays_and_stars_are_followed",
    "test_what_is_deleted_or_renamed_is_followed",
    "test_what_is_pushed_is_found_by_its_words",
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
        async with world(folder, clock, metadata_url=server.url(name), extensions=EXTENSIONS) as built:
            await populate(built, "alice", "bob", "carol")
            yield built
