"""The same on PostgreSQL: what writes SQL of its own."""

from __future__ import annotations

import pytest

from tests.extensions.kinds.test_kinds import test_the_same_content_elsewhere_is_told_to_who_may_see_it
from tests.extensions.kinds.test_versions import (
    test_a_draft_is_for_members_until_it_is_published,
    test_a_transfer_takes_everything_along,
    test_an_unpublished_version_is_for_members,
    test_channels_move_and_every_move_is_kept,
    test_custom_metadata_follow_a_schema,
    test_every_state_has_its_reverse,
    test_references_must_be_there_where_a_policy_says_so,
    test_stars_and_ratings_count_once,
    test_the_overlay_is_optimistic_and_keeps_its_history,
    test_versions_are_sorted_by_precedence,
    test_what_is_deleted_is_gone,
)
from tests.support.postgresql import PostgresServer

pytestmark = pytest.mark.anyio

__all__ = [
    "test_a_draft_is_for_members_until_it_is_published",
    "test_a_transfer_takes_everything_along",
    "test_an_unpublished_version_is_for_members",
    "test_channels_move_and_every_move_is_kept",
    "test_custom_metadata_follow_a_schema",
    "test_every_state_has_its_reverse",
    "test_references_must_be_there_where_a_policy_says_so",
    "test_stars_and_ratings_count_once",
    "test_the_overlay_is_optimistic_and_keeps_its_history",
    "test_the_same_content_elsewhere_is_told_to_who_may_see_it",
    "test_versions_are_sorted_by_precedence",
    "test_what_is_deleted_is_gone",
]


@pytest.fixture
def database(postgresql: PostgresServer) -> PostgresServer:
    """A database of its own for each registry."""
    return postgresql
