"""Searching through HTTP: what is pushed is found, ranked, filtered, counted, by who may pull it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock
from tests.extensions.access.support import World, populate, world
from tests.extensions.search.support import EXTENSIONS, indexed, names, publish, search

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(folder: Path, clock: FakeClock) -> AsyncIterator[World]:
    """A registry with alice, bob and carol."""
    async with world(folder, clock, extensions=EXTENSIONS) as built:
        await populate(built, "alice", "bob", "carol")
        yield built


async def test_what_is_pushed_is_found_by_its_words(site: World) -> None:
    alice = site.user("alice")
    await publish(alice, "users/alice/whisper", description="Turns speech to text.", keywords=["audio", "asr"])
    await publish(alice, "users/alice/other", description="Something about whisper, in passing.", keywords=[])
    await indexed(site)
    for q in ("whisper", "Whispers", '"speech to text"', "asr audio", "whisp", "kind:module license:mit whisper"):
        assert (await names(alice, q))[:1] == ["users/alice/whisper"], q
    assert await names(alice, "whisper") == ["users/alice/whisper", "users/alice/other"]
    assert await names(alice, "whisper -passing") == ["users/alice/whisper"]
    assert await names(alice, '"text to speech"') == []
    page = await search(alice, "speech")
    (item,) = page["items"]
    assert item["repository"] == "users/alice/whisper"
    assert (item["kind"], item["name"], item["version"]) == ("module", "whisper", "1.0.0")
    assert item["publisher"] == {"name": "alice", "verified": False}
    (highlight,) = item["highlights"]
    ((start, end),) = highlight["ranges"]
    assert highlight["text"][start:end] == "speech"
    assert page["total"] == 1
    assert page["total_exact"]
    assert page["ranking"] == "lexical"
    assert page["facets"]["kind"] == [{"value": "module", "count": 1}]
