"""Upload sessions."""

from __future__ import annotations

from collections.abc import Sequence

from gati_registry.domain.upload import Upload
from gati_registry.metadata.sql import Part, Row
from gati_registry.values.reference import RepositoryName

_COLUMNS = "id, repository, algorithm, issued_at, received, epoch, staged, data, touched_at IS NULL"


def _upload(row: Row) -> Upload:
    *columns, ended = row
    return Upload(*[*columns, bool(ended)])


class SqlUploads(Part):
    """`ports.Uploads`. A row without `touched_at` is a tombstone."""

    async def find(self, upload_id: str, repository: RepositoryName) -> Upload | None:
        row = await self._db.one(
            f"SELECT {_COLUMNS} FROM upload WHERE id = :id AND repository = :repository",
            id=upload_id,
            repository=repository,
        )
        return _upload(row) if row else None

    async def claim(self, upload: Upload, now: int, *, make: bool) -> Upload | None:
        if make:
            row = await self._db.one(
                "INSERT INTO upload (id, repository, algorithm, issued_at, received, epoch, touched_at, data)"
                " VALUES (:id, :repository, :algorithm, :issued, 0, 1, :now, :data)"
                " ON CONFLICT (id) DO UPDATE SET epoch = upload.epoch + 1, touched_at = :now"
                f" WHERE upload.touched_at IS NOT NULL RETURNING {_COLUMNS}",
                id=upload.id,
                repository=upload.repository,
                algorithm=upload.algorithm,
                issued=upload.issued,
                now=now,
                data=b"",
            )
        else:
            row = await self._db.one(
                "UPDATE upload SET epoch = epoch + 1, touched_at = :now"
                f" WHERE id = :id AND touched_at IS NOT NULL RETURNING {_COLUMNS}",
                id=upload.id,
                now=now,
            )
        return _upload(row) if row else None

    async def advance(self, upload: Upload, *, received: int, staged: str | None, data: bytes | None, now: int) -> bool:
        changed = await self._db.run(
            "UPDATE upload SET received = :received, staged = :staged, data = :data, touched_at = :now"
            " WHERE id = :id AND epoch = :epoch AND touched_at IS NOT NULL",
            id=upload.id,
            epoch=upload.epoch,
            received=received,
            staged=staged,
            data=data,
            now=now,
        )
        return changed > 0

    async def close(self, upload: Upload) -> bool:
        changed = await self._db.run(
            "UPDATE upload SET touched_at = NULL, staged = NULL, data = NULL"
            " WHERE id = :id AND epoch = :epoch AND touched_at IS NOT NULL",
            id=upload.id,
            epoch=upload.epoch,
        )
        return changed > 0

    async def count(self, repository: RepositoryName) -> int:
        await self._db.serialise(f"uploads {repository}")  # or each of two new ones would not count the other
        row = await self._db.one(
            "SELECT count(*) FROM upload WHERE repository = :repository AND touched_at IS NOT NULL",
            repository=repository,
        )
        assert row is not None
        number: int = row[0]
        return number

    async def idle(self, before: int, limit: int) -> Sequence[Upload]:
        # One that is written to at this moment is not idle.
        rows = await self._db.held(
            f"SELECT {_COLUMNS} FROM upload WHERE touched_at < :before ORDER BY touched_at LIMIT :limit",
            "UPDATE SKIP LOCKED",
            before=before,
            limit=limit,
        )
        return [_upload(row) for row in rows]

    async def forget(self, before: int, limit: int) -> int:
        return await self._db.run(
            "DELETE FROM upload WHERE id IN (SELECT id FROM upload"
            " WHERE touched_at IS NULL AND issued_at < :before LIMIT :limit)",
            before=before,
            limit=limit,
        )

    async def known(self, upload_ids: Sequence[str]) -> set[str]:
        return {
            upload_id
            for upload_id in upload_ids
            if await self._db.one("SELECT 1 FROM upload WHERE id = :id AND touched_at IS NOT NULL", id=upload_id)
        }
