"""Counts again what repositories hold: garbage collection takes blobs out of them without being asked.

What came while nobody was counted (before this extension was enabled, or while the registry was open) is counted after
the first start that counts: a little before it serves, the rest beside it. How far that came is noted with each step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from gati_extensions.namespaces import store, usage
from gati_extensions.namespaces.settings import NamespacesSettings
from gati_extensions.namespaces.standing import Tree
from gati_extensions.namespaces.tree import root
from gati_registry.extension import Database, Transaction

BATCH = 100
"""Repositories or namespaces in one transaction."""

AT_START = 0.5
"""Seconds that a start spends on counting what came uncounted."""

INTERVAL = 2.0
"""Seconds between two looks at whether something is uncounted."""

FACT = "namespaces.counted"
"""How far the count came of what was uncounted."""

# One statement, that is, one snapshot: pushes under way are in all of these sums or in none.
_MISSING = (
    "SELECT CAST("
    " (SELECT COALESCE(sum(blob.size), 0) FROM link JOIN blob ON blob.id = link.blob_id"
    " WHERE link.repository_id = repository.id)"
    " + (SELECT COALESCE(sum(manifest.size), 0) FROM manifest WHERE manifest.repository_id = repository.id)"
    " - (SELECT COALESCE(sum(held.bytes), 0) FROM namespaces_held AS held WHERE held.name = own.name)"
    " - own.bytes AS BIGINT),"
    " CASE WHEN EXISTS (SELECT 1 FROM manifest WHERE manifest.repository_id = repository.id) THEN 1 ELSE 0 END,"
    " own.artifact"
    " FROM namespaces_repository AS own JOIN repository ON repository.name = own.name WHERE own.name = :name"
)
"""Bytes that are missing in what is counted of a repository; whether it is an artifact, whether it counts as one."""


class Place(NamedTuple):
    """How far a count came: so many of its parts are done, and of the next one all up to a name."""

    part: int = 0
    after: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    """What is done with all names that a statement lists, a few at a time."""

    names: str
    work: Callable[[Transaction, list[str]], Awaitable[None]]


class Recount:
    """A job that counts everything, and another one that counts once what came uncounted."""

    def __init__(self, database: Database, tree: Tree, settings: NamespacesSettings) -> None:
        self._database = database
        self._tree = tree
        self._settings = settings
        self._parts = (
            _Part("SELECT name FROM repository WHERE name > :after ORDER BY name LIMIT :limit", self._repositories),
            _Part("SELECT name FROM namespaces_repository WHERE name > :after ORDER BY name LIMIT :limit", self._gone),
            _Part("SELECT path FROM namespaces_usage WHERE path > :after ORDER BY path LIMIT :limit", self._usage),
        )

    async def __call__(self) -> None:
        """Count everything."""
        place: Place | None = Place()
        while place is not None:
            place = await self._step(place)

    # --- what came uncounted --------------------------------------------------------------------------------------

    async def left_out(self) -> list[str]:
        """Operations will go by uncounted."""

        async def work(tx: Transaction) -> None:
            await store.set_flag(tx, "uncounted", 1)
            await tx.leases.set_fact(FACT, "")  # also what is counted already may change

        await self._database.write(work)
        return []

    async def at_first(self) -> list[str]:
        """Begin with what came uncounted, if anything did: most registries are done with it at once."""
        if not await self.uncounted() or await self._go_on(AT_START):
            return []
        return [
            "what was pushed while nobody was counted is being counted; lists and quotas lack some of it until then"
        ]

    async def uncounted(self) -> bool:
        """Whether there is something that was not counted yet."""
        return await self._database.read(lambda tx: store.revision(tx, "uncounted")) > 0

    async def first(self) -> None:
        """Count it to the end."""
        await self._go_on(math.inf)

    async def _go_on(self, seconds: float) -> bool:
        """Count for about so long, from where it was left; whether all is counted."""
        until = time.monotonic() + seconds
        part, _, after = (await self._database.read(lambda tx: tx.leases.get_fact(FACT)) or "0 ").partition(" ")
        place: Place | None = Place(int(part), after)
        while place is not None and time.monotonic() < until:
            place = await self._step(place, noting=True)
        return place is None

    # --- inside -------------------------------------------------------------------------------------------------

    async def _step(self, place: Place, *, noting: bool = False) -> Place | None:
        """Count the next few; where to go on, or None at the end."""
        part = self._parts[place.part]
        rows = await self._database.scan(lambda tx: tx.all(part.names, after=place.after, limit=BATCH))
        names = [row[0] for row in rows]
        following: Place | None = Place(place.part, names[-1]) if names else Place(place.part + 1)
        if following == (len(self._parts), ""):
            following = None

        async def work(tx: Transaction) -> None:
            await alone(tx)
            if names:
                await part.work(tx, names)
            if noting:
                await tx.leases.set_fact(FACT, f"{following.part} {following.after}" if following else "")
            if noting and following is None:
                await store.set_flag(tx, "uncounted", 0)

        if names or noting:
            await self._database.write(work)
        return following

    async def _repositories(self, tx: Transaction, names: list[str]) -> None:
        for name in names:
            await count(tx, self._tree, self._settings, name)

    async def _gone(self, tx: Transaction, names: list[str]) -> None:
        listed, values = store.within(names, "n")
        for table in ("namespaces_repository", "namespaces_held"):
            await tx.run(
                f"DELETE FROM {table} WHERE name IN {listed}"  # noqa: S608 - own names, and parameters'
                f" AND NOT EXISTS (SELECT 1 FROM repository WHERE repository.name = {table}.name)",
                **values,
            )

    async def _usage(self, tx: Transaction, paths: list[str]) -> None:
        for path in paths:
            await usage.recount(tx, self._settings, path)


async def count(tx: Transaction, tree: Tree, settings: NamespacesSettings, name: str) -> None:
    """Add what is missing in what is counted of a repository."""
    await usage.begin(tx, settings, root(name))
    visibility = (await tree.visibility(tx, name))[0]
    await usage.add_repository(tx, name, visibility)
    if await tx.run(
        "UPDATE namespaces_repository SET visibility = :visibility WHERE name = :name AND visibility <> :visibility",
        name=name,
        visibility=visibility,
    ):
        await tree.turned_out(tx, name)
    row = await tx.one(_MISSING, name=name)
    if row is None:
        return
    if row[0]:
        await usage.hold(tx, name, row[0])
    if row[1] > row[2]:
        await usage.becomes_artifact(tx, name)
    elif row[1] < row[2]:
        await usage.ends_as_artifact(tx, name)


async def alone(tx: Transaction) -> None:
    """One count at a time, to the end of the transaction: two that find the same missing would add it twice. Pushes do
    not wait for it."""
    if tx.concurrent:
        await tx.one("SELECT 1 FROM namespaces_revision WHERE name = 'uncounted' FOR NO KEY UPDATE")
