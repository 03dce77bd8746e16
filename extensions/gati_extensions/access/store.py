"""Capabilities that were issued or revoked, and the key that signs them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gati_registry.extension import Transaction


@dataclass(frozen=True, slots=True)
class Issued:
    """A capability that was issued here."""

    jti: str
    account_id: int
    note: str
    caps: list[Any]
    issued_at: int
    expires_at: int
    revoked: bool


async def signing_key(tx: Transaction) -> bytes | None:
    """The registry's private key."""
    row = await tx.one("SELECT private FROM access_key WHERE id = 1")
    return bytes.fromhex(row[0]) if row is not None else None


async def make_signing_key(tx: Transaction, now: int) -> bytes:
    """The registry's private key, made where there is none."""
    made = secrets.token_bytes(32)
    await tx.run(
        "INSERT INTO access_key (id, private, created_at) VALUES (1, :private, :now) ON CONFLICT (id) DO NOTHING",
        private=made.hex(),
        now=now,
    )
    return await signing_key(tx) or made


async def add(tx: Transaction, new: Issued) -> None:
    """Note a capability."""
    await tx.run(
        "INSERT INTO access_capability (jti, account_id, note, caps, issued_at, expires_at)"
        " VALUES (:jti, :account_id, :note, :caps, :issued_at, :expires_at)",
        jti=new.jti,
        account_id=new.account_id,
        note=new.note,
        caps=json.dumps(new.caps),
        issued_at=new.issued_at,
        expires_at=new.expires_at,
    )


async def page(tx: Transaction, account_id: int, after: str, limit: int) -> list[Issued]:
    """An account's capabilities by id."""
    rows = await tx.all(
        "SELECT c.jti, c.account_id, c.note, c.caps, c.issued_at, c.expires_at, r.jti FROM access_capability AS c"
        " LEFT JOIN access_revoked AS r ON r.jti = c.jti WHERE c.account_id = :account_id AND c.jti > :after"
        " ORDER BY c.jti LIMIT :limit",
        account_id=account_id,
        after=after,
        limit=limit,
    )
    return [Issued(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5], row[6] is not None) for row in rows]


async def find(tx: Transaction, jti: str) -> tuple[int, int] | None:
    """(account, expiry) of a capability that was issued here."""
    row = await tx.one("SELECT account_id, expires_at FROM access_capability WHERE jti = :jti", jti=jti)
    return (row[0], row[1]) if row is not None else None


async def count(tx: Transaction, account_id: int, now: int) -> int:
    """An account's capabilities that have not expired."""
    row = await tx.one(
        "SELECT count(*) FROM access_capability WHERE account_id = :account_id AND expires_at > :now",
        account_id=account_id,
        now=now,
    )
    return row[0] if row is not None else 0


async def revoke(tx: Transaction, jti: str, expires_at: int, now: int) -> bool:
    """End a block and all that was delegated from it; False if it was ended before."""
    return (
        await tx.run(
            "INSERT INTO access_revoked (jti, revoked_at, expires_at) VALUES (:jti, :now, :expires_at)"
            " ON CONFLICT (jti) DO NOTHING",
            jti=jti,
            now=now,
            expires_at=expires_at,
        )
        > 0
    )


async def any_revoked(tx: Transaction, jtis: Sequence[str]) -> bool:
    """Whether one of these blocks was ended."""
    values = {f"j{number}": jti for number, jti in enumerate(jtis)}
    listed = ", ".join(f":{name}" for name in values)
    row = await tx.one(f"SELECT 1 FROM access_revoked WHERE jti IN ({listed})", **values)
    return row is not None


async def forget(tx: Transaction, before: int) -> None:
    """Remove what expired before `before`."""
    await tx.run("DELETE FROM access_revoked WHERE expires_at < :before", before=before)
    await tx.run("DELETE FROM access_capability WHERE expires_at < :before", before=before)
