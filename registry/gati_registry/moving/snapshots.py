"""What one backup holds: a database as it was at a moment, and which blobs that names.

An SQLite database is its file in pieces of 256 KiB: pages stay where they are, so what did not change is the same
piece again. A PostgreSQL database is each table in PostgreSQL's binary form, by its key, cut where the content says
so: a row more or less changes one piece. The list of blobs is cut by their digests.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gati_registry.errors import Unavailable
from gati_registry.moving.vault import Vault
from gati_registry.storage.encrypted.frames import sealed_size
from gati_registry.values.digest import Digest

FORMAT = 1
PAGES = 256 * 1024
"""Bytes of an SQLite file in one piece."""

_LEAST, _MOST, _MASK = 64 * 1024, 1024 * 1024, 0x3F


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that a backup's database names; encrypted in frames of `frame_bytes` plain bytes, 0 where it is plain.

    Encrypted bytes are kept as they are, so a backup opens no more than its registry's master key does. The key of
    such a blob changes when it is pushed again, so they go by their stored name, which is never used twice.
    """

    digest: Digest
    size: int
    stored_name: str
    frame_bytes: int = 0

    @property
    def kept_as(self) -> str:
        """What its pieces are named after."""
        return self.stored_name if self.frame_bytes else self.digest

    @property
    def stored_size(self) -> int:
        """Bytes in the store, and in the vault."""
        return sealed_size(self.size, self.frame_bytes) if self.frame_bytes else self.size


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a database with a name: the SQLite file, or a table with its columns and counter."""

    name: str
    pieces: Sequence[str]
    columns: Sequence[str] = ()
    counter: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A backup. `taken_at` is the moment whose commits it has, in milliseconds; `damaged` are digests it lacks."""

    taken_at: int
    engine: str
    history: Sequence[tuple[str, int, str]]
    parts: Sequence[Part]
    lists: Sequence[str]
    blobs: int
    bytes: int
    damaged: Sequence[str]
    format: int = FORMAT

    def body(self) -> Any:
        """As JSON."""
        return asdict(self)

    @classmethod
    async def load(cls, vault: Vault, name: str) -> Snapshot:
        """A backup by its name.

        Raises:
            Unavailable: it is not there, damaged, or of a later version.
        """
        body = await vault.snapshot(name)
        if body.get("format") != FORMAT:
            raise Unavailable(f"the backup {name} was made by another version; use that one")
        parts = [Part(**part) for part in body.pop("parts")]
        history = [(str(owner), int(number), str(checksum)) for owner, number, checksum in body.pop("history")]
        return cls(parts=parts, history=history, **body)

    def pieces(self) -> set[str]:
        """The names of all pieces of the database and the lists."""
        return {*self.lists, *(piece for part in self.parts for piece in part.pieces)}

    async def listed(self, vault: Vault) -> AsyncIterator[Blob]:
        """The blobs, by digest."""
        for name in self.lists:
            for blob in await listed(vault, name):
                yield blob


async def listed(vault: Vault, name: str) -> list[Blob]:
    """The blobs of one piece of a list."""
    return [Blob(Digest(digest), *rest) for digest, *rest in json.loads(await vault.piece(name))]


async def data_of(vault: Vault, snapshot: Snapshot, table: str, digest: str) -> bytes | None:
    """What the backup's database itself holds under a digest: small blobs (`blob`) and manifests (`manifest`)."""
    if snapshot.engine == "sqlite":
        from gati_registry.metadata.sqlite.tables import data_of as within

        with tempfile.TemporaryDirectory(prefix="gati-") as folder:
            path = Path(folder) / "metadata.sqlite"
            with path.open("wb") as file:
                for part in snapshot.parts:
                    async for piece in vault.pieces(part.pieces):
                        file.write(piece)
            return within(path, table, digest)
    (part,) = (part for part in snapshot.parts if part.name == table)
    at, data = part.columns.index("digest"), part.columns.index("data")
    first = True
    async for piece in vault.pieces(part.pieces):
        for row in _rows(piece, first=first):
            if row[at] == digest.encode() and row[data] is not None:
                return row[data]
        first = False
    return None


def _rows(piece: bytes, *, first: bool) -> Iterator[list[bytes | None]]:
    """The rows of one piece of a table, which ends with a row. Source: PostgreSQL, COPY, "Binary Format"."""
    offset = 19 if first else 0
    while offset < len(piece) and (fields := int.from_bytes(piece[offset : offset + 2], signed=True)) >= 0:
        offset += 2
        row: list[bytes | None] = []
        for _ in range(fields):
            length = int.from_bytes(piece[offset : offset + 4], signed=True)
            offset += 4
            row.append(None if length < 0 else piece[offset : offset + length])
            offset += max(length, 0)
        yield row


async def cut(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A table's rows gathered into pieces of 64 KiB to 1 MiB that end where the content says so."""
    gathered = bytearray()
    async for piece in pieces:
        gathered += piece
        if len(gathered) >= _MOST or (len(gathered) >= _LEAST and zlib.crc32(piece) & _MASK == 0):
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
