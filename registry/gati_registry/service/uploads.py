"""Uploading blobs: monolithic, in chunks, by mount.

A session has no row until its first chunk: its id proves itself. One that is opened and closed with all its bytes in
one small request never gets one: such a close writes the blob and nothing about the session, so sending it again gives
the same answer. Small blobs never touch the disk on their way: their bytes stay in the session's row and move to the
blob's row in the closing transaction. Larger ones are staged in the blob store; the order is always bytes synced, then
row committed, then answer.

Crash points of a staged chunk: (1) session claimed, (2) bytes written, (3) bytes synced, (4) offset committed. Before
(4) a restart finds the old offset and the client sends the chunk again. Where the client's connection breaks, what came
of a chunk with a Content-Range goes through (3) and (4) as well, with nobody to answer: the session's status tells how
far it came.
Of a close: (1) published under its stored name, (2) blob, link and end of the session committed in one transaction,
(3) staged name dropped. Before (2) the session is as it was and the stored name a stray; after it the staged name is
one. The collector removes strays.
"""

from __future__ import annotations

import contextlib
import secrets
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from gati_registry.domain import upload as rules
from gati_registry.domain.access import NOBODY, Caller
from gati_registry.domain.events import Change, Operation
from gati_registry.domain.upload import SessionIds, Upload
from gati_registry.errors import ClientDisconnected, Code, RegistryError, Unavailable
from gati_registry.ports import BlobStore, Clock, Metadata, Transaction
from gati_registry.service.hooks import NO_HOOKS, Hooks
from gati_registry.service.staging import Body, Staging
from gati_registry.values.byterange import ByteRange
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName

KEY_FACT = "upload_key"
"""The fact that holds the key of session ids, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bytes kept in the database, bytes of a blob (0: any), open sessions of a repository (0: any)."""

    inline: int
    blob: int
    open_sessions: int


async def session_key(metadata: Metadata) -> bytes:
    """The key that all workers and replicas sign session ids with; made by the first who asks."""
    found = await metadata.read(lambda tx: tx.leases.get_fact(KEY_FACT))
    if found is None:
        made = secrets.token_hex(32)
        found = await metadata.write(lambda tx: tx.leases.ensure_fact(KEY_FACT, made))
    return bytes.fromhex(found)


class UploadService:
    """Use cases of end-4 to end-6, end-11, end-13 and end-14."""

    def __init__(
        self,
        metadata: Metadata,
        blobs: BlobStore,
        clock: Clock,
        limits: UploadLimits,
        ids: SessionIds,
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._clock = clock
        self._limits = limits
        self._ids = ids
        self._hooks = hooks

    # --- use cases ----------------------------------------------------------------------------------------------

    def start(self, repository: RepositoryName, algorithm: str = "sha256") -> Upload:
        """Open a session. Nothing is stored of it before its first bytes."""
        return self._ids.issue(repository, algorithm, self._clock.now(), secrets.token_bytes(rules.RANDOM_BYTES))

    async def status(self, repository: RepositoryName, upload_id: str) -> Upload:
        """The session's acknowledged state.

        Raises:
            RegistryError: BLOB_UPLOAD_UNKNOWN.
        """
        issued = self._issued(repository, upload_id)
        return await self._metadata.read(lambda tx: self._find(tx, issued))

    async def cancel(self, repository: RepositoryName, upload_id: str) -> None:
        """End the session and drop its bytes.

        Raises:
            RegistryError: BLOB_UPLOAD_UNKNOWN.
        """
        issued, now = self._issued(repository, upload_id), self._clock.now()

        async def work(tx: Transaction) -> Upload:
            upload = await tx.uploads.claim(issued, now, make=self._ids.valid(issued, now))
            if upload is None:
                raise rules.unknown()
            await tx.uploads.close(upload)
            return upload

        upload = await self._metadata.write(work)
        await self._discard(upload.staged)

    async def append(
        self, repository: RepositoryName, upload_id: str, body: Body, declared: ByteRange | None
    ) -> Upload:
        """Add a chunk; returns the session after it, durable.

        What came of a staged chunk whose connection broke is kept, if it said where it belongs: large chunks would else
        be sent again and again.

        Raises:
            ClientDisconnected: the client went away.
            RegistryError: 404, 416 out of order, 400 SIZE_INVALID, 409 when another request took over, 413, 429 for a
                session's first bytes where the repository has too many open ones.
        """
        issued = await self._look_ahead(repository, upload_id, body, declared)
        head, rest = await self._head(body, declared)
        now = self._clock.now()

        async def work(tx: Transaction) -> tuple[Upload, bool]:
            upload = await self._claim(tx, issued, declared, now)
            await self._check_open(tx, upload)
            self._check_size(upload.received + len(head))
            if rest is not None or not self._fits(upload, head):
                return upload, False
            data, received = (upload.data or b"") + head, upload.received + len(head)
            await tx.uploads.advance(upload, received=received, staged=None, data=data, now=now)
            return replace(upload, received=received, data=data), True

        upload, done = await self._metadata.write(work)
        if done:
            return upload
        async with self._hold(upload, body) as staging:
            try:
                await staging.take(head, rest, body)
            except ClientDisconnected:
                # Without its place a chunk that comes late would be taken for another one.
                if declared is not None:
                    with contextlib.suppress(RegistryError):  # nobody is there to be told
                        await self._advance(upload, staging)
                raise
            if declared is not None and staging.received - upload.received != declared.length:
                raise rules.size_mismatch(declared.length, staging.received - upload.received)
            return await self._advance(upload, staging)

    async def close(
        self,
        repository: RepositoryName,
        upload_id: str,
        digest: Digest,
        body: Body,
        declared: ByteRange | None,
        caller: Caller = NOBODY,
    ) -> int:
        """Add the last chunk, check the whole against the digest and make it a blob; its size in bytes.

        A wrong digest ends the session: what it holds is not what the client meant. So does success, unless all came
        in this one small request and nothing was ever stored of the session: it may be sent again.

        Raises:
            RegistryError: DIGEST_INVALID, and those of `append`.
        """
        issued = await self._look_ahead(repository, upload_id, body, declared)
        head, rest = await self._head(body, declared)
        found_in_head = Digest.of(head, digest.algorithm) if rest is None else None
        now = self._clock.now()

        async def work(tx: Transaction) -> tuple[Upload, Digest | None]:
            upload = await self._find(tx, issued)
            if upload.epoch == 0 and found_in_head == digest:
                rules.check_chunk(upload, declared, None)
                self._check_size(len(head))
                await self._commit(tx, repository, digest, len(head), _Bytes(data=head), caller, now)
                return upload, digest
            upload = await self._claim(tx, issued, declared, now)
            self._check_size(upload.received + len(head))
            if rest is not None or not self._fits(upload, head):
                await self._check_open(tx, upload)
                return upload, None
            content = (upload.data or b"") + head
            await tx.uploads.close(upload)
            found = Digest.of(content, digest.algorithm)
            if found == digest:
                await self._commit(tx, repository, digest, len(content), _Bytes(data=content), caller, now)
            return upload, found

        upload, found = await self._metadata.write(work)
        if found is not None:
            _check_digest(digest, found)
            self._hooks.committed(Operation.BLOB_COMMIT)
            return upload.received + len(head)
        async with self._hold(upload, body) as staging:
            await staging.take(head, rest, body)
            if declared is not None and staging.received - upload.received != declared.length:
                raise rules.size_mismatch(declared.length, staging.received - upload.received)
            try:
                await self._finish(repository, staging, digest, upload, caller)
            except _WrongDigest:
                closed = await self._metadata.write(lambda tx: tx.uploads.close(upload))
                if closed and upload.staged != staging.name:
                    await self._discard(upload.staged)
                raise
            await self._discard(staging.name, upload.staged)
        return staging.received

    async def monolithic(self, repository: RepositoryName, digest: Digest, body: Body, caller: Caller = NOBODY) -> int:
        """A blob in one request, without a session; its size in bytes.

        Raises:
            RegistryError: DIGEST_INVALID, SIZE_INVALID, 413.
        """
        self._check_size(body.length or 0)
        head, rest = await self._head(body, None)
        self._check_size(len(head))
        if rest is None:
            _check_digest(digest, Digest.of(head, digest.algorithm))
            now = self._clock.now()
            await self._metadata.write(
                lambda tx: self._commit(tx, repository, digest, len(head), _Bytes(data=head), caller, now)
            )
            self._hooks.committed(Operation.BLOB_COMMIT)
            return len(head)
        upload = Upload(str(uuid.uuid4()), repository, digest.algorithm, self._clock.now())
        async with self._hold(upload, body) as staging:
            await staging.take(head, rest, body)
            await self._finish(repository, staging, digest, None, caller)
            await self._discard(staging.name)
            return staging.received

    async def sources(self, digest: Digest) -> Sequence[RepositoryName]:
        """Some repositories to mount a blob from."""
        return await self._metadata.read(lambda tx: tx.blobs.linking(digest, 100))

    async def mount(
        self, repository: RepositoryName, digest: Digest, source: RepositoryName, caller: Caller = NOBODY
    ) -> bool:
        """Link a blob of another repository here; False where it is not there."""
        now = self._clock.now()

        async def work(tx: Transaction) -> bool:
            blob = await tx.blobs.find(source, digest)
            if blob is None:
                return False
            repository_id = await tx.repositories.ensure(repository, now)
            new = await tx.blobs.link(repository_id, blob.id, now)
            if self._hooks.hears(Operation.BLOB_MOUNT):
                await self._hooks.commit(
                    tx,
                    Change(
                        Operation.BLOB_MOUNT,
                        repository,
                        repository_id,
                        caller,
                        now,
                        digest=digest,
                        size=blob.size,
                        new=new,
                        detail={"from": source},
                    ),
                )
            return True

        mounted = await self._metadata.write(work)
        self._hooks.committed(Operation.BLOB_MOUNT)
        return mounted

    # --- inside -------------------------------------------------------------------------------------------------

    async def _look_ahead(
        self, repository: RepositoryName, upload_id: str, body: Body, declared: ByteRange | None
    ) -> Upload:
        """Refuse a large body before it is read, where that can be known; a small one is judged in its transaction.

        Returns the session as it was issued.
        """
        issued = self._issued(repository, upload_id)
        if body.length is None or body.length > self._limits.inline:
            upload = await self._metadata.read(lambda tx: self._find(tx, issued))
            rules.check_chunk(upload, declared, body.length)
            self._check_size(upload.received + (body.length or 0))
        return issued

    def _issued(self, repository: RepositoryName, upload_id: str) -> Upload:
        issued = self._ids.parse(upload_id, repository)
        if issued is None:
            raise rules.unknown()
        return issued

    async def _find(self, tx: Transaction, issued: Upload) -> Upload:
        """The session as it stands: its row, or what its id proves."""
        upload = await tx.uploads.find(issued.id, RepositoryName(issued.repository))
        if upload is None and self._ids.valid(issued, self._clock.now()):
            upload = issued
        if upload is None or upload.ended:
            raise rules.unknown()
        return upload

    async def _claim(self, tx: Transaction, issued: Upload, declared: ByteRange | None, now: int) -> Upload:
        """The session with its caller as the one writer, if the chunk fits its offset; from now on it has a row."""
        upload = await tx.uploads.claim(issued, now, make=self._ids.valid(issued, now))
        if upload is None:
            raise rules.unknown()
        rules.check_chunk(upload, declared, None)
        return upload

    async def _check_open(self, tx: Transaction, upload: Upload) -> None:
        """Refuse a session that has just got its row where the repository has too many."""
        allowed = self._limits.open_sessions
        if upload.epoch == 1 and allowed and await tx.uploads.count(RepositoryName(upload.repository)) > allowed:
            raise RegistryError(
                Code.TOOMANYREQUESTS,
                "too many uploads are open in this repository; finish or cancel some",
                headers={"Retry-After": "60"},
            )

    async def _advance(self, upload: Upload, staging: Staging) -> Upload:
        """Make all that was staged durable, and then the session's; the session after it."""
        await staging.sync()
        after = replace(upload, received=staging.received, staged=staging.name, data=None)
        now = self._clock.now()
        if not await self._metadata.write(
            lambda tx: tx.uploads.advance(upload, received=after.received, staged=after.staged, data=None, now=now)
        ):
            raise rules.superseded()
        staging.acknowledged()
        if upload.staged != staging.name:
            await self._discard(upload.staged)
        return after

    def _fits(self, upload: Upload, chunk: bytes) -> bool:
        """Whether the session's bytes can stay in its row with this chunk."""
        return upload.data is not None and upload.received + len(chunk) <= self._limits.inline

    def _hold(self, upload: Upload, body: Body) -> Staging:
        return Staging(self._blobs, self._metadata, upload, body.length, self._check_size, self._discard)

    def _check_size(self, size: int) -> None:
        if self._limits.blob and size > self._limits.blob:
            raise RegistryError(
                Code.SIZE_INVALID, f"a blob may have at most {self._limits.blob} bytes here", status=413
            )

    async def _head(self, body: Body, declared: ByteRange | None) -> tuple[bytes, AsyncIterator[bytes] | None]:
        """The body's beginning; with the iterator over its rest, or None where that was all of it."""
        chunks = body.chunks()
        head: list[bytes] = []
        size = 0
        async for chunk in chunks:
            head.append(chunk)
            size += len(chunk)
            if size > self._limits.inline:
                return b"".join(head), chunks
        if declared is not None and size != declared.length:
            raise rules.size_mismatch(declared.length, size)
        return b"".join(head), None

    async def _discard(self, *names: str | None) -> None:
        """Drop staged bytes that no session holds any more. What cannot be dropped now the collector finds later."""
        with contextlib.suppress(Unavailable):
            for name in {name for name in names if name is not None}:
                await self._blobs.discard(name)

    async def _finish(
        self, repository: RepositoryName, staging: Staging, digest: Digest, upload: Upload | None, caller: Caller
    ) -> None:
        """Check staged bytes against the digest and turn them into a blob; ends the session, if there is one."""
        try:
            found = await staging.digest(digest.algorithm)
        except FileNotFoundError:
            raise rules.superseded() from None  # who took the session over has ended it, and dropped our bytes
        _check_digest(digest, found)
        size, now = staging.received, self._clock.now()

        async def work(tx: Transaction, stored_name: str | None) -> _Outcome:
            if upload is not None and not await tx.uploads.close(upload):
                raise rules.superseded()
            return await self._commit(tx, repository, digest, size, _Bytes(stored_name), caller, now)

        # Bytes that the store already has are not published again, unless they are collected at this very moment.
        if await self._metadata.read(lambda tx: tx.blobs.stored(digest)) is not None:
            try:
                await self._metadata.write(lambda tx: work(tx, None))
            except _NotStored:
                pass
            else:
                self._hooks.committed(Operation.BLOB_COMMIT)
                return
        try:
            stored_name = await self._blobs.publish(staging.name, digest, size)
        except FileNotFoundError:
            raise rules.superseded() from None
        try:
            outcome = await self._metadata.write(lambda tx: work(tx, stored_name))
        except RegistryError as error:
            # After an Unavailable the commit may have happened: better a stray, which the collector removes.
            if not isinstance(error, Unavailable):
                await self._blobs.remove(stored_name)
            raise
        self._hooks.committed(Operation.BLOB_COMMIT)
        if not outcome.stored:
            await self._blobs.remove(stored_name)

    async def _commit(
        self,
        tx: Transaction,
        repository: RepositoryName,
        digest: Digest,
        size: int,
        content: _Bytes,
        caller: Caller,
        now: int,
    ) -> _Outcome:
        """Store the blob unless it is there, link it, and tell the hooks."""
        existing = await tx.blobs.stored(digest)
        if existing is not None:
            blob_id = existing.id
        elif content.stored_name is None and content.data is None:
            raise _NotStored
        else:
            blob_id = await tx.blobs.add(digest, size, content.stored_name, content.data, now)
        repository_id = await tx.repositories.ensure(repository, now)
        new = await tx.blobs.link(repository_id, blob_id, now, fresh=existing is None)
        if self._hooks.hears(Operation.BLOB_COMMIT):
            await self._hooks.commit(
                tx,
                Change(
                    Operation.BLOB_COMMIT, repository, repository_id, caller, now, digest=digest, size=size, new=new
                ),
            )
        return _Outcome(stored=existing is None)


@dataclass(frozen=True, slots=True)
class _Bytes:
    """Where a blob's bytes are: published, or here; neither where they ought to be stored already."""

    stored_name: str | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    stored: bool  # the bytes given were taken; False: the same were there already


class _NotStored(Exception):
    """The blob that was to be linked is gone."""


class _WrongDigest(RegistryError):
    """The content is not what the digest says."""


def _check_digest(expected: Digest, found: Digest) -> None:
    if expected != found:
        raise _WrongDigest(
            Code.DIGEST_INVALID,
            "the content has another digest than the request says; nothing was stored, send the blob again",
            detail={"expected": expected, "received": found},
        )
