"""Accounts: users, organizations, robots."""

from __future__ import annotations

from dataclasses import dataclass

from gati_extensions.identity.store import changed
from gati_registry.extension import Transaction

_COLUMNS = "a.id, a.name, a.kind, a.admin, a.active, a.email, a.display, a.url, a.password, a.owner_id, o.name, a.epoch"
_COLUMNS += ", a.created_at, a.erased_at"
_FROM = "identity_account a LEFT JOIN identity_account o ON o.id = a.owner_id"


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is stored; `api.Account` is what others see of it. `owner` is a robot's."""

    id: int
    name: str
    kind: str
    admin: bool
    active: bool
    email: str | None
    display: str
    url: str | None
    password: str | None
    owner_id: int | None
    owner: str | None
    epoch: int
    created_at: int
    erased_at: int | None

    @property
    def namespace(self) -> str:
        """The path that belongs to it; a robot's is its owner's."""
        owner = self.owner or self.name
        return f"{'orgs' if self.kind == 'org' else 'users'}/{owner}"


def _row(row: tuple[object, ...]) -> AccountRow:
    found = list(row)
    found[3], found[4] = bool(found[3]), bool(found[4])
    return AccountRow(*found)  # type: ignore[arg-type]  # in the order of _COLUMNS


async def find(tx: Transaction, name: str) -> AccountRow | None:
    """By name; erased ones too, since their names stay taken."""
    row = await tx.one(f"SELECT {_COLUMNS} FROM {_FROM} WHERE a.name = :name", name=name)
    return _row(row) if row is not None else None


async def get(tx: Transaction, account_id: int) -> AccountRow | None:
    """By number."""
    row = await tx.one(f"SELECT {_COLUMNS} FROM {_FROM} WHERE a.id = :id", id=account_id)
    return _row(row) if row is not None else None


async def page(tx: Transaction, kind: str, after: str, limit: int) -> list[AccountRow]:
    """Accounts of a kind that are not erased, by name."""
    rows = await tx.all(
        f"SELECT {_COLUMNS} FROM {_FROM} WHERE a.kind = :kind AND a.name > :after AND a.erased_at IS NULL"
        " ORDER BY a.name LIMIT :limit",
        kind=kind,
        after=after,
        limit=limit,
    )
    return [_row(row) for row in rows]


async def robots(tx: Transaction, owner_id: int, after: str, limit: int) -> list[AccountRow]:
    """Robots of an owner that are not erased, by name."""
    rows = await tx.all(
        f"SELECT {_COLUMNS} FROM {_FROM} WHERE a.owner_id = :owner AND a.name > :after AND a.erased_at IS NULL"
        " ORDER BY a.name LIMIT :limit",
        owner=owner_id,
        after=after,
        limit=limit,
    )
    return [_row(row) for row in rows]


async def add(
    tx: Transaction,
    name: str,
    kind: str,
    now: int,
    *,
    admin: bool = False,
    email: str | None = None,
    display: str = "",
    url: str | None = None,
    password: str | None = None,
    owner_id: int | None = None,
) -> AccountRow | None:
    """A new account; None if the name is taken, by an erased account even."""
    row = await tx.one(
        "INSERT INTO identity_account (name, kind, admin, email, display, url, password, owner_id, created_at)"
        " VALUES (:name, :kind, :admin, :email, :display, :url, :password, :owner, :now)"
        " ON CONFLICT (name) DO NOTHING RETURNING id",
        name=name,
        kind=kind,
        admin=int(admin),
        email=email,
        display=display,
        url=url,
        password=password,
        owner=owner_id,
        now=now,
    )
    if row is None:
        return None
    await changed(tx)
    return await get(tx, row[0])


async def set_profile(tx: Transaction, account_id: int, *, email: str | None, display: str, url: str | None) -> None:
    """Replace what an account says of itself."""
    await tx.run(
        "UPDATE identity_account SET email = :email, display = :display, url = :url WHERE id = :id",
        email=email,
        display=display,
        url=url,
        id=account_id,
    )
    await changed(tx)


async def set_standing(tx: Transaction, account_id: int, *, admin: bool, active: bool) -> None:
    """Replace whether it administers the server, and whether it may do anything at all; the last word counts."""
    await tx.run(
        "UPDATE identity_account SET admin = :admin, active = :active WHERE id = :id",
        admin=int(admin),
        active=int(active),
        id=account_id,
    )
    await tx.run("UPDATE identity_link SET suspended_at = NULL WHERE account_id = :id", id=account_id)
    await changed(tx)


async def set_password(tx: Transaction, account_id: int, hashed: str | None) -> None:
    """Replace the password."""
    await tx.run("UPDATE identity_account SET password = :hashed WHERE id = :id", hashed=hashed, id=account_id)
    await changed(tx)


async def end_all(tx: Transaction, account_id: int) -> None:
    """End the account's sessions, refresh tokens and tokens; keys stay."""
    await tx.run("UPDATE identity_account SET epoch = epoch + 1 WHERE id = :id", id=account_id)
    await tx.run("DELETE FROM identity_session WHERE account_id = :id", id=account_id)
    await tx.run("DELETE FROM identity_refresh WHERE account_id = :id", id=account_id)
    await changed(tx)


async def erase(tx: Transaction, account_id: int, now: int) -> None:
    """Forget everything of an account but that its name was taken."""
    await end_all(tx, account_id)
    for statement in (
        "DELETE FROM identity_key WHERE account_id = :id",
        "DELETE FROM identity_publisher WHERE account_id = :id",
        "DELETE FROM identity_certificate WHERE account_id = :id",
        "DELETE FROM identity_device WHERE account_id = :id",
        "UPDATE identity_invitation SET email = NULL WHERE used_by = :id",
        "DELETE FROM identity_totp WHERE account_id = :id",
        "DELETE FROM identity_passkey WHERE account_id = :id",
        "DELETE FROM identity_challenge WHERE account_id = :id",
        "DELETE FROM identity_recovery WHERE account_id = :id",
        "DELETE FROM identity_link WHERE account_id = :id",
        "DELETE FROM identity_given WHERE account_id = :id",
        "DELETE FROM identity_team_member WHERE account_id = :id",
        "DELETE FROM identity_member WHERE account_id = :id OR org_id = :id",
        "DELETE FROM identity_team_member WHERE team_id IN (SELECT id FROM identity_team WHERE org_id = :id)",
        "DELETE FROM identity_team WHERE org_id = :id",
    ):
        await tx.run(statement, id=account_id)
    await tx.run(
        "UPDATE identity_account SET admin = 0, active = 0, email = NULL, display = '', url = NULL, password = NULL,"
        " erased_at = :now WHERE id = :id",
        now=now,
        id=account_id,
    )
