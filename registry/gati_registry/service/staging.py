"""What one request does with the staged bytes of an upload: see `service.uploads` for the order, and for crashes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from gati_registry.domain import upload as rules
from gati_registry.domain.upload import Upload
from gati_registry.ports import BlobStore, Busy, Fillable, Metadata, StagedWriter
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName


class Body(Protocol):
    """A request's body; `length` is its announced number of bytes."""

    length: int | None

    @property
    def into(self) -> Callable[[memoryview], Awaitable[int]] | None:
        """Puts the next bytes into a buffer instead, as many as fit or as came in time; their number, 0 at the end.

        None where the body comes in pieces anyway. Raises what `chunks` does.
        """

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes that are still to be read, as they come.

        Raises:
            ClientDisconnected: the client went away.
            RegistryError: it sent another number of bytes.
        """


class Staging:
    """One request's hold on a session's staged bytes: takes chunks in, gives up the file's lock at the end."""

    def __init__(
        self,
        blobs: BlobStore,
        metadata: Metadata,
        upload: Upload,
        expected: int | None,
        check_size: Callable[[int], None],
        discard: Callable[[str], Awaitable[None]],
    ) -> None:
        self._blobs = blobs
        self._metadata = metadata
        self._check_size = check_size
        self._discard = discard
        self._upload = upload
        self._expected = expected
        self.name = upload.staged or upload.id
        self.received = upload.received
        self._dirty = False
        self._writer: StagedWriter | None = None

    async def __aenter__(self) -> Staging:
        try:
            return await self._open()
        except FileNotFoundError:
            raise rules.unknown() from None  # a crash between publishing and committing took the staged bytes

    async def _open(self) -> Staging:
        upload, blobs = self._upload, self._blobs
        inline = upload.data  # bytes that lived in the row so far and move to the store now
        offset = upload.received if inline is None else 0
        expected = None if self._expected is None else self._expected + upload.received - offset
        try:
            self._writer = await self._stage(offset, expected)
        except Busy:
            # The request before us is still at it (a half-dead connection, perhaps). It cannot move the offset any
            # more, but it may write: leave it its file and go on with a copy of what was acknowledged.
            earlier, self.name = self.name, f"{upload.id}_{upload.epoch}"
            if offset:
                await blobs.copy_staged(earlier, self.name, offset)
            self._writer = await self._stage(offset, expected)
        if inline:
            await self._writer.write(inline)
            self._dirty = True
        return self

    async def _stage(self, offset: int, expected: int | None) -> StagedWriter:
        upload = self._upload
        return await self._blobs.stage(
            self.name, offset, algorithm=upload.algorithm, expected=expected, owner=upload.repository
        )

    async def __aexit__(self, failed: type[BaseException] | None, *_: object) -> None:
        assert self._writer is not None
        try:
            if failed is not None:
                await self._drop_unless_named()
        finally:
            await self._writer.close()

    async def _drop_unless_named(self) -> None:
        """Remove the file of a request that failed, unless acknowledged bytes are in it.

        Done under the file's lock: nobody else can make the session name it meanwhile.
        """
        upload = self._upload
        now = await self._metadata.read(lambda tx: tx.uploads.find(upload.id, RepositoryName(upload.repository)))
        if now is None or now.staged != self.name:
            await self._discard(self.name)

    async def take(self, head: bytes, rest: AsyncIterator[bytes] | None, body: Body) -> None:
        """Write a body that was read as far as `head`."""
        assert self._writer is not None
        try:
            if head:
                await self._write(head)
            if rest is None:
                return
            if body.into is not None and isinstance(self._writer, Fillable):
                await self._fill(self._writer, body.into)
            else:
                async for chunk in rest:
                    await self._write(chunk)
        except BaseException:
            # Nothing has been made of these bytes yet; on a full disk they would keep it full.
            self._writer.give_up()
            raise

    async def _write(self, chunk: bytes) -> None:
        assert self._writer is not None
        self._count(len(chunk))
        await self._writer.write(chunk)

    async def _fill(self, writer: Fillable, into: Callable[[memoryview], Awaitable[int]]) -> None:
        while size := await into(await writer.room()):
            self._count(size)
            writer.fill(size)

    def _count(self, size: int) -> None:
        self._dirty = True
        self.received += size
        self._check_size(self.received)

    async def sync(self) -> None:
        """Return when all of it is durable."""
        assert self._writer is not None
        try:
            await self._writer.sync()
        except BaseException:
            self._writer.give_up()
            raise
        self._dirty = False

    def acknowledged(self) -> None:
        """The offset after all of it is committed."""
        assert self._writer is not None
        self._writer.acknowledged()

    async def digest(self, algorithm: str) -> Digest:
        """The digest of everything staged; from the running hash, else by reading it again."""
        assert self._writer is not None
        if self._dirty or self.received == 0:
            await self.sync()
        encoded = self._writer.digest(algorithm)
        if encoded is None:
            encoded = await self._blobs.digest_staged(self.name, self.received, algorithm)
        return Digest(f"{algorithm}:{encoded}")
