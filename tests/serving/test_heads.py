"""Heads that were parsed a moment ago, and what requests that share one must not share."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from gati_registry.http.memo import MEMO, SHORT, Memo
from gati_registry.serving import heads
from gati_registry.serving.framing import Malformed
from gati_registry.serving.heads import LONGEST, MOST, Heads

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the server runs on."""
    return "asyncio"


def _head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


async def test_equal_heads_are_one_and_others_are_not() -> None:
    known = Heads()
    first = known.parse(_head("/a", "Authorization: one"))
    assert known.parse(_head("/a", "Authorization: one")) is first
    assert known.parse(_head("/a", "Authorization: two")) is not first
    assert known.parse(_head("/a")).scope[MEMO] is not first.scope[MEMO]


async def test_a_head_with_a_body_or_of_many_bytes_is_not_kept() -> None:
    known = Heads()
    for data in (_head("/a", "Content-Length: 3"), _head("/a", "X: " + "x" * LONGEST)):
        assert known.parse(data) is not known.parse(data)


async def test_what_is_malformed_is_so_every_time() -> None:
    known = Heads()
    for _ in range(2):
        with pytest.raises(Malformed):
            known.parse(b"GET /a HTTP/1.1\r\nHost : x\r\n\r\n")


async def test_no_more_than_so_many_are_kept() -> None:
    known = Heads()
    first = known.parse(_head("/first"))
    for number in range(2 * MOST):
        known.parse(_head(f"/{number}"))
    assert known.parse(_head("/first")) is not first


async def test_a_head_that_does_not_come_again_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "AGE", 0.01)
    known = Heads()
    first = known.parse(_head("/a"))
    forgotten = asyncio.Event()
    weakref.finalize(first.scope[MEMO], forgotten.set)
    del first
    async with asyncio.timeout(30):
        await forgotten.wait()


def test_what_was_decided_ends_with_a_commit_and_with_time() -> None:
    memo = Memo()
    memo.held(b"1", 1000)["decided"] = True
    assert memo.held(b"1", 1000 + SHORT - 1) == {"decided": True}
    assert memo.held(b"1", 1000 + SHORT) == {}
    memo.held(b"1", 1000 + SHORT)["decided"] = True
    assert memo.held(b"1", 1000) == {}  # the clock was set back
    memo.held(b"1", 1000)["decided"] = True
    assert memo.held(b"2", 1000) == {}
    memo.held(None, 1000)["decided"] = True
    assert memo.held(None, 1000) == {}
