"""What those who add kinds need, and what extensions that require `kinds` get.

`kernel.apis["kinds"]` is a `Catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gati_extensions.kinds.fields import Manifest, Part, dependencies, facts, references
from gati_extensions.kinds.fields import repository as canonical_name
from gati_extensions.kinds.files import File, Files, Malformed, Window
from gati_extensions.kinds.gtypes.normalising import STEPS, normalise, scope_of
from gati_extensions.kinds.gtypes.reading import Budget
from gati_extensions.kinds.gtypes.signatures import Method, Signatures
from gati_extensions.kinds.gtypes.tree import BadType, GType
from gati_extensions.kinds.kind import GROUP, UNKNOWN, Dependency, Facts, Kind, Kinds
from gati_extensions.kinds.semver import Version
from gati_extensions.kinds.semver import parse as parse_version
from gati_extensions.kinds.understanding import Understood
from gati_registry.extension import Change, Transaction, Visible

__all__ = [
    "GROUP",
    "STEPS",
    "UNKNOWN",
    "BadType",
    "Budget",
    "Catalogue",
    "Dependency",
    "Facts",
    "File",
    "Files",
    "GType",
    "Kind",
    "Kinds",
    "Malformed",
    "Manifest",
    "Method",
    "Part",
    "Release",
    "Releases",
    "Signatures",
    "Understood",
    "Version",
    "Window",
    "canonical_name",
    "dependencies",
    "facts",
    "normalise",
    "parse_version",
    "references",
    "scope_of",
    "understood_of",
]  # fmt: skip


def understood_of(change: Change) -> Understood | None:
    """What a pushed manifest is, inside its transaction."""
    found = change.facts.get("kinds", {}).get("understood")
    return found if isinstance(found, Understood) else None


@dataclass(frozen=True, slots=True)
class Release:
    """A version of an artifact, with what it wants. `state` as the versions' endpoint tells it; `time` is its push."""

    repository: str
    tag: str
    version: Version
    digest: str
    kind: str
    state: str
    reason: str
    gati: str
    time: int
    dependencies: tuple[Dependency, ...]


@dataclass(frozen=True, slots=True)
class Releases:
    """All releases of an artifact, the highest first; and what its channels name, by digest."""

    repository: str
    releases: tuple[Release, ...]
    channels: Mapping[str, str] = field(default_factory=dict)


class Catalogue(Protocol):
    """Questions about artifacts."""

    @property
    def kinds(self) -> Kinds:
        """All kinds."""

    async def existing(self, tx: Transaction, names: Sequence[str], visible: Visible) -> Sequence[str]:
        """Those of the names that are artifacts which a caller may see."""

    async def releases(self, tx: Transaction, names: Sequence[str], limit: int) -> Sequence[Releases]:
        """Versions of artifacts, without drafts and what is unpublished; at most `limit` of each."""
