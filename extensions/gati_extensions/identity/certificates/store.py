"""The tables of certificates' mappings, and of those that are revoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gati_extensions.identity.certificates.parsing import KINDS, Shown
from gati_extensions.identity.store import changed
from gati_registry.extension import Transaction


@dataclass(frozen=True, slots=True)
class Mapping:
    """Whose a certificate is, and what it may be used for; by its fingerprint, or by a name that its issuer gives."""

    id: str
    account_id: int
    kind: str
    value: str
    issuer: str
    scopes: tuple[str, ...]
    path: str
    created_at: int


_COLUMNS = "id, account_id, kind, value, issuer, scopes, path, created_at"


def _mapping(row: tuple[object, ...]) -> Mapping:
    found = list(row)
    found[5] = tuple(str(found[5]).split())
    return Mapping(*found)  # type: ignore[arg-type]  # in the order of _COLUMNS


async def add(tx: Transaction, mapping: Mapping, mark: str) -> bool:
    """A new mapping; False if there is one for the same."""
    made = await tx.run(
        f"INSERT INTO identity_certificate ({_COLUMNS}, mark)"
        " VALUES (:id, :account, :kind, :value, :issuer, :scopes, :path, :now, :mark) ON CONFLICT (mark) DO NOTHING",
        id=mapping.id,
        account=mapping.account_id,
        kind=mapping.kind,
        value=mapping.value,
        issuer=mapping.issuer,
        scopes=" ".join(mapping.scopes),
        path=mapping.path,
        now=mapping.created_at,
        mark=mark,
    )
    if made:
        await changed(tx)
    return made > 0


async def get(tx: Transaction, mapping_id: str) -> Mapping | None:
    """A mapping by its id."""
    row = await tx.one(f"SELECT {_COLUMNS} FROM identity_certificate WHERE id = :id", id=mapping_id)
    return _mapping(row) if row is not None else None


async def of_account(tx: Transaction, account_id: int, after: str, limit: int) -> list[Mapping]:
    """An account's mappings, by id."""
    rows = await tx.all(
        f"SELECT {_COLUMNS} FROM identity_certificate WHERE account_id = :account AND id > :after"
        " ORDER BY id LIMIT :limit",
        account=account_id,
        after=after,
        limit=limit,
    )
    return [_mapping(row) for row in rows]


async def of_certificate(tx: Transaction, shown: Shown) -> Mapping | None:
    """The narrowest mapping that a certificate fits."""
    marks = {f"mark_{number}": mark for number, (_, _, mark) in enumerate(shown.marks)}
    rows = await tx.all(
        f"SELECT {_COLUMNS} FROM identity_certificate WHERE mark IN ({', '.join(f':{name}' for name in marks)})",
        **marks,
    )
    return min(map(_mapping, rows), key=lambda found: (KINDS.index(found.kind), found.value), default=None)


async def drop(tx: Transaction, mapping_id: str) -> None:
    """Remove a mapping and what was got with it."""
    await tx.run("DELETE FROM identity_certificate WHERE id = :id", id=mapping_id)
    await changed(tx)


async def revoke(tx: Transaction, fingerprint: str, now: int) -> None:
    """A certificate is nobody's any more, whatever mapping it fits."""
    await tx.run(
        "INSERT INTO identity_revoked (fingerprint, revoked_at) VALUES (:fingerprint, :now)"
        " ON CONFLICT (fingerprint) DO NOTHING",
        fingerprint=fingerprint,
        now=now,
    )
    await changed(tx)


async def is_revoked(tx: Transaction, fingerprint: str) -> bool:
    """Whether it was said so."""
    row = await tx.one("SELECT 1 FROM identity_revoked WHERE fingerprint = :fingerprint", fingerprint=fingerprint)
    return row is not None


async def revoked(tx: Transaction, after: str, limit: int) -> Sequence[tuple[str, int]]:
    """Fingerprints and since when, in their order."""
    rows = await tx.all(
        "SELECT fingerprint, revoked_at FROM identity_revoked WHERE fingerprint > :after"
        " ORDER BY fingerprint LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [(str(row[0]), int(row[1])) for row in rows]
