"""The same on PostgreSQL: what writes SQL of its own, and what several transactions do at once."""

from __future__ import annotations

import pytest

from tests.extensions.access.test_capabilities import (
    alice,
    test_it_allows_what_it_says,
    test_revoking_a_parent_ends_its_children,
)
from tests.extensions.access.test_decisions import (
    test_a_revocation_acts_at_once,
    test_owners_push_and_strangers_do_not,
    test_the_catalog_shows_what_one_may_read,
)
from tests.extensions.namespaces.test_drafts import (
    drafting,
    test_a_repository_of_drafts_alone_is_not_there,
    test_members_see_it_others_do_not,
    test_nothing_tells_others_of_it,
)
from tests.extensions.namespaces.test_namespaces import (
    test_custom_roles_inherit,
    test_labels_and_policies_are_inherited,
    test_lists_are_filtered_by_sql,
    test_teams_and_robots_are_members,
    test_visibility_is_inherited_and_the_nearest_wins,
)
from tests.extensions.namespaces.test_quotas import (
    test_64_pushes_at_once_never_pass_the_limit,
    test_a_part_draws_from_the_whole,
    test_a_recount_mends_what_drifted,
    test_bytes_are_those_of_blobs_and_manifests,
    test_what_a_start_has_no_time_to_count_is_counted_beside_serving,
)
from tests.extensions.namespaces.test_transfers import (
    test_a_namespace_moves_with_its_settings,
    test_usage_follows,
)
from tests.support.postgresql import PostgresServer

pytestmark = pytest.mark.anyio

__all__ = [
    "alice", "drafting", "test_64_pushes_at_once_never_pass_the_limit",
    "test_a_namespace_moves_with_its_settings", "test_a_part_draws_from_the_whole",
    "test_a_recount_mends_what_drifted", "test_a_repository_of_drafts_alone_is_not_there",
    "test_a_revocation_acts_at_once",
    "test_bytes_are_those_of_blobs_and_manifests", "test_custom_roles_inherit", "test_it_allows_what_it_says",
    "test_labels_and_policies_are_inherited", "test_lists_are_filtered_by_sql", "test_members_see_it_others_do_not",
    "test_nothing_tells_others_of_it",
    "test_owners_push_and_strangers_do_not", "test_revoking_a_parent_ends_its_children",
    "test_teams_and_robots_are_members", "test_the_catalog_shows_what_one_may_read", "test_usage_follows",
    "test_visibility_is_inherited_and_the_nearest_wins",
    "test_what_a_start_has_no_time_to_count_is_counted_beside_serving",
]  # fmt: skip


@pytest.fixture
def database(postgresql: PostgresServer) -> PostgresServer:
    """A database of its own for each registry."""
    return postgresql
