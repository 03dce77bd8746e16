"""Moving repositories to other names."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.namespaces import recount, store, usage
from gati_extensions.namespaces.settings import NamespacesSettings
from gati_extensions.namespaces.standing import Tree
from gati_extensions.namespaces.tree import below, root
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Transaction
from gati_registry.values.reference import RepositoryName

MOST = 1000
"""Repositories that move at once: it is one transaction."""


async def forget(tx: Transaction, before: int) -> None:
    """Remove names that have expired."""
    await tx.run("DELETE FROM namespaces_alias WHERE expires_at < :before", before=before)


async def taken(tx: Transaction, name: str) -> None:
    """A repository of this name is made: it is nobody's earlier name any more."""
    if await tx.run("DELETE FROM namespaces_alias WHERE old = :name", name=name):
        await store.changed(tx, "rules")


async def move(
    tx: Transaction, tree: Tree, settings: NamespacesSettings, source: str, target: str, until: int
) -> Sequence[str]:
    """Rename a repository, or all below a namespace, with what is set there; the old names.

    Under another owner members, roles and policies stay behind: they were the old owner's to give. Limits never move.

    Raises:
        RegistryError: CONFLICT, the target is there; DENIED, its quota does not suffice.
    """
    if await _occupied(tx, target):
        raise RegistryError(Code.CONFLICT, f"to: {target} is there already")
    names = await _repositories(tx, source)
    if len(names) > MOST:
        raise RegistryError(Code.CONFLICT, f"more than {MOST} repositories at once; move parts of it")
    await _move_settings(tx, source, target, keep=root(source) == root(target))
    await usage.begin(tx, settings, root(target))
    for old in names:
        new = target + old.removeprefix(source)
        if not await tx.repositories.rename(RepositoryName(old), RepositoryName(new)):
            raise RegistryError(Code.CONFLICT, f"{old} cannot become {new}")
        await _move_counts(tx, tree, settings, old, new)
        await _point(tx, old, new, until)
    return names


async def _occupied(tx: Transaction, path: str) -> bool:
    low, high = below(path)
    for table, column in (("repository", "name"), ("namespaces_node", "path")):
        if await tx.one(
            f"SELECT 1 FROM {table} WHERE {column} = :path OR ({column} > :low AND {column} < :high)",  # noqa: S608
            path=path,
            low=low,
            high=high,
        ):
            return True
    return False


async def _repositories(tx: Transaction, path: str) -> list[str]:
    low, high = below(path)
    rows = await tx.all(
        "SELECT name FROM repository WHERE name = :path OR (name > :low AND name < :high) ORDER BY name LIMIT :limit",
        path=path,
        low=low,
        high=high,
        limit=MOST + 1,
    )
    return [row[0] for row in rows]


async def _move_settings(tx: Transaction, source: str, target: str, *, keep: bool) -> None:
    low, high = below(source)
    values = {"source": source, "low": low, "high": high}
    where = "path = :source OR (path > :low AND path < :high)"
    renamed = "CAST(:target AS TEXT) || substr(path, CAST(:after AS INTEGER))"
    moved = ("node", "member", "role", "policy") if keep else ("node",)
    for table in moved:
        await tx.run(
            f"UPDATE namespaces_{table} SET path = {renamed} WHERE {where}",  # noqa: S608 - own names
            target=target,
            after=len(source) + 1,
            **values,
        )
    for table in {"member", "role", "policy", "usage", "spare"} - set(moved):
        await tx.run(f"DELETE FROM namespaces_{table} WHERE {where}", **values)  # noqa: S608 - own names


async def _move_counts(tx: Transaction, tree: Tree, settings: NamespacesSettings, old: str, new: str) -> None:
    held = await usage.holds(tx, old)
    await tx.run("UPDATE namespaces_draft SET repository = :new WHERE repository = :old", old=old, new=new)
    if held is None:  # a count that is under way might not come to its new name any more; it ends with the sums
        await recount.alone(tx)
        await recount.count(tx, tree, settings, new)
        return
    size, artifacts = held[0], int(held[1])
    await usage.give_back(tx, settings, await usage.counted(tx, old), size, artifacts)
    exceeded = await usage.take(tx, settings, await usage.counted(tx, new), size, artifacts)
    if exceeded is not None:
        raise RegistryError(
            Code.DENIED,
            f"the quota of {exceeded.path} is {exceeded.limit} {exceeded.what}, of which {exceeded.used} are used",
            detail={"namespace": exceeded.path, "quota": exceeded.what, "limit": exceeded.limit, "used": exceeded.used},
        )
    for table in ("repository", "held"):
        await tx.run(f"DELETE FROM namespaces_{table} WHERE name = :new", new=new)  # noqa: S608 - own names
    await tx.run("UPDATE namespaces_held SET name = :new WHERE name = :old", old=old, new=new)
    await tx.run(
        "UPDATE namespaces_repository SET name = :new, visibility = :visibility WHERE name = :old",
        old=old,
        new=new,
        visibility=(await tree.visibility(tx, new))[0],
    )


async def _point(tx: Transaction, old: str, new: str, until: int) -> None:
    """The old name, and all earlier ones, lead to the new one."""
    await tx.run("UPDATE namespaces_alias SET new = :new WHERE new = :old", old=old, new=new)
    await tx.run("DELETE FROM namespaces_alias WHERE old = :new", new=new)
    await tx.run(
        "INSERT INTO namespaces_alias (old, new, expires_at) VALUES (:old, :new, :until)"
        " ON CONFLICT (old) DO UPDATE SET new = :new, expires_at = :until",
        old=old,
        new=new,
        until=until,
    )
