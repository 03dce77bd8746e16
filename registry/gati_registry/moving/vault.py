"""Where backups are kept: a folder or a bucket, in which everything but one small header is sealed.

    vault.json                    in the clear: the form, and how a passphrase becomes the key
    data/ab/<name>                pieces of databases and lists, compressed; the name follows from the content
    blobs/ab/<name>.<number>      a blob in pieces of 16 MiB; the name follows from its digest
    snapshots/<time>-<chance>     what one backup holds; written last, so that one that is there is whole

Names are keyed hashes: who has no key sees how many pieces there are and how big they are, no more. What is there
is not written again; that is all there is to incremental backups.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gati_registry.errors import Unavailable
from gati_registry.moving.blobs import CHUNK
from gati_registry.settings import Settings, SettingsError
from gati_registry.storage.filesystem import make_folder, sync_folder
from gati_registry.storage.frames import KEY_BYTES, Sealer, Unsealable, stretched

if TYPE_CHECKING:
    from gati_registry.storage.s3 import Bucket

HEADER = "vault.json"
FORMAT = 1
PIECE = 16 * CHUNK
"""Bytes of a blob that are sealed together, and held in memory for it."""

AHEAD = 8
"""Pieces that are fetched before they are asked for."""

_FOLDERS = ("data/", "blobs/", "snapshots/")


class Place(Protocol):
    """Small objects by name; must be closed."""

    async def put(self, name: str, data: bytes) -> None:
        """Write one, durable and all at once."""

    async def get(self, name: str) -> bytes:
        """One's bytes.

        Raises:
            FileNotFoundError: it is not there.
        """

    def names(self, prefix: str) -> AsyncIterator[Sequence[str]]:
        """Names that begin with a folder's, page by page."""

    async def remove(self, names: Sequence[str]) -> None:
        """Remove some; those that are not there are no error."""

    def close(self) -> None:
        """Let go of it."""


class Folder:
    """A `Place` on a file system."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, name: str, data: bytes) -> None:
        await asyncio.to_thread(self._put, name, data)

    def _put(self, name: str, data: bytes) -> None:
        path = self._root / name
        if not path.parent.is_dir():
            make_folder(str(path.parent))
        making = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(making, path)
            sync_folder(str(path.parent))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(making)
            raise Unavailable(f"the backup's folder cannot be written: {error.strerror}") from error

    async def get(self, name: str) -> bytes:
        return await asyncio.to_thread((self._root / name).read_bytes)

    async def names(self, prefix: str) -> AsyncIterator[Sequence[str]]:
        def listed(folder: Path) -> list[Path]:
            return sorted(folder.iterdir()) if folder.is_dir() else []

        for entry in await asyncio.to_thread(listed, self._root / prefix):
            found = await asyncio.to_thread(listed, entry) if entry.is_dir() else [entry]
            yield [str(path.relative_to(self._root)) for path in found if not path.name.startswith(".")]

    async def remove(self, names: Sequence[str]) -> None:
        def unlink() -> None:
            for name in names:
                (self._root / name).unlink(missing_ok=True)

        await asyncio.to_thread(unlink)

    def close(self) -> None:
        """Nothing is open."""


class InBucket:
    """A `Place` in S3."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def put(self, name: str, data: bytes) -> None:
        await self._bucket.put(name, data)

    async def get(self, name: str) -> bytes:
        return await self._bucket.get(name)

    async def names(self, prefix: str) -> AsyncIterator[Sequence[str]]:
        async for page in self._bucket.entries(prefix):
            yield [entry.key for entry in page]

    async def remove(self, names: Sequence[str]) -> None:
        await self._bucket.delete(names)

    def close(self) -> None:
        self._bucket.close()


class Vault:
    """A place with a key."""

    def __init__(self, place: Place, sealer: Sealer) -> None:
        self.place = place
        self._sealer = sealer

    # --- pieces by content ------------------------------------------------------------------------------------------

    def piece_name(self, content: bytes) -> str:
        """The name of a piece with this content."""
        name = self._sealer.name(content)
        return f"data/{name[:2]}/{name}"

    async def put_piece(self, name: str, content: bytes) -> int:
        """Keep a piece; bytes written."""
        return await self._put(name, await asyncio.to_thread(zlib.compress, content, 1))

    async def piece(self, name: str) -> bytes:
        """A piece's content.

        Raises:
            Unavailable: it is missing or damaged.
        """
        return await asyncio.to_thread(zlib.decompress, await self._get(name))

    async def pieces(self, names: Sequence[str]) -> AsyncIterator[bytes]:
        """Pieces in this order; some are fetched ahead."""
        ahead = deque[asyncio.Task[bytes]]()
        try:
            for name in names:
                ahead.append(asyncio.create_task(self.piece(name)))
                if len(ahead) > AHEAD:
                    yield await ahead.popleft()
            while ahead:
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    # --- blobs --------------------------------------------------------------------------------------------------

    def blob_name(self, kept_as: str) -> str:
        """What the names of a blob's pieces begin with; `kept_as` is its digest, or another name of these bytes."""
        name = self._sealer.name(kept_as.encode())
        return f"blobs/{name[:2]}/{name}"

    async def put_blob(self, kept_as: str, pieces: AsyncIterator[bytes]) -> int:
        """Keep a blob; bytes written. Where `pieces` raises, it has no last piece: the blob is not there."""
        name, buffer, number, written = self.blob_name(kept_as), bytearray(), 0, 0
        async for piece in pieces:
            buffer += piece
            while len(buffer) > PIECE:
                written += await self._put(f"{name}.{number}", bytes(buffer[:PIECE]))
                del buffer[:PIECE]
                number += 1
        return written + await self._put(f"{name}.{number}", bytes(buffer))

    async def blob(self, kept_as: str, size: int) -> AsyncIterator[bytes]:
        """A blob's bytes, not yet checked against its digest.

        Raises:
            Unavailable: a piece is missing or damaged.
        """
        for name in self.blob_pieces(kept_as, size):
            yield await self._get(name)

    def blob_pieces(self, kept_as: str, size: int) -> list[str]:
        """The names of a blob's pieces; the last one is there only if all are."""
        name = self.blob_name(kept_as)
        return [f"{name}.{number}" for number in range(max(1, -(-size // PIECE)))]

    # --- snapshots ------------------------------------------------------------------------------------------------

    async def snapshots(self) -> list[str]:
        """Names of all backups, the oldest first."""
        found = [name async for page in self.place.names("snapshots/") for name in page]
        return sorted(name.removeprefix("snapshots/") for name in found)

    async def put_snapshot(self, name: str, body: Any) -> None:
        """Keep a backup's list of what it holds: from now on it is there."""
        await self._put(f"snapshots/{name}", zlib.compress(json.dumps(body).encode(), 6))

    async def snapshot(self, name: str) -> Any:
        """It again.

        Raises:
            Unavailable: it is missing or damaged.
        """
        return json.loads(zlib.decompress(await self._get(f"snapshots/{name}")))

    # --- inside -------------------------------------------------------------------------------------------------

    async def _put(self, name: str, data: bytes) -> int:
        sealed = await asyncio.to_thread(self._sealer.seal, data, name)
        await self.place.put(name, sealed)
        return len(sealed)

    async def _get(self, name: str) -> bytes:
        try:
            return await asyncio.to_thread(self._sealer.open, await self.place.get(name), name)
        except FileNotFoundError:
            raise Unavailable(f"the backup lacks {name}") from None
        except Unsealable:
            raise Unavailable(f"the backup is damaged at {name}, or this is not its key") from None

    def close(self) -> None:
        """Let go of it."""
        self.place.close()


async def open_vault(
    settings: Settings, url: str, *, key_file: Path | None, passphrase_file: Path | None, make: bool
) -> Vault:
    """A vault by URL, with the key from one of the files.

    Raises:
        SettingsError: no URL of a vault, no key, or not the vault's.
        Unavailable: it does not answer, or there is none and it is not to be made.
    """
    place = open_place(settings, url)
    try:
        header = await _header(place, make=make, passphrase=passphrase_file is not None)
        sealer = Sealer(_master(header, key_file, passphrase_file))
        vault = Vault(place, sealer)
        if "check" not in header:
            header["check"] = sealer.name(HEADER.encode())
            await place.put(HEADER, json.dumps(header).encode())
        if header["check"] != sealer.name(HEADER.encode()):
            raise SettingsError("the key is not this backup's; name the one that it was made with")
    except BaseException:
        place.close()
        raise
    return vault


async def _header(place: Place, *, make: bool, passphrase: bool) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads(await place.get(HEADER))
    except FileNotFoundError:
        for folder in _FOLDERS:
            async for page in place.names(folder):
                if page:
                    raise Unavailable(f"the backup has lost its {HEADER}; put it back") from None
        if not make:
            raise Unavailable("there is no backup at this place") from None
        return {"format": FORMAT, "salt": secrets.token_hex(16) if passphrase else None}
    if header.get("format") != FORMAT:
        raise Unavailable("the backup was made by another version; use that one")
    return header


def _master(header: dict[str, Any], key_file: Path | None, passphrase_file: Path | None) -> bytes:
    if (key_file is None) == (passphrase_file is None):
        raise SettingsError("a backup is encrypted: name --key-file or --passphrase-file, one of both")
    if (passphrase_file is not None) != (header["salt"] is not None):
        raise SettingsError(
            f"the backup was made with a {'passphrase' if header['salt'] else 'key file'}; name that one"
        )
    if passphrase_file is not None:
        passphrase = _read(passphrase_file, "--passphrase-file").partition(b"\n")[0].strip()
        if len(passphrase) < 12:
            raise SettingsError("--passphrase-file: its first line has less than 12 characters; take a longer one")
        return stretched(passphrase, bytes.fromhex(header["salt"]))
    assert key_file is not None
    data = _read(key_file, "--key-file")
    if len(data) == KEY_BYTES:
        return data
    with contextlib.suppress(ValueError):
        if len(key := bytes.fromhex(data.decode("ascii").strip())) == KEY_BYTES:
            return key
    raise SettingsError("--key-file: expected 64 hexadecimal digits; make it with: openssl rand -hex 32")


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{option}: cannot be read ({error.strerror})") from None


def open_place(settings: Settings, url: str) -> Place:
    """A place by URL or as a folder; closed by the caller.

    Raises:
        SettingsError: it is none.
    """
    from gati_registry.moving.places import elsewhere

    there = elsewhere(settings, [url])
    if there.metadata_url != settings.metadata_url:
        raise SettingsError("expected a folder, file:///DIR or s3://BUCKET/PREFIX?endpoint=URL")
    if there.bucket is None:
        return Folder(there.blobs_path)
    from gati_registry.bootstrap import open_bucket

    return InBucket(open_bucket(there))


def batched(names: Iterable[str], size: int = 500) -> list[list[str]]:
    """The names in lists of that length."""
    listed = list(names)
    return [listed[start : start + size] for start in range(0, len(listed), size)]
