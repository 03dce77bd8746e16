"""Manifests, their references and tags."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gati_registry.domain.manifest import Manifest
from gati_registry.domain.referrers import MAX_BODY, encode
from gati_registry.metadata.sql import Part
from gati_registry.ports import Before, ManifestRow
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag


class SqlManifests(Part):
    """`ports.Manifests`."""

    async def find(self, repository: RepositoryName, reference: Tag | Digest) -> ManifestRow | None:
        if isinstance(reference, Digest):
            row = await self._db.one(
                "SELECT manifest.digest, manifest.media_type, manifest.size FROM repository JOIN manifest"
                " ON manifest.repository_id = repository.id AND manifest.digest = :digest"
                " WHERE repository.name = :repository AND manifest.quarantined_at IS NULL",
                repository=repository,
                digest=reference,
            )
        else:
            row = await self._db.one(
                "SELECT manifest.digest, manifest.media_type, manifest.size FROM repository"
                " JOIN tag ON tag.repository_id = repository.id AND tag.name = :tag"
                " JOIN manifest ON manifest.id = tag.manifest_id"
                " WHERE repository.name = :repository AND manifest.quarantined_at IS NULL",
                repository=repository,
                tag=reference,
            )
        return ManifestRow(Digest(row[0]), row[1], row[2]) if row else None

    async def data(self, repository: RepositoryName, digest: Digest) -> bytes | None:
        row = await self._db.one(
            "SELECT manifest.data FROM repository JOIN manifest"
            " ON manifest.repository_id = repository.id AND manifest.digest = :digest"
            " WHERE repository.name = :repository AND manifest.quarantined_at IS NULL",
            repository=repository,
            digest=digest,
        )
        return bytes(row[0]) if row else None

    async def before(self, repository: RepositoryName, digest: Digest, tags: Sequence[Tag]) -> Before | None:
        rows = await self._db.all(
            "SELECT repository.id, (SELECT 1 FROM manifest WHERE manifest.repository_id = repository.id"
            " AND manifest.digest = :digest AND manifest.quarantined_at IS NULL) IS NOT NULL, item.value,"
            " (SELECT manifest.digest FROM tag JOIN manifest ON manifest.id = tag.manifest_id"
            " WHERE tag.repository_id = repository.id AND tag.name = item.value AND manifest.quarantined_at IS NULL)"
            f" FROM repository LEFT JOIN {self._db.items('tags')} ON TRUE WHERE repository.name = :repository",
            repository=repository,
            digest=digest,
            tags=json.dumps(tags),
        )
        if not rows:
            return None
        return Before(rows[0][0], bool(rows[0][1]), {row[2]: Digest(row[3]) for row in rows if row[3] is not None})

    async def add(self, repository_id: int, digest: Digest, manifest: Manifest, data: bytes, now: int) -> int:
        descriptor = encode(manifest.descriptor(digest, len(data))) if manifest.subject else None
        row = await self._db.one(
            "INSERT INTO manifest (repository_id, digest, media_type, size, subject, artifact_type, descriptor,"
            " pushed_at, data) VALUES (:repository_id, :digest, :media_type, :size, :subject, :artifact_type,"
            " :descriptor, :now, :data) ON CONFLICT (repository_id, digest) DO UPDATE SET media_type = :media_type,"
            " subject = :subject, artifact_type = :artifact_type, descriptor = :descriptor, quarantined_at = NULL,"
            " data = :data RETURNING id",
            repository_id=repository_id,
            digest=digest,
            media_type=manifest.media_type,
            size=len(data),
            subject=manifest.subject,
            artifact_type=manifest.artifact_type,
            descriptor=descriptor,
            now=now,
            data=data,
        )
        assert row is not None
        manifest_id: int = row[0]
        if manifest.references:
            # In one order for all, so that two pushes at once do not wait for each other.
            await self._refer(repository_id, manifest_id, json.dumps(sorted(manifest.references)))
        return manifest_id

    async def _refer(self, repository_id: int, manifest_id: int, digests: str) -> None:
        """Note what a manifest refers to, and that the blobs among it are needed."""
        await self._db.send(
            "INSERT INTO reference (repository_id, digest, manifest_id)"
            f" SELECT :repository_id, item.value, :manifest_id FROM {self._db.items('digests')}"
            " WHERE TRUE ON CONFLICT DO NOTHING",
            repository_id=repository_id,
            manifest_id=manifest_id,
            digests=digests,
        )
        await self._db.send(
            "UPDATE link SET pending_at = NULL, condemned_at = NULL FROM reference"
            " WHERE reference.manifest_id = :manifest_id AND link.repository_id = reference.repository_id"
            " AND link.blob_id = (SELECT id FROM blob WHERE blob.digest = reference.digest)"
            # Most are held already: nothing to write.
            " AND (link.pending_at IS NOT NULL OR link.condemned_at IS NOT NULL)",
            manifest_id=manifest_id,
        )

    async def remove(self, repository_id: int, digest: Digest, now: int) -> bool:
        rows = await self._db.held(
            "SELECT id FROM manifest WHERE repository_id = :repository_id AND digest = :digest",
            "UPDATE",
            repository_id=repository_id,
            digest=digest,
        )
        if not rows:
            return False
        row = rows[0]
        await self._db.run("DELETE FROM tag WHERE manifest_id = :id", id=row[0])
        # What it held gets a fresh lease; the collector finds out whether another manifest holds it too.
        await self._db.run(
            "UPDATE link SET pending_at = :now FROM reference"
            " WHERE reference.manifest_id = :id AND link.repository_id = reference.repository_id"
            " AND link.blob_id = (SELECT id FROM blob WHERE blob.digest = reference.digest)",
            id=row[0],
            now=now,
        )
        await self._db.run("DELETE FROM reference WHERE manifest_id = :id", id=row[0])
        await self._db.run("DELETE FROM manifest WHERE id = :id", id=row[0])
        return True

    async def holders(self, repository_id: int, digest: Digest) -> Sequence[Digest]:
        # Asked before the blob is unlinked: a manifest that is just being pushed counts, and none comes after.
        await self._hold(
            "SELECT 1 FROM link WHERE repository_id = :repository_id"
            " AND blob_id = (SELECT id FROM blob WHERE digest = :digest)",
            repository_id=repository_id,
            digest=digest,
        )
        rows = await self._db.all(
            "SELECT manifest.digest FROM reference JOIN manifest ON manifest.id = reference.manifest_id"
            " WHERE reference.repository_id = :repository_id AND reference.digest = :digest LIMIT 5",
            repository_id=repository_id,
            digest=digest,
        )
        return [Digest(row[0]) for row in rows]

    async def referrers(
        self,
        repository: RepositoryName,
        subject: Digest,
        artifact_type: str | None,
        after: str,
        limit: int,
        hidden: str | None = None,
    ) -> Sequence[tuple[str, str]]:
        wanted = "" if artifact_type is None else " AND manifest.artifact_type = :artifact_type"
        if hidden is not None:
            wanted += f" AND NOT ({hidden.format(repository='repository.name', digest='manifest.digest')})"
        rows = await self._db.all(
            # Sizes first: a descriptor may have megabytes, and only those that fit are ever read.
            "WITH sized AS (SELECT manifest.id, manifest.digest, octet_length(manifest.descriptor) AS size"
            " FROM repository JOIN manifest"
            " ON manifest.repository_id = repository.id AND manifest.subject = :subject AND manifest.digest > :after"
            f" WHERE repository.name = :repository{wanted} AND manifest.quarantined_at IS NULL"
            " ORDER BY manifest.digest LIMIT :limit),"
            " summed AS (SELECT id, sum(size) OVER (ORDER BY digest) - size AS before FROM sized)"
            " SELECT manifest.digest, manifest.descriptor FROM summed JOIN manifest ON manifest.id = summed.id"
            " WHERE before <= :room ORDER BY manifest.digest",
            room=MAX_BODY,
            repository=repository,
            subject=subject,
            artifact_type=artifact_type,
            after=after,
            limit=limit,
        )
        return [(row[0], row[1]) for row in rows]


class SqlTags(Part):
    """`ports.Tags`."""

    async def point(self, repository_id: int, tag: Tag, manifest_id: int, now: int) -> None:
        await self._db.send(
            "INSERT INTO tag (repository_id, name, manifest_id, moved_at)"
            " VALUES (:repository_id, :name, :manifest_id, :now) ON CONFLICT (repository_id, name)"
            " DO UPDATE SET manifest_id = :manifest_id, moved_at = :now",
            repository_id=repository_id,
            name=tag,
            manifest_id=manifest_id,
            now=now,
        )

    async def remove(self, repository_id: int, tag: Tag) -> bool:
        changed = await self._db.run(
            "DELETE FROM tag WHERE repository_id = :repository_id AND name = :name",
            repository_id=repository_id,
            name=tag,
        )
        return changed > 0

    async def page(self, repository_id: int, after: str, limit: int, hidden: str | None = None) -> Sequence[str]:
        shown = ""
        if hidden is not None:
            condition = hidden.format(repository="repository.name", digest="manifest.digest")
            shown = (
                " AND NOT EXISTS (SELECT 1 FROM manifest JOIN repository ON repository.id = manifest.repository_id"
                f" WHERE manifest.id = tag.manifest_id AND ({condition}))"
            )
        rows = await self._db.all(
            "SELECT name FROM tag WHERE repository_id = :repository_id"
            f" AND name > :after{shown} ORDER BY name LIMIT :limit",
            repository_id=repository_id,
            after=after,
            limit=limit,
        )
        return [row[0] for row in rows]

    async def naming(self, repository: RepositoryName, digest: Digest, limit: int) -> Sequence[str]:
        rows = await self._db.all(
            "SELECT tag.name FROM repository JOIN manifest"
            " ON manifest.repository_id = repository.id AND manifest.digest = :digest"
            " JOIN tag ON tag.manifest_id = manifest.id WHERE repository.name = :repository"
            " ORDER BY tag.name LIMIT :limit",
            repository=repository,
            digest=digest,
            limit=limit,
        )
        return [row[0] for row in rows]
