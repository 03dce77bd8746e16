"""The database with encryption around it: `ports.Metadata` over another one.

What a unit of work does to blobs and links has its counterpart in their keys, in the same transaction; small blobs and
the bytes in sessions' rows are encrypted on their way in and opened on their way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from gati_registry.domain.namespace import root
from gati_registry.domain.upload import Upload
from gati_registry.ports import (
    BlobKeys,
    BlobRow,
    EncryptedBlob,
    Garbage,
    Inventory,
    Keys,
    Leases,
    Manifests,
    Metadata,
    Outbox,
    PendingLink,
    Repositories,
    StagedKeys,
    StoredBlob,
    Tags,
    Transaction,
    Work,
)
from gati_registry.storage.encrypted.frames import Damaged, Frames, new_key, unwrap, wrap
from gati_registry.storage.encrypted.keyring import Keyring, session_context
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName

T = TypeVar("T")


class Opened(Metadata, Protocol):
    """A database whose schema is current."""

    migrations_run: list[str]


class EncryptedMetadata:
    """`ports.Metadata`. With `encrypting`, what comes new is encrypted; what is, is opened either way."""

    def __init__(self, inner: Opened, ring: Keyring, *, encrypting: bool) -> None:
        self._inner = inner
        self._ring = ring
        self._encrypting = encrypting
        self.migrations_run = inner.migrations_run

    async def write(self, work: Work[T]) -> T:
        async def run(tx: Transaction) -> tuple[T, list[str]]:
            around = _Transaction(tx, self._ring, self._encrypting)
            return await work(around), around.blobs.stored_names

        result, stored_names = await self._ring.run(self._inner.write, run)
        for name in stored_names:
            self._ring.settled(name)
        return result

    async def read(self, work: Work[T]) -> T:
        return await self._ring.run(self._inner.read, lambda tx: work(_Transaction(tx, self._ring, self._encrypting)))

    async def scan(self, work: Work[T], *, may_lag: bool = False) -> T:
        return await self._ring.run(
            partial(self._inner.scan, may_lag=may_lag),
            lambda tx: work(_Transaction(tx, self._ring, self._encrypting)),
        )

    def revision(self) -> bytes | None:
        return self._inner.revision()

    def tell(self) -> None:
        self._inner.tell()

    def heard(self) -> int:
        return self._inner.heard()

    async def check(self) -> None:
        await self._inner.check()

    async def close(self) -> None:
        await self._inner.close()


class _Transaction:
    """`ports.Transaction`: parts around those of another one."""

    __slots__ = ("_ring", "_tx", "all", "blobs", "items", "one", "run", "send", "uploads")

    def __init__(self, tx: Transaction, ring: Keyring, encrypting: bool) -> None:
        self._tx = tx
        self._ring = ring
        self.blobs = _Blobs(tx, ring, encrypting)
        self.uploads = _Uploads(tx, ring, encrypting)
        self.one, self.all, self.run, self.send, self.items = tx.one, tx.all, tx.run, tx.send, tx.items

    @property
    def repositories(self) -> Repositories:
        return _Repositories(self._tx, self._ring)

    @property
    def garbage(self) -> Garbage:
        return _Garbage(self._tx)

    @property
    def inventory(self) -> Inventory:
        return _Inventory(self._tx, self._ring, self.blobs)

    @property
    def manifests(self) -> Manifests:
        return self._tx.manifests

    @property
    def tags(self) -> Tags:
        return self._tx.tags

    @property
    def leases(self) -> Leases:
        return self._tx.leases

    @property
    def outbox(self) -> Outbox:
        return self._tx.outbox

    @property
    def keys(self) -> Keys:
        return self._tx.keys

    @property
    def blob_keys(self) -> BlobKeys:
        return self._tx.blob_keys

    @property
    def staged_keys(self) -> StagedKeys:
        return self._tx.staged_keys

    @property
    def concurrent(self) -> bool:
        return self._tx.concurrent


class _Repositories:
    def __init__(self, tx: Transaction, ring: Keyring) -> None:
        self._tx = tx
        self._ring = ring
        inner = tx.repositories
        self.find, self.ensure, self.page, self.drop_empty = inner.find, inner.ensure, inner.page, inner.drop_empty
        self.holding = inner.holding

    async def rename(self, name: RepositoryName, new: RepositoryName) -> bool:
        if not await self._tx.repositories.rename(name, new):
            return False
        before, after = root(name), root(new)
        repository_id = await self._tx.repositories.find(new)
        if before != after and repository_id is not None:
            for blob_id in await self._tx.blob_keys.linked(repository_id):
                blob = await self._tx.blob_keys.of(blob_id)
                if blob is not None:
                    await self._ring.share(self._tx, blob, None, after)
                    await self._tx.blob_keys.drop(blob_id, before)
        return True


class _Blobs:
    def __init__(self, tx: Transaction, ring: Keyring, encrypting: bool) -> None:
        self._tx = tx
        self._ring = ring
        self._encrypting = encrypting
        self._added: dict[int, tuple[EncryptedBlob, Frames]] = {}
        self.stored_names: list[str] = []  # those that got a row
        inner = tx.blobs
        self.stored, self.renew, self.missing, self.linking = inner.stored, inner.renew, inner.missing, inner.linking

    async def find(self, repository: RepositoryName, digest: Digest) -> BlobRow | None:
        row = await self._tx.blobs.find(repository, digest)
        if row is None or row.data is None or (blob := await self._tx.blob_keys.of(row.id)) is None:
            return row
        return replace(row, data=self._ring.unwrapped(blob).open(0, row.data))

    async def add(self, digest: Digest, size: int, stored_name: str | None, data: bytes | None, now: int) -> int:
        opened = None
        if stored_name is not None:
            opened = self._ring.of_published(stored_name)
            self.stored_names.append(stored_name)
        elif data is not None and self._encrypting:
            opened = Frames(new_key())
            data = opened.seal(0, data)
        blob_id = await self._tx.blobs.add(digest, size, stored_name, data, now)
        await self._keep(blob_id, digest, size, opened)
        return blob_id

    async def mended(self, blob: StoredBlob, stored_name: str) -> None:
        """A blob that was damaged has these bytes now, with a key of their own."""
        opened = self._ring.of_published(stored_name)
        self.stored_names.append(stored_name)
        await self._keep(blob.id, blob.digest, blob.size, opened)

    async def _keep(self, blob_id: int, digest: Digest, size: int, opened: Frames | None) -> None:
        await self._tx.blob_keys.encrypted(blob_id, None if opened is None else opened.frame)
        if opened is not None:
            blob = EncryptedBlob(blob_id, digest, size, opened.frame, ())
            self._added[blob_id] = blob, opened
            # Links are there already where these bytes take the place of damaged ones.
            for namespace in sorted({root(name) for name in await self._tx.blob_keys.linking(blob_id)}):
                await self._ring.share(self._tx, blob, opened, namespace)

    async def link(self, repository_id: int, blob_id: int, now: int, *, fresh: bool = False) -> bool:
        # The link first: who takes the last one away at the same time then waits, or is waited for.
        made = await self._tx.blobs.link(repository_id, blob_id, now, fresh=fresh)
        blob, opened = self._added.get(blob_id) or (await self._tx.blob_keys.of(blob_id), None)
        if blob is not None:
            namespace = root(await self._tx.blob_keys.repository(repository_id))
            await self._ring.share(self._tx, blob, opened, namespace)
        return made

    async def unlink(self, repository_id: int, blob_id: int, now: int) -> None:
        await self._tx.blobs.unlink(repository_id, blob_id, now)
        await self._tx.blob_keys.drop(blob_id, root(await self._tx.blob_keys.repository(repository_id)))


class _Uploads:
    """Sessions' own bytes are encrypted with the key of uploads: longer than what the session has received."""

    def __init__(self, tx: Transaction, ring: Keyring, encrypting: bool) -> None:
        self._tx = tx
        self._ring = ring
        self._encrypting = encrypting
        inner = tx.uploads
        self.close, self.count, self.idle = inner.close, inner.count, inner.idle
        self.forget, self.known = inner.forget, inner.known

    async def find(self, upload_id: str, repository: RepositoryName) -> Upload | None:
        return self._opened(await self._tx.uploads.find(upload_id, repository))

    async def claim(self, upload: Upload, now: int, *, make: bool) -> Upload | None:
        return self._opened(await self._tx.uploads.claim(upload, now, make=make))

    async def advance(self, upload: Upload, *, received: int, staged: str | None, data: bytes | None, now: int) -> bool:
        if data and self._encrypting:
            data = wrap(self._ring.uploads, data, session_context(upload.id))
        return await self._tx.uploads.advance(upload, received=received, staged=staged, data=data, now=now)

    def _opened(self, upload: Upload | None) -> Upload | None:
        if upload is None or not upload.data or len(upload.data) == upload.received:
            return upload
        return replace(upload, data=unwrap(self._ring.uploads, upload.data, session_context(upload.id)))


class _Garbage:
    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        inner = tx.garbage
        self.pending, self.condemn, self.condemned = inner.pending, inner.condemn, inner.condemned
        self.revive, self.orphans, self.claim, self.trash = inner.revive, inner.orphans, inner.claim, inner.trash

    async def drop(self, link: PendingLink, before: int, now: int) -> bool:
        dropped = await self._tx.garbage.drop(link, before, now)
        if dropped:
            await self._tx.blob_keys.drop(link.blob_id, root(link.repository))
        return dropped


class _Inventory:
    def __init__(self, tx: Transaction, ring: Keyring, blobs: _Blobs) -> None:
        self._tx = tx
        self._ring = ring
        self._blobs = blobs
        inner = tx.inventory
        self.manifests, self.quarantine_blob = inner.manifests, inner.quarantine_blob
        self.quarantine_manifest, self.names_in_use = inner.quarantine_manifest, inner.names_in_use
        self.forget_trash, self.mend_manifest = inner.forget_trash, inner.mend_manifest
        self.quarantined, self.quarantined_manifests = inner.quarantined, inner.quarantined_manifests

    async def mend_blob(self, digest: Digest, stored_name: str) -> bool:
        if not await self._tx.inventory.mend_blob(digest, stored_name):
            return False
        blob = await self._tx.blobs.stored(digest)
        assert blob is not None
        await self._blobs.mended(blob, stored_name)
        return True

    async def blobs(self, after: int, limit: int) -> Sequence[tuple[StoredBlob, bytes | None]]:
        rows = await self._tx.inventory.blobs(after, limit)
        return [(blob, None if data is None else await self._content(blob, data)) for blob, data in rows]

    async def _content(self, blob: StoredBlob, data: bytes) -> bytes:
        encrypted = await self._tx.blob_keys.of(blob.id)
        try:
            return data if encrypted is None else self._ring.unwrapped(encrypted).open(0, data)
        except Damaged:
            return data  # as it is it has another length, which is a finding
