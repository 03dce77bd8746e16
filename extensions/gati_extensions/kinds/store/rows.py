"""What the tables hand out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATES = ("archived", "unpublished", "yanked", "deprecated")
"""From the strongest: of several that hold, the first is the version's state."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest and what it is. `facts` as JSON."""

    digest: str
    kind: str
    media_type: str
    size: int
    facts: Mapping[str, Any]
    pushed_at: int
    pushed_by: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A version's states and overlay."""

    states: Mapping[str, Mapping[str, Any]]
    overlay: Mapping[str, Any]
    revision: int

    @property
    def state(self) -> str:
        """The strongest; without any: published."""
        return next((name for name in STATES if name in self.states), "published")


FRESH = Standing({}, {}, 0)


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag and what it names."""

    tag: str
    artifact: Artifact
    standing: Standing
    moved_at: int
    version_key: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """A move of a tag."""

    tag: str
    number: int
    moved_at: int
    before: str | None
    after: str | None
    actor: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A repository in a list."""

    name: str
    kind: str
    latest: str
    digest: str
    title: str
    description: str
    stars: int
    ratings: int
    rated: int
    created_at: int
    updated_at: int
