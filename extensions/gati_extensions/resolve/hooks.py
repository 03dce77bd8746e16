"""Who wants what, kept with each push."""

from __future__ import annotations

from gati_extensions.kinds.api import understood_of
from gati_extensions.resolve import store
from gati_registry.extension import Change, Transaction


class Edges:
    """Projections."""

    async def pushed(self, tx: Transaction, change: Change) -> None:
        """A manifest is here: note what it wants."""
        understood = understood_of(change)
        if understood is None or change.digest is None or not change.new:
            return
        for needed in understood.facts.dependencies:
            await store.add_edge(tx, needed, change.repository, change.digest)

    async def deleted(self, tx: Transaction, change: Change) -> None:
        """It is gone."""
        if change.digest is not None:
            await store.drop_edges(tx, change.repository, change.digest)

    async def renamed(self, tx: Transaction, change: Change) -> None:
        """Repositories have other names; what others wrote of them stays as they wrote it."""
        detail = change.detail
        if (detail.get("subject"), detail.get("action")) == ("namespaces.path", "transfer"):
            source, target = detail["before"]["path"], detail["after"]["path"]
            if change.repository == source:
                await store.rename(tx, source, target)
