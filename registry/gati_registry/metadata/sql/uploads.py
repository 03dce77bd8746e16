"""Upload sessions."""

from __future__ import annotations

from collections.abc import Sequence

from gati_registry.domain.upload import Upload
from gati_registry.metadata.sql import Part, Row
from gati_registry.values.reference import RepositoryName

_COLUMNS = "id, repository, algorithm, received, epoch, staged, data"


def _upload(row: Row) -> Upload:
    return Upload(*row)


class SqlUploads(Part):
    """`ports.Uploads`."""

    async def add(self, upload_id: str, repository: RepositoryName, algorithm: str, now: int) -> None:
        await self._db.run(
            "INSERT INTO upload (id, repository, algorithm, received, epoch, touched_at, data)"
            " VALUES (:id, :repository, :algorithm, 0, 0, :now, x'')",
            id=upload_id,
            repository=repository,
            algorithm=algorithm,
            now=now,
        )

    async def find(self, upload_id: str, repository: RepositoryName) -> Upload | None:
        row = await self._db.one(
            f"SELECT {_COLUMNS} FROM upload WHERE id = :id AND repository = :repository",
            id=upload_id,
            repository=repository,
        )
        return _upload(row) if row else None

    async def claim(self, upload: Upload, now: int) -> int:
        row = await self._db.one(
            "UPDATE upload SET epoch = epoch + 1, touched_at = :now WHERE id = :id RETURNING epoch",
            id=upload.id,
            now=now,
        )
        assert row is not None, "claimed in the transaction that found it"
        epoch: int = row[0]
        return epoch

    async def advance(
        self, upload: Upload, epoch: int, *, received: int, staged: str | None, data: bytes | None, now: int
    ) -> bool:
        changed = await self._db.run(
            "UPDATE upload SET received = :received, staged = :staged, data = :data, touched_at = :now"
            " WHERE id = :id AND epoch = :epoch",
            id=upload.id,
            epoch=epoch,
            received=received,
            staged=staged,
            data=data,
            now=now,
        )
        return changed > 0

    async def close(self, upload_id: str, epoch: int) -> bool:
        return await self._db.run("DELETE FROM upload WHERE id = :id AND epoch = :epoch", id=upload_id, epoch=epoch) > 0

    async def count(self, repository: RepositoryName) -> int:
        row = await self._db.one("SELECT count(*) FROM upload WHERE repository = :repository", repository=repository)
        assert row is not None
        number: int = row[0]
        return number

    async def idle(self, before: int, limit: int) -> Sequence[Upload]:
        rows = await self._db.all(
            f"SELECT {_COLUMNS} FROM upload WHERE touched_at < :before ORDER BY touched_at LIMIT :limit",
            before=before,
            limit=limit,
        )
        return [_upload(row) for row in rows]

    async def known(self, upload_ids: Sequence[str]) -> set[str]:
        return {
            upload_id
            for upload_id in upload_ids
            if await self._db.one("SELECT 1 FROM upload WHERE id = :id", id=upload_id) is not None
        }
