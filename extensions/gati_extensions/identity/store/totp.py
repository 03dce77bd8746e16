"""One-time passwords and recovery codes."""

from __future__ import annotations

import base64
import hmac

from gati_extensions.identity import secret
from gati_extensions.identity.store import changed
from gati_extensions.identity.vault import Vault, one_time
from gati_registry.extension import Transaction

STEP = 30
"""Seconds (RFC 6238)."""


async def is_on(tx: Transaction, account_id: int) -> bool:
    """Whether the account has a second factor that was confirmed."""
    return await confirmed(tx, account_id) is not None


async def confirmed(tx: Transaction, account_id: int) -> str | None:
    """The secret of a second factor in force."""
    row = await tx.one(
        "SELECT secret FROM identity_totp WHERE account_id = :id AND confirmed_at IS NOT NULL", id=account_id
    )
    return str(row[0]) if row is not None else None


async def enrol(tx: Transaction, vault: Vault, account_id: int, shared: str) -> bool:
    """Begin anew; False if there is a second factor in force."""
    if await confirmed(tx, account_id) is not None:
        return False
    await tx.run(
        "INSERT INTO identity_totp (account_id, secret) VALUES (:id, :secret)"
        " ON CONFLICT (account_id) DO UPDATE SET secret = excluded.secret, step = 0",
        id=account_id,
        secret=vault.seal(shared, one_time(account_id)),
    )
    return True


async def confirm(tx: Transaction, vault: Vault, account_id: int, code: str, recovery: list[str], now: int) -> bool:
    """Put it in force, if the code is right; `recovery` are the hashes of its recovery codes."""
    if await confirmed(tx, account_id) is not None or not await _spend_code(tx, vault, account_id, code, now):
        return False
    await tx.run("UPDATE identity_totp SET confirmed_at = :now WHERE account_id = :id", now=now, id=account_id)
    await tx.run("DELETE FROM identity_recovery WHERE account_id = :id", id=account_id)
    for hashed in recovery:
        await tx.run("INSERT INTO identity_recovery (account_id, hash) VALUES (:id, :hash)", id=account_id, hash=hashed)
    await changed(tx)
    return True


async def spend(tx: Transaction, vault: Vault, account_id: int, code: str, now: int) -> bool:
    """Whether a code is right; it is used up."""
    if await _spend_code(tx, vault, account_id, code, now):
        return True
    used = await tx.run(
        "DELETE FROM identity_recovery WHERE account_id = :id AND hash = :hash",
        id=account_id,
        hash=secret.hashed(code.strip().lower()),
    )
    return used > 0


async def drop(tx: Transaction, account_id: int) -> None:
    """Do without."""
    await tx.run("DELETE FROM identity_totp WHERE account_id = :id", id=account_id)
    await changed(tx)


async def _spend_code(tx: Transaction, vault: Vault, account_id: int, code: str, now: int) -> bool:
    row = await tx.one("SELECT secret, step FROM identity_totp WHERE account_id = :id", id=account_id)
    shared = vault.open(row[0], one_time(account_id)) if row is not None else None
    if row is None or shared is None:
        return False
    present = now // 1000 // STEP
    for step in (present - 1, present, present + 1):
        if step > row[1] and hmac.compare_digest(code_of(shared, step).encode(), code.strip().encode()):
            # A code is good once (RFC 6238 section 5.2), also for two requests at the same time.
            return bool(
                await tx.run(
                    "UPDATE identity_totp SET step = :step WHERE account_id = :id AND step < :step",
                    step=step,
                    id=account_id,
                )
            )
    return False


def code_of(shared: str, step: int) -> str:
    """The six digits of a time step (RFC 4226 section 5.3)."""
    digest = hmac.digest(base64.b32decode(shared), step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"
