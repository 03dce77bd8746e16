"""What other extensions read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gati_extensions.kinds.store.repositories import listed
from gati_extensions.kinds.store.rows import Listed, Tagged
from gati_extensions.kinds.store.tags import tagged, tags_of
from gati_registry.extension import Transaction, Visible

_AT_ONCE = 400
"""Names of one statement."""


async def existing(tx: Transaction, names: Sequence[str], visible: Visible) -> Sequence[str]:
    """Those of the names that are artifacts which a caller may see."""
    condition, values = visible.where("kinds_repository.name")
    rows = await tx.all(
        f"SELECT name FROM kinds_repository WHERE name IN (SELECT item.value FROM {tx.items('names')})"
        f" AND ({condition})",
        names=json.dumps(names), **values,
    )  # fmt: skip
    return [row[0] for row in rows]


async def names(tx: Transaction, path: str, after: str, limit: int) -> Sequence[str]:
    """Repositories at and below a path, "" being everywhere, by name."""
    within_ = "" if not path else " AND (name = :path OR (name > :below AND name < :beyond))"
    rows = await tx.all(
        f"SELECT name FROM kinds_repository WHERE name > :after{within_} ORDER BY name LIMIT :limit",
        after=after, limit=limit, **({"path": path, "below": f"{path}/", "beyond": f"{path}0"} if path else {}),
    )  # fmt: skip
    return [row[0] for row in rows]


_TAGS = 20
"""Tags of the same content that are told."""


async def described(
    tx: Transaction, names: Sequence[str]
) -> Sequence[tuple[Listed, Tagged, Sequence[str], Sequence[tuple[str, str, str, float | None]]]]:
    """(line, latest version, its tags, its metadata's indexed values) of the repositories that have a line."""
    found = []
    for name in names:
        line = await listed(tx, name)
        latest = await tagged(tx, name, line.latest) if line is not None else None
        if line is None or latest is None:
            continue
        values = await tx.all(
            "SELECT schema, path, word, number FROM kinds_value WHERE repository = :name AND tag = :tag",
            name=name, tag=line.latest,
        )  # fmt: skip
        tags = await tags_of(tx, name, line.digest, _TAGS)
        found.append((line, latest, tags, [(row[0], row[1], row[2], row[3]) for row in values]))
    return found


async def signed(tx: Transaction, names: Sequence[str]) -> Sequence[tuple[Any, ...]]:
    """(name, kind, latest, digest, body) of repositories in lists whose latest version has GTypes or methods."""
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(names), _AT_ONCE):
        listed_ = {f"n{number}": name for number, name in enumerate(names[start : start + _AT_ONCE])}
        found += await tx.all(
            "SELECT line.name, line.kind, line.latest, line.digest, signature.body FROM kinds_repository AS line"
            " JOIN kinds_signature AS signature"
            " ON signature.repository = line.name AND signature.digest = line.digest"
            f" WHERE line.name IN ({', '.join(f':{name}' for name in listed_)})",
            **listed_,
        )
    return found


async def release_rows(tx: Transaction, names: Sequence[str]) -> Sequence[tuple[Any, ...]]:
    """All tags of artifacts: repository, tag, digest, version key, kind, facts, time of the push, and the states.

    By repository, versions first and the highest of them first.
    """
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(names), _AT_ONCE):
        listed_ = {f"n{number}": name for number, name in enumerate(names[start : start + _AT_ONCE])}
        marks = ", ".join(f":{name}" for name in listed_)
        found += await tx.all(
            "SELECT tag.repository, tag.tag, tag.digest, tag.version_key, artifact.kind, artifact.facts,"
            " artifact.pushed_at, standing.deprecated, standing.yanked, standing.archived, standing.unpublished"
            " FROM kinds_tag AS tag JOIN kinds_artifact AS artifact"
            " ON artifact.repository = tag.repository AND artifact.digest = tag.digest"
            " LEFT JOIN kinds_standing AS standing"
            " ON standing.repository = tag.repository AND standing.tag = tag.tag"
            f" WHERE tag.repository IN ({marks})"
            " ORDER BY tag.repository, tag.version_key IS NULL, tag.version_key DESC, tag.tag",
            **listed_,
        )
    return found
