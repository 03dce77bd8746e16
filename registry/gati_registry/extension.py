"""The extension contract's public face: all that an extension, ours or a stranger's, may import of the registry beside
`values`, `domain` and `errors`.

An `Extension` is frozen data, readable without starting anything; an entry point of the group `gati.extensions` names
it. Its `contribute(kernel, settings)` is called once in each worker, after the backends are open, and returns what it
adds:

    request    routes, authenticators, authorizer, admissions, aliases
    operation  inspectors → gates → projections → reactions; pull gates and members-only rules before content is served
    aside      observers, jobs, health, commands, prepare
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gati_registry.domain.access import (
    ANONYMOUS,
    NOBODY,
    Access,
    Action,
    Caller,
    Circumstances,
    Decision,
    Grant,
    Identity,
    Visible,
)
from gati_registry.domain.events import (
    SERVE,
    Change,
    Event,
    Operation,
    Pull,
    Push,
    Refusal,
    Verdict,
)
from gati_registry.http.calls import Answer, Call, Model, Page, Paging, Permission, Route
from gati_registry.jobs import Job
from gati_registry.ports import (
    Admission,
    Alias,
    Authenticator,
    Authorizer,
    BlobReader,
    Clock,
    Gate,
    Inspector,
    ManifestRow,
    MembersOnly,
    Observer,
    Projection,
    PullGate,
    React,
    Request,
    Transaction,
    Work,
)
from gati_registry.service.hooks import Reaction
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag

T = TypeVar("T")

GROUP = "gati.extensions"
"""The entry-point group; the entry's name is the extension's."""

ENABLED_FACT = "extensions.enabled"
"""The fact that names the extensions of the latest start, with spaces between; `prepare` still sees the one before."""

__all__ = [
    "ANONYMOUS", "ENABLED_FACT", "GROUP", "NOBODY", "SERVE", "Access", "Action", "Admission", "Alias", "Answer",
    "Authenticator", "Authorizer",
    "BlobReader", "Call", "Caller", "Change", "Circumstances", "Clock", "Command", "Contribution", "Core",
    "Database", "Decide", "Decision", "Event", "Extension", "Gate", "Grant", "Identity", "Inspector", "Job", "Kernel",
    "ManifestRow", "MembersOnly", "Model", "Observer", "Operation", "Page", "Paging",
    "Permission", "Projection", "Pull", "PullGate", "Push", "React", "Reaction", "Refusal", "Request", "Route",
    "Transaction", "Verdict", "Visible", "Work", "on",
]  # fmt: skip


class Database(Protocol):
    """Transactions: on the core's parts, and by SQL on the extension's own tables."""

    async def write(self, work: Work[T]) -> T:
        """Run a unit of work; returns after its commit is durable. `work` may run more than once."""

    async def read(self, work: Work[T]) -> T:
        """Run short look-ups on committed data."""

    async def scan(self, work: Work[T], *, may_lag: bool = False) -> T:
        """Run look-ups of many rows on one snapshot; with `may_lag` of one that may be some seconds old."""

    def revision(self) -> bytes | None:
        """Something that changes with every commit; None where there is no such cheap thing."""

    def tell(self) -> None:
        """After a change of what other processes remember for a moment: they hear of it soon, or never."""

    def heard(self) -> int:
        """Grows with what other processes have told: what is remembered is to be looked up again."""


class Core(Protocol):
    """Questions to the core, its door for an extension's own operations, and the one for pushes in a caller's name."""

    async def manifest(self, repository: RepositoryName, reference: Tag | Digest) -> ManifestRow | None:
        """The manifest under a tag or digest."""

    async def manifest_bytes(self, repository: RepositoryName, digest: Digest) -> bytes | None:
        """A manifest, byte for byte."""

    async def blob(self, repository: RepositoryName, digest: Digest) -> tuple[int, BlobReader] | None:
        """A blob's size in bytes and a reader, to be closed; None if the repository lacks it."""

    async def emit(self, tx: Transaction, change: Change) -> None:
        """Let an extension's own operation pass the gates, projections and the outbox, in its transaction.

        Raises:
            RegistryError: a gate refuses; the transaction must not commit.
        """

    def tell(self, event: Event) -> None:
        """Hand an event to the observers."""

    async def judge(self, pull: Pull) -> Verdict:
        """What the pull gates say of serving a manifest: to be asked before its content goes out by another way."""

    async def push_blob(
        self, repository: RepositoryName, data: bytes, caller: Caller, request: Circumstances | None = None
    ) -> Digest:
        """Store a blob as if the caller had pushed it: the same decision on access, the same gates; durable.

        `request` is what asks, for rules with conditions.

        Raises:
            RegistryError: UNAUTHORIZED, DENIED, NAME_UNKNOWN: the caller may not; whatever a gate refuses with; 413.
        """

    async def push_manifest(
        self,
        repository: RepositoryName,
        tag: Tag | None,
        data: bytes,
        media_type: str,
        caller: Caller,
        request: Circumstances | None = None,
    ) -> Digest:
        """Store a manifest as if the caller had pushed it, under the tag or by its digest alone; durable.

        Raises:
            RegistryError: as of a blob, and all that a push of a manifest may be refused with.
        """


class Decide(Protocol):
    """The one decision point."""

    async def decide(self, identity: Identity, access: Access) -> Decision:
        """Whether the identity may."""

    async def visible(self, identity: Identity) -> Visible:
        """Which repositories the identity may see, as a condition that SQL can filter by."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the registry gives to an extension. `apis` are those of the extensions that it requires, or uses and finds.

    `public_url` is where clients reach the registry, if the operator says so; it ends without a slash.
    `settings` is the extension's own section. `folder` is the data folder, for what must lie outside of the database;
    None where replicas share the database, so that a folder of this machine is not the place. `search_url` is where the
    operator wants the search index, if not in the database.
    """

    database: Database
    core: Core
    access: Decide
    clock: Clock
    log: logging.Logger
    open: bool
    apis: Mapping[str, Any]
    public_url: str | None = None
    settings: Any = None
    folder: Path | None = None
    search_url: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the server: `gati-registry <name>`. `run` returns the exit code."""

    name: str
    summary: str
    run: Callable[[Kernel, argparse.Namespace], Awaitable[int]]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None


Operations = frozenset[Operation]


def on(*operations: Operation) -> Operations:
    """The operations that a gate, projection or reaction is about."""
    return frozenset(operations)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What an extension adds. Every part is optional.

    `api` is what extensions that require this one get. `prepare` runs once at every start, before any worker, and makes
    what must be there (keys, first rows); what it returns is printed to the operator. `close` ends connections to
    elsewhere, at a worker's end.
    """

    registry_routes: Sequence[Route] = ()
    repository_routes: Sequence[Route] = ()
    root_routes: Sequence[Route] = ()
    inspectors: Sequence[Inspector] = ()
    gates: Sequence[tuple[Operations, Gate]] = ()
    projections: Sequence[tuple[Operations, Projection]] = ()
    pull_gates: Sequence[PullGate] = ()
    members_only: Sequence[MembersOnly] = ()
    observers: Sequence[Observer] = ()
    reactions: Sequence[Reaction] = ()
    authenticators: Sequence[Authenticator] = ()
    authorizer: Authorizer | None = None
    admissions: Sequence[Admission] = ()
    aliases: Sequence[Alias] = ()
    jobs: Sequence[Job] = ()
    health: Mapping[str, Callable[[], Awaitable[None]]] | None = None
    prepare: Callable[[], Awaitable[Iterable[str]]] | None = None
    close: Callable[[], Awaitable[None]] | None = None
    api: Any = None


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension's declaration.

    `settings` is the model of its section; `permissions` explains each permission that its routes name; `requires` are
    extensions that come before it, `uses` those that do where they are enabled; `migrations` is the package that holds
    its `NNNN.<engine>.sql`, whose tables are all called `<name>_…`; `commands` are added to `gati-registry`.
    """

    name: str
    summary: str
    contribute: Callable[[Kernel, Any], Contribution]
    settings: type[Model] | None = None
    permissions: Mapping[str, str] = field(default_factory=dict)
    requires: Sequence[str] = ()
    uses: Sequence[str] = ()
    migrations: str | None = None
    commands: Sequence[Command] = ()
