"""Telling observers what has happened, in batches, outside of any request. A crash loses what waits here."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from gati_registry.domain.events import Event
from gati_registry.ports import Observer

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two batches."""

MOST_WAITING = 100_000
"""Events that wait at most; further ones are dropped and counted."""


class Observers:
    """Collects events and hands them over."""

    def __init__(self, count: Callable[[str], None] = lambda _: None) -> None:
        self._observers: Sequence[Observer] = ()
        self._count = count
        self._waiting: deque[Event] = deque()
        self.watching = False

    def add(self, observers: Sequence[Observer]) -> None:
        """These want to be told."""
        self._observers = (*self._observers, *observers)
        self.watching = bool(self._observers)

    def tell(self, event: Event) -> None:
        """Note an event; microseconds."""
        if not self.watching:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._count("gati_observer_dropped_total")
            return
        self._waiting.append(event)

    async def run(self) -> None:
        """Hand over for ever; the last batch when cancelled."""
        try:
            while True:
                await asyncio.sleep(INTERVAL)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Hand over what waits now. An observer that fails loses this batch, the others do not."""
        if not self._waiting:
            return
        batch = tuple(self._waiting)
        self._waiting.clear()
        for observer in self._observers:
            try:
                await observer(batch)
            except Exception:
                log.exception("an observer failed on %s events", len(batch))
                self._count("gati_observer_failures_total")
