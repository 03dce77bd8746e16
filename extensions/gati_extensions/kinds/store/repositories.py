"""Repositories' lines in lists."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.kinds.store.rows import Listed
from gati_extensions.kinds.store.tags import chosen
from gati_extensions.namespaces.api import Namespaces
from gati_registry.extension import Transaction, Visible

_LISTED = "name, kind, latest, digest, title, description, stars, ratings, rated, created_at, updated_at"


async def refresh(tx: Transaction, repository: str, now: int, namespaces: Namespaces) -> None:
    """Write a repository's line of the lists anew: after any change of its tags, states, overlays or drafts.

    Where there are drafts alone there is no line: lists are for everybody.
    """
    found = await chosen(tx, repository, _best(namespaces), looked=_LOOKED)
    if found is None:
        await tx.send("DELETE FROM kinds_repository WHERE name = :name", name=repository)
        return
    facts, overlay = found.artifact.facts, found.standing.overlay
    await tx.send(
        "INSERT INTO kinds_repository (name, kind, latest, digest, title, description, stars, ratings, rated,"
        " created_at, updated_at) SELECT :name, :kind, :latest, :digest, :title, :description,"
        " (SELECT count(*) FROM kinds_star WHERE repository = :name),"
        " (SELECT count(*) FROM kinds_rating WHERE repository = :name),"
        " (SELECT CAST(COALESCE(sum(stars), 0) AS BIGINT) FROM kinds_rating WHERE repository = :name), :now, :now"
        " WHERE TRUE ON CONFLICT (name) DO UPDATE SET kind = :kind, latest = :latest, digest = :digest,"
        " title = :title, description = :description, updated_at = :now",
        name=repository,
        kind=found.artifact.kind,
        latest=found.tag,
        digest=found.artifact.digest,
        title=str(facts.get("title", ""))[:256],
        description=str(overlay.get("description", facts.get("description", "")))[:1024],
        now=now,
    )


_LOOKED = 50
"""Versions from the highest, drafts not counted, that are looked at for one that is neither unpublished nor yanked."""


def _best(namespaces: Namespaces) -> str:
    """The highest release that is neither a draft, unpublished nor yanked; else the highest version, else the newest
    tag that everybody sees."""
    # Each reads as many rows from the end of an index as there are drafts and the like, and only where the one before
    # it found nothing. Nothing but the order is asked inside, so that PostgreSQL goes by the index.
    looked = f":looked + {namespaces.drafted(':repository')}"
    draft = namespaces.draft(":repository", "highest.digest")
    order = (("release_key", " AND yanked IS NULL"), ("version_key", " AND yanked IS NULL"), ("moved_at", ""))
    places = (
        f"(SELECT highest.tag FROM (SELECT tag, digest, {column} AS place FROM kinds_tag"
        f" WHERE repository = :repository AND {column} IS NOT NULL ORDER BY {column} DESC LIMIT {looked}) AS highest"
        " LEFT JOIN kinds_standing AS own ON own.repository = :repository AND own.tag = highest.tag"
        f" WHERE NOT {draft} AND own.unpublished IS NULL{more} ORDER BY place DESC LIMIT 1)"
        for column, more in order
    )
    return f"COALESCE({', '.join(places)})"


async def listed(tx: Transaction, name: str) -> Listed | None:
    """A repository's line."""
    row = await tx.one(f"SELECT {_LISTED} FROM kinds_repository WHERE name = :name", name=name)
    return Listed(*row) if row is not None else None


async def within(
    tx: Transaction, path: str, kind: str | None, after: str, limit: int, visible: Visible
) -> Sequence[Listed]:
    """Repositories at and below a path (empty: anywhere) that a caller may see, by name."""
    condition, values = visible.where("kinds_repository.name")
    if kind is not None:
        condition, values = f"({condition}) AND kind = :kind", {**values, "kind": kind}
    if path:
        condition = f"({condition}) AND (name = :path OR (name > :below AND name < :beyond))"
        values |= {"path": path, "below": f"{path}/", "beyond": f"{path}0"}
    rows = await tx.all(
        f"SELECT {_LISTED} FROM kinds_repository WHERE name > :after AND ({condition}) ORDER BY name LIMIT :limit",
        after=after, limit=limit, **values,
    )  # fmt: skip
    return [Listed(*row) for row in rows]


_TABLES = (
    "artifact", "signature", "tag", "move", "standing", "overlay", "star", "rating", "value", "download", "popularity",
)  # fmt: skip


async def rename(tx: Transaction, source: str, target: str) -> None:
    """Repositories at and below a path have other names from now on."""
    for table, column in (("repository", "name"), *((table, "repository") for table in _TABLES)):
        await tx.run(
            f"UPDATE kinds_{table} SET {column} = :target || substr({column}, CAST(:cut AS INTEGER))"
            f" WHERE {column} = :source OR ({column} > :below AND {column} < :beyond)",
            source=source, target=target, cut=len(source) + 1, below=f"{source}/", beyond=f"{source}0",
        )  # fmt: skip
