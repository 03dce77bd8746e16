"""The tables of `resolve`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gati_extensions.kinds.api import Dependency
from gati_registry.extension import Transaction, Visible


@dataclass(frozen=True, slots=True)
class Dependent:
    """Somebody who wants an artifact."""

    repository: str
    digest: str
    type: str
    wanted: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Advisory:
    """An advisory about an artifact; `body` is its OSV record."""

    repository: str
    id: str
    state: str
    severity: str
    body: Mapping[str, Any]
    author: str | None
    changed_at: int


async def add_edge(tx: Transaction, needed: Dependency, repository: str, digest: str) -> None:
    """Note a dependency."""
    await tx.send(
        "INSERT INTO resolve_edge (name, repository, digest, type, wanted, optional)"
        " VALUES (:name, :repository, :digest, :type, :wanted, :optional) ON CONFLICT DO NOTHING",
        name=needed.name[:512], repository=repository, digest=digest, type=needed.type, wanted=needed.constraint[:1024],
        optional=int(needed.optional),
    )  # fmt: skip


async def drop_edges(tx: Transaction, repository: str, digest: str) -> None:
    """Forget a manifest's."""
    await tx.run(
        "DELETE FROM resolve_edge WHERE repository = :repository AND digest = :digest",
        repository=repository, digest=digest,
    )  # fmt: skip


async def rename(tx: Transaction, source: str, target: str) -> None:
    """Repositories at and below a path have other names from now on."""
    for table in ("edge", "advisory"):
        await tx.run(
            f"UPDATE resolve_{table} SET repository = :target || substr(repository, CAST(:cut AS INTEGER))"
            " WHERE repository = :source OR (repository > :below AND repository < :beyond)",
            source=source, target=target, cut=len(source) + 1, below=f"{source}/", beyond=f"{source}0",
        )  # fmt: skip


async def dependents(
    tx: Transaction, names: Sequence[str], after: tuple[str, str, str], limit: int, visible: Visible
) -> Sequence[Dependent]:
    """Who wants an artifact under one of its names, as far as a caller may see them; by repository, digest, type."""
    condition, values = visible.where("repository")
    listed = {f"n{number}": name for number, name in enumerate(names)}
    rows = await tx.all(
        "SELECT DISTINCT repository, digest, type, wanted, optional FROM resolve_edge"
        f" WHERE name IN ({', '.join(f':{name}' for name in listed)}) AND ({condition})"
        " AND (repository > :repository OR (repository = :repository AND (digest > :digest OR"
        " (digest = :digest AND type > :type)))) ORDER BY repository, digest, type LIMIT :limit",
        repository=after[0], digest=after[1], type=after[2], limit=limit, **listed, **values,
    )  # fmt: skip
    return [Dependent(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows]


# --- advisories -------------------------------------------------------------------------------------------------

_ADVISORY = "repository, id, state, severity, body, author, changed_at"


def _advisory(row: Sequence[Any]) -> Advisory:
    return Advisory(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6])


async def advisory(tx: Transaction, repository: str, advisory_id: str) -> Advisory | None:
    """One."""
    row = await tx.one(
        f"SELECT {_ADVISORY} FROM resolve_advisory WHERE repository = :repository AND id = :id",
        repository=repository, id=advisory_id,
    )  # fmt: skip
    return _advisory(row) if row is not None else None


async def advisories(
    tx: Transaction, repository: str, states: Sequence[str], after: str, limit: int
) -> Sequence[Advisory]:
    """Those of an artifact in these states, by id."""
    listed = {f"s{number}": state for number, state in enumerate(states)}
    rows = await tx.all(
        f"SELECT {_ADVISORY} FROM resolve_advisory WHERE repository = :repository AND id > :after"
        f" AND state IN ({', '.join(f':{name}' for name in listed)}) ORDER BY id LIMIT :limit",
        repository=repository, after=after, limit=limit, **listed,
    )  # fmt: skip
    return [_advisory(row) for row in rows]


async def published(tx: Transaction, repositories: Sequence[str]) -> Sequence[Advisory]:
    """Published advisories about any of these artifacts."""
    found: list[Advisory] = []
    for start in range(0, len(repositories), 500):
        listed = {f"r{number}": name for number, name in enumerate(repositories[start : start + 500])}
        rows = await tx.all(
            f"SELECT {_ADVISORY} FROM resolve_advisory WHERE state = 'published'"
            f" AND repository IN ({', '.join(f':{name}' for name in listed)}) ORDER BY repository, id",
            **listed,
        )
        found += [_advisory(row) for row in rows]
    return found


async def put_advisory(tx: Transaction, found: Advisory) -> None:
    """Make or replace one."""
    await tx.run(
        f"INSERT INTO resolve_advisory ({_ADVISORY}) VALUES (:repository, :id, :state, :severity, :body, :author, :now)"
        " ON CONFLICT (repository, id) DO UPDATE SET state = :state, severity = :severity, body = :body,"
        " changed_at = :now",
        repository=found.repository, id=found.id, state=found.state, severity=found.severity,
        body=json.dumps(dict(found.body), sort_keys=True), author=found.author, now=found.changed_at,
    )  # fmt: skip


async def drop_advisory(tx: Transaction, repository: str, advisory_id: str) -> bool:
    """Remove one; False if there is none."""
    removed = await tx.run(
        "DELETE FROM resolve_advisory WHERE repository = :repository AND id = :id",
        repository=repository, id=advisory_id,
    )  # fmt: skip
    return removed > 0
