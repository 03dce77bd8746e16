"""Stars and ratings."""

from __future__ import annotations

from collections.abc import Sequence

from gati_registry.extension import Transaction


async def star(tx: Transaction, repository: str, account: int, now: int, *, on: bool) -> None:
    """Give a star, or take it back; again changes nothing."""
    if on:
        changed = await tx.run(
            "INSERT INTO kinds_star (repository, account, starred_at) VALUES (:repository, :account, :now)"
            " ON CONFLICT (repository, account) DO NOTHING",
            repository=repository, account=account, now=now,
        )  # fmt: skip
    else:
        changed = await tx.run(
            "DELETE FROM kinds_star WHERE repository = :repository AND account = :account",
            repository=repository, account=account,
        )  # fmt: skip
    if changed:
        await tx.run(
            "UPDATE kinds_repository SET stars = stars + :by WHERE name = :name", name=repository, by=1 if on else -1
        )


async def has_star(tx: Transaction, repository: str, account: int) -> bool:
    """Whether the account's star is among them."""
    row = await tx.one(
        "SELECT 1 FROM kinds_star WHERE repository = :repository AND account = :account",
        repository=repository, account=account,
    )  # fmt: skip
    return row is not None


async def rate(tx: Transaction, repository: str, account: int, author: str, stars: int, review: str, now: int) -> None:
    """Rate; replaces one's earlier rating."""
    row = await tx.one(
        "SELECT stars FROM kinds_rating WHERE repository = :repository AND account = :account",
        repository=repository, account=account,
    )  # fmt: skip
    await tx.run(
        "INSERT INTO kinds_rating (repository, account, author, stars, review, rated_at)"
        " VALUES (:repository, :account, :author, :stars, :review, :now) ON CONFLICT (repository, account)"
        " DO UPDATE SET stars = :stars, review = :review, rated_at = :now",
        repository=repository, account=account, author=author, stars=stars, review=review, now=now,
    )  # fmt: skip
    await tx.run(
        "UPDATE kinds_repository SET ratings = ratings + :new, rated = rated + :by WHERE name = :name",
        name=repository, new=0 if row else 1, by=stars - (row[0] if row else 0),
    )  # fmt: skip


async def ratings(tx: Transaction, repository: str, after: int, limit: int) -> Sequence[tuple[int, str, int, str, int]]:
    """(account, author, stars, review, time) by account."""
    rows = await tx.all(
        "SELECT account, author, stars, review, rated_at FROM kinds_rating WHERE repository = :repository"
        " AND account > :after ORDER BY account LIMIT :limit",
        repository=repository, after=after, limit=limit,
    )  # fmt: skip
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]
