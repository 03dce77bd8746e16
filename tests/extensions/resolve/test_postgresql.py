"""The same on PostgreSQL: what writes SQL of its own."""

from __future__ import annotations

import pytest

from tests.extensions.resolve.test_resolve import (
    test_advisories_warn_or_refuse,
    test_drafts_and_unpublished_versions_are_not_taken,
    test_the_most_downloaded_is_what_was_counted,
    test_the_whole_graph_and_its_lock_in_one_request,
    test_what_clashes_within_a_namespace_is_told_on_demand,
    test_what_one_may_not_pull_is_not_there,
)
from tests.support.postgresql import PostgresServer

pytestmark = pytest.mark.anyio

__all__ = [
    "test_advisories_warn_or_refuse",
    "test_drafts_and_unpublished_versions_are_not_taken",
    "test_the_most_downloaded_is_what_was_counted",
    "test_the_whole_graph_and_its_lock_in_one_request",
    "test_what_clashes_within_a_namespace_is_told_on_demand",
    "test_what_one_may_not_pull_is_not_there",
]


@pytest.fixture
def database(postgresql: PostgresServer) -> PostgresServer:
    """A database of its own for each registry."""
    return postgresql
