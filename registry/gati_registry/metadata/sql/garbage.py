"""Garbage collection's steps, and the inventory that verification walks."""

from __future__ import annotations

from collections.abc import Sequence

from gati_registry.metadata.sql import Part, Row
from gati_registry.metadata.sql.blobs import mark_orphaned
from gati_registry.ports import PendingLink, StoredBlob
from gati_registry.values.digest import Digest

_REFERENCED = (
    "(SELECT 1 FROM reference WHERE reference.repository_id = link.repository_id"
    " AND reference.digest = blob.digest LIMIT 1) IS NOT NULL"
)
_LINKS = (
    f"SELECT link.repository_id, repository.name, link.blob_id, blob.digest, blob.size, {_REFERENCED} FROM link"
    " JOIN blob ON blob.id = link.blob_id JOIN repository ON repository.id = link.repository_id"
)


def _link(row: Row) -> PendingLink:
    return PendingLink(row[0], row[1], row[2], Digest(row[3]), row[4], bool(row[5]))


def _stored(row: Row) -> StoredBlob:
    return StoredBlob(row[0], Digest(row[1]), row[2], row[3])


class SqlGarbage(Part):
    """`ports.Garbage`."""

    async def pending(self, before: int, after: tuple[int, int], limit: int) -> Sequence[PendingLink]:
        rows = await self._db.all(
            f"{_LINKS} WHERE link.pending_at IS NOT NULL AND link.pending_at < :before AND link.condemned_at IS NULL"
            " AND (link.repository_id, link.blob_id) > (:repository_id, :blob_id)"
            " ORDER BY link.repository_id, link.blob_id LIMIT :limit",
            before=before,
            repository_id=after[0],
            blob_id=after[1],
            limit=limit,
        )
        return [_link(row) for row in rows]

    async def condemn(self, link: PendingLink, before: int, now: int) -> bool | None:
        # Who pushes a manifest that needs it holds the link, and is waited for; the next statement sees the manifest.
        await self._hold(
            "SELECT 1 FROM link WHERE repository_id = :repository_id AND blob_id = :blob_id",
            repository_id=link.repository_id,
            blob_id=link.blob_id,
        )
        row = await self._db.one(
            f"SELECT {_REFERENCED} FROM link JOIN blob ON blob.id = link.blob_id"
            " WHERE link.repository_id = :repository_id AND link.blob_id = :blob_id"
            " AND link.pending_at < :before AND link.condemned_at IS NULL",
            repository_id=link.repository_id,
            blob_id=link.blob_id,
            before=before,
        )
        if row is None:
            return None
        change = "pending_at = NULL" if row[0] else "condemned_at = :now"
        await self._db.run(
            f"UPDATE link SET {change} WHERE repository_id = :repository_id AND blob_id = :blob_id",
            repository_id=link.repository_id,
            blob_id=link.blob_id,
            now=now,
        )
        return not row[0]

    async def condemned(self, before: int, limit: int) -> Sequence[PendingLink]:
        rows = await self._db.all(
            f"{_LINKS} WHERE link.condemned_at < :before ORDER BY link.condemned_at LIMIT :limit",
            before=before,
            limit=limit,
        )
        return [_link(row) for row in rows]

    async def drop(self, link: PendingLink, before: int, now: int) -> bool:
        changed = await self._db.run(
            "DELETE FROM link WHERE repository_id = :repository_id AND blob_id = :blob_id AND condemned_at < :before",
            repository_id=link.repository_id,
            blob_id=link.blob_id,
            before=before,
        )
        if changed:
            await mark_orphaned(self, link.blob_id, now)
        return changed > 0

    async def revive(self, now: int) -> int:
        return await self._db.run(
            "UPDATE link SET condemned_at = NULL, pending_at = :now WHERE condemned_at IS NOT NULL", now=now
        )

    async def orphans(self, limit: int) -> Sequence[StoredBlob]:
        rows = await self._db.all(
            "SELECT id, digest, size, stored_name FROM blob WHERE orphaned_at IS NOT NULL LIMIT :limit", limit=limit
        )
        return [_stored(row) for row in rows]

    async def claim(self, blob: StoredBlob, now: int) -> bool:
        row = await self._db.one(
            "DELETE FROM blob WHERE id = :id AND orphaned_at IS NOT NULL"
            " AND NOT EXISTS (SELECT 1 FROM link WHERE link.blob_id = :id) RETURNING stored_name, size",
            id=blob.id,
        )
        if row is None:
            return False
        if row[0] is not None:
            await self._db.run(
                "INSERT INTO trash (stored_name, size, thrown_at) VALUES (:stored_name, :size, :now)",
                stored_name=row[0],
                size=row[1],
                now=now,
            )
        return True

    async def trash(self, before: int, limit: int) -> Sequence[tuple[str, int]]:
        rows = await self._db.all(
            "SELECT stored_name, size FROM trash WHERE thrown_at < :before ORDER BY thrown_at LIMIT :limit",
            before=before,
            limit=limit,
        )
        return [(row[0], row[1]) for row in rows]


class SqlInventory(Part):
    """`ports.Inventory`."""

    async def blobs(self, after: int, limit: int) -> Sequence[tuple[StoredBlob, bytes | None]]:
        rows = await self._db.all(
            "SELECT id, digest, size, stored_name, data FROM blob WHERE id > :after AND quarantined_at IS NULL"
            " ORDER BY id LIMIT :limit",
            after=after,
            limit=limit,
        )
        return [(_stored(row), row[4]) for row in rows]

    async def manifests(self, after: int, limit: int) -> Sequence[tuple[int, str, Digest, bytes]]:
        rows = await self._db.all(
            "SELECT manifest.id, repository.name, manifest.digest, manifest.data FROM manifest"
            " JOIN repository ON repository.id = manifest.repository_id"
            " WHERE manifest.id > :after AND manifest.quarantined_at IS NULL ORDER BY manifest.id LIMIT :limit",
            after=after,
            limit=limit,
        )
        return [(row[0], row[1], Digest(row[2]), row[3]) for row in rows]

    async def quarantine_blob(self, blob: StoredBlob, now: int) -> None:
        # The name is let go with the row's claim on it: the damaged bytes were moved aside under another name.
        await self._db.run(
            "UPDATE blob SET quarantined_at = :now, stored_name = NULL WHERE id = :id"
            " AND (stored_name = :stored_name OR (stored_name IS NULL AND :stored_name IS NULL))",
            id=blob.id,
            stored_name=blob.stored_name,
            now=now,
        )

    async def quarantine_manifest(self, manifest_id: int, now: int) -> None:
        await self._db.run("UPDATE manifest SET quarantined_at = :now WHERE id = :id", id=manifest_id, now=now)

    async def names_in_use(self, stored_names: Sequence[str]) -> set[str]:
        found = set()
        for name in stored_names:
            row = await self._db.one(
                "SELECT 1 FROM blob WHERE stored_name = :name UNION ALL SELECT 1 FROM trash WHERE stored_name = :name",
                name=name,
            )
            if row is not None:
                found.add(name)
        return found

    async def forget_trash(self, stored_names: Sequence[str]) -> None:
        for name in stored_names:
            await self._db.run("DELETE FROM trash WHERE stored_name = :name", name=name)
