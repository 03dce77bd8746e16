"""Keeps the methods of every repository's latest version."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.kinds.api import (
    BadType,
    Budget,
    Catalogue,
    GType,
    Signed,
    given_keys,
    normalise,
    unbranded,
    wanted_keys,
)
from gati_extensions.search.types import store
from gati_extensions.search.types.store import Row, Typed
from gati_registry.extension import Database, Transaction

AT_ONCE = 50
STEPS = 1_000_000


class Methods:
    """What `jobs` tells of changes."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self._database = database
        self._catalogue = catalogue

    async def update(self, names: Sequence[str]) -> None:
        """These repositories have changed, or are gone."""
        signed = await self._database.scan(lambda tx: self._catalogue.signed(tx, names))
        typed = {one.name: _typed(one) for one in signed}
        # Of one that changes meanwhile there is another note.
        current = {one.name: _rows(one, typed[one.name]) for one in signed}
        kept = await self._database.read(lambda tx: store.among(tx, names))
        changed = sorted({*current, *kept})

        async def work(tx: Transaction) -> None:
            for name in changed:
                await store.replace(tx, name, current.get(name, []), typed.get(name, {}))

        if changed:
            await self._database.write(work)

    async def below(self, path: str) -> None:
        """All that is kept at and below a path may be gone."""
        after = ""
        while names := await self._database.scan(lambda tx: store.within(tx, path, after, AT_ONCE)):  # noqa: B023 - awaited here, within the same turn
            await self.update(names)
            after = names[-1]


def _typed(signed: Signed) -> dict[str, Typed]:
    """Types that its methods take or give, with their keys."""
    found: dict[str, Typed] = {}
    for method in signed.signatures["methods"].values():
        for hash_ in (method["takes"], method["gives"]):
            if hash_ is not None and hash_ not in found:
                try:
                    type_ = normalise(signed.signatures["definitions"][hash_], budget=Budget(STEPS))
                    shape = unbranded(type_, Budget(STEPS)).hash
                except BadType:  # it was within the bounds when it was pushed
                    continue
                found[hash_] = Typed(hash_, shape, type_.canonical, _keys(type_))
    return found


def _keys(found: GType) -> list[tuple[int, str]]:
    return [
        *((store.TAKES, key) for key in wanted_keys(found)),
        *((store.GIVES, key) for key in given_keys(found)),
    ]


def _rows(signed: Signed, types: dict[str, Typed]) -> list[Row]:
    rows = []
    for name, method in sorted(signed.signatures["methods"].items()):
        takes, gives = (method[side] if method[side] in types else None for side in ("takes", "gives"))
        rows.append(Row(signed.name, name, signed.kind, signed.version, signed.digest, takes, gives))
    return rows
