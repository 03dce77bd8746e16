"""Repositories."""

from __future__ import annotations

from collections.abc import Sequence

from gati_registry.metadata.sql import Part
from gati_registry.values.reference import RepositoryName


class SqlRepositories(Part):
    """`ports.Repositories`."""

    async def find(self, name: RepositoryName) -> int | None:
        row = await self._db.one("SELECT id FROM repository WHERE name = :name", name=name)
        return row[0] if row else None

    async def ensure(self, name: RepositoryName, now: int) -> int:
        found = await self.find(name)
        if found is not None:
            return found
        row = await self._db.one(
            "INSERT INTO repository (name, created_at) VALUES (:name, :now)"
            # Another transaction may be first: an update of nothing gives its row, and keeps it.
            " ON CONFLICT (name) DO UPDATE SET created_at = repository.created_at RETURNING id",
            name=name,
            now=now,
        )
        assert row is not None
        made: int = row[0]
        return made

    async def page(self, after: str, limit: int) -> Sequence[str]:
        rows = await self._db.all(
            "SELECT name FROM repository WHERE name > :after"
            " AND EXISTS (SELECT 1 FROM manifest WHERE repository_id = repository.id) ORDER BY name LIMIT :limit",
            after=after,
            limit=limit,
        )
        return [row[0] for row in rows]

    async def drop_empty(self, limit: int) -> int:
        return await self._db.run(
            "DELETE FROM repository WHERE id IN (SELECT id FROM repository"
            " WHERE NOT EXISTS (SELECT 1 FROM manifest WHERE repository_id = repository.id)"
            " AND NOT EXISTS (SELECT 1 FROM link WHERE repository_id = repository.id) LIMIT :limit)",
            limit=limit,
        )

    async def rename(self, name: RepositoryName, new: RepositoryName) -> bool:
        changed = await self._db.run(
            "UPDATE repository SET name = :new WHERE name = :name"
            " AND NOT EXISTS (SELECT 1 FROM repository AS other WHERE other.name = :new)",
            name=name,
            new=new,
        )
        return changed > 0
