"""A resolution as plain data: what is asked for, what there is to choose from, and what came of it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gati_extensions.kinds.api import Dependency, Release, Releases
from gati_extensions.resolve.ranges import Range

ROOT = ""
"""Who asks, in place of an artifact's name."""

TYPES = frozenset({"runtime", "peer"})
"""Types of dependencies that are followed below the requests."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the result is to run: conditions are held against it. None: any, so every condition holds.

    A condition may list several, of which one is enough; of features all are needed.
    """

    os: str | None = None
    arch: str | None = None
    env: str | None = None
    features: frozenset[str] = frozenset()
    scope: str | None = None

    def wants(self, needed: Dependency) -> bool:
        """Whether a dependency is wanted here. A feature is wanted only where it is named."""
        if self.scope is not None and needed.scope not in ("", self.scope):
            return False
        for name, value in needed.condition.items():
            listed = value.split(",")
            if name == "feature":
                if not self.features.issuperset(listed):
                    return False
            elif (own := getattr(self, name, None)) is not None and own not in listed:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Want:
    """A dependency as a constraint on one artifact: who (`parent`, a `name@version`, or ROOT) wants which range."""

    name: str
    range: Range
    parent: str
    type: str = "runtime"
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Pinned:
    """A release that was chosen, or locked before."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Problem:
    """All that a resolution depends on."""

    wants: Sequence[Want]
    available: Mapping[str, Releases]
    wanted: Mapping[str, Sequence[Want]]
    """By `name@version`: what each release wants, names resolved."""

    strategy: str = "highest"
    locked: Mapping[str, Pinned] = field(default_factory=dict)
    overrides: Mapping[str, Range] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """By `name@version`: releases that are not taken, and why (advisories)."""

    popularity: Mapping[str, int] = field(default_factory=dict)
    """By `name@version`: downloads, for the strategy `most-downloaded`."""

    max_steps: int = 50_000


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why there is no answer, in lines that a person can act on. `missing`: there is nothing by that name."""

    name: str
    lines: tuple[str, ...]
    choices: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Solution:
    """Releases by name; or conflicts. `left_out` are optional dependencies that could not be had, and why."""

    packages: Mapping[str, Release]
    conflicts: tuple[Conflict, ...] = ()
    left_out: tuple[str, ...] = ()


def label(release: Release) -> str:
    """`orgs/acme/x@1.2.3`."""
    return release.label
