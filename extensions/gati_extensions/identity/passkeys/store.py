"""The tables of passkeys and of challenges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gati_extensions.identity.store import changed
from gati_registry.extension import Transaction


@dataclass(frozen=True, slots=True)
class Passkey:
    """A credential; `credential_id` and `public_key` are base64url. It is good for one site, under one origin."""

    id: str
    account_id: int
    name: str
    credential_id: str
    public_key: str
    sign_count: int
    site: str
    origin: str
    created_at: int
    used_at: int | None
    cloned_at: int | None


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is to be signed: for whom, for what, in which session, under which origin."""

    account_id: int
    purpose: str
    session: str
    origin: str
    challenge: str
    expires_at: int


_COLUMNS = "id, account_id, name, credential_id, public_key, sign_count, site, origin, created_at, used_at, cloned_at"


async def is_on(tx: Transaction, account_id: int) -> bool:
    """Whether the account has a passkey."""
    row = await tx.one("SELECT 1 FROM identity_passkey WHERE account_id = :account LIMIT 1", account=account_id)
    return row is not None


async def of_account(tx: Transaction, account_id: int) -> Sequence[Passkey]:
    """An account's passkeys, the oldest first."""
    rows = await tx.all(
        f"SELECT {_COLUMNS} FROM identity_passkey WHERE account_id = :account ORDER BY created_at, id",
        account=account_id,
    )
    return [Passkey(*row) for row in rows]


async def find(tx: Transaction, account_id: int, credential_id: str) -> Passkey | None:
    """An account's passkey by the browser's name of it."""
    row = await tx.one(
        f"SELECT {_COLUMNS} FROM identity_passkey WHERE credential_id = :id AND account_id = :account",
        id=credential_id,
        account=account_id,
    )
    return Passkey(*row) if row is not None else None


async def add(tx: Transaction, passkey: Passkey) -> bool:
    """A new passkey; False if it is there already."""
    made = await tx.run(
        "INSERT INTO identity_passkey"
        " (id, account_id, name, credential_id, public_key, sign_count, site, origin, created_at)"
        " VALUES (:id, :account, :name, :credential, :key, :count, :site, :origin, :now)"
        " ON CONFLICT (credential_id) DO NOTHING",
        id=passkey.id,
        account=passkey.account_id,
        name=passkey.name,
        credential=passkey.credential_id,
        key=passkey.public_key,
        count=passkey.sign_count,
        site=passkey.site,
        origin=passkey.origin,
        now=passkey.created_at,
    )
    if made:
        await changed(tx)
    return made > 0


async def used(tx: Transaction, passkey: Passkey, count: int, now: int) -> bool:
    """Note a use; False if the counter did not go on, which a copy of the passkey would do."""
    # Authenticators without a counter always say 0 (WebAuthn section 6.1.1).
    went_on = await tx.run(
        "UPDATE identity_passkey SET sign_count = :count, used_at = :now"
        " WHERE id = :id AND (sign_count < :count OR (sign_count = 0 AND :count = 0))",
        count=count,
        now=now,
        id=passkey.id,
    )
    if not went_on:
        await tx.run("UPDATE identity_passkey SET cloned_at = :now WHERE id = :id", now=now, id=passkey.id)
    return went_on > 0


async def drop(tx: Transaction, account_id: int, passkey_id: str) -> bool:
    """Remove a passkey; False if the account has none such."""
    gone = await tx.run(
        "DELETE FROM identity_passkey WHERE id = :id AND account_id = :account", id=passkey_id, account=account_id
    )
    await changed(tx)
    return gone > 0


# --- challenges -------------------------------------------------------------------------------------------------


async def add_challenge(tx: Transaction, hashed: str, challenge: Challenge, most: int) -> None:
    """A new challenge; of more than `most` of an account the oldest goes."""
    await tx.run(
        "INSERT INTO identity_challenge (state, account_id, purpose, session, origin, challenge, expires_at)"
        " VALUES (:state, :account, :purpose, :session, :origin, :challenge, :expires)",
        state=hashed,
        account=challenge.account_id,
        purpose=challenge.purpose,
        session=challenge.session,
        origin=challenge.origin,
        challenge=challenge.challenge,
        expires=challenge.expires_at,
    )
    await tx.run(
        "DELETE FROM identity_challenge WHERE state IN (SELECT state FROM identity_challenge"
        " WHERE account_id = :account ORDER BY expires_at DESC, state LIMIT 1000 OFFSET :most)",
        account=challenge.account_id,
        most=most,
    )


async def take_challenge(tx: Transaction, hashed: str) -> Challenge | None:
    """A challenge, which is gone then, whatever comes of it."""
    row = await tx.one(
        "DELETE FROM identity_challenge WHERE state = :state"
        " RETURNING account_id, purpose, session, origin, challenge, expires_at",
        state=hashed,
    )
    return Challenge(*row) if row is not None else None
