"""Second factors of whichever kind, and the recovery codes that go with them."""

from __future__ import annotations

from gati_extensions.identity.passkeys import store as passkeys
from gati_extensions.identity.store import totp
from gati_registry.extension import Transaction


async def is_on(tx: Transaction, account_id: int) -> bool:
    """Whether a password alone is not enough."""
    return await totp.is_on(tx, account_id) or await passkeys.is_on(tx, account_id)


async def set_recovery(tx: Transaction, account_id: int, hashes: list[str]) -> None:
    """New recovery codes, in place of others."""
    await tx.run("DELETE FROM identity_recovery WHERE account_id = :id", id=account_id)
    for hashed in hashes:
        await tx.run("INSERT INTO identity_recovery (account_id, hash) VALUES (:id, :hash)", id=account_id, hash=hashed)


async def removed(tx: Transaction, account_id: int) -> None:
    """A factor was removed: with the last of them the recovery codes go."""
    if not await is_on(tx, account_id):
        await tx.run("DELETE FROM identity_recovery WHERE account_id = :id", id=account_id)
