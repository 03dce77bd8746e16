"""What the database hands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gati_registry.values.digest import Digest


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A blob as linked in one repository.

    Exactly one of `stored_name` and `data` is set, unless the blob is `quarantined`. `pending_since` is the last use
    of a link that no manifest was known to need, `condemned` its soft deletion.
    """

    id: int
    digest: Digest
    size: int
    stored_name: str | None
    data: bytes | None
    pending_since: int | None
    condemned: bool


@dataclass(frozen=True, slots=True)
class Before:
    """What is in a repository before a push: its id, whether it has the manifest, and what each of the tags names."""

    repository_id: int
    stored: bool
    tags: Mapping[str, Digest]


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A stored manifest without its bytes."""

    digest: Digest
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob's place in the store, whatever links it."""

    id: int
    digest: Digest
    size: int
    stored_name: str | None


@dataclass(frozen=True, slots=True)
class PendingLink:
    """A link that no manifest was known to need."""

    repository_id: int
    repository: str
    blob_id: int
    digest: Digest
    size: int
    referenced: bool
