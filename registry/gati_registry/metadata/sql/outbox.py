"""The outbox."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gati_registry.domain.events import Event, Operation
from gati_registry.metadata.sql import Part
from gati_registry.ports import Delivery


class SqlOutbox(Part):
    """`ports.Outbox`."""

    async def add(self, reaction: str, event: Event, now: int) -> None:
        await self._db.send(
            "INSERT INTO outbox (reaction, repository, payload, due_at, created_at)"
            " VALUES (:reaction, :repository, :payload, :now, :now)",
            reaction=reaction,
            repository=event.repository,
            payload=_encode(event),
            now=now,
        )

    async def due(self, now: int) -> bool:
        return (
            await self._db.one("SELECT 1 FROM outbox WHERE dead_at IS NULL AND due_at <= :now LIMIT 1", now=now)
            is not None
        )

    async def claim(self, holder: str, now: int, until: int, limit: int) -> Sequence[Delivery]:
        # The head of each line; a repository's later events wait for it, leased or not. What another worker is just
        # about to lease is left to it.
        rows = await self._db.held(
            "SELECT id, reaction, payload, attempts FROM outbox AS head"
            " WHERE dead_at IS NULL AND due_at <= :now AND leased_until <= :now AND NOT EXISTS"
            " (SELECT 1 FROM outbox WHERE reaction = head.reaction AND repository = head.repository"
            " AND dead_at IS NULL AND id < head.id) ORDER BY due_at LIMIT :limit",
            "UPDATE OF head SKIP LOCKED",
            now=now,
            limit=limit,
        )
        return [
            Delivery(row[0], row[1], _decode(row[2]), row[3])
            for row in rows
            if await self._db.run(
                "UPDATE outbox SET holder = :holder, leased_until = :until"
                " WHERE id = :id AND leased_until <= :now AND dead_at IS NULL",
                id=row[0],
                holder=holder,
                until=until,
                now=now,
            )
        ]

    async def done(self, delivery: Delivery, holder: str) -> None:
        await self._db.run("DELETE FROM outbox WHERE id = :id AND holder = :holder", id=delivery.id, holder=holder)

    async def retry(self, delivery: Delivery, holder: str, due: int, error: str) -> None:
        await self._db.run(
            "UPDATE outbox SET attempts = attempts + 1, due_at = :due, leased_until = 0, holder = NULL, error = :error"
            " WHERE id = :id AND holder = :holder",
            id=delivery.id,
            holder=holder,
            due=due,
            error=error,
        )

    async def bury(self, delivery: Delivery, holder: str, now: int, error: str) -> None:
        await self._db.run(
            "UPDATE outbox SET attempts = attempts + 1, dead_at = :now, holder = NULL, error = :error"
            " WHERE id = :id AND holder = :holder",
            id=delivery.id,
            holder=holder,
            now=now,
            error=error,
        )

    async def counts(self) -> tuple[int, int]:
        row = await self._db.one(
            "SELECT (SELECT count(*) FROM outbox WHERE dead_at IS NULL),"
            " (SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL)"
        )
        assert row is not None
        return row[0], row[1]

    async def forget(self, before: int) -> int:
        return await self._db.run("DELETE FROM outbox WHERE dead_at IS NOT NULL AND dead_at < :before", before=before)


def _encode(event: Event) -> str:
    return json.dumps({**event._asdict(), "operation": event.operation.value}, separators=(",", ":"))


def _decode(text: str) -> Event:
    fields = json.loads(text)
    return Event(**{**fields, "operation": Operation(fields["operation"])})
