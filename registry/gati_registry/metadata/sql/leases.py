"""Leases and facts."""

from __future__ import annotations

from gati_registry.metadata.sql import Part


class SqlLeases(Part):
    """`ports.Leases`."""

    async def acquire(self, name: str, holder: str, now: int, until: int) -> bool:
        changed = await self._db.run(
            "INSERT INTO lease (name, holder, expires_at) VALUES (:name, :holder, :until) ON CONFLICT (name)"
            " DO UPDATE SET holder = :holder, expires_at = :until"
            " WHERE lease.expires_at < :now OR lease.holder = :holder",
            name=name,
            holder=holder,
            now=now,
            until=until,
        )
        return changed > 0

    async def release(self, name: str, holder: str) -> None:
        await self._db.run("DELETE FROM lease WHERE name = :name AND holder = :holder", name=name, holder=holder)

    async def held(self, name: str, now: int) -> bool:
        return (
            await self._db.one("SELECT 1 FROM lease WHERE name = :name AND expires_at >= :now", name=name, now=now)
            is not None
        )

    async def get_fact(self, name: str) -> str | None:
        await self._db.serialise(f"fact {name}")  # one that is read to be changed may not be there yet to be locked
        row = await self._db.one("SELECT value FROM fact WHERE name = :name", name=name)
        return row[0] if row else None

    async def set_fact(self, name: str, value: str) -> None:
        await self._db.run(
            "INSERT INTO fact (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value",
            name=name,
            value=value,
        )

    async def ensure_fact(self, name: str, value: str) -> str:
        await self._db.run(
            "INSERT INTO fact (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING",
            name=name,
            value=value,
        )
        found = await self.get_fact(name)
        assert found is not None
        return found
