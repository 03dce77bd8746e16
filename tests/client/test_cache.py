"""The cache: whole and checked blobs, shared by processes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path

import pytest

from gati_client.cache import Cache, default_root
from gati_client.errors import Integrity, NotFound

pytestmark = pytest.mark.anyio
DATA = b"content" * 1000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


class Counting:
    """Fetches, slowly, and counts."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.calls = 0

    async def __call__(self, path: Path) -> None:
        self.calls += 1
        await asyncio.sleep(0.05)
        path.write_bytes(self.data)


async def test_many_at_once_fetch_once(tmp_path: Path) -> None:
    fetch = Counting()
    paths = await asyncio.gather(*(Cache(tmp_path).get(DIGEST, fetch) for _ in range(20)))
    assert fetch.calls == 1
    assert {path.read_bytes() for path in paths} == {DATA}


async def test_what_failed_is_tried_by_the_next(tmp_path: Path) -> None:
    async def broken(path: Path) -> None:
        path.with_name(path.name + ".partial").write_bytes(DATA[:10])
        raise ConnectionError

    cache = Cache(tmp_path)
    with pytest.raises(ConnectionError):
        await cache.get(DIGEST, broken)
    assert (await cache.get(DIGEST, Counting())).read_bytes() == DATA


async def test_what_is_no_digest(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for bad in ("sha256:../../../etc/passwd", "md5:0", "", f"sha256:{'0' * 63}/"):
        with pytest.raises(Integrity):
            await cache.get(bad, Counting())


async def test_damage_is_mended_online_and_told_offline(tmp_path: Path) -> None:
    cache, fetch = Cache(tmp_path), Counting()
    path = await cache.get(DIGEST, fetch)
    path.chmod(0o644)
    path.write_bytes(DATA[:-1] + b"X")
    with pytest.raises(Integrity, match="damaged"):
        await cache.get(DIGEST, None)
    assert (await cache.get(DIGEST, fetch)).read_bytes() == DATA
    assert fetch.calls == 2
    with pytest.raises(NotFound, match="not in the cache"):
        await cache.get(f"sha256:{'0' * 64}", None)


async def test_verify_and_prune(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = await cache.get(DIGEST, Counting())
    other = f"sha256:{hashlib.sha256(b'other').hexdigest()}"
    await cache.get(other, Counting(b"other"))
    assert (await cache.verify()).damaged == ()
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    assert (await cache.verify()).damaged == (DIGEST,)
    assert not path.exists()
    os.utime(cache.path(other), (time.time() - 1000,) * 2)
    assert (await cache.prune(older_than=2000)).blobs == 0
    assert (await cache.prune(older_than=500)).blobs == 1
    assert not cache.path(other).exists()


async def test_nothing_is_pruned_under_who_reads(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    async with cache.using():
        path = await cache.get(DIGEST, Counting())
        prune = asyncio.create_task(cache.prune())
        await asyncio.sleep(0.1)
        assert path.exists()
    assert (await prune).blobs == 1


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_root() == Path("/somewhere/gati")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification: such ones do not count
    assert default_root() == Path.home() / ".cache/gati"
