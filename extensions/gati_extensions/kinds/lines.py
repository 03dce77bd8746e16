"""The line that lists show of a repository, written anew after every change, and who is told of it.

Whoever keeps something that follows from a line (a search index) is told in the same transaction, and only notes there
that it has to look again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gati_extensions.kinds import store
from gati_extensions.namespaces.api import Namespaces
from gati_registry.extension import Transaction

Watcher = Callable[[Transaction, str, bool], Awaitable[None]]
"""Called with a repository's name; with True, with a path: everything at and below it."""


class Lines:
    """Keeps the lines of this process's changes."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """Tell this one of every change."""
        self._watchers.append(watcher)

    async def refresh(self, tx: Transaction, repository: str, now: int) -> None:
        """Write a repository's line anew: its tags, states, overlays or drafts have changed."""
        await store.refresh(tx, repository, now, self._namespaces)
        await self.tell(tx, repository)

    async def tell(self, tx: Transaction, name: str, *, below: bool = False) -> None:
        """Something that goes with the line has changed; `below`: of all repositories at and below a path."""
        for watcher in self._watchers:
            await watcher(tx, name, below)
