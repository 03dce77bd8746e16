"""What a repository must hold, by what its server has acknowledged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Session:
    """An open upload: its path and the bytes that were acknowledged."""

    path: str
    data: bytes = b""


@dataclass(slots=True)
class Manifest:
    """A stored manifest: its bytes, the type it is served with where that is sure, and what the server read in it."""

    data: bytes
    media_type: str | None
    subject: str | None = None
    needs: frozenset[str] = frozenset()


@dataclass(slots=True)
class Repository:
    """One repository to which nobody else writes."""

    name: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)

    def put_manifest(self, digest: str, manifest: Manifest, tags: Iterable[str]) -> None:
        """A manifest was acknowledged."""
        self.manifests[digest] = manifest
        for tag in tags:
            self.tags[tag] = digest

    def delete_manifest(self, digest: str) -> None:
        """A manifest's deletion was acknowledged: its tags go with it."""
        del self.manifests[digest]
        self.tags = {tag: target for tag, target in self.tags.items() if target != digest}

    def needed(self, digest: str) -> bool:
        """Whether a manifest certainly refers to it."""
        return any(digest in manifest.needs for manifest in self.manifests.values())

    def referrers(self, subject: str) -> set[str]:
        """The manifests that must be listed for a subject."""
        return {digest for digest, manifest in self.manifests.items() if manifest.subject == subject}

    def tag_page(self, n: int | None, last: str) -> list[str]:
        """The tags of a page, in bytewise order."""
        names = sorted(tag for tag in self.tags if tag > last)
        return names if n is None else names[:n]
