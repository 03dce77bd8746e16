"""Leases that a command keeps while it works."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gati_registry.errors import Unavailable
from gati_registry.ports import Clock, Metadata

LEASE = 40_000
"""Milliseconds after which what a killed command held is free again."""


@asynccontextmanager
async def holding(metadata: Metadata, clock: Clock, name: str) -> AsyncIterator[None]:
    """Hold a lease within a `with` block; whoever loses it is cancelled.

    Raises:
        Unavailable: another holds it, for longer than a killed one would.
    """
    holder = f"{os.getpid()}-{uuid.uuid4()}"

    async def take() -> bool:
        now = clock.now()
        return await metadata.write(lambda tx: tx.leases.acquire(name, holder, now, now + LEASE))

    for _ in range(LEASE // 1000 + 10):
        if await take():
            break
        await asyncio.sleep(1)
    else:
        raise Unavailable(f"another command holds {name}; wait for its end")
    owner = asyncio.current_task()

    async def renew() -> None:
        while True:
            await asyncio.sleep(LEASE / 4000)
            with contextlib.suppress(Unavailable):  # it is asked again before the lease ends
                if not await take() and owner is not None:
                    owner.cancel()

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        with contextlib.suppress(Unavailable):  # it ends by itself
            await metadata.write(lambda tx: tx.leases.release(name, holder))
