"""Repositories under their earlier names."""

from __future__ import annotations

from gati_extensions.namespaces.counter import Counter
from gati_registry.extension import Clock, Database, Transaction
from gati_registry.values.reference import RepositoryName

KEPT = 10_000
"""Earlier names that a worker keeps in memory; the youngest."""


class Aliases:
    """Earlier names; `extension.Alias`."""

    def __init__(self, database: Database, clock: Clock, rules: Counter) -> None:
        self._database = database
        self._clock = clock
        self._rules = rules
        self._revision = -1
        self._names: dict[str, tuple[str, int]] = {}

    async def __call__(self, name: RepositoryName) -> RepositoryName:
        number = await self._rules.get()
        if number != self._revision:
            rows = await self._database.read(_aliases)
            self._names, self._revision = {row[0]: (row[1], row[2]) for row in rows}, number
        found = self._names.get(name) if self._names else None
        if found is None or found[1] <= self._clock.now():
            return name
        return RepositoryName(found[0])


async def _aliases(tx: Transaction) -> list[tuple[str, str, int]]:
    rows = await tx.all(
        "SELECT old, new, expires_at FROM namespaces_alias ORDER BY expires_at DESC LIMIT :limit", limit=KEPT
    )
    return [(row[0], row[1], row[2]) for row in rows]
