"""Gives what waits in the inbox its leaves, and signs checkpoints.

One transaction takes rows out of the inbox, writes entries or segments, appends to the tree and signs a checkpoint if
one is due. Crash points: before its commit nothing has happened and the rows still wait; after it all has. It begins by
changing the tree's one row, so that two that run at once go one after the other, and the second finds what is left:
the job's lease only saves the work.
"""

from __future__ import annotations

from gati_extensions.audit import merkle, record
from gati_extensions.audit.keys import Keys
from gati_extensions.audit.notes import Signer
from gati_extensions.audit.persons import Persons
from gati_extensions.audit.segments import Segment
from gati_extensions.identity.api import Accounts
from gati_registry.extension import Clock, Database, Transaction

BATCH = 200
"""Leaves of one transaction: it holds up other writers for a few milliseconds."""


class StoredTiles:
    """`merkle.Tiles` in the database."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def read(self, level: int, index: int) -> bytes:
        row = await self._tx.one(
            "SELECT hashes FROM audit_tile WHERE level = :level AND number = :number", level=level, number=index
        )
        return bytes(row[0]) if row else b""

    async def write(self, level: int, index: int, hashes: bytes) -> None:
        await self._tx.send(
            "INSERT INTO audit_tile (level, number, hashes) VALUES (:level, :number, :hashes)"
            " ON CONFLICT (level, number) DO UPDATE SET hashes = :hashes",
            level=level,
            number=index,
            hashes=hashes,
        )


class Sequencer:
    """The one way into the tree. A checkpoint is due after `interval` milliseconds or `entries` leaves."""

    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        clock: Clock,
        keys: Keys,
        *,
        interval: int,
        entries: int,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._clock = clock
        self._keys = keys
        self._interval = interval
        self._entries = entries

    async def due(self) -> bool:
        """Whether there is something to do; costs no write."""
        now = self._clock.now()

        async def look(tx: Transaction) -> bool:
            if await _waiting(tx):
                return True
            size, signed, at = await _state(tx)
            return size > signed and now - at >= self._interval

        return await self._database.read(look)

    async def waiting(self) -> bool:
        """Whether the inbox holds something."""
        return await self._database.read(_waiting)

    async def run(self) -> None:
        """Sequence all that waits now."""
        while await self.step() == BATCH:
            pass

    async def step(self, *, checkpoint: bool = False) -> int:
        """One transaction; how many leaves it made. With `checkpoint`, one is signed for all that is there."""
        now = self._clock.now()
        return await self._database.write(lambda tx: self._sequence(tx, now, checkpoint))

    async def _sequence(self, tx: Transaction, now: int, force: bool) -> int:
        await tx.run("UPDATE audit_tree SET size = size WHERE id = 1")
        size, signed, at = await _state(tx)
        rows = await tx.all(
            "DELETE FROM audit_inbox WHERE id IN (SELECT id FROM audit_inbox ORDER BY id LIMIT :batch)"
            " RETURNING id, kind, body",
            batch=BATCH,
        )
        persons = Persons(tx, self._accounts, now)
        hashes = []
        for leaf, (_, kind, body) in enumerate(sorted(rows), start=size):
            hashes.append(await (_segment(tx, leaf, body) if kind == "segment" else _entry(tx, leaf, body, persons)))
        tiles = StoredTiles(tx)
        await merkle.append(tiles, size, hashes)
        size += len(rows)
        await tx.run("UPDATE audit_tree SET size = :size WHERE id = 1", size=size)
        if size > signed and (force or now - at >= self._interval or size - signed >= self._entries):
            await _sign(tx, tiles, size, now, await self._keys.signer(tx, now))
        return len(rows)


async def _entry(tx: Transaction, leaf: int, body: bytes, persons: Persons) -> bytes:
    line = await record.entry(leaf, body, persons)
    await record.insert(tx, line)
    return merkle.leaf_hash(line.leaf_bytes())


async def _segment(tx: Transaction, leaf: int, body: bytes) -> bytes:
    segment = Segment.unpacked(body)
    await tx.send(
        "INSERT INTO audit_segment (leaf, first_time, last_time, lines, body)"
        " VALUES (:leaf, :first, :last, :lines, :body)",
        leaf=leaf,
        first=segment.first_time,
        last=segment.last_time,
        lines=segment.lines,
        body=segment.body,
    )
    for term in segment.terms:
        await tx.send(
            "INSERT INTO audit_mention (term, last_time, leaf) VALUES (:term, :last, :leaf)",
            term=term,
            last=segment.last_time,
            leaf=leaf,
        )
    return bytes.fromhex(segment.hash)


async def _waiting(tx: Transaction) -> bool:
    return await tx.one("SELECT 1 FROM audit_inbox LIMIT 1") is not None


async def _state(tx: Transaction) -> tuple[int, int, int]:
    """Size of the tree; size and time of the last checkpoint."""
    tree = await tx.one("SELECT size FROM audit_tree WHERE id = 1")
    last = await tx.one("SELECT size, time FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
    assert tree is not None
    return (tree[0], *(last or (0, 0)))


async def _sign(tx: Transaction, tiles: StoredTiles, size: int, now: int, signer: Signer) -> None:
    """Store a checkpoint of the tree as it is."""
    note = signer.sign(size, await merkle.root(tiles, size))
    await tx.run(
        "INSERT INTO audit_checkpoint (size, time, note) VALUES (:size, :now, :note) ON CONFLICT (size) DO NOTHING",
        size=size,
        now=now,
        note=note,
    )
