"""What namespaces hold, and their limits.

Each repository's bytes are those of its blobs and manifests, shared or not. A namespace's usage is the sum of what is
at and below it; where a limit is set on the way down, every push takes from all of them, root first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gati_extensions.namespaces.settings import UNLIMITED, NamespacesSettings
from gati_extensions.namespaces.store import within
from gati_extensions.namespaces.tree import below, line, root
from gati_registry.extension import Transaction


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


_COLUMNS = "path, bytes, artifacts, limit_bytes, limit_artifacts, limit_bandwidth, limit_calls"


async def usage(tx: Transaction, path: str) -> Usage | None:
    """What is counted at exactly this path."""
    row = await tx.one(f"SELECT {_COLUMNS} FROM namespaces_usage WHERE path = :path", path=path)  # noqa: S608
    return Usage(*row) if row is not None else None


async def counted(tx: Transaction, path: str) -> list[str]:
    """The paths at and above this one whose usage is counted, root first."""
    listed, values = within(line(path), "p")
    rows = await tx.all(
        f"SELECT path FROM namespaces_usage WHERE path IN {listed} ORDER BY length(path)",  # noqa: S608
        **values,
    )
    return [row[0] for row in rows]


async def begin(tx: Transaction, path: str) -> None:
    """Count a namespace from now on, beginning with what it holds already."""
    made = await tx.run(
        "INSERT INTO namespaces_usage (path, bytes, artifacts) VALUES (:path, 0, 0) ON CONFLICT (path) DO NOTHING",
        path=path,
    )
    if made:
        await recount(tx, path)


async def recount(tx: Transaction, path: str) -> bool:
    """Set a namespace's usage to what its repositories hold; whether it was wrong."""
    # The row first: a push that has not come to it yet adds its share afterwards, one that has is in the sum.
    await tx.run("UPDATE namespaces_usage SET bytes = bytes WHERE path = :path", path=path)
    low, high = below(path)
    return (
        await tx.run(
            "UPDATE namespaces_usage SET bytes = held.bytes, artifacts = held.artifacts FROM"
            " (SELECT CAST(COALESCE(sum(bytes), 0) AS BIGINT) AS bytes,"
            " COALESCE(sum(CASE WHEN manifests > 0 THEN 1 ELSE 0 END), 0) AS artifacts FROM namespaces_repository"
            " WHERE name = :path OR (name > :low AND name < :high)) AS held"
            " WHERE path = :path"
            " AND (namespaces_usage.bytes <> held.bytes OR namespaces_usage.artifacts <> held.artifacts)",
            path=path,
            low=low,
            high=high,
        )
        > 0
    )


async def take(
    tx: Transaction, settings: NamespacesSettings, paths: Sequence[str], size: int, artifacts: int
) -> Exceeded | None:
    """Add to the usage of these namespaces, root first; what it would exceed, if so (then the unit must not commit)."""
    for path in paths:
        default = defaults(settings, path)
        values = {
            "path": path, "size": size, "artifacts": artifacts,
            "default_bytes": default.bytes, "default_artifacts": default.artifacts,
        }  # fmt: skip
        taken = await tx.run(
            "UPDATE namespaces_usage SET bytes = bytes + :size, artifacts = artifacts + :artifacts WHERE path = :path"
            " AND (:size <= 0 OR COALESCE(limit_bytes, :default_bytes) = -1"
            " OR bytes + :size <= COALESCE(limit_bytes, :default_bytes))"
            " AND (:artifacts <= 0 OR COALESCE(limit_artifacts, :default_artifacts) = -1"
            " OR artifacts + :artifacts <= COALESCE(limit_artifacts, :default_artifacts))",
            **values,
        )
        if not taken:
            found = await usage(tx, path)
            assert found is not None, "counted a moment ago in this transaction"
            return _exceeded(found, effective(settings, found), size, artifacts)
    return None


def _exceeded(found: Usage, limits: Limits, size: int, artifacts: int) -> Exceeded:
    if size > 0 and limits.bytes != UNLIMITED and found.bytes + size > limits.bytes:
        return Exceeded(found.path, "bytes", found.bytes, limits.bytes, size)
    return Exceeded(found.path, "artifacts", found.artifacts, limits.artifacts, artifacts)


async def give_back(tx: Transaction, paths: Sequence[str], size: int, artifacts: int) -> None:
    """Take from the usage of these namespaces; never below nothing."""
    for path in paths:
        await tx.run(
            "UPDATE namespaces_usage SET bytes = CASE WHEN bytes > :size THEN bytes - :size ELSE 0 END,"
            " artifacts = CASE WHEN artifacts > :artifacts THEN artifacts - :artifacts ELSE 0 END WHERE path = :path",
            path=path,
            size=size,
            artifacts=artifacts,
        )


async def set_limits(tx: Transaction, path: str, limits: Usage) -> None:
    """Set the limits of a counted namespace."""
    await tx.run(
        "UPDATE namespaces_usage SET limit_bytes = :bytes, limit_artifacts = :artifacts,"
        " limit_bandwidth = :bandwidth, limit_calls = :calls WHERE path = :path",
        path=path,
        bytes=limits.limit_bytes,
        artifacts=limits.limit_artifacts,
        bandwidth=limits.limit_bandwidth,
        calls=limits.limit_calls,
    )


# --- repositories -----------------------------------------------------------------------------------------------


async def repository(tx: Transaction, name: str) -> tuple[int, int] | None:
    """Bytes and manifests of a repository, as they are counted."""
    row = await tx.one("SELECT bytes, manifests FROM namespaces_repository WHERE name = :name", name=name)
    return (row[0], row[1]) if row is not None else None


async def add_repository(tx: Transaction, name: str, visibility: str) -> None:
    """Count a repository from now on."""
    await tx.run(
        "INSERT INTO namespaces_repository (name, visibility, bytes, manifests) VALUES (:name, :visibility, 0, 0)"
        " ON CONFLICT (name) DO NOTHING",
        name=name,
        visibility=visibility,
    )


async def hold(tx: Transaction, name: str, size: int, manifests: int) -> int | None:
    """Add to what a repository holds (or take from it); its manifests after it. None: it is not counted."""
    row = await tx.one(
        "UPDATE namespaces_repository SET bytes = CASE WHEN bytes + :size > 0 THEN bytes + :size ELSE 0 END,"
        " manifests = CASE WHEN manifests + :manifests > 0 THEN manifests + :manifests ELSE 0 END"
        " WHERE name = :name RETURNING manifests",
        name=name,
        size=size,
        manifests=manifests,
    )
    return row[0] if row is not None else None


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
