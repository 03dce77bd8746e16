"""Counts again what repositories hold: garbage collection takes blobs out of them without being asked."""

from __future__ import annotations

from gati_extensions.namespaces import store, usage
from gati_extensions.namespaces.settings import NamespacesSettings
from gati_extensions.namespaces.standing import Tree
from gati_extensions.namespaces.tree import root
from gati_registry.extension import Database, Transaction

BATCH = 100
"""Repositories or namespaces in one transaction."""

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


class Recount:
    """A job; also brings in repositories from the time before this extension was enabled."""

    def __init__(self, database: Database, tree: Tree, settings: NamespacesSettings) -> None:
        self._database = database
        self._tree = tree
        self._settings = settings

    async def __call__(self) -> None:
        """Count everything, a few repositories at a time."""
        after = ""
        while names := await self._database.scan(lambda tx: _names(tx, "repository", "name", after)):  # noqa: B023 - awaited here, within the same turn
            await self._database.write(lambda tx: self._repositories(tx, names))
            after = names[-1]
        after = ""
        while gone := await self._database.scan(lambda tx: _names(tx, "namespaces_repository", "name", after)):  # noqa: B023 - awaited here, within the same turn
            await self._database.write(lambda tx: self._gone(tx, gone))
            after = gone[-1]
        after = ""
        while paths := await self._database.scan(lambda tx: _names(tx, "namespaces_usage", "path", after)):  # noqa: B023 - awaited here, within the same turn
            await self._database.write(lambda tx: self._usage(tx, paths))
            after = paths[-1]

    async def left_out(self) -> list[str]:
        """Operations will go by uncounted."""
        await self._database.write(lambda tx: store.set_flag(tx, "uncounted", 1))
        return []

    async def at_first(self) -> list[str]:
        """Count everything once, if it was never done or operations went by uncounted."""
        if await self._database.read(lambda tx: store.revision(tx, "uncounted")):
            await self()
            await self._database.write(lambda tx: store.set_flag(tx, "uncounted", 0))
        return []

    async def _repositories(self, tx: Transaction, names: list[str]) -> None:
        for name in names:
            await usage.begin(tx, self._settings, root(name))
            visibility = (await self._tree.visibility(tx, name))[0]
            await usage.add_repository(tx, name, visibility)
            if await tx.run(
                "UPDATE namespaces_repository SET visibility = :visibility"
                " WHERE name = :name AND visibility <> :visibility",
                name=name,
                visibility=visibility,
            ):
                await self._tree.turned_out(tx, name)
            row = await tx.one(_MISSING, name=name)
            if row is None:
                continue
            if row[0]:
                await usage.hold(tx, name, row[0])
            if row[1] > row[2]:
                await usage.becomes_artifact(tx, name)
            elif row[1] < row[2]:
                await usage.ends_as_artifact(tx, name)

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


async def _names(tx: Transaction, table: str, column: str, after: str) -> list[str]:
    rows = await tx.all(
        f"SELECT {column} FROM {table} WHERE {column} > :after ORDER BY {column} LIMIT {BATCH}",  # noqa: S608 - own names
        after=after,
    )
    return [row[0] for row in rows]
