"""Aligned buffers for direct I/O, a bounded number of them.

O_DIRECT needs memory and offsets aligned to the device's blocks, and pays from about a megabyte on. Anonymous maps
are page-aligned. The pool bounds memory: an upload that finds it empty goes through the page cache in small steps.
"""

from __future__ import annotations

import mmap

SIZE = 2 * 1024 * 1024
"""Bytes of one buffer: measured best for writing and hashing side by side."""

ALIGNMENT = 4096
"""What O_DIRECT asks of offsets and lengths on every file system in use."""

_LIMIT = 24
"""Buffers a process may hold: 48 MiB, two for each of twelve fast uploads."""


class BufferPool:
    """Lends aligned buffers; used from the event loop only."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._free: list[mmap.mmap] = []
        self._left = limit

    def take(self, count: int) -> list[mmap.mmap] | None:
        """That many buffers, or None if they are all lent."""
        while len(self._free) < count and self._left:
            self._free.append(mmap.mmap(-1, SIZE))
            self._left -= 1
        if len(self._free) < count:
            return None
        taken, self._free = self._free[:count], self._free[count:]
        return taken

    def give_back(self, buffers: list[mmap.mmap]) -> None:
        """Return buffers; a few stay warm, the others' memory goes back to the system."""
        for buffer in buffers:
            if len(self._free) < 4:
                self._free.append(buffer)
            else:
                # Not closed: a failed write's traceback may still look at it. It goes with the last reference.
                self._left += 1
