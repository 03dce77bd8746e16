"""SQL on this extension's tables: functions in the caller's transaction."""

from __future__ import annotations

from gati_registry.extension import Transaction


async def changed(tx: Transaction) -> None:
    """Whatever is remembered of accounts and credentials is to be looked up again, in every worker."""
    await tx.run("UPDATE identity_revision SET number = number + 1")


async def revision(tx: Transaction) -> int:
    """How often that was said."""
    row = await tx.one("SELECT number FROM identity_revision")
    return int(row[0]) if row is not None else 0
