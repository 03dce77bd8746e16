"""Telling other processes that something has changed which they remember for a moment: by NOTIFY.

A hint only: what is remembered has a time limit of its own, which holds where a hint is lost, so nothing here is tried
twice. It is sent after the commit of what it is about, in a transaction of its own: PostgreSQL lets commits that notify
go one by one. Those of a moment go out as one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets

import psycopg
from psycopg import conninfo

from gati_registry.errors import Unavailable
from gati_registry.metadata.postgresql.pool import Pool, cut_after
from gati_registry.metadata.postgresql.server import Connection, Server, cut

log = logging.getLogger(__name__)

CHANNEL = "gati_hint"

GATHER = 0.02
"""Seconds in which hints gather."""

PAUSE = 2.0
"""Seconds, about, until a lost connection is made anew."""


class Hints:
    """Sends over connections of the pool, hears on one of its own. One event loop; must be closed."""

    def __init__(self, server: Server, pool: Pool) -> None:
        self._server = server
        self._pool = pool
        self._own = secrets.token_hex(8)
        self._heard = 0
        self._listening: asyncio.Task[None] | None = None
        self._ear: Connection | None = None
        self._sending: asyncio.Task[None] | None = None
        self._again = False

    def tell(self) -> None:
        """Others are told soon, or never."""
        self._again = True
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    def heard(self) -> int:
        """Grows with what others told; from the first call on there is somebody who listens."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())
        return self._heard

    async def close(self) -> None:
        """Send what gathered; stop listening."""
        if self._sending is not None:
            await self._sending
        if self._listening is not None:
            self._listening.cancel()
            if self._ear is not None:
                cut(self._ear)  # it would try to take leave of a server that may be silent
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening

    async def _send(self) -> None:
        try:
            while self._again:
                await asyncio.sleep(GATHER)
                self._again = False
                async with self._pool.connection() as connection:
                    timer = cut_after(self._pool.limits.unit, connection)
                    try:
                        await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, self._own))
                    finally:
                        timer.cancel()
        except (Unavailable, psycopg.Error) as error:
            log.debug("a hint is lost: %s", error)
        finally:
            self._sending = None

    async def _listen(self) -> None:
        parameters = {**self._server.parameters, "application_name": "gati-registry hints"}
        while True:
            try:
                self._ear = await psycopg.AsyncConnection.connect(
                    conninfo.make_conninfo("", **parameters), autocommit=True
                )
                try:
                    await self._ear.execute(f"LISTEN {CHANNEL}".encode())
                    self._heard += 1  # whatever was said meanwhile
                    async for notification in self._ear.notifies():
                        if notification.payload != self._own:
                            self._heard += 1
                finally:
                    await self._ear.close()
            except psycopg.Error as error:
                log.debug("nothing is heard of other replicas for now: %s", error)
            await asyncio.sleep(PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret
