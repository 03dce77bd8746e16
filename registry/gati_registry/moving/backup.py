"""One more backup of a registry that may be serving, and the end of old ones.

    1  the lease that keeps the collector from removing bytes (`holding`)
    2  a snapshot of the database, into the vault: SQLite page by page, PostgreSQL in one REPEATABLE READ transaction
    3  the blobs that it names and the vault lacks, each hashed on the way
    4  the list of all that belongs together: from now on the backup is there

Bytes land before rows name them, and under the lease none go: all that the snapshot names is there to be copied.
Writers are never held up. Crash points: before 4 the backup is not there, and what was written is used by the next
one; the lease ends by itself.

Retention removes lists first and pieces that no list names after that; it runs under the lease that all backups of a
registry take turns by, so nothing is removed that one under way relies on.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gati_registry.domain.gc import HOLD
from gati_registry.errors import Unavailable
from gati_registry.metadata.sql import Row
from gati_registry.metadata.tables import History
from gati_registry.moving.blobs import Damaged, checked, chunks, each, opening
from gati_registry.moving.holding import holding
from gati_registry.moving.places import reader
from gati_registry.moving.progress import Progress
from gati_registry.moving.snapshots import PAGES, Blob, Part, Snapshot, cut, listed
from gati_registry.moving.vault import Vault, batched
from gati_registry.ports import BlobStore, Clock, Metadata
from gati_registry.settings import Settings
from gati_registry.values.digest import Digest

if TYPE_CHECKING:
    from gati_registry.storage.encrypted import Keyring

TURNS = "backup"
"""The lease that backups take turns by."""

_BLOBS = (
    "SELECT digest, size, stored_name, COALESCE(frame_bytes, 0) FROM blob"
    " LEFT JOIN encrypted_blob ON encrypted_blob.blob_id = blob.id"
    " WHERE stored_name IS NOT NULL AND quarantined_at IS NULL ORDER BY digest"
)


@dataclass(slots=True)
class Made:
    """What a backup holds, and what of it was new. Sizes in bytes."""

    name: str
    taken_at: int
    blobs: int = 0
    bytes: int = 0
    new_blobs: int = 0
    written: int = 0
    seconds: float = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)


class Backups:
    """Makes backups of one registry in one vault, while it holds `TURNS`."""

    def __init__(
        self,
        settings: Settings,
        metadata: Metadata,
        blobs: BlobStore,
        vault: Vault,
        clock: Clock,
        progress: Progress,
        ring: Keyring | None = None,
    ) -> None:
        self._ring = ring
        self._settings = settings
        self._metadata = metadata
        self._blobs = blobs
        self._vault = vault
        self._clock = clock
        self._progress = progress
        self._there: set[str] | None = None

    async def make(self) -> Made:
        """One backup.

        Raises:
            Unavailable: the database, the store or the vault does not answer; there is no new backup.
        """
        began = asyncio.get_running_loop().time()
        there = await self._known()
        now = self._clock.now()
        moment = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
        made = Made(f"{moment}-{secrets.token_hex(3)}", now)
        missing: list[Blob] = []
        async with holding(self._metadata, self._clock, HOLD):
            self._progress.stage("database", 0)
            snapshot = await self._snapshot(made, there, missing)
            self._progress.stage("blobs", sum(blob.size for blob in missing))
            await each(_iterated(missing), lambda blob: self._copy(blob, made, there))
            self._progress.end()
        digests = [digest for digest, _ in made.damaged]
        await self._vault.put_snapshot(made.name, {**snapshot.body(), "damaged": digests})
        made.seconds = asyncio.get_running_loop().time() - began
        return made

    async def _known(self) -> set[str]:
        """What the vault has. Nobody else writes to it meanwhile, so it is asked once."""
        if self._there is None:
            self._there = set()
            for folder in ("data/", "blobs/"):
                async for page in self._vault.place.names(folder):
                    self._there.update(page)
        return self._there

    # --- the database -------------------------------------------------------------------------------------------

    async def _snapshot(self, made: Made, there: set[str], missing: list[Blob]) -> Snapshot:
        if self._settings.shared_metadata:
            return await self._of_postgresql(made, there, missing)
        return await self._of_sqlite(made, there, missing)

    async def _of_sqlite(self, made: Made, there: set[str], missing: list[Blob]) -> Snapshot:
        from gati_registry.metadata.sqlite.tables import SqliteReader, drop, snapshot

        path = self._settings.metadata_path
        copy = path.with_name(f"{path.name}.backup")
        drop(copy)  # of one that was killed
        try:
            await asyncio.to_thread(snapshot, path, copy)
            with copy.open("rb") as file:
                pieces = await self._put_all(made, there, _read(file.fileno()))
            opened = SqliteReader(copy, still=False)
            try:
                history = await opened.history()
                lists = await self._list(made, there, missing, opened.select(_BLOBS))
            finally:
                await opened.close()
        finally:
            drop(copy)
        return self._whole(made, "sqlite", history, [Part("metadata.sqlite", pieces)], lists)

    async def _of_postgresql(self, made: Made, there: set[str], missing: list[Blob]) -> Snapshot:
        from gati_registry.metadata.postgresql.tables import PostgresReader

        opened = await reader(self._settings, still=False)
        assert isinstance(opened, PostgresReader)
        try:
            history, parts = await opened.history(), list[Part]()
            for table in await opened.tables():
                pieces = await self._put_all(made, there, cut(opened.copied(table)))
                parts.append(Part(table.name, pieces, table.columns, table.counter))
            lists = await self._list(made, there, missing, opened.select(_BLOBS))
        finally:
            await opened.close()
        return self._whole(made, "postgresql", history, parts, lists)

    @staticmethod
    def _whole(made: Made, engine: str, history: History, parts: list[Part], lists: list[str]) -> Snapshot:
        steps = [(owner, number, checksum) for (owner, number), checksum in history.items()]
        return Snapshot(made.taken_at, engine, steps, parts, lists, made.blobs, made.bytes, [])

    async def _list(
        self, made: Made, there: set[str], missing: list[Blob], rows: AsyncIterator[Sequence[Row]]
    ) -> list[str]:
        """Keep the list of blobs, in pieces by the first byte of their digests; gather what the vault lacks."""
        lists: list[str] = []
        gathered: list[Row] = []
        prefix = ""
        async for batch in rows:
            for digest, size, stored_name, frame_bytes in batch:
                made.blobs += 1
                made.bytes += size
                blob = Blob(Digest(digest), size, stored_name, frame_bytes)
                if self._vault.blob_pieces(blob.kept_as, blob.stored_size)[-1] not in there:
                    missing.append(blob)
                if gathered and not digest.startswith(prefix):
                    lists.append(await self._put(made, there, json.dumps(gathered).encode()))
                    gathered = []
                prefix = digest[: digest.index(":") + 3]
                gathered.append((digest, size, stored_name, frame_bytes))
        if gathered:
            lists.append(await self._put(made, there, json.dumps(gathered).encode()))
        return lists

    async def _put_all(self, made: Made, there: set[str], pieces: AsyncIterator[bytes]) -> list[str]:
        """Keep pieces, some at a time; their names, in their order."""
        names: dict[int, str] = {}

        async def put(item: tuple[int, bytes]) -> None:
            names[item[0]] = await self._put(made, there, item[1])

        await each(_numbered(pieces), put)
        return [names[number] for number in range(len(names))]

    async def _put(self, made: Made, there: set[str], content: bytes) -> str:
        name = await asyncio.to_thread(self._vault.piece_name, content)
        if name not in there:
            written = await self._vault.put_piece(name, content)
            made.written += written
            there.add(name)  # only now: a round that failed is followed by others
        self._progress.add(len(content))
        return name

    # --- blobs --------------------------------------------------------------------------------------------------

    async def _copy(self, blob: Blob, made: Made, there: set[str]) -> None:
        try:
            opened = await opening(self._ring, blob.stored_name) if blob.frame_bytes else None
            pieces = checked(chunks(self._blobs, blob.stored_name, self._progress), blob.digest, blob.size, opened)
            written = await self._vault.put_blob(blob.kept_as, pieces)
        except (Damaged, FileNotFoundError) as error:
            # One blob that has rotted keeps nobody from backing up all the others.
            made.damaged.append((blob.digest, str(error) if isinstance(error, Damaged) else "its bytes are missing"))
            return
        made.new_blobs += 1
        made.written += written
        there.update(self._vault.blob_pieces(blob.kept_as, blob.stored_size))

    # --- retention ----------------------------------------------------------------------------------------------

    async def prune(self, keep: Keep) -> list[str]:
        """End the backups that the policy does not keep; their names.

        Raises:
            Unavailable: one that stays cannot be read; nothing more was removed.
        """
        names = await self._vault.snapshots()
        kept = keep.choose(names)
        gone = [name for name in names if name not in kept]
        if not gone:
            return []
        needed, lists = set[str](), set[str]()
        for name in kept:
            snapshot = await Snapshot.load(self._vault, name)
            needed |= snapshot.pieces()
            lists.update(snapshot.lists)
        for name in lists:  # most backups share most of them
            for blob in await listed(self._vault, name):
                needed.update(self._vault.blob_pieces(blob.kept_as, blob.stored_size))
        await self._vault.place.remove([f"snapshots/{name}" for name in gone])
        there = await self._known()
        for batch in batched(there - needed):
            await self._vault.place.remove(batch)
        there &= needed
        return gone


@dataclass(frozen=True, slots=True)
class Keep:
    """Which backups stay: the last ones, and the newest of each of so many hours, days, weeks and months (UTC).

    All of them where nothing is said.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    def choose(self, names: Sequence[str]) -> set[str]:
        """Those that stay; the newest always does."""
        newest_first = sorted(names, reverse=True)
        if not any((self.last, self.hourly, self.daily, self.weekly, self.monthly)):
            return set(names)
        kept = set(newest_first[: max(self.last, 1)])
        for number, form in (
            (self.hourly, "%Y-%m-%d %H"),
            (self.daily, "%Y-%m-%d"),
            (self.weekly, "%G-%V"),
            (self.monthly, "%Y-%m"),
        ):
            newest_of: dict[str, str] = {}
            for name in newest_first:
                newest_of.setdefault(moment_of(name).strftime(form), name)
            kept.update(list(newest_of.values())[:number])
        return kept


def moment_of(name: str) -> datetime:
    """When a backup was taken."""
    try:
        return datetime.strptime(name.rpartition("-")[0], "%Y-%m-%dT%H-%M-%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        raise Unavailable(f"{name} is no backup; what does it do in the backup's place?") from None


async def _iterated(blobs: Sequence[Blob]) -> AsyncIterator[Blob]:
    for blob in blobs:
        yield blob


async def _numbered(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    number = 0
    async for piece in pieces:
        yield number, piece
        number += 1


async def _read(descriptor: int) -> AsyncIterator[bytes]:
    offset = 0
    while data := await asyncio.to_thread(os.pread, descriptor, PAGES, offset):
        offset += len(data)
        yield data
