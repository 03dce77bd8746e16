"""Organizations' members and teams."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.identity.api import Account, Belonging, Membership, Team
from gati_extensions.identity.store import changed
from gati_registry.extension import Transaction

OWNER, MEMBER = "owner", "member"


async def memberships(tx: Transaction, account_id: int) -> Sequence[Membership]:
    """Organizations of an account, by name."""
    rows = await tx.all(
        "SELECT o.id, o.name, m.role FROM identity_member m JOIN identity_account o ON o.id = m.org_id"
        " WHERE m.account_id = :id AND o.erased_at IS NULL ORDER BY o.name",
        id=account_id,
    )
    return [Membership(*row) for row in rows]


async def belonging(tx: Transaction, account: int | str) -> Belonging | None:
    """The account of a number or name, unless it is erased, with what it belongs to."""
    which = ":key" if isinstance(account, int) else "(SELECT id FROM identity_account WHERE name = :key)"
    rows = await tx.all(
        "SELECT a.id, a.name, a.kind, a.admin, a.active, a.email, a.display, a.epoch,"
        " found.part, found.id, found.org_id, found.org, found.word FROM identity_account a LEFT JOIN"
        " (SELECT 1 AS part, o.id AS id, o.id AS org_id, o.name AS org, m.role AS word FROM identity_member m"
        f" JOIN identity_account o ON o.id = m.org_id WHERE m.account_id = {which} AND o.erased_at IS NULL"
        " UNION ALL SELECT 2, t.id, t.org_id, o.name, t.name FROM identity_team_member m"
        " JOIN identity_team t ON t.id = m.team_id JOIN identity_account o ON o.id = t.org_id"
        f" WHERE m.account_id = {which}) AS found ON TRUE WHERE a.id = {which} AND a.erased_at IS NULL",
        key=account,
    )
    if not rows:
        return None
    number, name, kind, admin, active, email, display, epoch = rows[0][:8]
    return Belonging(
        Account(number, name, kind, bool(admin), bool(active), email, display, epoch),
        sorted((Membership(row[9], row[11], row[12]) for row in rows if row[8] == 1), key=lambda one: one.org),
        [Team(*row[9:]) for row in rows if row[8] == 2],
    )


async def role(tx: Transaction, org_id: int, account_id: int) -> str | None:
    """An account's role in an organization."""
    row = await tx.one(
        "SELECT role FROM identity_member WHERE org_id = :org AND account_id = :account", org=org_id, account=account_id
    )
    return str(row[0]) if row is not None else None


async def members(tx: Transaction, org_id: int, after: str, limit: int) -> list[tuple[str, str, str, int]]:
    """(name, kind, role, since) by name."""
    return [
        (name, kind, role, since)
        for name, kind, role, since in await tx.all(
            "SELECT a.name, a.kind, m.role, m.since FROM identity_member m JOIN identity_account a"
            " ON a.id = m.account_id WHERE m.org_id = :org AND a.name > :after ORDER BY a.name LIMIT :limit",
            org=org_id,
            after=after,
            limit=limit,
        )
    ]


async def owners(tx: Transaction, org_id: int) -> int:
    """How many users own it. Their rows stay as they are to the transaction's end."""
    # An update of nothing: owners who leave at the same time wait for each other.
    return await tx.run(
        "UPDATE identity_member SET role = role WHERE org_id = :org AND role = :role", org=org_id, role=OWNER
    )


async def put_member(tx: Transaction, org_id: int, account_id: int, role: str, now: int) -> None:
    """Make or change a membership."""
    await tx.run(
        "INSERT INTO identity_member (org_id, account_id, role, since) VALUES (:org, :account, :role, :now)"
        " ON CONFLICT (org_id, account_id) DO UPDATE SET role = excluded.role",
        org=org_id,
        account=account_id,
        role=role,
        now=now,
    )
    await changed(tx)


async def drop_member(tx: Transaction, org_id: int, account_id: int) -> None:
    """End a membership, in the organization's teams as well."""
    await tx.run(
        "DELETE FROM identity_team_member WHERE account_id = :account"
        " AND team_id IN (SELECT id FROM identity_team WHERE org_id = :org)",
        account=account_id,
        org=org_id,
    )
    await tx.run(
        "DELETE FROM identity_member WHERE org_id = :org AND account_id = :account", org=org_id, account=account_id
    )
    await changed(tx)


# --- teams ------------------------------------------------------------------------------------------------------

_TEAM = "SELECT t.id, t.org_id, o.name, t.name FROM identity_team t JOIN identity_account o ON o.id = t.org_id"


async def team(tx: Transaction, org: str, name: str) -> Team | None:
    """A team by names."""
    row = await tx.one(f"{_TEAM} WHERE o.name = :org AND t.name = :name", org=org, name=name)
    return Team(*row) if row is not None else None


async def teams_of(tx: Transaction, account_id: int) -> Sequence[Team]:
    """Teams of an account."""
    rows = await tx.all(
        f"{_TEAM} JOIN identity_team_member m ON m.team_id = t.id WHERE m.account_id = :id ORDER BY o.name, t.name",
        id=account_id,
    )
    return [Team(*row) for row in rows]


async def teams(tx: Transaction, org_id: int, after: str, limit: int) -> list[tuple[str, str, int]]:
    """(name, description, created_at) by name."""
    return [
        (name, description, created_at)
        for name, description, created_at in await tx.all(
            "SELECT name, description, created_at FROM identity_team WHERE org_id = :org AND name > :after"
            " ORDER BY name LIMIT :limit",
            org=org_id,
            after=after,
            limit=limit,
        )
    ]


async def add_team(tx: Transaction, org_id: int, name: str, description: str, now: int) -> bool:
    """A new team; False if the name is taken."""
    added = await tx.run(
        "INSERT INTO identity_team (org_id, name, description, created_at) VALUES (:org, :name, :description, :now)"
        " ON CONFLICT (org_id, name) DO NOTHING",
        org=org_id,
        name=name,
        description=description,
        now=now,
    )
    await changed(tx)
    return bool(added)


async def drop_team(tx: Transaction, team_id: int) -> None:
    """Remove a team."""
    await tx.run("DELETE FROM identity_team_member WHERE team_id = :id", id=team_id)
    await tx.run("DELETE FROM identity_team WHERE id = :id", id=team_id)
    await changed(tx)


async def team_members(tx: Transaction, team_id: int, after: str, limit: int) -> list[tuple[str, int]]:
    """(name, since) by name."""
    return [
        (name, since)
        for name, since in await tx.all(
            "SELECT a.name, m.since FROM identity_team_member m JOIN identity_account a ON a.id = m.account_id"
            " WHERE m.team_id = :team AND a.name > :after ORDER BY a.name LIMIT :limit",
            team=team_id,
            after=after,
            limit=limit,
        )
    ]


async def put_team_member(tx: Transaction, team_id: int, account_id: int, now: int) -> None:
    """Take an account into a team."""
    await tx.run(
        "INSERT INTO identity_team_member (team_id, account_id, since) VALUES (:team, :account, :now)"
        " ON CONFLICT (team_id, account_id) DO NOTHING",
        team=team_id,
        account=account_id,
        now=now,
    )
    await changed(tx)


async def drop_team_member(tx: Transaction, team_id: int, account_id: int) -> bool:
    """Out of the team; False if it was not in it."""
    dropped = await tx.run(
        "DELETE FROM identity_team_member WHERE team_id = :team AND account_id = :account",
        team=team_id,
        account=account_id,
    )
    await changed(tx)
    return bool(dropped)
