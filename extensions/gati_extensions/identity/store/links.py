"""Who accounts are elsewhere, and what they were given for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gati_extensions.identity.store import changed
from gati_registry.extension import Transaction


@dataclass(frozen=True, slots=True)
class Link:
    """An account's identity at an issuer; `label` is what its owner knows it by."""

    id: str
    account_id: int
    provider: str
    issuer: str
    subject: str
    label: str
    created_at: int
    used_at: int
    suspended_at: int | None = None


_LINK = "SELECT id, account_id, provider, issuer, subject, label, created_at, used_at, suspended_at FROM identity_link"


async def find(tx: Transaction, issuer: str, subject: str) -> Link | None:
    """The link of an identity."""
    row = await tx.one(f"{_LINK} WHERE issuer = :issuer AND subject = :subject", issuer=issuer, subject=subject)
    return Link(*row) if row is not None else None


async def of_account(tx: Transaction, account_id: int) -> list[Link]:
    """An account's links, by id."""
    return [Link(*row) for row in await tx.all(f"{_LINK} WHERE account_id = :id ORDER BY id LIMIT 1000", id=account_id)]


async def of_provider(tx: Transaction, provider: str, after: str, limit: int) -> list[Link]:
    """A provider's links, by id."""
    rows = await tx.all(
        f"{_LINK} WHERE provider = :provider AND id > :after ORDER BY id LIMIT :limit",
        provider=provider,
        after=after,
        limit=limit,
    )
    return [Link(*row) for row in rows]


async def has(tx: Transaction, account_id: int, provider: str) -> bool:
    """Whether the account is known to a provider."""
    row = await tx.one(
        "SELECT 1 FROM identity_link WHERE account_id = :id AND provider = :provider", id=account_id, provider=provider
    )
    return row is not None


async def add(tx: Transaction, link: Link) -> bool:
    """A new link; False if the identity is linked already."""
    added = await tx.run(
        "INSERT INTO identity_link (id, account_id, provider, issuer, subject, label, created_at, used_at)"
        " VALUES (:id, :account, :provider, :issuer, :subject, :label, :created, :used)"
        " ON CONFLICT (issuer, subject) DO NOTHING",
        id=link.id,
        account=link.account_id,
        provider=link.provider,
        issuer=link.issuer,
        subject=link.subject,
        label=link.label,
        created=link.created_at,
        used=link.used_at,
    )
    await changed(tx)
    return bool(added)


async def used(tx: Transaction, link_id: str, label: str, now: int) -> None:
    """Note a login; whatever was suspended is in force again."""
    await tx.run(
        "UPDATE identity_link SET used_at = :now, label = :label, suspended_at = NULL WHERE id = :id",
        now=now,
        label=label,
        id=link_id,
    )


async def suspend(tx: Transaction, link_id: str, now: int) -> None:
    """Its issuer says that it is no more."""
    await tx.run("UPDATE identity_link SET suspended_at = :now WHERE id = :id", now=now, id=link_id)


async def drop(tx: Transaction, link_id: str) -> None:
    """Remove a link."""
    await tx.run("DELETE FROM identity_link WHERE id = :id", id=link_id)
    await changed(tx)


async def given(tx: Transaction, account_id: int, provider: str) -> Sequence[str]:
    """What an account has because of its groups at a provider."""
    rows = await tx.all(
        "SELECT target FROM identity_given WHERE account_id = :id AND provider = :provider ORDER BY target",
        id=account_id,
        provider=provider,
    )
    return [str(row[0]) for row in rows]


async def give(tx: Transaction, account_id: int, provider: str, target: str) -> None:
    """Note that it was given something."""
    await tx.run(
        "INSERT INTO identity_given (account_id, provider, target) VALUES (:id, :provider, :target)"
        " ON CONFLICT (account_id, provider, target) DO NOTHING",
        id=account_id,
        provider=provider,
        target=target,
    )


async def take(tx: Transaction, account_id: int, provider: str, target: str) -> bool:
    """Note that it was taken from it; True if no other provider gave the same."""
    await tx.run(
        "DELETE FROM identity_given WHERE account_id = :id AND provider = :provider AND target = :target",
        id=account_id,
        provider=provider,
        target=target,
    )
    row = await tx.one(
        "SELECT 1 FROM identity_given WHERE account_id = :id AND target = :target", id=account_id, target=target
    )
    return row is None
