"""The counters of changes, as each worker keeps them."""

from __future__ import annotations

import time

from gati_extensions.namespaces import store
from gati_registry.extension import Database

FRESH = 0.5
"""Seconds for which a counter is believed where the database has no cheap revision."""


class Counter:
    """One of the counters of changes, kept as long as it can be right."""

    def __init__(self, database: Database, name: str, *, fresh: float = FRESH) -> None:
        self._database = database
        self._name = name
        self._fresh = fresh
        self._heard = 0
        self._seen: bytes | None = None
        self._until = 0.0
        self._changes = 0
        self._number = 0

    async def get(self) -> int:
        """The counter; microseconds."""
        seen = self._database.revision()
        if seen is not None and seen == self._seen:
            return self._number
        now, heard = time.monotonic(), self._database.heard()
        if seen is None and heard == self._heard and now < self._until:
            return self._number
        changes = self._changes
        self._number = await self._database.read(lambda tx: store.revision(tx, self._name))
        if changes == self._changes:  # else what was read may be older than this process's own change
            self._seen, self._heard, self._until = seen, heard, now + self._fresh
        return self._number

    def forget(self) -> None:
        """This process has changed something: ask at once."""
        self._changes += 1
        self._seen, self._until = None, 0.0
        self._database.tell()
