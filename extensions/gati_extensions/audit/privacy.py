"""Forgetting a person, and entries that are too old.

Neither changes a hash: a person's row loses name and key, with which all that was sealed is lost; an old entry loses
its row, and its hash stays in the tree.
"""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.audit import store
from gati_registry.extension import NOBODY, Caller, Change, Clock, Core, Database, Operation, Transaction
from gati_registry.values.reference import RepositoryName

BATCH = 1000
"""Leaves whose rows go in one transaction."""

DAY = 86_400_000


async def erase(tx: Transaction, core: Core, pseudonyms: Sequence[str], caller: Caller, now: int) -> None:
    """Forget who is behind pseudonyms; itself an entry."""
    for pseudonym in pseudonyms:
        changed = await tx.run(
            "UPDATE audit_person SET name = NULL, account_id = NULL, key = NULL, erased_at = :now"
            " WHERE id = :id AND name IS NOT NULL AND name <> ''",
            id=pseudonym,
            now=now,
        )
        if changed:
            await core.emit(tx, _change("audit.person", "erase", pseudonym, caller, now))


class Retention:
    """Removes rows older than `days`; hashes stay, and so do the proofs of all that is left."""

    def __init__(self, database: Database, core: Core, clock: Clock, days: int) -> None:
        self._database = database
        self._core = core
        self._clock = clock
        self._days = days

    async def run(self) -> None:
        """Remove all that is due now."""
        while self._days and await self._step():
            pass
        week = self._clock.now() - 7 * DAY
        await self._database.write(lambda tx: _thin(tx, week))

    async def _step(self) -> bool:
        now = self._clock.now()
        return await self._database.write(lambda tx: self._remove(tx, now, now - self._days * DAY))

    async def _remove(self, tx: Transaction, now: int, before: int) -> bool:
        """One batch; whether there may be more. Only from the beginning on, so that one number tells what is gone."""
        await tx.run("UPDATE audit_tree SET size = size WHERE id = 1")
        tree = await tx.one("SELECT pruned, size FROM audit_tree WHERE id = 1")
        assert tree is not None
        pruned, end = tree[0], min(tree[0] + BATCH, tree[1])
        end = await store.first_kept(tx, pruned, end, before)
        if end == pruned:
            return False
        await store.remove(tx, pruned, end)
        await tx.run("UPDATE audit_tree SET pruned = :end WHERE id = 1", end=end)
        change = _change("audit.retention", "delete", None, NOBODY, now, {"first": pruned}, {"first": end})
        await self._core.emit(tx, change)
        return bool(end < tree[1])


async def _thin(tx: Transaction, before: int) -> None:
    """Of older checkpoints one a day is enough: it covers all that came before it."""
    await tx.run(
        "DELETE FROM audit_checkpoint WHERE time < :before AND size NOT IN"
        " (SELECT max(size) FROM audit_checkpoint WHERE time < :before GROUP BY time / 86400000)",
        before=before,
    )


def _change(
    subject: str,
    action: str,
    about: str | None,
    caller: Caller,
    now: int,
    before: dict[str, int] | None = None,
    after: dict[str, int] | None = None,
) -> Change:
    detail = {"subject": subject, "action": action, "id": about, "before": before, "after": after}
    return Change(Operation.STATE_CHANGE, RepositoryName(""), 0, caller, now, detail=detail)
