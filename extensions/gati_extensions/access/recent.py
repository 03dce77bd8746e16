"""Answers of the database, kept as long as they can be right: until the next commit, or half a second where the
database cannot tell of commits, less where another process says that it has changed something."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from gati_registry.extension import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FRESH = 0.5
"""Seconds."""


class Recent(Generic[K, V]):
    """At most `limit` answers."""

    def __init__(self, database: Database, limit: int, *, fresh: float = FRESH) -> None:
        self._database = database
        self._limit = limit
        self._fresh = fresh
        self._kept: OrderedDict[K, tuple[bytes | None, int, float, V]] = OrderedDict()

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """The answer to `key`; `load` is awaited where the kept one may be old."""
        revision = self._database.revision()
        heard, now = (self._database.heard(), time.monotonic()) if revision is None else (0, 0.0)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == revision and kept[1] == heard and now <= kept[2]:
            return kept[3]
        value = await load()
        self._kept[key] = (revision, heard, now + self._fresh, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return value

    def drop(self, key: K) -> None:
        """Ask again the next time."""
        self._kept.pop(key, None)

    def forget(self) -> None:
        """This process has changed something."""
        self._kept.clear()
        self._database.tell()
