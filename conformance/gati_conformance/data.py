"""Made-up content: blobs, image manifests and indexes, each knowing its bytes, digest and descriptor.

Everything holds random bytes, so that two runs against one registry never meet each other's content.
Source of the formats: opencontainers/image-spec v1.1.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
LAYER_FOREIGN_GZIP = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
EMPTY_JSON = "application/vnd.oci.empty.v1+json"
OCTETS = "application/octet-stream"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
EXAMPLE_1 = "application/vnd.example.oci.conformance.v1"
EXAMPLE_2 = "application/vnd.example.oci.conformance.v2"

AMD64 = {"architecture": "amd64", "os": "linux"}
ARM64 = {"architecture": "arm64", "os": "linux"}

Json = dict[str, Any]


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """The digest of some bytes, as `algorithm:hex`."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def token(length: int = 12) -> str:
    """Random lower-case text, good as a part of a repository name and of a tag."""
    return "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(length))


@dataclass(frozen=True)
class Content:
    """Bytes with their media type: a blob or a manifest."""

    data: bytes
    media_type: str = OCTETS
    algorithm: str = "sha256"

    @functools.cached_property
    def digest(self) -> str:
        """Its digest, by its algorithm."""
        return digest_of(self.data, self.algorithm)

    def descriptor(self, **more: Any) -> Json:
        """Its descriptor; keyword arguments add fields, or replace them."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)} | more

    def with_data(self) -> Json:
        """Its descriptor with the content inside it. Source: image-spec, descriptor.md, `data`."""
        return self.descriptor(data=base64.b64encode(self.data).decode())

    @property
    def document(self) -> Json:
        """A manifest's JSON object."""
        document: Json = json.loads(self.data)
        return document


def blob(size: int = 2048, algorithm: str = "sha256", media_type: str = OCTETS) -> Content:
    """Random bytes."""
    return Content(secrets.token_bytes(size), media_type, algorithm)


def empty_json(algorithm: str = "sha256") -> Content:
    """The two bytes `{}`. Source: image-spec, manifest.md, "guidance for an empty descriptor"."""
    return Content(b"{}", EMPTY_JSON, algorithm)


def layer(*, compressed: bool = True, algorithm: str = "sha256") -> tuple[Content, str]:
    """A layer with one small file, and its diff id (the digest of the uncompressed tar)."""
    text = f"Made up for a conformance test: {token(24)}\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(f"./{token(8)}.txt")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    tar = buffer.getvalue()
    diff_id = digest_of(tar, algorithm)
    if compressed:
        return Content(gzip.compress(tar, mtime=0), LAYER_GZIP, algorithm), diff_id
    return Content(tar, LAYER, algorithm), diff_id


def image_config(
    diff_ids: Sequence[str], platform: Mapping[str, str] = AMD64, algorithm: str = "sha256", **more: Any
) -> Content:
    """An image's config; keyword arguments add fields."""
    document = {
        "author": "conformance test",
        **platform,
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "config": {"Labels": {"test": token()}},
    }
    return Content(encode(document | more), CONFIG, algorithm)


def image(config: Json, layers: Iterable[Json], *, algorithm: str = "sha256", **more: Any) -> Content:
    """An image manifest over descriptors; keyword arguments (None: left out) add fields, or replace them."""
    document = {"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": list(layers)}
    return _manifest(document, more, algorithm)


def index(manifests: Iterable[Json], *, algorithm: str = "sha256", **more: Any) -> Content:
    """An image index over descriptors; keyword arguments (None: left out) add fields, or replace them."""
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}
    return _manifest(document, more, algorithm)


def encode(document: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(document, separators=(",", ":")).encode()


def _manifest(document: Json, more: Mapping[str, Any], algorithm: str) -> Content:
    merged = {name: value for name, value in (document | dict(more)).items() if value is not None}
    return Content(encode(merged), str(merged.get("mediaType", document["mediaType"])), algorithm)


@dataclass(frozen=True)
class Artifact:
    """A manifest and the blobs that it needs."""

    manifest: Content
    blobs: tuple[Content, ...]


def simple_image(
    *,
    layers: int = 2,
    platform: Mapping[str, str] = AMD64,
    algorithm: str = "sha256",
    compressed: bool = True,
    inline: bool = False,
    config_fields: Mapping[str, Any] | None = None,
    **more: Any,
) -> Artifact:
    """An image with a config and some layers. `inline` puts the content into the descriptors as well."""
    made = [layer(compressed=compressed, algorithm=algorithm) for _ in range(layers)]
    config = image_config([diff_id for _, diff_id in made], platform, algorithm, **(config_fields or {}))
    blobs = [content for content, _ in made]
    describe = Content.with_data if inline else Content.descriptor
    manifest = image(describe(config), [describe(item) for item in blobs], algorithm=algorithm, **more)
    return Artifact(manifest, (config, *blobs))


def simple_artifact(
    *, artifact_type: str | None = EXAMPLE_1, layer_type: str = EXAMPLE_1, algorithm: str = "sha256", **more: Any
) -> Artifact:
    """An artifact: empty config, one random blob."""
    config, content = empty_json(algorithm), blob(algorithm=algorithm, media_type=layer_type)
    layers = [content.descriptor()]
    manifest = image(config.descriptor(), layers, algorithm=algorithm, artifactType=artifact_type, **more)
    return Artifact(manifest, (config, content))


def simple_index(
    *children: Artifact,
    platforms: Sequence[Mapping[str, str]] = (AMD64, ARM64),
    algorithm: str = "sha256",
    **more: Any,
) -> Content:
    """An index over manifests, each with its platform."""
    described = [
        child.manifest.descriptor(platform=dict(platform)) for child, platform in zip(children, platforms, strict=True)
    ]
    return index(described, algorithm=algorithm, **more)


def fallback_tag(digest: str) -> str:
    """The referrers tag of a digest. Source: distribution-spec, "Referrers Tag Schema"."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm[:32]}-{encoded[:64]}".replace("+", "-")
