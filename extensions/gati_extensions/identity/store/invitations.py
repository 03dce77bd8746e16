"""Invitations to make an account; each is good once."""

from __future__ import annotations

from dataclasses import dataclass

from gati_registry.extension import Transaction


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation, without its secret; `used_by` is an account's name."""

    id: str
    email: str | None
    created_at: int
    expires_at: int
    used_by: str | None


async def add(tx: Transaction, invitation: Invitation, hashed: str, created_by: int) -> None:
    """A new invitation."""
    await tx.run(
        "INSERT INTO identity_invitation (id, hash, email, created_by, created_at, expires_at)"
        " VALUES (:id, :hash, :email, :by, :created, :expires)",
        id=invitation.id,
        hash=hashed,
        email=invitation.email,
        by=created_by,
        created=invitation.created_at,
        expires=invitation.expires_at,
    )


async def use(tx: Transaction, hashed: str, account_id: int, now: int) -> bool:
    """Use it up; False if it is not there, used or over."""
    used = await tx.run(
        "UPDATE identity_invitation SET used_at = :now, used_by = :account"
        " WHERE hash = :hash AND used_at IS NULL AND expires_at > :now",
        now=now,
        account=account_id,
        hash=hashed,
    )
    return used == 1


async def page(tx: Transaction, after: str, limit: int) -> list[Invitation]:
    """All invitations, by id."""
    rows = await tx.all(
        "SELECT i.id, i.email, i.created_at, i.expires_at, a.name FROM identity_invitation i"
        " LEFT JOIN identity_account a ON a.id = i.used_by WHERE i.id > :after ORDER BY i.id LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [Invitation(*row) for row in rows]


async def drop(tx: Transaction, invitation_id: str) -> bool:
    """Take an invitation back; False if there is none."""
    return bool(await tx.run("DELETE FROM identity_invitation WHERE id = :id", id=invitation_id))
