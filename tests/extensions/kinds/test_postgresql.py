"""The same on PostgreSQL: what writes SQL of its own."""

from __future__ import annotations

from typing import Any

import pytest

from gati_extensions.kinds.store import refresh
from gati_registry.metadata.postgresql.statements import compiled
from gati_registry.ports import Transaction
from tests.extensions.access.support import World
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


MANY = 20_000
"""Versions of one repository; others have three."""


class _Told:
    """A transaction whose questions come with their plans."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.send = tx.send
        self.plans: list[Any] = []

    async def one(self, sql: str, **values: Any) -> tuple[Any, ...] | None:
        text, names = compiled(sql)
        given = ", ".join(f"'{values[name]}'" for name in names)
        for mode in ("force_generic_plan", "force_custom_plan"):
            await self._tx.run(f"SET LOCAL plan_cache_mode = {mode}")
            await self._tx.run(f"PREPARE told AS {text}")
            row = await self._tx.one(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE told ({given})")
            await self._tx.run("DEALLOCATE told")
            assert row is not None
            self.plans.append(row[0][0]["Plan"])
        return await self._tx.one(sql, **values)


def _touched(plan: dict[str, Any]) -> int:
    """The most rows that one node of a plan read."""
    own = plan["Actual Rows"] + sum(value for key, value in plan.items() if key.startswith("Rows Removed"))
    return max([int(own * plan["Actual Loops"]), *(_touched(inner) for inner in plan.get("Plans", ()))])


async def test_the_best_of_many_versions_is_found_by_the_index(site: World) -> None:
    assert (await site.user("alice").push("orgs/acme/app", tag="1.0.0")).status == 201
    namespaces = site.registry.extensions.kernels["kinds"].apis["namespaces"]

    async def work(tx: Transaction) -> tuple[list[Any], object]:
        for repository, number in (("'orgs/acme/app'", MANY), ("'orgs/acme/of' || number / 3", MANY)):
            await tx.run(
                "INSERT INTO kinds_tag (repository, tag, digest, version_key, release_key, moved_at)"
                f" SELECT {repository}, '2.0.' || number, (SELECT max(digest) FROM kinds_tag),"
                " 'v' || 10000000 + number, 'v' || 10000000 + number, number"
                f" FROM generate_series(1, {number}) AS number"
            )
        await tx.run("ANALYZE kinds_tag")
        told = _Told(tx)
        await refresh(told, "orgs/acme/app", 1, namespaces)  # type: ignore[arg-type]  # as much of it as is asked
        return told.plans, await tx.one("SELECT latest FROM kinds_repository WHERE name = 'orgs/acme/app'")

    plans, latest = await site.registry.metadata.write(work)
    assert latest == (f"2.0.{MANY}",)
    assert len(plans) == 2
    assert max(map(_touched, plans)) < 1000, plans
