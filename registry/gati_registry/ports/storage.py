"""The blob store, and what some stores can besides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from gati_registry.values.digest import Digest


class StagedWriter(Protocol):
    """Appends to staged bytes; one at a time. Must be closed."""

    async def write(self, chunk: bytes) -> None:
        """Append; may return before the bytes are down."""

    async def sync(self) -> None:
        """Return when all that was written is durable."""

    def digest(self, algorithm: str) -> str | None:
        """Hexadecimal digest of all bytes from the first on, where it was kept running; call after `sync`."""

    def acknowledged(self) -> None:
        """What was synced is committed and stays: what is known of it may be kept for the next writer."""

    def give_up(self) -> None:
        """What was not acknowledged is not wanted: its room is free again once this is closed."""

    async def close(self) -> None:
        """Let go; bytes not synced may be lost."""


@runtime_checkable
class Fillable(Protocol):
    """A `StagedWriter` whose next bytes may be put where it says, in place of `write`."""

    async def room(self) -> memoryview:
        """Where they go, one at least. Nothing may be put there any more once this is called again, or `close` is."""

    def fill(self, size: int) -> None:
        """So many were put there, from its first byte on."""


class BlobReader(Protocol):
    """Reads one blob; must be closed."""

    async def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end."""

    def close(self) -> None:
        """Let go."""


@runtime_checkable
class FileBacked(Protocol):
    """A capability of a blob reader: the bytes are a file's as they are, at the same offsets."""

    def fileno(self) -> int:
        """The open file, until `close`; to be read by offset alone."""

    def cached(self, offset: int, length: int) -> bool:
        """Whether these bytes can be read without waiting for a disk, as far as can be told."""


class BlobStore(Protocol):
    """Bytes by name. Names are made by the caller, used once and never again."""

    async def stage(
        self, name: str, offset: int, *, algorithm: str | None, expected: int | None, owner: str = ""
    ) -> StagedWriter:
        """Write to a staged name from `offset` on (0 makes it); `expected` bytes are announced to follow.

        Without an `algorithm` no digest is kept running. `owner` is the repository that the bytes are pushed to, for
        stores that keep those of some apart.

        Raises:
            Busy: an earlier writer of this name is still at it.
            FileNotFoundError: there are no staged bytes to go on from.
        """

    async def digest_staged(self, name: str, size: int, algorithm: str) -> str:
        """Read staged bytes again; their hexadecimal digest."""

    async def copy_staged(self, source: str, target: str, size: int) -> None:
        """Make `target` of the first `size` staged bytes of `source`, durable."""

    async def publish(self, name: str, digest: Digest, size: int) -> str:
        """Make a blob of staged bytes; its stored name, durable. The staged name stays until it is discarded.

        Raises:
            FileNotFoundError: there are no such staged bytes.
        """

    async def discard(self, name: str) -> None:
        """Remove staged bytes; no error if there are none."""

    async def open(self, stored_name: str) -> BlobReader:
        """Open a blob.

        Raises:
            FileNotFoundError: no such bytes.
        """

    async def remove(self, stored_name: str) -> None:
        """Remove a blob's bytes; no error if there are none."""

    async def check(self) -> None:
        """Raise Unavailable unless the store answers."""


class Busy(Exception):
    """An earlier writer of the same staged name is still at it."""


class Housekeeping(Protocol):
    """A second, optional side of a blob store: what verification and the collector need beside the service."""

    def strays(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        """Batches of stored names found in the store, written at least `older_than` milliseconds ago."""

    def staged(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        """Batches of staged names without a writer, untouched for `older_than` milliseconds."""

    async def quarantine(self, stored_name: str) -> None:
        """Move a damaged blob's bytes aside; never deletes."""


class StagedReading(Protocol):
    """A capability of a blob store: staged bytes can be looked at."""

    async def open_staged(self, name: str, size: int) -> BlobReader:
        """A reader of the first `size` staged bytes, at an offset that was synced.

        Raises:
            FileNotFoundError: they are not there.
        """


class Receiving(Protocol):
    """A capability of a blob store that takes blobs over from another one, under the stored names they have there."""

    async def size(self, stored_name: str) -> int | None:
        """How many bytes a blob has here; None where there is none."""

    async def receive(self, stored_name: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a blob under its name, durable and all at once. Again is no error.

        Where `chunks` raises, or the process ends, the name holds what it held before.
        """


class Redirects(Protocol):
    """A capability of a blob store whose bytes clients may fetch by themselves."""

    async def url(self, stored_name: str) -> str | None:
        """A URL that lets anyone read the blob for a short while; None where it has to be read through us."""
