"""`gati-registry audit verify`: computes the whole log anew from its rows and compares.

Found are: a row that was changed, removed, inserted or exchanged with another; a tile that was changed; a tree that is
not the one a checkpoint was signed for, with the leaves among which the change is; a segment whose columns, by which
it is found, are not its content's; a pseudonym that was given to somebody else; entries removed by other means than
retention. Whoever can write the database and has the private key can make all of it fit: against that helps a key in
a file, or a checkpoint that was kept elsewhere (`--checkpoint`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gati_extensions.audit import merkle, segments, store
from gati_extensions.audit.keys import Keys
from gati_extensions.audit.notes import Checkpoint, PublicKey
from gati_extensions.audit.persons import Person
from gati_extensions.audit.sequencer import StoredTiles
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Database, Kernel, Transaction

CHUNK = 4 * merkle.WIDTH
"""Leaves of one transaction; whole tiles."""

MOST_TOLD = 100
"""Problems that are told; further ones are counted."""


@dataclass(slots=True)
class Report:
    """What was looked at, and what is wrong."""

    leaves: int = 0
    pruned: int = 0
    entries: int = 0
    segments: int = 0
    checkpoints: int = 0
    found: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, message: str, **where: int | str) -> None:
        """Something is wrong."""
        self.found += 1
        if len(self.problems) < MOST_TOLD:
            self.problems.append({"kind": kind, **where, "message": message})


@dataclass(frozen=True, slots=True)
class _Log:
    """The log's frame when verification began; what is appended later is left for the next time."""

    size: int
    pruned: int
    keys: Mapping[bytes, PublicKey]
    checkpoints: tuple[tuple[int, str], ...]


class _Frontier:
    """The tree as far as it has been computed: the roots of its whole subtrees, largest first."""

    def __init__(self) -> None:
        self._roots: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> Iterator[tuple[int, bytes]]:
        """One more leaf; the levels and hashes of nodes that tiles hold, as they become known."""
        height, node = 0, leaf
        yield 0, node
        while self._roots and self._roots[-1][0] == height:
            node = merkle.node_hash(self._roots.pop()[1], node)
            height += 1
            if height % 8 == 0:
                yield height // 8, node
        self._roots.append((height, node))

    def root(self) -> bytes:
        """Of all leaves so far."""
        if not self._roots:
            return merkle.EMPTY
        node = self._roots[-1][1]
        for _, left in self._roots[-2::-1]:
            node = merkle.node_hash(left, node)
        return node


class Verifier:
    """Goes through the log once, from its first leaf to its last, in short transactions.

    Rows are compared with the hashes of the tree's lowest tiles, those with the tiles above and with what was signed:
    so a changed row is told as that and does not make all later checkpoints wrong. `kept` is a checkpoint that
    was kept elsewhere.
    """

    def __init__(self, database: Database, kept: str | None = None) -> None:
        self._database = database
        self._kept = kept
        self._report = Report()
        self._frontier = _Frontier()
        self._above: dict[int, list[bytes]] = {}
        self._counts: dict[int, int] = {}
        self._differing: dict[int, tuple[bytes, bytes]] = {}
        self._agreed = 0

    async def run(self) -> Report:
        """The findings."""
        report = self._report
        log = await self._database.scan(_frame)
        report.leaves, report.pruned, report.checkpoints = log.size, log.pruned, len(log.checkpoints)
        signed = self._signed(log)
        for start in range(0, log.size, CHUNK):
            end = min(start + CHUNK, log.size)
            hashes = await self._database.scan(lambda tx, a=start, b=end: self._chunk(tx, a, b))  # type: ignore[misc]
            for leaf, stored in enumerate(hashes, start=start):
                for level, node in self._frontier.add(stored):
                    if level:
                        await self._node(level, node)
                self._compare(signed.pop(leaf + 1, None), leaf + 1)
        for level in list(self._above):
            await self._tile(level)
        for size in signed:
            report.add(
                "checkpoint", f"a checkpoint was signed for {size} leaves, and the log has {log.size}", size=size
            )
        self._exchanged()
        await self._database.scan(lambda tx: self._outside(tx, log))
        return report

    # --- checkpoints --------------------------------------------------------------------------------------------

    def _signed(self, log: _Log) -> dict[int, bytes]:
        """Sizes and roots that were signed, as far as the signatures are right."""
        found: dict[int, bytes] = {}
        notes = [*log.checkpoints, *([(None, self._kept)] if self._kept is not None else [])]
        for size, note in notes:
            try:
                checkpoint = _checked(note, log.keys)
                if size is not None and checkpoint.size != size:
                    raise ValueError(f"it is for {checkpoint.size} leaves")
            except ValueError as error:
                which = f"of {size} leaves" if size is not None else "that was kept"
                self._report.add("checkpoint", f"the checkpoint {which} is not good: {error}", size=size or 0)
                continue
            if found.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                told = "the checkpoint that was kept has another root than the log's own"
                self._report.add("checkpoint", told, size=checkpoint.size)
        return found

    def _compare(self, root: bytes | None, size: int) -> None:
        if root is None or self._agreed < 0:
            return
        if self._frontier.root() == root:
            self._agreed = size
            return
        self._report.add(
            "checkpoint",
            f"the tree of {size} leaves is not the one that was signed; the change is among leaves {self._agreed} to "
            f"{size - 1}, and what was signed later cannot be told from it",
            size=size,
            first=self._agreed,
        )
        self._agreed = -1

    # --- tiles --------------------------------------------------------------------------------------------------

    async def _node(self, level: int, node: bytes) -> None:
        nodes = self._above.setdefault(level, [])
        nodes.append(node)
        if len(nodes) == merkle.WIDTH:
            await self._tile(level)

    async def _tile(self, level: int) -> None:
        nodes, number = self._above.pop(level), self._counts.get(level, 0)
        self._counts[level] = number + 1
        stored = await self._database.scan(lambda tx: StoredTiles(tx).read(level, number))
        if stored[: len(nodes) * merkle.HASH] != b"".join(nodes):
            self._report.add("tile", f"tile {number} of level {level} is not made of the tiles below it", level=level)

    # --- rows ---------------------------------------------------------------------------------------------------

    async def _chunk(self, tx: Transaction, start: int, end: int) -> list[bytes]:
        """The tree's hashes of some leaves; their rows are compared with them."""
        report, tiles = self._report, StoredTiles(tx)
        tree = await tx.one("SELECT pruned FROM audit_tree WHERE id = 1")
        pruned = tree[0] if tree else 0
        stored = b""
        for index in range(start // merkle.WIDTH, (end - 1) // merkle.WIDTH + 1):
            stored += (await tiles.read(0, index)).ljust(merkle.WIDTH * merkle.HASH, b"\0")
        computed = await self._computed(tx, start, end)
        found = []
        for leaf in range(start, end):
            at = (leaf - start) * merkle.HASH
            hash_ = stored[at : at + merkle.HASH]
            found.append(hash_)
            own = computed.get(leaf)
            if own is None and leaf >= pruned:
                report.add("removed", f"the row of leaf {leaf} is missing", leaf=leaf)
            elif own is not None and leaf < pruned:
                report.add("inserted", f"leaf {leaf} has a row, and was removed by retention", leaf=leaf)
            elif own is not None and own != hash_:
                self._differing[leaf] = (own, hash_)
        return found

    async def _computed(self, tx: Transaction, start: int, end: int) -> dict[int, bytes]:
        """Hashes of leaves by what their rows say now; of a row that says nothing, no hash at all."""
        report = self._report
        lines = await store.entries_of(tx, start, end)
        found = {line.leaf: merkle.leaf_hash(line.leaf_bytes()) for line in lines}
        report.entries += len(lines)
        terms: dict[int, set[str]] = {}
        for leaf, term in await store.mentions_of(tx, start, end):
            terms.setdefault(leaf, set()).add(term)
        for leaf, body, *told in await store.segments_of(tx, start, end):
            report.segments += 1
            if leaf in found:
                report.add("inserted", f"leaf {leaf} has two rows, an entry's and a segment's", leaf=leaf)
            try:
                data = segments.inflated(bytes(body))
                *columns, mentioned = segments.summary(data)
            except (ValueError, KeyError, IndexError, TypeError):
                found[leaf] = b""
                continue
            found[leaf] = merkle.leaf_hash(data)
            if [*columns, set(mentioned)] != [*told, terms.pop(leaf, set())]:
                report.add("changed", f"segment {leaf} is filed under what it does not tell", leaf=leaf)
        for leaf in terms:
            report.add("inserted", f"leaf {leaf} is filed as a segment and is none", leaf=leaf)
        return found

    def _exchanged(self) -> None:
        """Tell of rows whose hashes differ; whether one says what another leaf's should."""
        should = {stored: leaf for leaf, (_, stored) in self._differing.items()}
        for leaf, (own, _) in self._differing.items():
            other = should.get(own)
            if other is None:
                self._report.add("changed", f"the row of leaf {leaf} is not what was logged", leaf=leaf)
            else:
                self._report.add(
                    "reordered", f"the row of leaf {leaf} is the one of leaf {other}", leaf=leaf, other=other
                )

    async def _outside(self, tx: Transaction, log: _Log) -> None:
        """What belongs to no leaf of the tree."""
        report = self._report
        tree = await tx.one("SELECT size FROM audit_tree WHERE id = 1")
        for leaf in await store.outside(tx, tree[0] if tree else 0, MOST_TOLD):
            report.add("inserted", f"leaf {leaf} has a row and is not in the tree", leaf=leaf)
        for row in await tx.all("SELECT id, account_id, name, key FROM audit_person"):
            person = Person(*row)
            if not person.sound:
                report.add("person", f"{person.id} was made for somebody else than its row says", person=person.id)
        if log.pruned and log.pruned not in await _retained(tx):
            report.add("removed", f"leaves before {log.pruned} are gone, and no entry of retention says so", leaf=0)


async def _frame(tx: Transaction) -> _Log:
    tree = await tx.one("SELECT size, pruned FROM audit_tree WHERE id = 1")
    if tree is None:
        raise RegistryError(Code.NOT_FOUND, "the log's tree is missing; restore the database")
    rows = await tx.all("SELECT size, note FROM audit_checkpoint ORDER BY size")
    keys = {key.short: key for key in await Keys.public(tx)}
    return _Log(tree[0], tree[1], keys, tuple((row[0], row[1]) for row in rows))


def _checked(note: str, keys: Mapping[bytes, PublicKey]) -> Checkpoint:
    error = ValueError("no key of this log is known")
    for key in keys.values():
        try:
            return key.verify(note)
        except ValueError as reason:
            error = reason
    raise error


async def _retained(tx: Transaction) -> set[int]:
    """Numbers of leaves up to which retention says to have removed rows."""
    rows = await tx.all("SELECT changes FROM audit_entry WHERE action = 'audit.retention.delete'")
    patches = [json.loads(row[0])["patch"] for row in rows if row[0] is not None]
    for (body,) in await tx.all("SELECT body FROM audit_inbox WHERE kind = 'entry'"):
        noted = json.loads(body)
        if noted.get("detail", {}).get("subject") == "audit.retention":
            patches.append(noted["changes"])
    return {
        step["value"] for patch in patches for step in patch if step["op"] == "replace" and step["path"] == "/first"
    }


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(
            Code.INVALID, f"--checkpoint: cannot be read ({type(error).__name__}); name a file with a signed note"
        ) from None


async def command(kernel: Kernel, arguments: argparse.Namespace) -> int:
    """The command; 0 where all fits, 1 where it does not."""
    kept = await asyncio.to_thread(_read, arguments.checkpoint) if arguments.checkpoint is not None else None
    report = await Verifier(kernel.database, kept).run()
    if arguments.output == "json":
        document = {"ok": not report.found, **asdict(report)}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        for problem in report.problems:
            sys.stdout.write(f"{problem['kind']}: {problem['message']}\n")
        if report.found > len(report.problems):
            sys.stdout.write(f"and {report.found - len(report.problems)} more\n")
        verdict = f"{report.found} problems" if report.found else "all fits"
        sys.stdout.write(
            f"{report.leaves} leaves ({report.entries} entries, {report.segments} segments, {report.pruned} removed by "
            f"retention), {report.checkpoints} checkpoints: {verdict}\n"
        )
    return 1 if report.found else 0
