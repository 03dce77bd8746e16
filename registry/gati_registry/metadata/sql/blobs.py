"""Blobs and links."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gati_registry.metadata.sql import Overtaken, Part
from gati_registry.ports import BlobRow, StoredBlob
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName


class SqlBlobs(Part):
    """`ports.Blobs`."""

    async def find(self, repository: RepositoryName, digest: Digest) -> BlobRow | None:
        row = await self._db.one(
            "SELECT blob.id, blob.size, blob.stored_name, blob.data, link.pending_at, link.condemned_at"
            " FROM link JOIN blob ON blob.id = link.blob_id"
            " WHERE link.repository_id = (SELECT id FROM repository WHERE name = :repository)"
            " AND link.blob_id = (SELECT id FROM blob WHERE digest = :digest) AND blob.quarantined_at IS NULL",
            repository=repository,
            digest=digest,
        )
        if row is None:
            return None
        return BlobRow(row[0], digest, row[1], row[2], row[3], row[4], row[5] is not None)

    async def stored(self, digest: Digest) -> StoredBlob | None:
        row = await self._db.one(
            "SELECT id, size, stored_name FROM blob WHERE digest = :digest AND quarantined_at IS NULL", digest=digest
        )
        return StoredBlob(row[0], digest, row[1], row[2]) if row else None

    async def add(self, digest: Digest, size: int, stored_name: str | None, data: bytes | None, now: int) -> int:
        row = await self._db.one(
            "INSERT INTO blob (digest, size, stored_name, data, created_at)"
            " VALUES (:digest, :size, :stored_name, :data, :now)"
            " ON CONFLICT (digest) DO UPDATE SET size = :size, stored_name = :stored_name, data = :data,"
            " orphaned_at = NULL, quarantined_at = NULL WHERE blob.quarantined_at IS NOT NULL RETURNING id",
            digest=digest,
            size=size,
            stored_name=stored_name,
            data=data,
            now=now,
        )
        if row is None:
            raise Overtaken  # the same bytes came first, and are sound
        blob_id: int = row[0]
        return blob_id

    async def link(self, repository_id: int, blob_id: int, now: int, *, fresh: bool = False) -> bool:
        values = {"repository_id": repository_id, "blob_id": blob_id, "now": now}
        made = await self._db.run(
            "INSERT INTO link (repository_id, blob_id, pending_at) VALUES (:repository_id, :blob_id, :now)"
            " ON CONFLICT (repository_id, blob_id) DO NOTHING",
            **values,
        )
        if not made and not await self._db.run(
            "UPDATE link SET pending_at = :now, condemned_at = NULL"
            " WHERE repository_id = :repository_id AND blob_id = :blob_id",
            **values,
        ):
            raise Overtaken  # it went in between
        if not fresh:
            await self._db.run(
                "UPDATE blob SET orphaned_at = NULL WHERE id = :blob_id AND orphaned_at IS NOT NULL", blob_id=blob_id
            )
        return made > 0

    async def renew(self, repository: RepositoryName, digest: Digest, now: int) -> bool:
        changed = await self._db.run(
            "UPDATE link SET pending_at = :now, condemned_at = NULL"
            " WHERE repository_id = (SELECT id FROM repository WHERE name = :repository)"
            " AND blob_id = (SELECT id FROM blob WHERE digest = :digest AND quarantined_at IS NULL)",
            repository=repository,
            digest=digest,
            now=now,
        )
        return changed > 0

    async def missing(self, repository_id: int, digests: Sequence[Digest]) -> Sequence[Digest]:
        # A link that is found stays until the manifest that needs it is committed: who removes one asks for manifests.
        # Looked up one by one, in both statements (see `metadata.sql`), and locked in one order.
        if self._db.concurrent:
            rows = await self._db.held(
                "SELECT wanted.value FROM (SELECT item.value, (SELECT id FROM blob WHERE digest = item.value"
                f" AND quarantined_at IS NULL) AS id FROM {self._db.items('digests')} ORDER BY id) AS wanted"
                " CROSS JOIN LATERAL"
                " (SELECT 1 FROM link WHERE repository_id = :repository_id AND blob_id = wanted.id LIMIT 1) AS found",
                "KEY SHARE OF found",
                repository_id=repository_id,
                digests=json.dumps(digests),
            )
            there = {row[0] for row in rows}
            digests = [digest for digest in digests if digest not in there]
        if not digests:
            return []
        rows = await self._db.all(
            f"SELECT item.value FROM {self._db.items('digests')}"
            " WHERE (SELECT 1 FROM link WHERE repository_id = :repository_id AND blob_id ="
            " (SELECT id FROM blob WHERE digest = item.value AND quarantined_at IS NULL) LIMIT 1) IS NULL"
            " AND (SELECT 1 FROM manifest WHERE repository_id = :repository_id AND digest = item.value"
            " AND quarantined_at IS NULL LIMIT 1) IS NULL",
            repository_id=repository_id,
            digests=json.dumps(digests),
        )
        missing = {row[0] for row in rows}
        return [digest for digest in digests if digest in missing]

    async def unlink(self, repository_id: int, blob_id: int, now: int) -> None:
        await self._db.run(
            "DELETE FROM link WHERE repository_id = :repository_id AND blob_id = :blob_id",
            repository_id=repository_id,
            blob_id=blob_id,
        )
        await mark_orphaned(self, blob_id, now)

    async def linking(self, digest: Digest, limit: int) -> Sequence[RepositoryName]:
        rows = await self._db.all(
            "SELECT repository.name FROM blob JOIN link ON link.blob_id = blob.id"
            " JOIN repository ON repository.id = link.repository_id"
            " WHERE blob.digest = :digest LIMIT :limit",
            digest=digest,
            limit=limit,
        )
        return [RepositoryName(row[0]) for row in rows]


async def mark_orphaned(part: Part, blob_id: int, now: int) -> None:
    """Note that nothing links the blob any more, if that is so."""
    # Who links it now has locked it too, and is waited for.
    await part._hold("SELECT 1 FROM blob WHERE id = :blob_id", blob_id=blob_id)
    await part._db.run(
        "UPDATE blob SET orphaned_at = :now WHERE id = :blob_id"
        " AND NOT EXISTS (SELECT 1 FROM link WHERE link.blob_id = :blob_id)",
        blob_id=blob_id,
        now=now,
    )
