"""The same on PostgreSQL: what writes SQL of its own; the index itself is tested on both (`test_index`)."""

from __future__ import annotations

import pytest

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
from tests.support.postgresql import PostgresServer

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


@pytest.fixture
def extensions() -> str:
    """Search too."""
    return EXTENSIONS


@pytest.fixture
def database(postgresql: PostgresServer) -> PostgresServer:
    """A database of its own for each registry."""
    return postgresql
