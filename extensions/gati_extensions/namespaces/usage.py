"""What namespaces hold, and their limits.

Each repository's bytes are those of its blobs and manifests, shared or not. A namespace's usage is the sum of what is
at and below it; where a limit is set on the way down, every push takes from all of them, root first.

Pushes at once do not wait for each other. What a namespace has left is set aside in parts (`namespaces_spare`); a push
takes its share out of a part that no other transaction is using, by one conditional update. Only one that finds none
takes from the namespace itself, and sets new parts aside: the less is left, the smaller they are, so that the last
bytes are given out one push after the other, and never more than the limit. What a repository holds is added up in the
same way (`namespaces_held`). Whatever a push changes it changes in one transaction, so that in one snapshot all these
sums agree: a recount adds what is missing between them, and locks nothing to find it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gati_extensions.namespaces.settings import UNLIMITED, NamespacesSettings
from gati_extensions.namespaces.store import within
from gati_extensions.namespaces.tree import below, line, root
from gati_registry.extension import Transaction

PARTS = 16
"""Parts that are set aside at a time: so many pushes at once find one each."""

SHARE = 64
"""Each part is this fraction of what is left: together they are a quarter."""

PLENTY = (2**40, 2**20)
"""Bytes and artifacts of a part where there is no limit."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Use and limits of a namespace; a limit of None is the default, -1 none."""

    path: str
    bytes: int
    artifacts: int
    limit_bytes: int | None
    limit_artifacts: int | None
    limit_bandwidth: int | None
    limit_calls: int | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Default limits of a namespace; -1 is none."""

    bytes: int = UNLIMITED
    artifacts: int = UNLIMITED
    bandwidth: int = UNLIMITED
    calls: int = UNLIMITED


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The quota that a push would exceed."""

    path: str
    what: str
    used: int
    limit: int
    requested: int


def defaults(settings: NamespacesSettings, path: str) -> Limits:
    """The limits of a namespace where none are set: only owned ones have any."""
    if path != root(path):
        return Limits()
    top = path.partition("/")[0]
    if top == "library":
        own = (settings.library_bytes, settings.library_artifacts)
    elif top == "orgs":
        own = (settings.org_bytes, settings.org_artifacts)
    elif top in ("users", "local"):
        own = (settings.user_bytes, settings.user_artifacts)
    else:
        own = (UNLIMITED, UNLIMITED)
    return Limits(*own, settings.bandwidth, settings.calls)


def effective(settings: NamespacesSettings, found: Usage) -> Limits:
    """The limits that hold for a namespace."""
    default = defaults(settings, found.path)
    return Limits(
        default.bytes if found.limit_bytes is None else found.limit_bytes,
        default.artifacts if found.limit_artifacts is None else found.limit_artifacts,
        default.bandwidth if found.limit_bandwidth is None else found.limit_bandwidth,
        default.calls if found.limit_calls is None else found.limit_calls,
    )


def _locked(tx: Transaction, strength: str) -> str:
    """The end of a SELECT whose rows are locked, where others work beside this transaction."""
    return f" FOR {strength}" if tx.concurrent else ""


def _slot() -> int:
    """A number that no other part has."""
    return secrets.randbits(62)


_COLUMNS = "path, bytes, artifacts, limit_bytes, limit_artifacts, limit_bandwidth, limit_calls"


async def usage(tx: Transaction, path: str) -> Usage | None:
    """What is counted at exactly this path."""
    row = await tx.one(
        "SELECT path, bytes - (SELECT CAST(COALESCE(sum(spare.bytes), 0) AS BIGINT) FROM namespaces_spare AS spare"
        " WHERE spare.path = namespaces_usage.path),"
        " artifacts - (SELECT CAST(COALESCE(sum(spare.artifacts), 0) AS BIGINT) FROM namespaces_spare AS spare"
        " WHERE spare.path = namespaces_usage.path),"
        " limit_bytes, limit_artifacts, limit_bandwidth, limit_calls FROM namespaces_usage WHERE path = :path",
        path=path,
    )
    return Usage(row[0], max(row[1], 0), max(row[2], 0), *row[3:]) if row is not None else None


async def counted(tx: Transaction, path: str) -> list[str]:
    """The paths at and above this one whose usage is counted, root first."""
    listed, values = within(line(path), "p")
    rows = await tx.all(
        f"SELECT path FROM namespaces_usage WHERE path IN {listed} ORDER BY length(path)",  # noqa: S608
        **values,
    )
    return [row[0] for row in rows]


async def begin(tx: Transaction, settings: NamespacesSettings, path: str) -> None:
    """Count a namespace from now on, beginning with what it holds already."""
    made = await tx.run(
        "INSERT INTO namespaces_usage (path, bytes, artifacts) VALUES (:path, 0, 0) ON CONFLICT (path) DO NOTHING",
        path=path,
    )
    if made and not await recount(tx, settings, path):
        await _set_aside(tx, settings, await _of_all(tx, path))  # the next pushes need not wait for this one


async def recount(tx: Transaction, settings: NamespacesSettings, path: str) -> bool:
    """Set a namespace's usage to what its repositories hold; whether it was wrong."""
    low, high = below(path)
    row = await tx.one(
        # One statement, that is, one snapshot: pushes under way are in all of these sums or in none.
        "SELECT CAST("
        " (SELECT COALESCE(sum(bytes), 0) FROM namespaces_repository"
        " WHERE name = :path OR (name > :low AND name < :high))"
        " + (SELECT COALESCE(sum(bytes), 0) FROM namespaces_held WHERE name = :path OR (name > :low AND name < :high))"
        " + (SELECT COALESCE(sum(bytes), 0) FROM namespaces_spare WHERE path = :path) - bytes AS BIGINT), CAST("
        " (SELECT COALESCE(sum(artifact), 0) FROM namespaces_repository"
        " WHERE name = :path OR (name > :low AND name < :high))"
        " + (SELECT COALESCE(sum(artifacts), 0) FROM namespaces_spare WHERE path = :path) - artifacts AS BIGINT)"
        " FROM namespaces_usage WHERE path = :path",
        path=path,
        low=low,
        high=high,
    )
    if row is None or (row[0], row[1]) == (0, 0):
        return False
    found = await _gathered(tx, await _of_all(tx, path), waiting=True)
    await _set_aside(
        tx, settings, replace(found, bytes=max(found.bytes + row[0], 0), artifacts=max(found.artifacts + row[1], 0))
    )
    return True


async def take(
    tx: Transaction, settings: NamespacesSettings, paths: Sequence[str], size: int, artifacts: int
) -> Exceeded | None:
    """Add to the usage of these namespaces, root first; what it would exceed, if so (then the unit must not commit)."""
    for path in paths:
        if await _take_part(tx, path, size, artifacts):
            continue
        exceeded = await _take_from_all(tx, settings, path, size, artifacts)
        if exceeded is not None:
            return exceeded
    return None


async def _take_part(tx: Transaction, path: str, size: int, artifacts: int) -> bool:
    return await tx.run(_taking(tx), path=path, size=size, artifacts=artifacts) > 0


def _taking(tx: Transaction) -> str:
    return (
        "UPDATE namespaces_spare SET bytes = bytes - :size, artifacts = artifacts - :artifacts"  # noqa: S608 - `_locked` is ours
        " WHERE path = :path AND slot = (SELECT slot FROM namespaces_spare"
        " WHERE path = :path AND bytes >= :size AND artifacts >= :artifacts"
        f" LIMIT 1{_locked(tx, 'UPDATE SKIP LOCKED')})"
    )


async def _take_from_all(
    tx: Transaction, settings: NamespacesSettings, path: str, size: int, artifacts: int
) -> Exceeded | None:
    """Take from what no part holds, after those that waited for it before; then set parts aside."""
    found = await _gathered(tx, await _of_all(tx, path), waiting=False)
    if _exceeded(found, effective(settings, found), size, artifacts):
        # Parts that others are using may hold what is missing: with those too it is exact.
        found = await _gathered(tx, found, waiting=True)
        if exceeded := _exceeded(found, effective(settings, found), size, artifacts):
            return exceeded
    await _set_aside(tx, settings, replace(found, bytes=found.bytes + size, artifacts=found.artifacts + artifacts))
    return None


async def _of_all(tx: Transaction, path: str) -> Usage:
    """The usage with all parts that are set aside; nobody else changes it before this unit ends."""
    row = await tx.one(
        f"SELECT {_COLUMNS} FROM namespaces_usage WHERE path = :path{_locked(tx, 'NO KEY UPDATE')}",  # noqa: S608
        path=path,
    )
    assert row is not None, "counted a moment ago in this transaction"
    return Usage(*row)


async def _gathered(tx: Transaction, found: Usage, *, waiting: bool) -> Usage:
    """The usage without the parts that are set aside, which end; with those in use only by waiting for them."""
    free = _locked(tx, "UPDATE" if waiting else "UPDATE SKIP LOCKED")
    rows = await tx.all(
        "DELETE FROM namespaces_spare WHERE path = :path"  # noqa: S608
        f" AND slot IN (SELECT slot FROM namespaces_spare WHERE path = :path{free}) RETURNING bytes, artifacts",
        path=found.path,
    )
    return replace(
        found,
        bytes=found.bytes - sum(row[0] for row in rows),
        artifacts=found.artifacts - sum(row[1] for row in rows),
    )


async def _set_aside(tx: Transaction, settings: NamespacesSettings, used: Usage) -> None:
    """Write a usage down, with fresh parts of what is left of its limits."""
    limits = effective(settings, used)
    size, artifacts = (
        plenty if limit == UNLIMITED else max(limit - now, 0) // SHARE
        for limit, now, plenty in zip(
            (limits.bytes, limits.artifacts), (used.bytes, used.artifacts), PLENTY, strict=True
        )
    )
    parts = PARTS if size > 0 else 0
    await tx.run(
        "UPDATE namespaces_usage SET bytes = :bytes, artifacts = :artifacts WHERE path = :path",
        path=used.path,
        bytes=used.bytes + parts * size,
        artifacts=used.artifacts + parts * artifacts,
    )
    if parts:
        listed = ", ".join(f"(:path, :slot{number}, :bytes, :artifacts)" for number in range(parts))
        await tx.run(
            f"INSERT INTO namespaces_spare (path, slot, bytes, artifacts) VALUES {listed}",  # noqa: S608 - parameters
            path=used.path,
            bytes=size,
            artifacts=artifacts,
            **{f"slot{number}": _slot() for number in range(parts)},
        )


def _exceeded(found: Usage, limits: Limits, size: int, artifacts: int) -> Exceeded | None:
    if size > 0 and limits.bytes != UNLIMITED and found.bytes + size > limits.bytes:
        return Exceeded(found.path, "bytes", found.bytes, limits.bytes, size)
    if artifacts > 0 and limits.artifacts != UNLIMITED and found.artifacts + artifacts > limits.artifacts:
        return Exceeded(found.path, "artifacts", found.artifacts, limits.artifacts, artifacts)
    return None


async def give_back(
    tx: Transaction, settings: NamespacesSettings, paths: Sequence[str], size: int, artifacts: int
) -> None:
    """Take from the usage of these namespaces: what is free again is set aside, so that nobody waits for it."""
    for path in paths:
        values = {"path": path, "size": size, "artifacts": artifacts}
        if await tx.run(
            "UPDATE namespaces_spare SET bytes = bytes + :size, artifacts = artifacts + :artifacts"  # noqa: S608
            " WHERE path = :path AND slot = (SELECT slot FROM namespaces_spare WHERE path = :path"
            f" LIMIT 1{_locked(tx, 'UPDATE SKIP LOCKED')})",
            **values,
        ):
            continue
        default = defaults(settings, path)
        if await tx.run(
            "INSERT INTO namespaces_spare (path, slot, bytes, artifacts)"
            " SELECT path, CAST(:slot AS BIGINT), CAST(:size AS BIGINT), CAST(:artifacts AS BIGINT)"
            " FROM namespaces_usage WHERE path = :path"
            " AND (COALESCE(limit_bytes, :most_bytes) IN (-1) OR bytes <= COALESCE(limit_bytes, :most_bytes))"
            " AND (COALESCE(limit_artifacts, :most_artifacts) IN (-1)"
            " OR artifacts <= COALESCE(limit_artifacts, :most_artifacts))",
            slot=_slot(),
            most_bytes=default.bytes,
            most_artifacts=default.artifacts,
            **values,
        ):
            continue
        # Beyond its limit nobody may take it again.
        await tx.run(
            "UPDATE namespaces_usage SET bytes = bytes - :size, artifacts = artifacts - :artifacts WHERE path = :path",
            **values,
        )


async def set_limits(tx: Transaction, settings: NamespacesSettings, limits: Usage) -> None:
    """Set the limits of a counted namespace; what was set aside under the earlier ones is gathered first."""
    found = await _gathered(tx, await _of_all(tx, limits.path), waiting=True)
    await tx.run(
        "UPDATE namespaces_usage SET limit_bytes = :bytes, limit_artifacts = :artifacts,"
        " limit_bandwidth = :bandwidth, limit_calls = :calls WHERE path = :path",
        path=limits.path,
        bytes=limits.limit_bytes,
        artifacts=limits.limit_artifacts,
        bandwidth=limits.limit_bandwidth,
        calls=limits.limit_calls,
    )
    await _set_aside(tx, settings, replace(limits, bytes=found.bytes, artifacts=found.artifacts))


# --- repositories -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counted:
    """A repository that is counted, whether as an artifact already, and the namespaces that count it, root first.

    What a push adds may be `held` by the repository and `taken` from the root already.
    """

    artifact: bool
    paths: Sequence[str]
    held: bool = False
    taken: bool = False


async def joined(tx: Transaction, name: str) -> Counted | None:
    """The repository; None if it, or its root, is not counted."""
    listed, values = within(line(name), "p")
    rows = await tx.all(
        "SELECT repository.artifact, namespaces_usage.path FROM namespaces_repository AS repository, namespaces_usage"  # noqa: S608
        f" WHERE repository.name = :name AND namespaces_usage.path IN {listed} ORDER BY length(namespaces_usage.path)",
        name=name,
        **values,
    )
    if not rows or rows[0][1] != root(name):
        return None
    return Counted(rows[0][0] > 0, [row[1] for row in rows])


async def joined_with(tx: Transaction, name: str, size: int, *, manifest: bool) -> Counted | None:
    """The same for a push that adds so many bytes. Where that takes a round trip each it adds them in passing, if all
    is as most pushes find it: there are parts, and it does not make an artifact of the repository."""
    if not tx.concurrent:
        return await joined(tx, name)
    listed, values = within(line(name), "p")
    usual = "EXISTS (SELECT 1 FROM counted WHERE path = :path AND artifact >= :artifact)"
    rows = await tx.all(
        "WITH counted AS (SELECT repository.artifact, namespaces_usage.path"  # noqa: S608 - parameters
        " FROM namespaces_repository AS repository, namespaces_usage"
        f" WHERE repository.name = :name AND namespaces_usage.path IN {listed}),"
        f" held AS ({_holding(tx)} AND {usual} RETURNING 1), taken AS ({_taking(tx)} AND {usual} RETURNING 1)"
        " SELECT artifact, path, (SELECT count(*) FROM held), (SELECT count(*) FROM taken) FROM counted"
        " ORDER BY length(path)",
        name=name,
        path=root(name),
        size=size,
        artifacts=0,
        artifact=int(manifest),
        **values,
    )
    if not rows or rows[0][1] != root(name):
        return None
    return Counted(rows[0][0] > 0, [row[1] for row in rows], rows[0][2] > 0, rows[0][3] > 0)


async def add(
    tx: Transaction, settings: NamespacesSettings, name: str, counted: Counted, size: int, artifacts: int
) -> Exceeded | None:
    """Add to what a repository holds and, as `take` does, to the usage of the namespaces above it."""
    if not counted.held:
        await hold(tx, name, size)
    return await take(tx, settings, counted.paths[1:] if counted.taken else counted.paths, size, artifacts)


async def add_repository(tx: Transaction, name: str, visibility: str) -> None:
    """Count a repository from now on."""
    await tx.run(
        "INSERT INTO namespaces_repository (name, visibility, bytes, manifests) VALUES (:name, :visibility, 0, 0)"
        " ON CONFLICT (name) DO NOTHING",
        name=name,
        visibility=visibility,
    )


async def hold(tx: Transaction, name: str, size: int) -> None:
    """Add to what a repository holds, or take from it."""
    if not await tx.run(_holding(tx), name=name, size=size):
        await tx.send(
            "INSERT INTO namespaces_held (name, slot, bytes) VALUES (:name, :slot, :size)",
            name=name,
            slot=_slot(),
            size=size,
        )


def _holding(tx: Transaction) -> str:
    return (
        "UPDATE namespaces_held SET bytes = bytes + :size WHERE name = :name AND slot = (SELECT slot"  # noqa: S608 - `_locked` is ours
        f" FROM namespaces_held WHERE name = :name LIMIT 1{_locked(tx, 'UPDATE SKIP LOCKED')})"
    )


async def holds(tx: Transaction, name: str) -> tuple[int, bool] | None:
    """Bytes of a repository and whether it is an artifact; None if it is not counted."""
    row = await tx.one(
        "SELECT bytes + (SELECT CAST(COALESCE(sum(held.bytes), 0) AS BIGINT) FROM namespaces_held AS held"
        " WHERE held.name = repository.name), artifact FROM namespaces_repository AS repository WHERE name = :name",
        name=name,
    )
    return (max(row[0], 0), row[1] > 0) if row is not None else None


async def becomes_artifact(tx: Transaction, name: str) -> bool:
    """The repository has a manifest now; whether it is the first."""
    # Of two first ones the second waits for the first, and finds it done.
    return (
        await tx.run("UPDATE namespaces_repository SET artifact = 1 WHERE name = :name AND artifact = 0", name=name) > 0
    )


async def ends_as_artifact(tx: Transaction, name: str) -> bool:
    """A manifest was deleted; whether it was the last."""
    row = "SELECT id FROM repository WHERE name = :name"
    manifest = f"EXISTS (SELECT 1 FROM manifest WHERE repository_id = ({row}))"  # noqa: S608 - a constant
    if tx.concurrent:
        # One deletion after the other. A push holds the row for key share, by its foreign key, to its end: only where
        # there seems to be no manifest any more are pushes under way waited for.
        await tx.one(f"{row} FOR NO KEY UPDATE", name=name)
        found = await tx.one(f"SELECT {manifest}", name=name)
        if found is not None and found[0]:
            return False
        await tx.one(f"{row} FOR UPDATE", name=name)
    return (
        await tx.run(
            f"UPDATE namespaces_repository SET artifact = 0 WHERE name = :name AND artifact = 1 AND NOT {manifest}",  # noqa: S608 - a constant
            name=name,
        )
        > 0
    )


async def refresh_visibility(tx: Transaction, path: str, visibility: str) -> None:
    """The visibility at a path changed: all repositories there and below have it, but for nearer settings."""
    low, high = below(path)
    nearer = await tx.all(
        "SELECT path, visibility FROM namespaces_node WHERE path > :low AND path < :high AND visibility IS NOT NULL"
        " ORDER BY length(path)",
        low=low,
        high=high,
    )
    for at, value in ((path, visibility), *nearer):
        first, last = below(at)
        await tx.run(
            "UPDATE namespaces_repository SET visibility = :visibility"
            " WHERE name = :path OR (name > :low AND name < :high)",
            path=at,
            low=first,
            high=last,
            visibility=value,
        )
