"""Numbers that several processes share: memory that is mapped before the fork, one slot for each worker.

A worker writes its own slot about once a second; whoever is asked for `/metrics` reads them all. Nothing lies on disk,
nothing is left behind by kill -9, and a worker that replaces a dead one goes on from its counts, so that counters never
fall.

    slot: | which half is valid (8 bytes) | half 0: length, bytes | half 1: length, bytes |
"""

from __future__ import annotations

import mmap
import struct

HALF = 256 * 1024
_HEADER = struct.Struct("=Q")
_SLOT = _HEADER.size + 2 * HALF


class Board:
    """`count` slots of shared memory; pages that are never written cost nothing."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._memory = mmap.mmap(-1, count * _SLOT)

    def write(self, index: int, content: bytes) -> None:
        """Replace a slot's content. A reader sees the old or the new one, also when the writer is killed half-way.

        Raises:
            ValueError: longer than a half slot.
        """
        if len(content) > HALF - _HEADER.size:
            raise ValueError(f"{len(content)} bytes do not fit a slot of {HALF}")
        start = index * _SLOT
        half = 1 - _HEADER.unpack_from(self._memory, start)[0]
        at = start + _HEADER.size + half * HALF
        _HEADER.pack_into(self._memory, at, len(content))
        self._memory[at + _HEADER.size : at + _HEADER.size + len(content)] = content
        _HEADER.pack_into(self._memory, start, half)

    def read(self, index: int) -> bytes:
        """A slot's content; empty when nothing was written yet."""
        start = index * _SLOT
        at = start + _HEADER.size + _HEADER.unpack_from(self._memory, start)[0] * HALF
        length = _HEADER.unpack_from(self._memory, at)[0]
        return self._memory[at + _HEADER.size : at + _HEADER.size + length]


_joined: tuple[Board, int] | None = None


def join(board: Board, index: int) -> None:
    """Tell this process which slot is its own; called in a worker just after the fork."""
    global _joined
    _joined = (board, index)


def membership() -> tuple[Board, int]:
    """This process's board and slot; alone, where nobody said otherwise."""
    if _joined is None:
        join(Board(1), 0)
    assert _joined is not None
    return _joined
