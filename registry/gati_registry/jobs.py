"""Work on an interval, done by one of all workers at a time."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gati_registry.errors import Unavailable
from gati_registry.ports import Clock, Metadata

log = logging.getLogger(__name__)

LEASE = 120_000
"""Milliseconds that a job's lease lasts; renewed while it runs, so another worker takes over soon after a crash."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every `interval` seconds; with `due`, only where that says so (a look that writes nothing)."""

    name: str
    interval: float
    run: Callable[[], Awaitable[None]]
    due: Callable[[], Awaitable[bool]] | None = None


async def run_forever(job: Job, metadata: Metadata, clock: Clock) -> None:
    """Run the job on its interval in whichever worker gets its lease; until cancelled. Failures are tried again."""
    holder = f"{os.getpid()}-{uuid.uuid4()}"
    while True:
        # Spread out, so that workers that started together do not ask together.
        await asyncio.sleep(job.interval * random.uniform(0.9, 1.1))  # noqa: S311 - not a secret
        try:
            if (job.due is None or await job.due()) and await _take(job, metadata, clock, holder):
                await _run_leased(job, metadata, clock, holder)
        except Unavailable as error:
            log.warning("job %s: %s", job.name, error.message)
        except Exception:
            log.exception("job %s failed; it will run again in %s s", job.name, job.interval)


async def _run_leased(job: Job, metadata: Metadata, clock: Clock, holder: str) -> None:
    async def renew() -> None:
        while True:
            await asyncio.sleep(LEASE / 3000)
            await _take(job, metadata, clock, holder)

    renewing = asyncio.create_task(renew())
    try:
        await job.run()
    finally:
        renewing.cancel()
        # The lease is kept to the interval's end: the other workers' clocks tick too, and one run is enough.
        now = clock.now()
        until = now + int(job.interval * 500)
        await metadata.write(lambda tx: tx.leases.acquire(_name(job), holder, now, until))


async def _take(job: Job, metadata: Metadata, clock: Clock, holder: str) -> bool:
    now = clock.now()
    return await metadata.write(lambda tx: tx.leases.acquire(_name(job), holder, now, now + LEASE))


def _name(job: Job) -> str:
    return f"job:{job.name}"
