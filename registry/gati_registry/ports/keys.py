"""Keys of what is encrypted at rest: where they lie wrapped, and the master key that wraps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gati_registry.values.digest import Digest


@dataclass(frozen=True, slots=True)
class NamespaceKey:
    """A namespace's key, wrapped by the master key of that id."""

    id: int
    namespace: str
    master: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class EncryptedBlob:
    """A blob whose bytes are encrypted in frames of `frame_bytes` plain bytes.

    `wraps` are copies of its key, each with the id of the namespace's key that wraps it.
    """

    blob_id: int
    digest: Digest
    size: int
    frame_bytes: int
    wraps: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class StagedKey:
    """The key of staged bytes as far as `received`, with the encrypted rest of them that makes no frame yet."""

    name: str
    received: int
    wrapped: bytes
    tail: bytes


class Keys(Protocol):
    """Namespaces' keys, as the master key wrapped them."""

    async def live(self, namespace: str) -> NamespaceKey | None:
        """The key that the namespace uses; nobody destroys it before the transaction's end."""

    async def find(self, key_id: int) -> NamespaceKey | None:
        """A key that was not destroyed."""

    async def add(self, namespace: str, master: str, wrapped: bytes, now: int) -> None:
        """Give the namespace a key, unless it has one."""

    async def page(self, after: int, limit: int) -> Sequence[NamespaceKey]:
        """Keys that were not destroyed, in the order of their ids."""

    async def rewrap(self, key: NamespaceKey, master: str, wrapped: bytes) -> bool:
        """Keep the same key under another master key; False if it was changed meanwhile."""

    async def hold(self, key: NamespaceKey) -> None:
        """Let nobody wrap anything with it until the transaction's end."""

    async def shred(self, key: NamespaceKey, limit: int, now: int) -> tuple[int, int]:
        """Drop copies of blobs' keys that it wraps; how many, and how many of the blobs are lost by it.

        A lost blob is served no more until it is pushed again, and its bytes go to the trash.
        """

    async def destroy(self, key: NamespaceKey, now: int) -> None:
        """Forget it."""


class BlobKeys(Protocol):
    """Encrypted blobs' keys, as namespaces' keys wrapped them."""

    async def of(self, blob_id: int) -> EncryptedBlob | None:
        """What opens a blob; None where its bytes are plain."""

    async def of_stored(self, stored_name: str) -> EncryptedBlob | None:
        """The same by its stored name.

        Raises:
            FileNotFoundError: no blob has it, or none any more; whether its bytes are plain nobody knows.
        """

    async def encrypted(self, blob_id: int, frame_bytes: int | None) -> None:
        """Note that a blob has new bytes, encrypted or plain; copies of the former ones' key are forgotten."""

    async def add(self, blob_id: int, key_id: int, wrapped: bytes) -> None:
        """Keep a copy of a blob's key, unless there is one by that namespace's key."""

    async def repository(self, repository_id: int) -> str:
        """A repository's name."""

    async def linking(self, blob_id: int) -> Sequence[str]:
        """Names of all repositories that link a blob."""

    async def linked(self, repository_id: int) -> Sequence[int]:
        """Encrypted blobs that a repository links."""

    async def drop(self, blob_id: int, namespace: str) -> None:
        """Forget a namespace's copies of a blob's key, if repositories link the blob and none is below it."""


class StagedKeys(Protocol):
    """Keys of uploads' staged bytes."""

    async def find(self, name: str, received: int) -> StagedKey | None:
        """The key at an offset that was kept."""

    async def keep(self, key: StagedKey, before: int | None) -> None:
        """Keep it; forget all others of the name but that at the offset `before`."""

    async def forget(self, name: str) -> None:
        """Forget all of a name."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A key that a master key wrapped; `master` is that one's id."""

    master: str
    data: bytes


class MasterKey(Protocol):
    """The key above all others, which rotates: older versions unwrap what they wrapped, the current one wraps.

    Every method raises Unavailable where the key is not to be had or does not fit.
    """

    async def current(self) -> str:
        """Id of the version that wraps."""

    async def wrap(self, key: bytes, context: str) -> Wrapped:
        """Wrap a key of 32 bytes; `context` is needed again to unwrap it."""

    async def unwrap(self, wrapped: Wrapped, context: str) -> bytes:
        """The key."""

    async def rotate(self) -> str:
        """Make a new version, which wraps from now on; its id."""
