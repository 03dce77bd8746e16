"""A standby for reads that may lag; where it cannot serve them, the primary does."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TypeVar

import psycopg

from gati_registry.errors import Unavailable
from gati_registry.metadata.postgresql.pool import Pool
from gati_registry.metadata.postgresql.server import Server
from gati_registry.ports import Transaction, Work

T = TypeVar("T")

PAUSE = 5.0
"""Seconds in which one that did not serve is not asked again."""

PATIENCE = 2.0
"""Seconds that it may take to give us a connection, or to answer a first time."""

# How far it is behind, in seconds; NULL where that is not to be known: it follows nobody now, or was promoted and is
# a primary of its own. Without traffic its newest transaction is old, but then it has replayed all that it received.
_LAG = (
    "SELECT CASE WHEN NOT pg_is_in_recovery() OR NOT EXISTS (SELECT 1 FROM pg_stat_get_wal_receiver() AS r"
    " WHERE r.pid IS NOT NULL) THEN NULL WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
    " ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END"
)


class Away(Exception):
    """Ask the primary."""


class ReadReplica:
    """One standby; opened with the primary, and whether it is there or not."""

    def __init__(self, server: Server) -> None:
        limits = server.limits
        # Slower ones are not waited for: the primary is there.
        self._pool = Pool(
            Server(
                server.parameters, replace(limits, wait=min(limits.wait, PATIENCE), unit=min(limits.unit, PATIENCE))
            ),
            "read replica",
        )
        self._most = limits.lag
        self._name = str(server)
        self._until = 0.0
        self._away = False

    async def open(self) -> None:
        """Begin; waits for nothing."""
        await self._pool.open()

    async def close(self) -> None:
        """Let go of it."""
        await self._pool.close()

    async def scan(self, work: Work[T]) -> T:
        """Run a unit that reads many rows, on one snapshot that is `Limits.lag` old at most.

        Raises:
            Away: it is not there, too far behind, of an older schema, or no standby.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._until:
            raise Away

        async def if_it_follows(tx: Transaction) -> T:
            row = await tx.one(_LAG)
            assert row is not None
            if row[0] is None or row[0] > self._most:
                raise Away("it follows no primary" if row[0] is None else f"it is {row[0]:.0f} s behind")
            return await work(tx)

        try:
            found = await self._pool.scan(if_it_follows)
        except (Away, Unavailable, psycopg.Error) as error:
            self._until = loop.time() + PAUSE
            if not self._away:
                self._away = True
                logging.getLogger(__name__).warning(
                    "the read replica, %s, is not used for now: %s", self._name, str(error).partition("\n")[0]
                )
            raise Away from error
        self._away = False
        return found
