"""In-process caches that are never wrong.

Bytes by digest are immutable and may be kept anywhere. What a name means is not: an answer to such a question is
kept with the database's revision at which it was read, and holds only while that stands still, which costs less than
a microsecond to ask. A database without revisions (None) is asked each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RevisionCache(Generic[K, V]):
    """Answers that hold as long as the database has not changed; at most `limit` of them."""

    def __init__(self, revision: Callable[[], bytes | None], limit: int) -> None:
        self._revision = revision
        self._limit = limit
        self._kept: OrderedDict[K, tuple[bytes, V]] = OrderedDict()

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """The answer to `key`; `load` is awaited where the kept one may be old. Its exceptions are not kept."""
        revision = self._revision()
        if revision is None:
            return await load()
        kept = self._kept.get(key)
        if kept is not None and kept[0] == revision:
            return kept[1]
        # The revision was read before the answer: a commit in between makes the entry old, never wrongly young.
        value = await load()
        self._kept[key] = (revision, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)
        return value


class BytesCache:
    """Content by digest; at most `limit` bytes in all, the least recently used leave first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def get(self, digest: str) -> bytes | None:
        """The bytes, if kept."""
        data = self._kept.get(digest)
        if data is not None:
            self._kept.move_to_end(digest)
        return data

    def put(self, digest: str, data: bytes) -> None:
        """Keep bytes, unless they alone would fill an eighth of the cache."""
        if len(data) > self._limit // 8 or digest in self._kept:
            return
        self._kept[digest] = data
        self._size += len(data)
        while self._size > self._limit:
            self._size -= len(self._kept.popitem(last=False)[1])
