"""What changes where artifacts may be seen: the index narrows by it, so it is to be indexed anew."""

from __future__ import annotations

from gati_extensions.search.store import queue
from gati_registry.extension import Change, Transaction


class Levels:
    """A projection of state changes. Renames and all that changes artifacts themselves are told by `kinds`."""

    async def __call__(self, tx: Transaction, change: Change) -> None:
        if change.detail.get("subject") == "namespaces.namespace":
            await queue.note(tx, change.repository, True)
