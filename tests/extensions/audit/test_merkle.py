"""The tree in tiles against the definition, and its proofs against a verifier that shares no code with it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gati_extensions.audit import merkle
from tests.extensions.audit import proofs

pytestmark = pytest.mark.anyio


class Memory:
    """`merkle.Tiles` in a dictionary; remembers which were read."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.reads = 0

    async def read(self, level: int, index: int) -> bytes:
        self.reads += 1
        return self.tiles[level, index]

    async def write(self, level: int, index: int, hashes: bytes) -> None:
        self.tiles[level, index] = hashes


def leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(b"leaf %d" % number) for number in range(count)]


def naive(hashes: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, word for word."""
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + naive(hashes[:k]) + naive(hashes[k:])).digest()


async def tree(parts: list[int]) -> tuple[Memory, list[bytes]]:
    tiles, hashes, size = Memory(), leaves(sum(parts)), 0
    for part in parts:
        await merkle.append(tiles, size, hashes[size : size + part])
        size += part
    return tiles, hashes


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=5), st.data())
def test_any_way_of_appending_makes_the_defined_tree(parts: list[int], data: st.DataObject) -> None:
    async def check() -> None:
        tiles, hashes = await tree(parts)
        size = data.draw(st.integers(0, len(hashes)))
        root = await merkle.root(tiles, size)
        assert root == naive(hashes[:size])
        if size:
            leaf = data.draw(st.integers(0, size - 1))
            path = await merkle.inclusion(tiles, leaf, size)
            assert proofs.root_of_inclusion(hashes[leaf], leaf, size, path) == root
            first = data.draw(st.integers(1, size))
            path = await merkle.consistency(tiles, first, size)
            before = naive(hashes[:first])
            assert proofs.roots_of_consistency(first, size, before, path) == (before, root)

    _run(check())


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 700), st.data())
def test_no_proof_fits_another_leaf_or_another_tree(size: int, data: st.DataObject) -> None:
    async def check() -> None:
        tiles, hashes = await tree([size])
        root = naive(hashes)
        leaf = data.draw(st.integers(0, size - 1))
        path = await merkle.inclusion(tiles, leaf, size)
        other = data.draw(st.integers(0, size - 1).filter(lambda found: found != leaf))
        assert _root(hashes[other], leaf, size, path) != root
        assert _root(hashes[leaf], other, size, path) != root
        at = data.draw(st.integers(0, len(path) - 1))
        assert _root(hashes[leaf], leaf, size, [*path[:at], bytes(32), *path[at + 1 :]]) != root
        assert _root(hashes[leaf], leaf, size, path[:-1]) != root

    _run(check())


async def test_tiles_hold_what_is_said_and_a_proof_reads_few() -> None:
    tiles, hashes = await tree([70_000])
    assert tiles.tiles[0, 1] == b"".join(hashes[256:512])
    assert tiles.tiles[1, 0][:32] == naive(hashes[:256])
    assert tiles.tiles[2, 0] == naive(hashes[:65536])
    tiles.reads = 0
    path = await merkle.inclusion(tiles, 12_345, 70_000)
    assert proofs.root_of_inclusion(hashes[12_345], 12_345, 70_000, path) == await merkle.root(tiles, 70_000)
    assert tiles.reads < 40


def _root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    try:
        return proofs.root_of_inclusion(leaf, index, size, path)
    except ValueError:
        return None


def _run(work: object) -> None:
    import asyncio

    asyncio.run(work)  # type: ignore[arg-type]
