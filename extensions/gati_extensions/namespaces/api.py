"""What extensions that require `namespaces` get. `kernel.apis["namespaces"]`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gati_extensions.namespaces.conditions import Condition, Situation, hold
from gati_extensions.namespaces.roles import NEEDED, WORDS
from gati_extensions.namespaces.tree import line, owner, root
from gati_registry.extension import Identity, Transaction

__all__ = ["NEEDED", "WORDS", "Condition", "Namespaces", "Policy", "Rule", "Situation", "Standing", "hold", "line",
           "owner", "root"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """Permissions that somebody has, or is denied, at a namespace and below it.

    `via` says why: `owner`, `member`, `team acme/dev`, …
    """

    path: str
    role: str
    via: str
    effect: str
    permissions: frozenset[str]
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Roles:
    """What follows for an account at a path from its roles there."""

    rules: tuple[Rule, ...]

    @property
    def conditional(self) -> bool:
        """Whether circumstances matter."""
        return any(rule.conditions for rule in self.rules)

    def denied(self, situation: Situation) -> frozenset[str]:
        """Permissions that are explicitly denied. A condition that depends on an unknown request counts as met."""
        found: frozenset[str] = frozenset()
        for rule in self.rules:
            if rule.effect == "deny" and (situation.request is None or hold(rule.conditions, situation)):
                found |= rule.permissions
        return found

    def allowed(self, situation: Situation) -> frozenset[str]:
        """Permissions by all roles together, without what is denied."""
        found: frozenset[str] = frozenset()
        for rule in self.rules:
            if rule.effect == "allow" and hold(rule.conditions, situation):
                found |= rule.permissions
        return found - self.denied(situation)


@dataclass(frozen=True, slots=True)
class Standing(Roles):
    """All that decides on what an account may do at a path, short of the circumstances.

    `visibility` is `public`, `internal` (for all who have an account) or `private`, set at `visibility_path`;
    `root_visibility` is that of the namespace that is owned.
    """

    visibility: str
    visibility_path: str
    root_visibility: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as it was set at `path`. `enforcement` is off, audit, warn or enforce."""

    name: str
    path: str
    enforcement: str
    body: Mapping[str, Any] = field(default_factory=dict)


Watcher = Callable[[Transaction, str], Awaitable[None]]
"""Told of a repository."""


class Namespaces(Protocol):
    """Questions about the tree of names."""

    async def standing(self, tx: Transaction, identity: Identity, path: str) -> Standing:
        """What the identity is at a path."""

    async def reach(self, tx: Transaction, identity: Identity) -> Sequence[Rule]:
        """All rules of the identity anywhere."""

    async def exists(self, tx: Transaction, path: str) -> bool:
        """Whether there is a namespace of this name, or a repository with something published in it."""

    async def visibility(self, tx: Transaction, path: str) -> tuple[str, str]:
        """The visibility of a path, and the namespace that it comes from."""

    def watch(self, watcher: Watcher) -> None:
        """Be told, in its transaction, of repositories whose visibility turned out to be another one in a recount: the
        owner is gone, or a setting has changed. Of what is set at a namespace a state change tells."""

    async def verified(self, tx: Transaction, paths: Sequence[str]) -> frozenset[str]:
        """Those of some namespaces (at most a hundred) whose owners have proved who they are."""

    async def policy(self, path: str, name: str) -> Policy | None:
        """The policy of a name that holds at a path: the one set nearest to it."""

    async def policy_in(self, tx: Transaction, path: str, name: str) -> Policy | None:
        """The same within a transaction."""

    def draft(self, repository: str, digest: str) -> str:
        """A condition in SQL: the manifest that these columns or parameters name is a draft."""

    def drafted(self, repository: str) -> str:
        """An expression in SQL: how many drafts the repository has that a column or parameter names."""

    async def drafts(self, tx: Transaction, repository: str) -> frozenset[str]:
        """Digests of the repository's drafts."""

    async def drafts_among(self, tx: Transaction, repositories: Sequence[str]) -> frozenset[tuple[str, str]]:
        """(repository, digest) of the drafts of many."""

    async def labels(self, path: str) -> Mapping[str, str]:
        """The labels at a path, its ancestors' included; nearer ones win."""

    async def current(self, path: str) -> str:
        """The name of a repository now, if it was renamed; else the same. Microseconds."""

    async def revision(self) -> str:
        """Changes within a second of any change to members, roles or visibility; microseconds to ask."""
