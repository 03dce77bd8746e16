"""The data that every stack gets: blobs and manifests, the same bytes in each run."""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with their digest and media type: a config, a layer or a manifest."""

    data: bytes
    digest: str
    media_type: str

    @classmethod
    def of(cls, data: bytes, media_type: str = LAYER) -> Blob:
        return cls(data, f"sha256:{hashlib.sha256(data).hexdigest()}", media_type)

    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


EMPTY = Blob.of(b"{}", EMPTY_CONFIG)


def image_manifest(
    config: Blob,
    layers: Sequence[Blob],
    *,
    artifact_type: str | None = None,
    subject: Blob | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Blob:
    """An image manifest over blobs that are stored already."""
    manifest: dict[str, object] = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST}
    if artifact_type is not None:
        manifest["artifactType"] = artifact_type
    manifest["config"] = config.descriptor()
    manifest["layers"] = [layer.descriptor() for layer in layers]
    if subject is not None:
        manifest["subject"] = subject.descriptor()
    if annotations is not None:
        manifest["annotations"] = dict(annotations)
    return Blob.of(json.dumps(manifest, separators=(",", ":")).encode(), IMAGE_MANIFEST)


def index_of(manifests: Sequence[Blob], annotations: Mapping[str, str]) -> Blob:
    """An image index over manifests that are stored already."""
    index = {
        "schemaVersion": 2,
        "mediaType": IMAGE_INDEX,
        "manifests": [manifest.descriptor() for manifest in manifests],
        "annotations": dict(annotations),
    }
    return Blob.of(json.dumps(index, separators=(",", ":")).encode(), IMAGE_INDEX)


def empty_index(name: str) -> Blob:
    """An index of nothing, different for each name: a manifest that needs no blob stored before it."""
    return index_of([], {"name": name})


def manifest_of_size(size: int) -> Blob:
    """An image manifest of exactly `size` bytes over the empty config, filled up by an annotation."""
    bare = len(image_manifest(EMPTY, [EMPTY], annotations={"fill": ""}).data)
    return image_manifest(EMPTY, [EMPTY], annotations={"fill": "x" * (size - bare)})


def noise(seed: int, size: int) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)


@functools.cache
def _block(size: int) -> bytes:
    return noise(0, min(size, 16 * _MIB))


@dataclass(frozen=True, slots=True)
class BigBlob:
    """A blob of many bytes: a head of its own, then blocks that all of them share to save memory."""

    size: int
    head: bytes
    digest: str

    @classmethod
    @functools.cache
    def of(cls, size: int, seed: int) -> BigBlob:
        """`size` bytes; another `seed` gives another digest."""
        hasher = hashlib.sha256()
        blob = cls(size, noise(seed, min(64, size)), "")
        for part in blob.parts():
            hasher.update(part)
        return cls(blob.size, blob.head, f"sha256:{hasher.hexdigest()}")

    def parts(self) -> list[memoryview]:
        """The bytes in order, as views that share memory."""
        views = [memoryview(self.head)]
        left = self.size - len(self.head)
        block = memoryview(_block(self.size))
        while left > 0:
            views.append(block[:left])
            left -= len(views[-1])
        return views
