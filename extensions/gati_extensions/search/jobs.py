"""Keeping the index: what has changed is indexed, downloads are followed, and all of it is built anew.

    change ──note in its transaction──▶ search_dirty ──Indexer, four times a second──▶ index(es)

Crash points of the indexer: (1) read, (2) put into the index, (3) taken off the notes. Before (3) all is done again,
with the same end. A worker that is killed within keeps the job's lease for two minutes; then another one goes on.

Building goes beside everything else: an empty index is made, filled in the order of names, and serves from then on in
which it holds everything; changes go into both meanwhile. A build that was stopped begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.kinds.api import Catalogue
from gati_extensions.search.expression import EVERYTHING, Has, Or
from gati_extensions.search.gathering import Gathering
from gati_extensions.search.ports import Document, Query, SearchIndex
from gati_extensions.search.store import queue
from gati_extensions.search.types.index import Methods
from gati_registry.errors import RegistryError
from gati_registry.extension import ENABLED_FACT, Kernel, Transaction, Visible

AT_ONCE = 50
"""Artifacts of one transaction."""

INTERVAL = 0.25
"""Seconds between two looks for changes."""

BUILD_INTERVAL = 2.0
DOWNLOADS_INTERVAL = 30.0
LOOK_BACK = 10_000
"""Milliseconds: a count that was begun so long ago is committed by now."""

WANTED, DONE = "wanted", "done"
BUILD_FACT = "search.build"
DOWNLOADS_FACT = "search.downloads"


class Indexer:
    """The job that indexes changes."""

    def __init__(
        self, kernel: Kernel, index: SearchIndex, catalogue: Catalogue, gathering: Gathering, methods: Methods
    ) -> None:
        self._methods = methods
        self._database = kernel.database
        self._clock = kernel.clock
        self._outside = kernel.search_url is not None
        self._index = index
        self._catalogue = catalogue
        self._gathering = gathering

    async def due(self) -> bool:
        """Whether anything waits."""
        return await self._database.read(queue.any_)

    async def __call__(self) -> None:
        """Index all that waits."""
        while await self.step():
            pass

    async def step(self) -> bool:
        """Index some; whether there was anything."""
        if await self._single():
            return True
        found = await self._database.scan(lambda tx: queue.some(tx, 1, below=True))
        if not found:
            return False
        await self._below(found[0].name)
        await self._database.write(lambda tx: queue.done(tx, found))
        return True

    async def _single(self) -> bool:
        """Index some that were noted by their names; whether there were any."""
        found = await self._database.scan(lambda tx: queue.some(tx, AT_ONCE, below=False))
        if not found:
            return False
        await self._names([one.name for one in found])
        await self._database.write(lambda tx: queue.done(tx, found))
        return True

    async def _names(self, names: Sequence[str]) -> None:
        if names:
            # An index outside of the database may get this late, after what another worker has read later.
            outside = self._outside
            revision = await self._database.write(lambda tx: queue.turn(tx, self._clock.now())) if outside else 0
            documents = await self._database.scan(lambda tx: self._gathering.documents(tx, names))
            there = {document.name for document in documents}
            gone = [name for name in names if name not in there]
            await self._index.put(documents, gone, revision=revision)
            await self._methods.update(names)

    async def _below(self, path: str) -> None:
        """All at and below a path: those that are there, and those that the index has. What is pushed meanwhile does
        not wait for all of them."""
        after = ""
        while names := await self._database.scan(lambda tx: self._catalogue.names(tx, path, after, AT_ONCE)):  # noqa: B023 - awaited here, within the same turn
            await self._names(names)
            await self._single()
            after = names[-1]
        await self._methods.below(path)
        if not await self._index.built():
            # Only what serves can be asked for names that are gone: what is being built begins anew.
            await self._database.write(lambda tx: tx.leases.set_fact(BUILD_FACT, WANTED))
            return
        key: tuple[float | str, str] | None = None
        expression = Or((Has("namespace", path), Has("name", path))) if path else EVERYTHING
        while True:
            page = await self._index.search(
                Query(expression, sort="name", limit=AT_ONCE, after=key, facets=False, raw=True)
            )
            names = [hit.document.name for hit in page.hits]
            there = await self._database.scan(lambda tx: self._catalogue.existing(tx, names, Visible()))  # noqa: B023 - awaited here, within the same turn
            await self._names(sorted({*names} - {*there}))
            await self._single()
            if not page.more:
                return
            key = page.hits[-1].key

    # --- downloads ---------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Note artifacts whose downloads were counted since the last time."""
        now = self._clock.now()
        since = await self._database.read(_since)
        place = (since, "")
        while found := await self._database.scan(
            lambda tx: self._catalogue.downloaded_since(tx, place[0], place[1], 500)  # noqa: B023 - awaited here, within the same turn
        ):
            names = [name for _, name in found]
            await self._database.write(lambda tx: _note(tx, names))  # noqa: B023 - awaited here, within the same turn
            place = found[-1]
        await self._database.write(lambda tx: tx.leases.set_fact(DOWNLOADS_FACT, str(now - LOOK_BACK)))

    async def downloaded(self) -> bool:
        """Whether there are any."""
        since = await self._database.read(_since)
        return bool(await self._database.read(lambda tx: self._catalogue.downloaded_since(tx, since, "", 1)))


async def _since(tx: Transaction) -> int:
    return int(await tx.leases.get_fact(DOWNLOADS_FACT) or 0)


async def _note(tx: Transaction, names: Sequence[str]) -> None:
    for name in sorted(names):
        await queue.note(tx, name, False)


class Builder:
    """The job that builds an index: the first one, and whenever it is asked for."""

    def __init__(
        self, kernel: Kernel, index: SearchIndex, catalogue: Catalogue, gathering: Gathering, methods: Methods
    ) -> None:
        self._methods = methods
        self._database = kernel.database
        self._log = kernel.log
        self._outside = kernel.search_url is not None
        self._index = index
        self._catalogue = catalogue
        self._gathering = gathering

    async def due(self) -> bool:
        """Whether there is none, or another one is wanted."""
        if await self._database.read(lambda tx: tx.leases.get_fact(BUILD_FACT)) == WANTED:
            return True
        return not await self._index.built()

    async def prepare(self) -> Sequence[str]:
        """Where there is nothing yet, an empty index serves from the first moment on. What changed while this extension
        was not enabled was not noted: then all is indexed anew."""
        enabled = await self._database.read(lambda tx: tx.leases.get_fact(ENABLED_FACT))
        empty = not await self._database.scan(lambda tx: self._catalogue.names(tx, "", "", 1))
        # A start does not wait for a server elsewhere. What is not there yet is built of everything anyway.
        there = not empty if self._outside else await self._index.built()
        if there and "search" not in (enabled or "").split():
            await self._database.write(lambda tx: queue.note(tx, "", True))
        if empty and not there and not self._outside:
            await self()
        return ()

    async def __call__(self) -> None:
        """Build one and let it serve."""
        await self._database.write(lambda tx: tx.leases.set_fact(BUILD_FACT, DONE))
        try:
            await self._index.begin()
            after, number = "", 0
            while names := await self._database.scan(lambda tx: self._catalogue.names(tx, "", after, AT_ONCE)):  # noqa: B023 - awaited here, within the same turn
                number += await self._fill(names)
                after = names[-1]
            await self._index.switch()
        except RegistryError:
            await self._database.write(lambda tx: tx.leases.set_fact(BUILD_FACT, WANTED))
            raise
        if number:
            self._log.info("search: built an index of %s artifacts", number)

    async def _fill(self, names: Sequence[str]) -> int:
        documents: list[Document] = await self._database.scan(lambda tx: self._gathering.documents(tx, names))
        await self._index.put(documents, [], building=True)
        await self._methods.update(names)
        # What went meanwhile may have been put back by this; what goes from now on is taken out of both.
        there = await self._database.scan(lambda tx: self._gathering.documents(tx, names))
        gone = {document.name for document in documents} - {document.name for document in there}
        if gone:
            await self._index.put([], sorted(gone))
        return len(documents)


async def command(kernel: Kernel) -> int:
    """`gati-registry search rebuild`: the serving registry's job does it."""
    await kernel.database.write(lambda tx: tx.leases.set_fact(BUILD_FACT, WANTED))
    print("the index will be made anew, beside the serving one")  # noqa: T201 - a command prints
    return 0
