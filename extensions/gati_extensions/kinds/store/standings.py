"""What was said of versions after their push: states and overlays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gati_extensions.kinds.json import compact
from gati_extensions.kinds.store.rows import STATES, Standing
from gati_extensions.kinds.store.tags import standing_row
from gati_registry.extension import Transaction


async def ensure_standing(tx: Transaction, repository: str, tag: str, now: int) -> None:
    """Make the row."""
    await tx.run(
        "INSERT INTO kinds_standing (repository, tag, changed_at) VALUES (:repository, :tag, :now)"
        " ON CONFLICT (repository, tag) DO NOTHING",
        repository=repository, tag=tag, now=now,
    )  # fmt: skip


async def set_state(
    tx: Transaction, repository: str, tag: str, state: str, value: Mapping[str, Any] | None, now: int
) -> None:
    """Set a state, or with None unset it."""
    assert state in STATES
    await ensure_standing(tx, repository, tag, now)
    await tx.run(
        f"UPDATE kinds_standing SET {state} = :value, changed_at = :now WHERE repository = :repository AND tag = :tag",
        repository=repository, tag=tag, value=compact(value) if value is not None else None, now=now,
    )  # fmt: skip
    await tx.run("UPDATE kinds_revision SET number = number + 1 WHERE name = 'states'")


async def set_overlay(
    tx: Transaction,
    repository: str,
    tag: str,
    revision: int,
    overlay: Mapping[str, Any],
    *,
    now: int,
    actor: str | None,
) -> bool:
    """Replace an overlay of this revision by the next one; False if another came before."""
    await ensure_standing(tx, repository, tag, now)
    text = compact(overlay)
    changed = await tx.run(
        "UPDATE kinds_standing SET overlay = :overlay, revision = revision + 1, changed_at = :now"
        " WHERE repository = :repository AND tag = :tag AND revision = :revision",
        repository=repository, tag=tag, overlay=text, revision=revision, now=now,
    )  # fmt: skip
    if not changed:
        return False
    await tx.run(
        "INSERT INTO kinds_overlay (repository, tag, revision, overlay, changed_at, actor)"
        " VALUES (:repository, :tag, :revision, :overlay, :now, :actor)",
        repository=repository, tag=tag, revision=revision + 1, overlay=text, now=now, actor=actor,
    )  # fmt: skip
    return True


async def overlays(
    tx: Transaction, repository: str, tag: str, below: int, limit: int
) -> Sequence[tuple[int, dict[str, Any], int, str | None]]:
    """(revision, overlay, time, actor), newest first, of revisions below `below`."""
    rows = await tx.all(
        "SELECT revision, overlay, changed_at, actor FROM kinds_overlay WHERE repository = :repository AND tag = :tag"
        " AND revision < :below ORDER BY revision DESC LIMIT :limit",
        repository=repository, tag=tag, below=below, limit=limit,
    )  # fmt: skip
    return [(row[0], json.loads(row[1]), row[2], row[3]) for row in rows]


async def states_of(tx: Transaction, repository: str, digest: str, tag: str | None) -> Sequence[Standing]:
    """The standing of a tag; without one, of all versions that a digest is."""
    which = "tag.digest = :digest AND tag.version_key IS NOT NULL" if tag is None else "tag.tag = :tag"
    rows = await tx.all(
        "SELECT standing.unpublished, standing.deprecated, standing.yanked, standing.archived, standing.overlay,"
        " standing.revision FROM kinds_tag AS tag JOIN kinds_standing AS standing"
        " ON standing.repository = tag.repository AND standing.tag = tag.tag"
        f" WHERE tag.repository = :repository AND {which}",
        repository=repository, **({"digest": digest} if tag is None else {"tag": tag}),
    )  # fmt: skip
    return [standing_row(row) for row in rows]


async def revision(tx: Transaction) -> int:
    """How often a state was changed."""
    row = await tx.one("SELECT number FROM kinds_revision WHERE name = 'states'")
    return row[0] if row is not None else 0
