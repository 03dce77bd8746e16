"""Drafts: manifests that members alone see until a publisher publishes them."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.namespaces import store
from gati_registry.extension import Transaction


async def is_draft(tx: Transaction, repository: str, digest: str) -> bool:
    """Whether the manifest is one."""
    row = await tx.one(
        "SELECT 1 FROM namespaces_draft WHERE repository = :repository AND digest = :digest",
        repository=repository,
        digest=digest,
    )
    return row is not None


async def add(tx: Transaction, repository: str, digest: str, author: str, now: int) -> None:
    """It is one from now on."""
    await tx.run(
        "INSERT INTO namespaces_draft (repository, digest, author, pushed_at)"
        " VALUES (:repository, :digest, :author, :now) ON CONFLICT (repository, digest) DO NOTHING",
        repository=repository,
        digest=digest,
        author=author,
        now=now,
    )
    await store.changed(tx, "drafts")


async def drop(tx: Transaction, repository: str, digest: str) -> bool:
    """It is none any more; False if it was none."""
    removed = await tx.run(
        "DELETE FROM namespaces_draft WHERE repository = :repository AND digest = :digest",
        repository=repository,
        digest=digest,
    )
    if removed:
        await store.changed(tx, "drafts")
    return removed > 0


async def page(tx: Transaction, repository: str, after: str, limit: int) -> Sequence[tuple[str, str, int]]:
    """(digest, author, pushed_at) by digest."""
    rows = await tx.all(
        "SELECT digest, author, pushed_at FROM namespaces_draft WHERE repository = :repository AND digest > :after"
        " ORDER BY digest LIMIT :limit",
        repository=repository,
        after=after,
        limit=limit,
    )
    return [(row[0], row[1], row[2]) for row in rows]
