"""A Merkle tree over the log's leaves, kept in tiles.

A tile of level L holds the hashes of up to 256 whole subtrees of 256^L leaves each, one after the other; level 0 holds
the leaves' own. Any node is made of one tile, so a proof reads a tile for each eight levels of the tree, and appending
rewrites only the last tile of each level.

Source: RFC 9162, section 2.1 (hashes and proofs); C2SP tlog-tiles (tiles of height 8).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Protocol

HASH = 32
WIDTH = 256
"""Hashes in a whole tile."""

EMPTY = hashlib.sha256().digest()
"""The root of a tree without leaves."""


class Tiles(Protocol):
    """Where tiles are kept. Awaits nothing but the database."""

    async def read(self, level: int, index: int) -> bytes:
        """The hashes of a tile that exists, one after the other."""

    async def write(self, level: int, index: int, hashes: bytes) -> None:
        """Store a tile, whole or not yet whole."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: bytes) -> bytes:
    """The root over a power of two of hashes."""
    row = [hashes[at : at + HASH] for at in range(0, len(hashes), HASH)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


async def append(tiles: Tiles, size: int, leaves: Sequence[bytes]) -> None:
    """Add leaves' hashes to a tree of `size` leaves."""
    level, start, new = 0, size, list(leaves)
    while new:
        index, held = divmod(start, WIDTH)
        data = (await tiles.read(level, index))[: held * HASH] if held else b""
        above: list[bytes] = []
        for part in _parts(new, WIDTH - held):
            data += b"".join(part)
            await tiles.write(level, index, data)
            if len(data) == WIDTH * HASH:
                above.append(fold(data))
            index, data = index + 1, b""
        level, start, new = level + 1, start // WIDTH, above


def _parts(hashes: list[bytes], first: int) -> Iterator[list[bytes]]:
    yield hashes[:first]
    for at in range(first, len(hashes), WIDTH):
        yield hashes[at : at + WIDTH]


async def root(tiles: Tiles, size: int) -> bytes:
    """The root of the tree's first `size` leaves."""
    return await subtree(tiles, 0, size) if size else EMPTY


async def inclusion(tiles: Tiles, leaf: int, size: int) -> list[bytes]:
    """The hashes that lead from a leaf to the root of the first `size` leaves, lowest first.

    Source: RFC 9162, section 2.1.3.1.
    """
    low, high, found = 0, size, []
    while high - low > 1:
        split = low + _half(high - low)
        if leaf < split:
            found.append(await subtree(tiles, split, high))
            high = split
        else:
            found.append(await subtree(tiles, low, split))
            low = split
    return found[::-1]


async def consistency(tiles: Tiles, first: int, second: int) -> list[bytes]:
    """The hashes that show the tree of `first` leaves to be the beginning of that of `second`; 0 < first <= second.

    Source: RFC 9162, section 2.1.4.1.
    """
    low, high, whole, found = 0, second, True, []
    while first != high:
        split = low + _half(high - low)
        if first <= split:
            found.append(await subtree(tiles, split, high))
            high = split
        else:
            found.append(await subtree(tiles, low, split))
            low, whole = split, False
    if not whole:
        found.append(await subtree(tiles, low, high))
    return found[::-1]


async def subtree(tiles: Tiles, low: int, high: int) -> bytes:
    """The root over the leaves from `low` to before `high`, where `low` begins a subtree of that size."""
    parts, at = [], low
    while at < high:
        height = (high - at).bit_length() - 1
        parts.append(await _perfect(tiles, height, at >> height))
        at += 1 << height
    result = parts.pop()
    while parts:
        result = node_hash(parts.pop(), result)
    return result


async def _perfect(tiles: Tiles, height: int, position: int) -> bytes:
    """The node over the 2^height leaves from position * 2^height on."""
    level, rest = divmod(height, 8)
    index, offset = divmod(position << rest, WIDTH)
    data = await tiles.read(level, index)
    return fold(data[offset * HASH : (offset + (1 << rest)) * HASH])


def _half(size: int) -> int:
    """The largest power of two smaller than `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1
