"""What extensions do in the course of an operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from gati_registry.domain.events import Change, Event, Pull, Push, Refusal, Verdict
from gati_registry.ports.database import Transaction
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName


class Inspector(Protocol):
    """Looks at a manifest before its transaction; may read blobs."""

    async def __call__(self, push: Push) -> Mapping[str, Any] | Refusal | None:
        """Facts for gates and projections, or why it is refused."""


class Gate(Protocol):
    """Judges an operation in its transaction; no I/O but `tx`, no side effect, may run again."""

    async def __call__(self, tx: Transaction, change: Change) -> Refusal | None:
        """Why the operation does not happen, if so."""


class Projection(Protocol):
    """Writes what an operation means to its extension's own tables, in the operation's transaction."""

    async def __call__(self, tx: Transaction, change: Change) -> None:
        """May run again."""


class PullGate(Protocol):
    """Judges content before it is served."""

    async def version(self) -> str:
        """Changes whenever a verdict may change; asked for each pull, so it costs microseconds."""

    async def judge(self, pull: Pull) -> Verdict:
        """The verdict; kept by (repository, digest, version)."""


class MembersOnly(Protocol):
    """What of a repository only members of its namespace get to see: to others it is not there."""

    @property
    def manifests(self) -> str:
        """Which manifests, as an SQL condition for lists; `{repository}` and `{digest}` stand for the columns' names.

        A pull gate says the same of a single one.
        """

    async def blob(self, repository: RepositoryName, digest: Digest) -> bool:
        """Whether the blob is for members; asked at every request for one, so usually without a query."""


Observer = Callable[[Sequence[Event]], Awaitable[None]]
"""Is told of what happened in batches, about once a second; a crash may lose the last one."""

React = Callable[[Event], Awaitable[None]]
"""Does something about an event, after its commit; at least once, idempotent by the event's id."""
