"""Keys: of namespaces, of encrypted blobs and of staged bytes. All are wrapped; nothing here can open them."""

from __future__ import annotations

from collections.abc import Sequence

from gati_registry.domain.namespace import below
from gati_registry.metadata.sql import Overtaken, Part, Row
from gati_registry.ports import EncryptedBlob, NamespaceKey, StagedKey
from gati_registry.values.digest import Digest

_KEY = "SELECT id, namespace, master, wrapped FROM namespace_key"
_BLOB = (
    "SELECT blob.id, blob.digest, blob.size, encrypted_blob.frame_bytes, blob_key.key_id, blob_key.wrapped FROM blob"
    " LEFT JOIN encrypted_blob ON encrypted_blob.blob_id = blob.id LEFT JOIN blob_key ON blob_key.blob_id = blob.id"
)

WRAPS = 8
"""Wrapped copies of one blob's key that are looked at: any one will do."""


def _namespace_key(row: Row) -> NamespaceKey:
    return NamespaceKey(row[0], row[1], row[2], bytes(row[3]))


def _encrypted(rows: list[Row]) -> EncryptedBlob | None:
    if not rows or rows[0][3] is None:
        return None
    wraps = tuple((row[4], bytes(row[5])) for row in rows if row[4] is not None)
    return EncryptedBlob(rows[0][0], Digest(rows[0][1]), rows[0][2], rows[0][3], wraps)


class SqlKeys(Part):
    """`ports.Keys`."""

    async def live(self, namespace: str) -> NamespaceKey | None:
        # Who destroys it waits for those who wrap something with it, or they see it gone.
        rows = await self._db.held(
            f"{_KEY} WHERE namespace = :namespace AND destroyed_at IS NULL", "KEY SHARE", namespace=namespace
        )
        return _namespace_key(rows[0]) if rows else None

    async def find(self, key_id: int) -> NamespaceKey | None:
        row = await self._db.one(f"{_KEY} WHERE id = :id AND destroyed_at IS NULL", id=key_id)
        return _namespace_key(row) if row else None

    async def add(self, namespace: str, master: str, wrapped: bytes, now: int) -> None:
        await self._db.run(
            "INSERT INTO namespace_key (namespace, master, wrapped, created_at)"
            " VALUES (:namespace, :master, :wrapped, :now)"
            " ON CONFLICT (namespace) WHERE destroyed_at IS NULL DO NOTHING",
            namespace=namespace,
            master=master,
            wrapped=wrapped,
            now=now,
        )

    async def page(self, after: int, limit: int) -> Sequence[NamespaceKey]:
        rows = await self._db.all(
            f"{_KEY} WHERE id > :after AND destroyed_at IS NULL ORDER BY id LIMIT :limit", after=after, limit=limit
        )
        return [_namespace_key(row) for row in rows]

    async def rewrap(self, key: NamespaceKey, master: str, wrapped: bytes) -> bool:
        changed = await self._db.run(
            "UPDATE namespace_key SET master = :master, wrapped = :wrapped"
            " WHERE id = :id AND wrapped = :old AND destroyed_at IS NULL",
            id=key.id,
            master=master,
            wrapped=wrapped,
            old=key.wrapped,
        )
        return changed > 0

    async def destroy(self, key: NamespaceKey, now: int) -> None:
        # Written over, not only let go: the page that held it is the one that is changed.
        await self._db.run(
            "UPDATE namespace_key SET wrapped = :nothing, destroyed_at = :now WHERE id = :id",
            id=key.id,
            nothing=bytes(len(key.wrapped)),
            now=now,
        )

    async def hold(self, key: NamespaceKey) -> None:
        await self._hold("SELECT 1 FROM namespace_key WHERE id = :id", id=key.id)

    async def shred(self, key: NamespaceKey, limit: int, now: int) -> tuple[int, int]:
        rows = await self._db.all(
            "SELECT blob_id FROM blob_key WHERE key_id = :id ORDER BY blob_id LIMIT :limit", id=key.id, limit=limit
        )
        lost = 0
        for (blob_id,) in rows:
            # Who links it elsewhere holds the row, and is waited for: its copy of the key counts.
            await self._hold("SELECT 1 FROM blob WHERE id = :blob_id", blob_id=blob_id)
            await self._db.run(
                "DELETE FROM blob_key WHERE blob_id = :blob_id AND key_id = :id", blob_id=blob_id, id=key.id
            )
            if await self._db.one("SELECT 1 FROM blob_key WHERE blob_id = :blob_id LIMIT 1", blob_id=blob_id):
                continue
            lost += 1
            await self._db.run(
                "INSERT INTO trash (stored_name, size, thrown_at) SELECT stored_name, size, :now FROM blob"
                " WHERE id = :blob_id AND stored_name IS NOT NULL",
                blob_id=blob_id,
                now=now,
            )
            await self._db.run(
                "UPDATE blob SET quarantined_at = :now, stored_name = NULL, data = NULL WHERE id = :blob_id",
                blob_id=blob_id,
                now=now,
            )
        return len(rows), lost


class SqlBlobKeys(Part):
    """`ports.BlobKeys`."""

    async def of(self, blob_id: int) -> EncryptedBlob | None:
        return _encrypted(await self._db.all(f"{_BLOB} WHERE blob.id = :id LIMIT :limit", id=blob_id, limit=WRAPS))

    async def of_stored(self, stored_name: str) -> EncryptedBlob | None:
        rows = await self._db.all(f"{_BLOB} WHERE blob.stored_name = :name LIMIT :limit", name=stored_name, limit=WRAPS)
        if not rows:
            raise FileNotFoundError(stored_name)
        return _encrypted(rows)

    async def encrypted(self, blob_id: int, frame_bytes: int | None) -> None:
        await self._db.run("DELETE FROM encrypted_blob WHERE blob_id = :blob_id", blob_id=blob_id)
        if frame_bytes is not None:
            await self._db.run(
                "INSERT INTO encrypted_blob (blob_id, frame_bytes) VALUES (:blob_id, :frame_bytes)",
                blob_id=blob_id,
                frame_bytes=frame_bytes,
            )

    async def add(self, blob_id: int, key_id: int, wrapped: bytes) -> None:
        await self._db.run(
            "INSERT INTO blob_key (blob_id, key_id, wrapped) VALUES (:blob_id, :key_id, :wrapped)"
            " ON CONFLICT (blob_id, key_id) DO NOTHING",
            blob_id=blob_id,
            key_id=key_id,
            wrapped=wrapped,
        )

    async def repository(self, repository_id: int) -> str:
        row = await self._db.one("SELECT name FROM repository WHERE id = :id", id=repository_id)
        if row is None:
            raise Overtaken  # it was dropped as empty
        name: str = row[0]
        return name

    async def linking(self, blob_id: int) -> Sequence[str]:
        rows = await self._db.all(
            "SELECT repository.name FROM link JOIN repository ON repository.id = link.repository_id"
            " WHERE link.blob_id = :blob_id",
            blob_id=blob_id,
        )
        return [row[0] for row in rows]

    async def linked(self, repository_id: int) -> Sequence[int]:
        rows = await self._db.all(
            "SELECT link.blob_id FROM link JOIN encrypted_blob ON encrypted_blob.blob_id = link.blob_id"
            " WHERE link.repository_id = :repository_id ORDER BY link.blob_id",
            repository_id=repository_id,
        )
        return [row[0] for row in rows]

    async def drop(self, blob_id: int, namespace: str) -> None:
        low, high = below(namespace)
        await self._db.run(
            "DELETE FROM blob_key WHERE blob_id = :blob_id"
            " AND key_id IN (SELECT id FROM namespace_key WHERE namespace = :namespace)"
            # The last copy stays with a blob that nothing links: it may be linked again, else both go together.
            " AND EXISTS (SELECT 1 FROM link WHERE link.blob_id = :blob_id)"
            " AND NOT EXISTS (SELECT 1 FROM link JOIN repository ON repository.id = link.repository_id"
            " WHERE link.blob_id = :blob_id"
            " AND (repository.name = :namespace OR (repository.name > :low AND repository.name < :high)))",
            blob_id=blob_id,
            namespace=namespace,
            low=low,
            high=high,
        )


class SqlStagedKeys(Part):
    """`ports.StagedKeys`."""

    async def find(self, name: str, received: int) -> StagedKey | None:
        row = await self._db.one(
            "SELECT wrapped, tail FROM staged_key WHERE name = :name AND received = :received",
            name=name,
            received=received,
        )
        return StagedKey(name, received, bytes(row[0]), bytes(row[1])) if row else None

    async def keep(self, key: StagedKey, before: int | None) -> None:
        await self._db.run(
            "DELETE FROM staged_key WHERE name = :name AND (received <> :before OR :before IS NULL)",
            name=key.name,
            before=before,
        )
        await self._db.run(
            "INSERT INTO staged_key (name, received, wrapped, tail)"
            " VALUES (:name, :received, :wrapped, :tail) ON CONFLICT (name, received)"
            " DO UPDATE SET wrapped = :wrapped, tail = :tail",
            name=key.name,
            received=key.received,
            wrapped=key.wrapped,
            tail=key.tail,
        )

    async def forget(self, name: str) -> None:
        await self._db.run("DELETE FROM staged_key WHERE name = :name", name=name)
