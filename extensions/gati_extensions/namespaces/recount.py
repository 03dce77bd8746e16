"""Counts again what repositories hold: garbage collection takes blobs out of them without being asked."""

from __future__ import annotations

from gati_extensions.namespaces import store, usage
from gati_extensions.namespaces.standing import Tree
from gati_extensions.namespaces.tree import root
from gati_registry.extension import Database, Transaction

BATCH = 100
"""Repositories or namespaces in one transaction."""


class Recount:
    """A job; also brings in repositories from the time before this extension was enabled."""

    def __init__(self, database: Database, tree: Tree) -> None:
        self._database = database
        self._tree = tree

    async def __call__(self) -> None:
        """Count everything, a few repositories at a time."""
        after = ""
        while names := await self._database.scan(lambda tx: _names(tx, "repository", "name", after)):  # noqa: B023
            await self._database.write(lambda tx: self._repositories(tx, names))
            after = names[-1]
        after = ""
        while gone := await self._database.scan(lambda tx: _names(tx, "namespaces_repository", "name", after)):  # noqa: B023
            await self._database.write(lambda tx: self._gone(tx, gone))
            after = gone[-1]
        after = ""
        while paths := await self._database.scan(lambda tx: _names(tx, "namespaces_usage", "path", after)):  # noqa: B023
            await self._database.write(lambda tx: _usage(tx, paths))
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
            visibility = (await self._tree.visibility(tx, name))[0]
            await usage.add_repository(tx, name, visibility)
            await usage.begin(tx, root(name))
            # The row first, as in `usage.recount`.
            await usage.hold(tx, name, 0, 0)
            await tx.run(
                "UPDATE namespaces_repository SET visibility = :visibility,"
                " bytes = (SELECT CAST(COALESCE(sum(blob.size), 0) AS BIGINT) FROM repository"
                " JOIN link ON link.repository_id = repository.id"
                " JOIN blob ON blob.id = link.blob_id WHERE repository.name = :name)"
                " + (SELECT CAST(COALESCE(sum(manifest.size), 0) AS BIGINT) FROM repository"
                " JOIN manifest ON manifest.repository_id = repository.id WHERE repository.name = :name),"
                " manifests = (SELECT count(*) FROM repository"
                " JOIN manifest ON manifest.repository_id = repository.id WHERE repository.name = :name)"
                " WHERE namespaces_repository.name = :name",
                name=name,
                visibility=visibility,
            )

    async def _gone(self, tx: Transaction, names: list[str]) -> None:
        listed, values = store.within(names, "n")
        await tx.run(
            f"DELETE FROM namespaces_repository WHERE name IN {listed}"  # noqa: S608 - parameters' names
            " AND NOT EXISTS (SELECT 1 FROM repository WHERE repository.name = namespaces_repository.name)",
            **values,
        )


async def _usage(tx: Transaction, paths: list[str]) -> None:
    for path in paths:
        await usage.recount(tx, path)


async def _names(tx: Transaction, table: str, column: str, after: str) -> list[str]:
    rows = await tx.all(
        f"SELECT {column} FROM {table} WHERE {column} > :after ORDER BY {column} LIMIT {BATCH}",  # noqa: S608 - own names
        after=after,
    )
    return [row[0] for row in rows]
