"""What those who add kinds need, and what extensions that require `kinds` get.

`kernel.apis["kinds"]` is a `Catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gati_extensions.kinds.fields import Manifest, Part, dependencies, facts, meanings, references
from gati_extensions.kinds.fields import repository as canonical_name
from gati_extensions.kinds.files import File, Files, Malformed, Window
from gati_extensions.kinds.json import Invalid
from gati_extensions.kinds.kind import GROUP, UNKNOWN, Dependency, Facts, Kind, Kinds
from gati_extensions.kinds.semver import Version
from gati_extensions.kinds.semver import parse as parse_version
from gati_extensions.kinds.understanding import Understood, document_of
from gati_registry.extension import Change, Transaction, Visible

__all__ = [
    "GROUP",
    "UNKNOWN",
    "Catalogue",
    "Dependency",
    "Entry",
    "Facts",
    "File",
    "Files",
    "Invalid",
    "Kind",
    "Kinds",
    "Malformed",
    "Manifest",
    "Part",
    "Release",
    "Releases",
    "Understood",
    "Version",
    "Window",
    "canonical_name",
    "dependencies",
    "document_of",
    "facts",
    "meanings",
    "parse_version",
    "references",
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


@dataclass(frozen=True, slots=True)
class Entry:
    """An artifact's line in lists, with the facts of its newest version (as JSON; the overlay's words replace them)."""

    repository: str
    kind: str
    tag: str
    digest: str
    title: str
    description: str
    stars: int
    facts: Mapping[str, Any]
    created_at: int
    updated_at: int


class Catalogue(Protocol):
    """Questions about artifacts."""

    @property
    def kinds(self) -> Kinds:
        """All kinds."""

    async def existing(self, tx: Transaction, names: Sequence[str], visible: Visible) -> Sequence[str]:
        """Those of the names that are artifacts which a caller may see."""

    async def releases(self, tx: Transaction, names: Sequence[str], limit: int) -> Sequence[Releases]:
        """Versions of artifacts, without drafts and what is unpublished; at most `limit` of each."""

    async def entries(
        self, tx: Transaction, path: str, kind: str | None, after: str, limit: int, visible: Visible
    ) -> Sequence[Entry]:
        """Artifacts at and below a path (empty: anywhere) that a caller may see, by name, after `after`."""

    def checked(self, kind: str, media_type: str, data: bytes) -> Facts:
        """The facts of a config as a push would find them. Not for the event loop where it may be large.

        Raises:
            RegistryError: MANIFEST_INVALID, it does not fit the kind.
        """
