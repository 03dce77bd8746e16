"""Small images made here, as bytes: a busybox that runs, and indexes of several platforms."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients.registry import INDEX, MANIFEST, Registry, digest_of

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest or index with everything below it."""

    manifest: bytes
    media_type: str
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    children: Sequence[Artifact] = ()
    platform: Mapping[str, str] | None = None

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)

    def descriptor(self) -> dict[str, Any]:
        """The descriptor by which an index refers to it."""
        described: dict[str, Any] = _descriptor(self.media_type, self.manifest)
        if self.platform:
            described["platform"] = dict(self.platform)
        return described

    def all_blobs(self) -> dict[str, bytes]:
        """Its own blobs and those of its children."""
        found = dict(self.blobs)
        for child in self.children:
            found |= child.all_blobs()
        return found


def image(
    files: Mapping[str, bytes],
    *,
    command: Sequence[str] = ("/bin/busybox", "true"),
    architecture: str = "amd64",
    layers: int = 1,
) -> Artifact:
    """An OCI image of the files, spread over so many layers; same input, same bytes."""
    names = sorted(files)
    tars = [_tar({name: files[name] for name in names[start::layers]}) for start in range(layers)]
    packed = [gzip.compress(tar, compresslevel=1, mtime=0) for tar in tars]
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": list(command)},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, config),
            "layers": [_descriptor(LAYER, layer) for layer in packed],
        }
    )
    blobs = {digest_of(data): data for data in [config, *packed]}
    return Artifact(manifest, MANIFEST, blobs, platform={"architecture": architecture, "os": "linux"})


def greeting(busybox: Path, words: str, *, architecture: str = "amd64") -> Artifact:
    """A runnable image in two layers that prints the words."""
    files = {"bin/busybox": busybox.read_bytes(), "greeting": f"{words}\n".encode()}
    return image(files, command=["/bin/busybox", "cat", "/greeting"], architecture=architecture, layers=2)


def index(children: Sequence[Artifact]) -> Artifact:
    """An OCI index over the images."""
    described = [child.descriptor() for child in children]
    return Artifact(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": described}), INDEX, children=children)


def two_platforms() -> Artifact:
    """An index of two tiny images, amd64 and arm64, with different content."""
    return index(
        [image({"platform": name.encode()}, architecture=name) for name in ("amd64", "arm64")],
    )


def push(registry: Registry, repository: str, reference: str, artifact: Artifact) -> str:
    """Put the artifact into the registry over plain HTTP, children first; returns its digest."""
    for child in artifact.children:
        push(registry, repository, child.digest, child)
    for data in artifact.blobs.values():
        registry.push_blob(repository, data)
    return registry.push_manifest(repository, reference, artifact.manifest, artifact.media_type)


def holds(registry: Registry, repository: str, reference: str, artifact: Artifact) -> bool:
    """Whether the registry holds the artifact byte for byte, blobs and children included."""
    stored = registry.manifest(repository, reference)
    return (
        stored.data == artifact.manifest
        and stored.media_type == artifact.media_type
        and all(registry.blob(repository, digest) == data for digest, data in artifact.blobs.items())
        and all(holds(registry, repository, child.digest, child) for child in artifact.children)
    )


def write_layout(folder: Path, tag: str, artifact: Artifact) -> Path:
    """Write an OCI image layout that names the artifact by the tag; returns the folder."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in [artifact.manifest, *(c.manifest for c in artifact.children), *artifact.all_blobs().values()]:
        (blobs / digest_of(data).partition(":")[2]).write_bytes(data)
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    named = artifact.descriptor() | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}))
    return folder


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for folder in sorted({name.rpartition("/")[0] for name in files} - {""}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()
