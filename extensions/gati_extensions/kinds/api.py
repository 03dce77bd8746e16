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
from gati_extensions.kinds.gtypes.keys import given_keys, wanted_keys
from gati_extensions.kinds.gtypes.normalising import STEPS, normalise, scope_of
from gati_extensions.kinds.gtypes.reading import Budget
from gati_extensions.kinds.gtypes.settling import unbranded
from gati_extensions.kinds.gtypes.signatures import Method, Signatures
from gati_extensions.kinds.gtypes.subtyping import fits
from gati_extensions.kinds.gtypes.tree import BadType, GType
from gati_extensions.kinds.json import Invalid
from gati_extensions.kinds.kind import GROUP, UNKNOWN, Dependency, Facts, Kind, Kinds
from gati_extensions.kinds.lines import Watcher
from gati_extensions.kinds.ranges import MAX_LENGTH as MAX_RANGE
from gati_extensions.kinds.ranges import BadRange, Comparator, Range, exact
from gati_extensions.kinds.ranges import parse as parse_range
from gati_extensions.kinds.semver import Version
from gati_extensions.kinds.semver import parse as parse_version
from gati_extensions.kinds.understanding import Understood, document_of
from gati_registry.extension import Change, Transaction, Visible

__all__ = [
    "GROUP",
    "MAX_RANGE",
    "STEPS",
    "UNKNOWN",
    "BadRange",
    "BadType",
    "Budget",
    "Catalogue",
    "Comparator",
    "Dependency",
    "Described",
    "Facts",
    "File",
    "Files",
    "GType",
    "Invalid",
    "Kind",
    "Kinds",
    "Malformed",
    "Manifest",
    "Method",
    "Part",
    "Range",
    "Release",
    "Releases",
    "Signatures",
    "Signed",
    "Understood",
    "Value",
    "Version",
    "Watcher",
    "Window",
    "canonical_name",
    "dependencies",
    "document_of",
    "exact",
    "facts",
    "fits",
    "given_keys",
    "meanings",
    "normalise",
    "parse_range",
    "parse_version",
    "references",
    "scope_of",
    "unbranded",
    "understood_of",
    "wanted_keys",
]  # fmt: skip


def understood_of(change: Change) -> Understood | None:
    """What a pushed manifest is, inside its transaction."""
    found = change.facts.get("kinds", {}).get("understood")
    return found if isinstance(found, Understood) else None


@dataclass(frozen=True, slots=True)
class Release:
    """A version of an artifact, with what it wants. `state` as the versions' endpoint tells it; `time` is its push.
    `label` is `orgs/acme/x@1.2.3`."""

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
    label: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", f"{self.repository}@{self.version}")


@dataclass(frozen=True, slots=True)
class Releases:
    """All releases of an artifact, the highest first; and what its channels name, by digest."""

    repository: str
    releases: tuple[Release, ...]
    channels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Value:
    """An indexed field of custom metadata: `path` is a JSON pointer, `number` is None where the value is none."""

    schema: str
    path: str
    word: str
    number: float | None


@dataclass(frozen=True, slots=True)
class Described:
    """A repository as lists show it, with all that is known of its latest version. `tags` name the same content.

    `facts` are what the artifact says of itself (`Facts` as JSON), `overlay` what was said of it later.
    """

    name: str
    kind: str
    latest: str
    digest: str
    state: str
    facts: Mapping[str, Any]
    overlay: Mapping[str, Any]
    tags: tuple[str, ...]
    values: tuple[Value, ...]
    stars: int
    downloads: int
    created_at: int
    updated_at: int

    @property
    def description(self) -> str:
        """What was said last."""
        return str(self.overlay.get("description") or self.facts.get("description", ""))


@dataclass(frozen=True, slots=True)
class Signed:
    """The latest version of a repository that lists show, with its methods and types (`Signatures.plain`)."""

    name: str
    kind: str
    version: str
    digest: str
    signatures: Mapping[str, Any]


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
    ) -> Sequence[Described]:
        """Artifacts at and below a path (empty: anywhere) that a caller may see, by name, after `after`."""

    def checked(self, kind: str, media_type: str, data: bytes) -> Facts:
        """The facts of a config as a push would find them. Not for the event loop where it may be large.

        Raises:
            RegistryError: MANIFEST_INVALID, it does not fit the kind.
        """

    def watch(self, watcher: Watcher) -> None:
        """Be told, in its transaction, of this process's changes of what `described` says (but for downloads)."""

    async def described(self, tx: Transaction, names: Sequence[str]) -> Sequence[Described]:
        """Those of the names that lists show."""

    async def signed(self, tx: Transaction, names: Sequence[str]) -> Sequence[Signed]:
        """Those of the names that lists show and whose latest version tells GTypes or methods."""

    async def names(self, tx: Transaction, path: str, after: str, limit: int) -> Sequence[str]:
        """Artifacts at and below a path ("" is everywhere) after a name, by name."""

    async def indexed_fields(self, tx: Transaction, after: str, limit: int) -> Sequence[tuple[str, str, str]]:
        """(schema, JSON pointer, value or fulltext) of registered schemas, of those after a schema's name."""

    async def downloads(self, tx: Transaction, names: Sequence[str]) -> Mapping[str, int]:
        """Downloads of artifacts in all; names that have none are not there."""

    async def downloads_of_versions(
        self, tx: Transaction, names: Sequence[str], since: int
    ) -> Mapping[tuple[str, str], int]:
        """Downloads by artifact and tag of a version, counted by day from that of a time on (milliseconds)."""

    async def downloaded_since(self, tx: Transaction, time: int, after: str, limit: int) -> Sequence[tuple[int, str]]:
        """(time, name) of artifacts whose downloads were counted after that time and name, in their order."""

    async def downloads_by_day(
        self, tx: Transaction, repository: str, since: str, after: tuple[str, str], limit: int
    ) -> Sequence[tuple[str, str, int]]:
        """(day, version, number) of a repository from a day (YYYY-MM-DD) on, after that day and version, in order."""
