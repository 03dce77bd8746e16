"""The same through HTTP where the index is in OpenSearch; and where OpenSearch is away."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock
from tests.extensions.access.support import World, peopled
from tests.extensions.search.support import EXTENSIONS, indexed, job, names, publish
from tests.extensions.search.test_search import (
    test_a_misspelt_word_is_mended_and_told,
    test_all_is_built_anew_while_it_serves,
    test_fields_of_a_registered_schema_are_searched,
    test_one_sees_what_one_may_pull_in_hits_counts_facets_and_suggestions,
    test_states_overlays_and_stars_are_followed,
    test_what_is_deleted_or_renamed_is_followed,
)
from tests.support.opensearch import OpenSearchNode

pytestmark = pytest.mark.anyio

__all__ = [
    "test_a_misspelt_word_is_mended_and_told",
    "test_all_is_built_anew_while_it_serves",
    "test_fields_of_a_registered_schema_are_searched",
    "test_one_sees_what_one_may_pull_in_hits_counts_facets_and_suggestions",
    "test_states_overlays_and_stars_are_followed",
    "test_what_is_deleted_or_renamed_is_followed",
]


@pytest.fixture
async def site(folder: Path, clock: FakeClock, opensearch_node: OpenSearchNode) -> AsyncIterator[World]:
    """A registry with alice, bob and carol, and indices of its own."""
    settings = {
        "search_url": f"opensearch+{opensearch_node.url}",
        "search.opensearch_prefix": f"s{uuid.uuid4().hex}",
        "search.opensearch_timeout": "30",
    }
    async with peopled(folder, clock, "alice", "bob", "carol", extensions=EXTENSIONS, settings=settings) as built:
        yield built


async def test_pushes_go_on_while_opensearch_is_away(site: World, opensearch_node: OpenSearchNode) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/before", description="speech")
    await indexed(site)
    assert await names(alice, "speech") == ["users/alice/before"]
    opensearch_node.stop()
    try:
        refused = await alice.call("GET", "search?q=speech")
        assert refused.status == 503
        assert refused.headers["retry-after"]
        await publish(alice, "users/alice/after", description="speech")
        indexing = job(site, "search.index")
        with pytest.raises(Exception, match="UNAVAILABLE"):
            await indexing.run()
        assert indexing.due is not None
        assert await indexing.due()  # it waits in the database
    finally:
        await asyncio.to_thread(opensearch_node.start)
    await indexed(site)
    assert sorted(await names(alice, "speech")) == ["users/alice/after", "users/alice/before"]
