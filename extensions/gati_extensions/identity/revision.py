"""When what is remembered of accounts and credentials has to be looked up again."""

from __future__ import annotations

import time
from typing import TypeVar

from gati_extensions.identity import store
from gati_registry.extension import Database, Work

T = TypeVar("T")

LONGEST = 0.9
"""Seconds for which a number is believed where the database cannot say for less that nothing was committed."""


class Revision:
    """The number of changes so far. This worker's own count at once, others' as soon as one hears of them, or within
    a second."""

    def __init__(self, database: Database, *, longest: float = LONGEST) -> None:
        self._database = database
        self._longest = longest
        self._heard = 0
        self._mark: bytes | None = None
        self._number = 0
        self._until = 0.0
        self._writes = 0

    async def get(self) -> int:
        """The number now; microseconds."""
        mark = self._database.revision()
        if mark is not None:
            if mark != self._mark:
                # The mark was read before the number: a change in between is looked up again, never missed.
                self._number, self._mark = await self._database.read(store.revision), mark
            return self._number
        heard = self._database.heard()
        if heard != self._heard or time.monotonic() >= self._until:
            writes, asked = self._writes, time.monotonic()
            number = await self._database.read(store.revision)
            self._number = max(self._number, number)
            if writes == self._writes:
                self._until, self._heard = asked + self._longest, heard
        return self._number

    async def write(self, work: Work[T]) -> T:
        """A unit of work of this extension; what it changes holds in this worker when this returns."""
        try:
            return await self._database.write(work)
        finally:
            self._writes += 1
            self._until = 0.0
            self._database.tell()
