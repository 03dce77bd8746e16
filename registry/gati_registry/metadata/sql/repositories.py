"""Repositories."""

from __future__ import annotations

from collections.abc import Sequence

from gati_registry.domain.access import EVERYTHING, Visible
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

    async def page(self, after: str, limit: int, visible: Visible = EVERYTHING) -> Sequence[tuple[str, bool]]:
        if not visible.listed:
            rows = await self._db.all(
                "SELECT name, (SELECT 1 FROM manifest WHERE repository_id = repository.id LIMIT 1) IS NOT NULL"
                " FROM repository WHERE name > :after ORDER BY name LIMIT :limit",
                after=after,
                limit=limit,
            )
            return [(row[0], bool(row[1])) for row in rows]
        found = " UNION ".join(
            f"SELECT name FROM ({one}) AS listed_{number}" for number, one in enumerate(visible.listed)
        )
        rows = await self._db.all(
            "SELECT name, (SELECT 1 FROM repository JOIN manifest ON manifest.repository_id = repository.id"
            " WHERE repository.name = found.name LIMIT 1) IS NOT NULL"
            f" FROM (SELECT name FROM ({found}) AS listed ORDER BY name LIMIT :limit) AS found ORDER BY name",
            after=after,
            limit=limit,
            **dict(visible.values),
        )
        return [(row[0], bool(row[1])) for row in rows]

    async def holding(self, after: int, limit: int) -> Sequence[tuple[int, bool]]:
        rows = await self._db.all(
            "SELECT id, (SELECT 1 FROM manifest WHERE repository_id = repository.id LIMIT 1) IS NOT NULL"
            " OR (SELECT 1 FROM link WHERE repository_id = repository.id LIMIT 1) IS NOT NULL"
            " FROM repository WHERE id > :after ORDER BY id LIMIT :limit",
            after=after,
            limit=limit,
        )
        return [(row[0], bool(row[1])) for row in rows]

    async def drop_empty(self, repository_ids: Sequence[int]) -> int:
        dropped = 0
        for repository_id in repository_ids:
            dropped += await self._db.run(
                "DELETE FROM repository WHERE id = :id"
                " AND NOT EXISTS (SELECT 1 FROM manifest WHERE repository_id = repository.id)"
                " AND NOT EXISTS (SELECT 1 FROM link WHERE repository_id = repository.id)",
                id=repository_id,
            )
        return dropped

    async def rename(self, name: RepositoryName, new: RepositoryName) -> bool:
        changed = await self._db.run(
            "UPDATE repository SET name = :new WHERE name = :name"
            " AND NOT EXISTS (SELECT 1 FROM repository AS other WHERE other.name = :new)",
            name=name,
            new=new,
        )
        return changed > 0
