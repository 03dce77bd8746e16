"""The audit API."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence

from gati_extensions.audit import merkle, privacy, store, view
from gati_extensions.audit.keys import Keys
from gati_extensions.audit.model import (
    CheckpointAnswer,
    ConsistencyProof,
    ConsistencyQuery,
    EntriesQuery,
    Entry,
    Erased,
    ExportQuery,
    InclusionProof,
    InclusionQuery,
    KeyAnswer,
    KeysAnswer,
)
from gati_extensions.audit.notes import Checkpoint
from gati_extensions.audit.sequencer import BATCH, Sequencer, StoredTiles
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Answer, Call, Kernel, Page, Permission, Route, Transaction

READ = Permission("audit.read", Action.OPERATE)
READ_NAMESPACE = Permission("audit.read-namespace", Action.ADMINISTER, on="path")
CHECK = Permission("audit.check", Action.SIGN_IN)
PERSONS = Permission("audit.persons", Action.OPERATE)

_CHUNK = 500
"""Entries that an export reads at a time."""

_STEPS = 50
"""Transactions of the sequencer that a reader waits for at most; where more comes in all the time, its job goes on."""

_GONE = "this leaf is not in the tree; see the `id` of an entry, and `size` of the checkpoint"


class Endpoints:
    """Handlers."""

    def __init__(self, kernel: Kernel, sequencer: Sequencer) -> None:
        self._kernel = kernel
        self._sequencer = sequencer

    def routes(self) -> Sequence[Route]:
        """The table."""
        return (
            Route("GET", "entries", READ, self.entries, "Entries, newest first", query=EntriesQuery,
                  answer=Page[Entry]),
            Route("GET", "namespaces/{path:path}/entries", READ_NAMESPACE, self.of_namespace,
                  "Entries of a namespace and all below it", query=EntriesQuery, answer=Page[Entry]),
            Route("GET", "export", READ, self.export, "Entries as JSON Lines or CSV, newest first", query=ExportQuery),
            Route("GET", "checkpoint", CHECK, self.checkpoint, "The newest signed checkpoint",
                  answer=CheckpointAnswer),
            Route("GET", "keys", CHECK, self.keys, "Public keys of checkpoints", answer=KeysAnswer),
            Route("GET", "proof/inclusion", READ, self.inclusion, "Proof that an entry is in the tree",
                  query=InclusionQuery, answer=InclusionProof),
            Route("GET", "proof/consistency", CHECK, self.consistency, "Proof that nothing was changed in between",
                  query=ConsistencyQuery, answer=ConsistencyProof),
            Route("GET", "persons/{name}", PERSONS, self.person, "All that the log holds of a person, as JSON Lines"),
            Route("DELETE", "persons/{name}", PERSONS, self.erase, "Erase a person from the log", answer=Erased),
        )  # fmt: skip

    # --- entries ------------------------------------------------------------------------------------------------

    async def entries(self, call: Call) -> Page[Entry]:
        """All that fit."""
        return await self._page(call.query, None)

    async def of_namespace(self, call: Call) -> Page[Entry]:
        """Those of one namespace."""
        return await self._page(call.query, call.parameters["path"].strip("/"))

    async def _page(self, asked: EntriesQuery, within: str | None) -> Page[Entry]:
        place = _place(asked.cursor)
        await self._up_to_date()

        async def work(tx: Transaction) -> Page[Entry]:
            query = await view.query_of(tx, asked, within)
            lines, after = await store.page(tx, query, place, asked.limit)
            persons = await view.persons_of(tx, lines)
            items = [view.shown(line, persons, origins=within is None) for line in lines]
            return Page(items=items, next=".".join(map(str, after)) if after is not None else None)

        return await self._kernel.database.scan(work)

    async def export(self, call: Call) -> Answer:
        """A stream."""
        asked: ExportQuery = call.query
        await self._up_to_date()
        query = await self._kernel.database.scan(lambda tx: view.query_of(tx, asked))
        if asked.format == "jsonl":
            return Answer(body=self._jsonl([query]), media_type="application/jsonl")
        return Answer(
            body=self._csv(query),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
        )

    async def _jsonl(self, queries: Sequence[store.Query]) -> AsyncIterator[bytes]:
        for query in queries:
            async for part in self._all(query):
                yield view.json_lines(part)

    async def _csv(self, query: store.Query) -> AsyncIterator[bytes]:
        yield view.csv_head()
        async for part in self._all(query):
            yield view.csv_lines(part)

    async def _all(self, query: store.Query) -> AsyncIterator[list[Entry]]:
        place: store.Place | None = store.LATEST
        while place is not None:
            at = place

            async def work(tx: Transaction, at: store.Place = at) -> tuple[list[Entry], store.Place | None]:
                lines, after = await store.page(tx, query, at, _CHUNK)
                persons = await view.persons_of(tx, lines)
                return [view.shown(line, persons, origins=True) for line in lines], after

            part, place = await self._kernel.database.scan(work, may_lag=True)
            yield part

    # --- the tree -----------------------------------------------------------------------------------------------

    async def checkpoint(self, call: Call) -> CheckpointAnswer | Answer:
        """As JSON, or as the note that programs for transparency logs read."""
        await self._up_to_date()
        size, time, note = await self._newest()
        if "text/plain" in (call.header("accept") or ""):
            return Answer(body=note.encode(), media_type="text/plain; charset=utf-8")
        found = Checkpoint.parse(note)
        return CheckpointAnswer(
            origin=found.origin, size=size, root=_base64(found.root), time=view.rfc3339(time), note=note
        )

    async def keys(self, _: Call) -> KeysAnswer:
        """Newest first."""
        await self._newest()
        found = await self._kernel.database.read(Keys.public)
        return KeysAnswer(
            items=[KeyAnswer(name=key.name, verifier=str(key), public=_base64(key.public)) for key in found]
        )

    async def inclusion(self, call: Call) -> InclusionProof:
        """Of one entry, or of the segment that it is in."""
        asked: InclusionQuery = call.query
        leaf = int(asked.entry.partition(".")[0])
        await self._up_to_date()
        size = asked.size if asked.size is not None else await self._newest_over(leaf)

        async def work(tx: Transaction) -> InclusionProof:
            await _check_size(tx, size, "size")
            if leaf >= size:
                raise RegistryError(Code.NOT_FOUND, _GONE)
            tiles = StoredTiles(tx)
            data = await store.leaf_bytes(tx, leaf)
            return InclusionProof(
                entry=asked.entry,
                index=leaf,
                size=size,
                leaf=data.decode("ascii") if data is not None else None,
                leaf_hash=_base64(await merkle.subtree(tiles, leaf, leaf + 1)),
                hashes=[_base64(found) for found in await merkle.inclusion(tiles, leaf, size)],
                root=_base64(await merkle.root(tiles, size)),
            )

        return await self._kernel.database.scan(work)

    async def consistency(self, call: Call) -> ConsistencyProof:
        """Of an earlier tree with a later one."""
        asked: ConsistencyQuery = call.query
        await self._up_to_date()
        second = asked.second if asked.second is not None else (await self._newest())[0]
        if asked.first > second:
            raise RegistryError(Code.INVALID, "the query is not valid: /first: may not exceed second")

        async def work(tx: Transaction) -> ConsistencyProof:
            await _check_size(tx, second, "second")
            tiles = StoredTiles(tx)
            return ConsistencyProof(
                first=asked.first,
                second=second,
                hashes=[_base64(found) for found in await merkle.consistency(tiles, asked.first, second)],
                first_root=_base64(await merkle.root(tiles, asked.first)),
                second_root=_base64(await merkle.root(tiles, second)),
            )

        return await self._kernel.database.scan(work)

    async def _up_to_date(self) -> None:
        """Whoever reads the log finds what was committed before."""
        if await self._sequencer.waiting():
            for _ in range(_STEPS):
                if await self._sequencer.step() < BATCH:
                    break

    async def _newest(self) -> tuple[int, int, str]:
        found = await self._kernel.database.read(newest_checkpoint)
        if found is None:
            await self._sequencer.step(checkpoint=True)
            found = await self._kernel.database.read(newest_checkpoint)
        if found is None:
            raise RegistryError(Code.NOT_FOUND, "nothing was logged yet")
        return found

    async def _newest_over(self, leaf: int) -> int:
        """The size of the newest checkpoint; one is signed if it does not reach to the leaf."""
        size = (await self._newest())[0]
        if size <= leaf:
            await self._sequencer.step(checkpoint=True)
            size = (await self._newest())[0]
        return size

    # --- persons ------------------------------------------------------------------------------------------------

    async def person(self, call: Call) -> Answer:
        """A stream: what they did, then what was done about them."""
        await self._up_to_date()
        known = await self._known(call)
        queries = [store.Query(actors=tuple(known)), store.Query(subjects=tuple(known))]
        return Answer(body=self._jsonl(queries), media_type="application/jsonl")

    async def erase(self, call: Call) -> Erased:
        """For good; the log keeps what happened, under pseudonyms that nobody can tell any more."""
        await self._up_to_date()
        known = await self._known(call)
        now = self._kernel.clock.now()
        await self._kernel.database.write(lambda tx: privacy.erase(tx, self._kernel.core, known, call.caller, now))
        return Erased(pseudonyms=known)

    async def _known(self, call: Call) -> list[str]:
        known = await self._kernel.database.read(lambda tx: view.pseudonyms(tx, call.parameters["name"]))
        if not known:
            raise RegistryError(Code.NOT_FOUND, "the log knows nobody of this name")
        return known


async def newest_checkpoint(tx: Transaction) -> tuple[int, int, str] | None:
    """Size, time and note."""
    row = await tx.one("SELECT size, time, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1")
    return (row[0], row[1], row[2]) if row is not None else None


async def _check_size(tx: Transaction, size: int, name: str) -> None:
    row = await tx.one("SELECT size FROM audit_tree WHERE id = 1")
    assert row is not None
    if size > row[0]:
        raise RegistryError(Code.INVALID, f"the query is not valid: /{name}: the tree has {row[0]} leaves")


def _place(cursor: str) -> store.Place:
    if not cursor:
        return store.LATEST
    parts = cursor.split(".")
    try:
        time, leaf, number = (int(part) for part in parts)
    except ValueError:
        raise RegistryError(Code.INVALID, "the query is not valid: /cursor: use `next` of the page before") from None
    return (min(time, 2**62), max(min(leaf, 2**62), -1), max(min(number, 2**62), -1))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
