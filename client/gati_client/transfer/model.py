"""What is moved: descriptors, layers, manifests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gati_client.errors import Integrity
from gati_client.names import is_digest
from gati_client.transfer.sources import Source

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
EMPTY = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"

Progress = Callable[[str, int, int], None]
"""Called with what is moved (a title or a digest), bytes done, bytes in all."""

_MAX_SIZE = 1 << 50


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of content: `size` in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str | None = None

    @classmethod
    def parse(cls, document: object) -> Descriptor:
        """Read a descriptor of a manifest.

        Raises:
            Integrity: it is none, or has a digest that cannot be checked.
        """
        if not isinstance(document, dict):
            raise Integrity("a manifest has something else where a descriptor should be")
        media_type, digest, size = document.get("mediaType", ""), document.get("digest"), document.get("size")
        if not isinstance(media_type, str) or not isinstance(digest, str) or not is_digest(digest):
            raise Integrity(f"a manifest has a descriptor with digest {str(digest)[:100]!r}, which cannot be checked")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
            raise Integrity(f"a manifest has a descriptor with size {str(size)[:100]!r}")
        kind = document.get("artifactType")
        return cls(media_type, digest, size, annotations_of(document), kind if isinstance(kind, str) else None)

    @property
    def title(self) -> str | None:
        """The file name that the author gave it; whoever writes files by it checks it first."""
        return self.annotations.get(TITLE)

    def document(self) -> dict[str, Any]:
        """As it stands in manifests."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document


@dataclass(frozen=True, slots=True)
class Layer:
    """Bytes to push; `title` is the file name that pulling programs write them to."""

    source: Source
    media_type: str
    title: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest byte for byte (`raw`), and read (`document`)."""

    digest: str
    media_type: str
    raw: bytes
    document: dict[str, Any]

    @property
    def descriptor(self) -> Descriptor:
        """How others refer to it."""
        return Descriptor(self.media_type, self.digest, len(self.raw), artifact_type=self.artifact_type)

    @property
    def artifact_type(self) -> str | None:
        """Its own, else the media type of its config, as registries list it among referrers."""
        kind = self.document.get("artifactType")
        if isinstance(kind, str) and kind:
            return kind
        config = self.document.get("config")
        kind = config.get("mediaType") if isinstance(config, dict) else None
        return kind if isinstance(kind, str) and kind else None

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations; what is no text is left out."""
        return annotations_of(self.document)

    @property
    def config(self) -> Descriptor | None:
        """Its config; None where it has none (an index)."""
        return Descriptor.parse(self.document["config"]) if self.document.get("config") is not None else None

    @property
    def layers(self) -> list[Descriptor]:
        """Its layers in order; an index has none."""
        return _descriptors(self.document, "layers")

    @property
    def children(self) -> list[Descriptor]:
        """What an index lists."""
        return _descriptors(self.document, "manifests")

    @property
    def subject(self) -> Descriptor | None:
        """What it refers to."""
        return Descriptor.parse(self.document["subject"]) if self.document.get("subject") is not None else None

    @classmethod
    def read(cls, digest: str, media_type: str, raw: bytes) -> Manifest:
        """Parse the bytes of a manifest, whose digest was checked.

        Raises:
            Integrity: they are no manifest.
        """
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            raise Integrity(f"manifest {digest} is not JSON") from None
        if not isinstance(document, dict):
            raise Integrity(f"manifest {digest} is no JSON object")
        return cls(digest, media_type, raw, document)


def annotations_of(document: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of a manifest or descriptor; what is no text is left out."""
    found = document.get("annotations")
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _descriptors(document: Mapping[str, Any], key: str) -> list[Descriptor]:
    found = document.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Integrity(f"a manifest has something else than a list as {key}")
    return [Descriptor.parse(each) for each in found]
