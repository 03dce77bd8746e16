"""Requests and bytes served of each owned namespace in a calendar month: counted in each worker, added up in the
database every few seconds. A crash loses the last ones; a limit is kept within what is served in that time."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence

from gati_extensions.namespaces import usage
from gati_extensions.namespaces.settings import UNLIMITED, NamespacesSettings
from gati_extensions.namespaces.tree import root
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import (
    Access,
    Clock,
    Database,
    Decision,
    Event,
    Identity,
    Operation,
    Refusal,
    Request,
    Transaction,
)

INTERVAL = 2.0
"""Seconds between two additions."""

MOST = 10_000
"""Namespaces that wait for the next addition; further ones go uncounted until then."""


def month_of(milliseconds: int) -> str:
    """The calendar month (UTC), such as `2030-01`."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC).strftime("%Y-%m")


def rest_of_month(milliseconds: int) -> int:
    """Seconds until the next one begins."""
    now = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    following = (now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + datetime.timedelta(days=32)).replace(
        day=1
    )
    return int((following - now).total_seconds()) + 1


class Traffic:
    """An admission that counts requests and refuses those of a namespace that has used up its month; and the observer
    that counts bytes."""

    def __init__(self, database: Database, clock: Clock, settings: NamespacesSettings) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._waiting: dict[str, list[int]] = {}  # bytes and calls, by namespace
        self._exceeded: dict[str, tuple[str, str]] = {}  # month and what, by namespace
        self._task: asyncio.Task[None] | None = None

    async def admit(self, request: Request, identity: Identity, access: Access, decision: Decision) -> Refusal | None:
        """The admission."""
        if access.repository is None or decision is not Decision.ALLOW:
            return None
        path = root(access.repository)
        exceeded = self._exceeded.get(path)
        if exceeded is None or identity.admin:
            self._count(path, 0, 1)
            return None
        now = self._clock.now()
        if exceeded[0] != month_of(now):
            del self._exceeded[path]
            self._count(path, 0, 1)
            return None
        self._count(path, 0, 0)  # refused, so not a call; but it is asked again whether the month is still used up
        return Refusal(
            Code.TOOMANYREQUESTS,
            f"{path} has used up its {exceeded[1]} of this month; wait for the next or ask its administrators for more",
            detail={"namespace": path, "quota": exceeded[1]},
            headers={"Retry-After": str(rest_of_month(now))},
        )

    async def observe(self, events: Sequence[Event]) -> None:
        """The observer."""
        served: dict[str, int] = {}
        for event in events:
            if event.operation is Operation.PULL and event.repository:
                served[event.repository] = served.get(event.repository, 0) + event.sent
        for repository, size in served.items():
            self._count(root(repository), size, 0)

    def _count(self, path: str, size: int, calls: int) -> None:
        counts = self._waiting.get(path)
        if counts is None:
            if len(self._waiting) >= MOST:
                return
            counts = self._waiting[path] = [0, 0]
        counts[0] += size
        counts[1] += calls
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._later())

    async def _later(self) -> None:
        try:
            await asyncio.sleep(INTERVAL)
        finally:
            self._task = None
        await self.flush()

    async def flush(self) -> None:
        """Add up what was counted, and see who has used up the month."""
        counted, self._waiting = self._waiting, {}
        month = month_of(self._clock.now())

        async def work(tx: Transaction) -> dict[str, str]:
            found = {path: await self._add(tx, path, month, counts) for path, counts in sorted(counted.items())}
            return {path: what for path, what in found.items() if what is not None}

        try:
            exceeded = await self._database.write(work)
        except RegistryError:  # the database is away: count on
            for path, (size, calls) in counted.items():
                counts = self._waiting.setdefault(path, [0, 0])
                counts[0] += size
                counts[1] += calls
            return
        for path in counted:
            self._exceeded.pop(path, None)
        self._exceeded |= {path: (month, what) for path, what in exceeded.items()}

    async def _add(self, tx: Transaction, path: str, month: str, counts: list[int]) -> str | None:
        row = await tx.one(
            "INSERT INTO namespaces_traffic (path, month, bandwidth, calls) VALUES (:path, :month, :size, :calls)"
            " ON CONFLICT (path, month) DO UPDATE SET bandwidth = namespaces_traffic.bandwidth + :size,"
            " calls = namespaces_traffic.calls + :calls RETURNING bandwidth, calls",
            path=path,
            month=month,
            size=counts[0],
            calls=counts[1],
        )
        assert row is not None
        limits = usage.defaults(self._settings, path)
        if (found := await usage.usage(tx, path)) is not None:
            limits = usage.effective(self._settings, found)
        if limits.bandwidth != UNLIMITED and row[0] >= limits.bandwidth:
            return "bandwidth"
        return "calls" if limits.calls != UNLIMITED and row[1] >= limits.calls else None


async def used(tx: Transaction, path: str, month: str) -> tuple[int, int]:
    """Bytes and calls of a namespace in a month."""
    row = await tx.one(
        "SELECT bandwidth, calls FROM namespaces_traffic WHERE path = :path AND month = :month", path=path, month=month
    )
    return (row[0], row[1]) if row is not None else (0, 0)
