"""The caches that are never wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gati_registry.service.cache import BytesCache, RevisionCache

pytestmark = pytest.mark.anyio


def loader(value: str, calls: list[str]) -> Callable[[], Awaitable[str]]:
    """Gives a value, and notes that it was asked."""

    async def load() -> str:
        calls.append(value)
        return value

    return load


async def test_an_answer_holds_until_the_revision_moves() -> None:
    revision, calls = [b"1"], list[str]()
    cache: RevisionCache[str, str] = RevisionCache(lambda: revision[0], 10)
    for value in ("old", "ignored", "ignored"):
        assert await cache.get("k", loader(value, calls)) == "old"
    revision[0] = b"2"
    assert await cache.get("k", loader("new", calls)) == "new"
    assert calls == ["old", "new"]


async def test_an_answer_that_was_read_while_the_database_moved_on_is_asked_again() -> None:
    revision, calls = [b"1"], list[str]()
    cache: RevisionCache[str, str] = RevisionCache(lambda: revision[0], 10)

    async def slow() -> str:
        revision[0] = b"2"  # somebody commits while we read
        return "perhaps old"

    assert await cache.get("k", slow) == "perhaps old"
    assert await cache.get("k", loader("sure", calls)) == "sure"


async def test_without_a_revision_nothing_is_kept_and_errors_never_are() -> None:
    calls = list[str]()
    unsure: RevisionCache[str, str] = RevisionCache(lambda: None, 10)
    for _ in range(2):
        assert await unsure.get("k", loader("x", calls)) == "x"
    assert len(calls) == 2

    async def failing() -> str:
        raise LookupError

    cache: RevisionCache[str, str] = RevisionCache(lambda: b"1", 10)
    with pytest.raises(LookupError):
        await cache.get("k", failing)
    assert await cache.get("k", loader("x", calls)) == "x"


async def test_no_more_answers_are_kept_than_the_limit() -> None:
    calls = list[str]()
    cache: RevisionCache[int, str] = RevisionCache(lambda: b"1", 3)
    for number in range(5):
        await cache.get(number, loader(f"{number}", calls))
    for number in (4, 3, 2):
        await cache.get(number, loader("again", calls))
    assert "again" not in calls
    await cache.get(0, loader("again", calls))
    assert calls[-1] == "again"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), max_size=60))
def test_kept_bytes_are_right_and_bounded(puts: list[tuple[int, int]]) -> None:
    cache, known = BytesCache(100), dict[str, bytes]()
    for key, size in puts:
        name = f"{key}-{size}"
        known[name] = name.encode() * size
        cache.put(name, known[name][:size])
        kept = [found for other in known if (found := cache.get(other)) is not None]
        assert sum(map(len, kept)) <= 100
        assert all(len(found) <= 100 // 8 for found in kept)
        if size <= 100 // 8:
            assert cache.get(name) == known[name][:size]


def test_the_least_recently_used_leave_first() -> None:
    cache = BytesCache(80)
    for name in "abcdefgh":
        cache.put(name, b"x" * 10)
    assert cache.get("a")
    cache.put("i", b"x" * 10)
    assert cache.get("b") is None
    assert cache.get("a")
