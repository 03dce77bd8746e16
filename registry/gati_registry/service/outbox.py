"""Telling reactions what has happened, from the outbox: at least once, in order within a repository.

Crash points: (1) leased, (2) reacted, (3) row removed. Before (3) the lease runs out and another worker delivers the
event again: reactions know an event by its id. A failing reaction is tried again with growing pauses for a day, then
its event becomes a dead letter, kept for a week; what waits behind it in the same repository goes on then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import uuid
from collections.abc import Callable, Iterable

from gati_registry.errors import Unavailable
from gati_registry.ports import Clock, Delivery, Metadata
from gati_registry.service.hooks import Reaction

log = logging.getLogger(__name__)

LEASE = 60_000
"""Milliseconds in which a reaction has to be done; a longer one is cut off and tried again."""

AT_ONCE = 8
"""Deliveries that one worker makes at a time."""

LOOK = 1.0
"""Seconds between two looks for events of other workers and for retries that are due."""

HOUR = 3_600_000
FIRST_PAUSE = 1_000
LONGEST_PAUSE = HOUR
GIVE_UP = 24 * HOUR
KEEP_DEAD = 7 * 24 * HOUR


class Dispatcher:
    """Delivers events in one worker, until cancelled."""

    def __init__(
        self,
        metadata: Metadata,
        clock: Clock,
        reactions: Iterable[Reaction],
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._metadata = metadata
        self._clock = clock
        self._reactions = {reaction.name: reaction for reaction in reactions}
        self._count = count
        self._holder = f"{os.getpid()}-{uuid.uuid4()}"
        self._more = asyncio.Event()
        self._forgotten = 0

    def wake(self) -> None:
        """There is something new."""
        self._more.set()

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            try:
                while await self.deliver():
                    pass
                await self._forget()
            except Unavailable as error:
                log.warning("outbox: %s", error.message)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), LOOK * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            self._more.clear()

    async def _forget(self) -> None:
        now = self._clock.now()
        if now - self._forgotten > HOUR:
            self._forgotten = now
            await self._metadata.write(lambda tx: tx.outbox.forget(now - KEEP_DEAD))

    async def deliver(self) -> int:
        """Deliver what is due now; how many events were tried."""
        now = self._clock.now()
        # A look costs no write where there is nothing to do.
        if not await self._metadata.read(lambda tx: tx.outbox.due(now)):
            return 0
        found = await self._metadata.write(lambda tx: tx.outbox.claim(self._holder, now, now + LEASE, AT_ONCE))
        await asyncio.gather(*(self._one(delivery) for delivery in found))
        return len(found)

    async def _one(self, delivery: Delivery) -> None:
        reaction = self._reactions.get(delivery.reaction)
        try:
            if reaction is None:
                # Its extension is not enabled here; another worker or a later start may have it.
                raise LookupError(f"no reaction {delivery.reaction} is enabled")
            async with asyncio.timeout(LEASE / 1000 * 0.9):
                await reaction.react(delivery.event)
        except Exception as error:
            await self._failed(delivery, error)
            return
        await self._metadata.write(lambda tx: tx.outbox.done(delivery, self._holder))
        self._count("gati_outbox_delivered_total")

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        now = self._clock.now()
        what = f"{type(error).__name__}: {error}"[:500]
        if now - delivery.event.time > GIVE_UP:
            log.error("outbox: %s gave up on event %s: %s", delivery.reaction, delivery.event.id, what)
            await self._metadata.write(lambda tx: tx.outbox.bury(delivery, self._holder, now, what))
            self._count("gati_outbox_dead_total")
            return
        log.warning("outbox: %s failed on event %s, will retry: %s", delivery.reaction, delivery.event.id, what)
        due = now + pause(delivery.attempts)
        await self._metadata.write(lambda tx: tx.outbox.retry(delivery, self._holder, due, what))
        self._count("gati_outbox_retried_total")


def pause(attempts: int) -> int:
    """Milliseconds until the next attempt after this many failed ones."""
    return int(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts, 20)) * random.uniform(0.8, 1.2))  # noqa: S311
