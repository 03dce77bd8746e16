"""The database: units of work on one transaction."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from gati_registry.ports.keys import BlobKeys, Keys, StagedKeys
from gati_registry.ports.outbox import Outbox
from gati_registry.ports.parts import Blobs, Garbage, Inventory, Leases, Manifests, Repositories, Tags, Uploads

T = TypeVar("T")


class Transaction(Protocol):
    """The database's parts within one unit of work, and plain SQL for extensions' own tables."""

    @property
    def repositories(self) -> Repositories:
        """Repositories."""

    @property
    def blobs(self) -> Blobs:
        """Blobs and links."""

    @property
    def manifests(self) -> Manifests:
        """Manifests."""

    @property
    def tags(self) -> Tags:
        """Tags."""

    @property
    def uploads(self) -> Uploads:
        """Upload sessions."""

    @property
    def garbage(self) -> Garbage:
        """The collector's steps."""

    @property
    def inventory(self) -> Inventory:
        """What verification walks."""

    @property
    def leases(self) -> Leases:
        """Leases and facts."""

    @property
    def outbox(self) -> Outbox:
        """Events for reactions."""

    @property
    def keys(self) -> Keys:
        """Namespaces' keys."""

    @property
    def blob_keys(self) -> BlobKeys:
        """Encrypted blobs' keys."""

    @property
    def staged_keys(self) -> StagedKeys:
        """Staged bytes' keys."""

    @property
    def concurrent(self) -> bool:
        """Whether other transactions change rows while this one, which changes some, runs: a SELECT may lock then."""

    async def one(self, sql: str, **values: Any) -> tuple[Any, ...] | None:
        """The first row of a statement with `:name` parameters."""

    async def all(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """All its rows."""

    async def run(self, sql: str, **values: Any) -> int:
        """Execute it; the number of rows changed."""

    async def send(self, sql: str, **values: Any) -> None:
        """Execute it where nothing is asked of what comes of it, in its turn.

        An engine elsewhere is not waited for: it gets the statement together with the next one, at the latest with the
        commit, and that is where a failure shows.
        """

    def items(self, parameter: str) -> str:
        """A table expression `item` with the column `value`: the strings of a parameter that is a JSON array."""


Work = Callable[[Transaction], Coroutine[Any, Any, T]]


class Metadata(Protocol):
    """The database."""

    async def write(self, work: Work[T]) -> T:
        """Run a unit of work; returns after its commit is durable. `work` may run more than once.

        Raises:
            Unavailable: the database is gone, full or too busy; nothing was written.
        """

    async def read(self, work: Work[T]) -> T:
        """Run short look-ups on committed data; does not block longer than a few index descents."""

    async def scan(self, work: Work[T], *, may_lag: bool = False) -> T:
        """Run look-ups of many rows on one snapshot, aside from the short ones.

        With `may_lag` the snapshot may be some seconds old, of a read replica: for what nobody asks who has just
        changed it.
        """

    def revision(self) -> bytes | None:
        """Something that changes with every commit of any process; None where there is no such cheap thing."""

    def tell(self) -> None:
        """Where there is no revision: let other processes know that what they remember for a moment has changed.

        A hint: they hear of it soon, or never.
        """

    def heard(self) -> int:
        """Grows with what other processes have told."""

    async def check(self) -> None:
        """Raise Unavailable unless the database answers."""

    async def close(self) -> None:
        """Finish what was begun and let go of it."""
