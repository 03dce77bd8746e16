"""Where sound bytes of what is damaged here may be had: a second store, a backup, a peer. Digests are checked later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gati_registry.bootstrap import Plain, open_blobs
from gati_registry.errors import Unavailable
from gati_registry.moving.blobs import Damaged, chunks, unsealed
from gati_registry.moving.peer import Peer
from gati_registry.moving.places import elsewhere
from gati_registry.moving.progress import Progress
from gati_registry.moving.snapshots import Snapshot, data_of
from gati_registry.moving.vault import HEADER, Vault, open_place, open_vault
from gati_registry.ports import StoredBlob
from gati_registry.service.verify import Spare
from gati_registry.settings import Settings, SettingsError

if TYPE_CHECKING:
    from gati_registry.storage.encrypted import Keyring
    from gati_registry.storage.encrypted.frames import Frames

INLINE = 1024 * 1024
"""Bytes of the largest blob that a database holds itself (`blobs.inline_bytes`)."""


class SecondStore:
    """Another store with the same blobs: under their stored names, or (files alone) under names with their digest."""

    def __init__(self, blobs: Plain, ring: Keyring | None) -> None:
        self._blobs = blobs
        self._ring = ring
        self._names: dict[str, str] | None = None

    async def blob(self, blob: StoredBlob, repositories: Sequence[str]) -> AsyncIterator[bytes]:
        name = blob.stored_name
        if name is None or await self._blobs.size(name) is None:
            name = await self._by_digest(blob)
        opened = await self._ring.opening_once(blob.id) if self._ring is not None else None
        async for plain in _plain(chunks(self._blobs, name, Progress(quiet=True)), opened, blob):
            yield plain

    async def _by_digest(self, blob: StoredBlob) -> str:
        if self._names is None:
            self._names = {}
            async for batch in self._blobs.strays(older_than=0):
                self._names |= {name.rpartition("/")[2].partition(".")[0]: name for name in batch}
        try:
            return self._names[blob.digest.encoded]
        except KeyError:
            raise FileNotFoundError(blob.digest) from None

    async def manifest(self, repository: str, digest: str) -> bytes:
        raise FileNotFoundError(digest)  # manifests are no blobs


class Backup:
    """Backups: blobs of all of them, and what the newest one's database holds itself."""

    def __init__(self, vault: Vault, ring: Keyring | None) -> None:
        self._vault = vault
        self._ring = ring

    async def blob(self, blob: StoredBlob, repositories: Sequence[str]) -> AsyncIterator[bytes]:
        opened = await self._ring.opening_once(blob.id) if self._ring is not None else None
        if opened is not None:
            name = blob.stored_name or await self._last_name(blob)
            pieces = self._vault.blob(name, opened.sealed_size(blob.size))
        else:
            pieces = self._vault.blob(blob.digest, blob.size)
        try:
            async for plain in _plain(pieces, opened, blob):
                yield plain
        except Unavailable:
            if blob.size > INLINE:
                raise
            yield await self._inside("blob", blob.digest)

    async def _last_name(self, blob: StoredBlob) -> str:
        """The stored name that the newest backup which has the blob knows."""
        for name in reversed(await self._vault.snapshots()):
            async for found in (await Snapshot.load(self._vault, name)).listed(self._vault):
                if found.digest == blob.digest:
                    return found.stored_name
        raise FileNotFoundError(blob.digest)

    async def manifest(self, repository: str, digest: str) -> bytes:
        return await self._inside("manifest", digest)

    async def _inside(self, table: str, digest: str) -> bytes:
        for name in (await self._vault.snapshots())[-1:]:
            data = await data_of(self._vault, await Snapshot.load(self._vault, name), table, digest)
            if data is not None:
                return data
        raise FileNotFoundError(digest)


class PeerRegistry:
    """Another registry with repositories of the same names."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def blob(self, blob: StoredBlob, repositories: Sequence[str]) -> AsyncIterator[bytes]:
        for repository in repositories:
            try:
                async for chunk in self._peer.get(repository, "blobs", blob.digest):
                    yield chunk
            except FileNotFoundError:
                continue
            return
        raise FileNotFoundError(blob.digest)

    async def manifest(self, repository: str, digest: str) -> bytes:
        return b"".join([chunk async for chunk in self._peer.get(repository, "manifests", digest)])


async def _plain(pieces: AsyncIterator[bytes], opened: Frames | None, blob: StoredBlob) -> AsyncIterator[bytes]:
    try:
        async for _, plain in unsealed(pieces, opened):
            yield plain
    except Damaged:
        raise FileNotFoundError(blob.digest) from None  # none that is sound


async def open_spare(
    settings: Settings,
    url: str,
    stack: AsyncExitStack,
    *,
    key_file: Path | None,
    passphrase_file: Path | None,
    credentials_file: Path | None,
    ring: Keyring | None = None,
) -> Spare:
    """A spare by URL; the stack closes it. `ring` opens what is encrypted there with keys of this registry.

    Raises:
        SettingsError: it cannot be understood, or a file that it needs is missing.
        Unavailable: it does not answer.
    """
    if url.startswith(("http://", "https://")):
        return PeerRegistry(Peer(url, _credentials(credentials_file)))
    place = open_place(settings, url)
    try:
        await place.get(HEADER)
    except FileNotFoundError:
        there = elsewhere(settings, [url])
        if there.bucket is None and not there.blobs_path.is_dir():
            raise Unavailable(f"there is neither a blob store nor a backup at {there.blobs_path}") from None
        blobs, _ = open_blobs(there)
        stack.callback(blobs.close)
        return SecondStore(blobs, ring)
    finally:
        place.close()
    vault = await open_vault(settings, url, key_file=key_file, passphrase_file=passphrase_file, make=False)
    stack.callback(vault.close)
    return Backup(vault, ring)


def _credentials(path: Path | None) -> tuple[str, str] | None:
    if path is None:
        return None
    try:
        name, colon, password = path.read_text(encoding="utf-8").partition("\n")[0].strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--credentials-file: cannot be read ({type(error).__name__})") from None
    if not colon:
        raise SettingsError("--credentials-file: expected one line, NAME:PASSWORD")
    return name, password
