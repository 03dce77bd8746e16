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


MANIFESTS = (
    "EXISTS (SELECT 1 FROM namespaces_draft AS draft WHERE draft.repository = {repository} AND draft.digest = {digest})"
)
"""A condition on manifests: it is one."""


NUMBER = "(SELECT count(*) FROM namespaces_draft AS draft WHERE draft.repository = {repository})"
"""How many a repository has."""


async def any_in(tx: Transaction, repository: str) -> bool:
    """Whether the repository has one."""
    return (
        await tx.one("SELECT 1 FROM namespaces_draft WHERE repository = :repository LIMIT 1", repository=repository)
        is not None
    )


async def needed_elsewhere(tx: Transaction, repository: str, digest: str) -> bool:
    """Whether something published in the repository refers to the blob."""
    row = await tx.one(
        "SELECT 1 FROM repository JOIN reference ON reference.repository_id = repository.id"  # noqa: S608
        " JOIN manifest ON manifest.id = reference.manifest_id"
        " WHERE repository.name = :repository AND reference.digest = :digest"
        f" AND NOT {MANIFESTS.format(repository='repository.name', digest='manifest.digest')} LIMIT 1",
        repository=repository,
        digest=digest,
    )
    return row is not None


async def any_published(tx: Transaction, repository: str) -> bool:
    """Whether the repository has a manifest that is none."""
    row = await tx.one(
        "SELECT 1 FROM repository JOIN manifest ON manifest.repository_id = repository.id"  # noqa: S608
        " WHERE repository.name = :repository"
        f" AND NOT {MANIFESTS.format(repository='repository.name', digest='manifest.digest')} LIMIT 1",
        repository=repository,
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
