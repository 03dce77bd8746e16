"""Tags: versions, channels, and every move of these."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gati_extensions.kinds import semver
from gati_extensions.kinds.store.artifacts import ARTIFACT, artifact_row
from gati_extensions.kinds.store.rows import FRESH, Move, Standing, Tagged
from gati_registry.extension import Transaction

_TAGGED = (
    f"SELECT {ARTIFACT}, tag.tag, tag.moved_at, tag.version_key, standing.unpublished, standing.deprecated,"
    " standing.yanked, standing.archived, standing.overlay, standing.revision FROM kinds_tag AS tag"
    " JOIN kinds_artifact AS artifact ON artifact.repository = tag.repository AND artifact.digest = tag.digest"
    " LEFT JOIN kinds_standing AS standing ON standing.repository = tag.repository AND standing.tag = tag.tag"
    " WHERE tag.repository = :repository"
)


def _tagged(row: Sequence[Any]) -> Tagged:
    return Tagged(row[7], artifact_row(row[:7]), standing_row(row[10:]), row[8], row[9])


def standing_row(row: Sequence[Any]) -> Standing:
    if row[4] is None:
        return FRESH
    names = ("unpublished", "deprecated", "yanked", "archived")
    states = {name: json.loads(value) for name, value in zip(names, row[:4], strict=True) if value is not None}
    return Standing(states, json.loads(row[4]), row[5])


async def tagged(tx: Transaction, repository: str, tag: str) -> Tagged | None:
    """What a tag names."""
    row = await tx.one(f"{_TAGGED} AND tag.tag = :tag", repository=repository, tag=tag)
    return _tagged(row) if row is not None else None


async def chosen(tx: Transaction, repository: str, which: str, **values: Any) -> Tagged | None:
    """What that tag names which an expression in SQL says; it may ask for `:repository`."""
    row = await tx.one(f"{_TAGGED} AND tag.tag = {which}", repository=repository, **values)
    return _tagged(row) if row is not None else None


async def tags_of(tx: Transaction, repository: str, digest: str, limit: int) -> Sequence[str]:
    """The tags that name a manifest."""
    rows = await tx.all(
        "SELECT tag FROM kinds_tag WHERE repository = :repository AND digest = :digest ORDER BY tag LIMIT :limit",
        repository=repository, digest=digest, limit=limit,
    )  # fmt: skip
    return [row[0] for row in rows]


async def versions(tx: Transaction, repository: str, below: str | None, limit: int) -> Sequence[Tagged]:
    """Versions, the highest first; those whose key is below `below`."""
    bound = "" if below is None else " AND tag.version_key < :below"
    values = {} if below is None else {"below": below}
    rows = await tx.all(
        f"{_TAGGED} AND tag.version_key IS NOT NULL{bound} ORDER BY tag.version_key DESC, tag.tag LIMIT :limit",
        repository=repository, limit=limit, **values,
    )  # fmt: skip
    return [_tagged(row) for row in rows]


async def channels(tx: Transaction, repository: str, after: str, limit: int) -> Sequence[Tagged]:
    """Tags that are no version, by name."""
    rows = await tx.all(
        f"{_TAGGED} AND tag.version_key IS NULL AND tag.tag > :after ORDER BY tag.tag LIMIT :limit",
        repository=repository, after=after, limit=limit,
    )  # fmt: skip
    return [_tagged(row) for row in rows]


async def move(
    tx: Transaction, repository: str, tag: str, before: str | None, after: str | None, *, now: int, actor: str | None
) -> None:
    """Note that a tag names something else, or nothing, from now on."""
    if after is None:
        await tx.send(
            "DELETE FROM kinds_tag WHERE repository = :repository AND tag = :tag", repository=repository, tag=tag
        )
    else:
        version = semver.parse(tag)
        await tx.send(
            "INSERT INTO kinds_tag (repository, tag, digest, version_key, release_key, moved_at)"
            " VALUES (:repository, :tag, :digest, :key, :release, :now) ON CONFLICT (repository, tag)"
            " DO UPDATE SET digest = :digest, moved_at = :now",
            repository=repository, tag=tag, digest=after, key=version.key if version else None,
            release=version.key if version and not version.prerelease else None, now=now,
        )  # fmt: skip
    await tx.send(
        "INSERT INTO kinds_move (repository, tag, moved_at, number, before, after, actor)"
        " SELECT :repository, :tag, :now, COALESCE(max(number), 0) + 1, :before, :after, :actor"
        " FROM kinds_move WHERE repository = :repository AND tag = :tag",
        repository=repository, tag=tag, now=now, before=before, after=after, actor=actor,
    )  # fmt: skip


async def moves(tx: Transaction, repository: str, tag: str, below: int, limit: int) -> Sequence[Move]:
    """Moves of a tag, newest first, of numbers below `below`."""
    rows = await tx.all(
        "SELECT tag, number, moved_at, before, after, actor FROM kinds_move WHERE repository = :repository"
        " AND tag = :tag AND number < :below ORDER BY number DESC LIMIT :limit",
        repository=repository, tag=tag, below=below, limit=limit,
    )  # fmt: skip
    return [Move(*row) for row in rows]


async def as_of(tx: Transaction, repository: str, tag: str, time: int) -> str | None:
    """The digest that a tag named at a time; None if it was not there."""
    row = await tx.one(
        "SELECT after FROM kinds_move WHERE repository = :repository AND tag = :tag AND moved_at <= :time"
        " ORDER BY number DESC LIMIT 1",
        repository=repository, tag=tag, time=time,
    )  # fmt: skip
    return row[0] if row is not None else None
