"""A registry out of a backup, into empty places; or all of a backup read, and nothing written.

Blobs first, then the database at once: bytes that no row names are nobody's. Crash points: (1) between blobs: what is
there with the right size was checked before it appeared, the next run goes on; (2) before the database is there: it
is made under another name, or in one transaction, and begun anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gati_registry.errors import Unavailable
from gati_registry.metadata.tables import Table, same_steps
from gati_registry.moving.blobs import Damaged, checked, each
from gati_registry.moving.places import steps, vacant, writer
from gati_registry.moving.progress import Progress
from gati_registry.moving.snapshots import Blob, Part, Snapshot
from gati_registry.moving.vault import Vault
from gati_registry.ports import Receiving
from gati_registry.settings import Settings


@dataclass(slots=True)
class Restored:
    """What was read, in numbers and bytes; `problems` are digests or names with what is wrong."""

    name: str
    taken_at: int
    blobs: int = 0
    bytes: int = 0
    there: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)


async def read_all(vault: Vault, name: str, progress: Progress) -> Restored:
    """Read every byte of a backup and compare digests; what is wrong is told, not raised.

    Raises:
        Unavailable: the list of what it holds cannot be read.
    """
    snapshot = await Snapshot.load(vault, name)
    found = Restored(name, snapshot.taken_at, problems=_lacking(snapshot))
    progress.stage("database", 0)

    async def piece(name: str) -> None:
        try:
            progress.add(len(await vault.piece(name)))
        except Unavailable as error:
            found.problems.append((name, error.message))

    await each(_iterated(sorted(snapshot.pieces())), piece)
    if found.problems and any(name in snapshot.lists for name, _ in found.problems):
        return found
    progress.stage("blobs", snapshot.bytes)

    async def blob(item: Blob) -> None:
        if item.digest in snapshot.damaged:
            return
        try:
            async for data in _sound(vault, item, progress):
                found.bytes += len(data)
        except (Damaged, Unavailable) as error:
            found.problems.append((item.digest, getattr(error, "message", str(error))))
            return
        found.blobs += 1

    await each(snapshot.listed(vault), blob)
    progress.end()
    return found


async def restore(vault: Vault, name: str, settings: Settings, target: Receiving, progress: Progress) -> Restored:
    """Bring a registry back where the settings say; the database comes with the engine that it was backed up from.

    Raises:
        Unavailable: there is a database already; or the backup lacks something that its database names.
        MigrationError: this version, or its extensions, cannot make the backup's schema.
    """
    snapshot = await Snapshot.load(vault, name)
    if (snapshot.engine == "postgresql") != settings.shared_metadata:
        raise Unavailable(f"the backup is of {snapshot.engine}: restore it there, then use migrate-storage")
    known = steps(snapshot.engine)
    same_steps({(owner, number): checksum for owner, number, checksum in snapshot.history}, known)
    await vacant(settings)
    done = Restored(name, snapshot.taken_at, problems=_lacking(snapshot))
    progress.stage("blobs", snapshot.bytes)

    async def bring(blob: Blob) -> None:
        if blob.digest in snapshot.damaged:
            return
        if await target.size(blob.stored_name) == blob.stored_size:
            done.there += 1
            progress.add(blob.size, skipped=True)
            return
        try:
            await target.receive(blob.stored_name, _sound(vault, blob, progress))
        except Damaged as error:
            raise Unavailable(f"the backup's {blob.digest} is damaged: {error}") from error
        done.blobs += 1
        done.bytes += blob.size

    await each(snapshot.listed(vault), bring)
    progress.stage("database", 0)
    if snapshot.engine == "sqlite":
        await _sqlite(vault, snapshot.parts, settings.metadata_path, progress)
    else:
        await _postgresql(vault, snapshot, settings, progress)
    progress.end()
    return done


async def _sqlite(vault: Vault, parts: Sequence[Part], path: Path, progress: Progress) -> None:
    from gati_registry.metadata.sqlite.tables import awaken, drop, put_in_place

    making = path.with_name(f"{path.name}.making")
    path.parent.mkdir(parents=True, exist_ok=True)
    drop(making)
    with making.open("wb") as file:
        for part in parts:
            async for data in _pieces(vault, part, progress):
                await asyncio.to_thread(file.write, data)
    await asyncio.to_thread(awaken, making)
    put_in_place(making, path)


async def _postgresql(vault: Vault, snapshot: Snapshot, settings: Settings, progress: Progress) -> None:
    from gati_registry.metadata.postgresql.tables import PostgresWriter

    made = await writer(settings)
    assert isinstance(made, PostgresWriter)
    history = {(owner, number): checksum for owner, number, checksum in snapshot.history}
    try:
        await made.lay_out(same_steps(history, steps("postgresql")))
        for part in snapshot.parts:
            await made.copy(Table(part.name, tuple(part.columns), part.counter), _pieces(vault, part, progress))
        await made.finish()
    finally:
        await made.close()


async def _pieces(vault: Vault, part: Part, progress: Progress) -> AsyncIterator[bytes]:
    async for data in vault.pieces(part.pieces):
        progress.add(len(data))
        yield data


def _sound(vault: Vault, blob: Blob, progress: Progress) -> AsyncIterator[bytes]:
    """A blob as it is to lie in the store. Encrypted bytes were compared with their digest when they were backed up,
    and the vault's seals show that they are the same.

    Raises:
        Damaged: it is not what it should be.
        Unavailable: a piece is missing or damaged.
    """
    pieces = _counted(vault.blob(blob.kept_as, blob.stored_size), progress)
    return _complete(pieces, blob.stored_size) if blob.frame_bytes else checked(pieces, blob.digest, blob.size)


async def _complete(pieces: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    async for data in pieces:
        size -= len(data)
        if size < 0:
            break
        yield data
    if size:
        raise Damaged("it has another length than its list says")


async def _counted(pieces: AsyncIterator[bytes], progress: Progress) -> AsyncIterator[bytes]:
    async for data in pieces:
        progress.add(len(data))
        yield data


async def _iterated(names: Sequence[str]) -> AsyncIterator[str]:
    for name in names:
        yield name


def _lacking(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(digest, "was damaged in the registry when the backup was made") for digest in snapshot.damaged]
