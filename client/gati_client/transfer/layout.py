"""OCI image layouts: a repository's artifacts as a folder.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md

    oci-layout                 {"imageLayoutVersion": "1.0.0"}
    index.json                 what is in it; tags as annotations
    blobs/sha256/<hex>         manifests and blobs
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gati_client.errors import GatiError, Integrity, NotFound
from gati_client.names import is_digest
from gati_client.transfer.copying import blobs_of, walk
from gati_client.transfer.hashing import check
from gati_client.transfer.model import INDEX, Descriptor, Manifest, Progress
from gati_client.transfer.sources import FileSource

if TYPE_CHECKING:
    from gati_client.spaces.artifacts import Artifacts

_TAG = "org.opencontainers.image.ref.name"
_MAX_DOCUMENT = 16 << 20


async def export_layout(
    source: Artifacts, repository: str, references: Sequence[str], folder: Path, progress: Progress | None
) -> list[Descriptor]:
    """See `Artifacts.export_layout`. A layout that is there already is added to."""
    folder.mkdir(parents=True, exist_ok=True)
    exported: list[Descriptor] = []
    roots = [(each, await source.manifest(repository, each)) for each in references]
    named = {manifest.digest for _, manifest in roots}
    loose: list[Manifest] = []  # referrers: no index of the layout leads to them but index.json
    seen: set[str] = set()

    async def visit(manifest: Manifest) -> None:
        wanted: dict[Path, Descriptor] = {}
        for blob in blobs_of(manifest):
            path = _blob(folder, blob.digest)
            if not path.exists() or path.stat().st_size != blob.size:
                path.parent.mkdir(parents=True, exist_ok=True)
                wanted[path] = blob
        # Not synced, as whoever reads a layout checks its digests.
        pairs = [(blob, path) for path, blob in wanted.items()]
        await source.download_all(repository, pairs, progress, durable=False)
        _write(_blob(folder, manifest.digest), manifest.raw)
        if manifest.subject is not None and manifest.digest not in named:
            loose.append(manifest)

    for reference, manifest in roots:
        await walk(source, repository, manifest, visit, referrers=True, seen=seen)
        own = manifest.descriptor
        annotations = {} if is_digest(reference) else {_TAG: reference}
        exported.append(Descriptor(own.media_type, own.digest, own.size, annotations, own.artifact_type))
    known = _index(folder) if (folder / "index.json").exists() else []
    entries = {(each.digest, each.annotations.get(_TAG)): each for each in known}
    tags = {each.annotations.get(_TAG) for each in exported} - {None}
    entries = {key: each for key, each in entries.items() if key[1] not in tags}  # a tag that moved names one
    for each in (*exported, *(manifest.descriptor for manifest in loose)):
        entries[each.digest, each.annotations.get(_TAG)] = each
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [each.document() for each in entries.values()],
    }
    _write(folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    _write(folder / "index.json", json.dumps(document, indent=2).encode())
    return exported


async def import_layout(
    target: Artifacts, folder: Path, repository: str, progress: Progress | None
) -> list[Descriptor]:
    """See `Artifacts.import_layout`."""
    layout = _document(folder / "oci-layout")
    if layout.get("imageLayoutVersion") != "1.0.0":
        raise GatiError(f"{folder} is no OCI image layout of version 1.0.0")
    imported: list[Descriptor] = []
    done: set[str] = set()
    for entry in _index(folder):
        manifest = _manifest(folder, entry)
        await _push(target, folder, repository, manifest, done, 0, progress)
        tag = tag_of(entry)
        if tag:
            await target.put_manifest(repository, manifest, [tag])
        imported.append(entry)
    return imported


def tag_of(entry: Descriptor) -> str:
    """The tag that a layout's index gives; empty, if none."""
    # Some write the whole name of an image there.
    return entry.annotations.get(_TAG, "").rpartition("/")[2].rpartition(":")[2]


async def _push(
    target: Artifacts,
    folder: Path,
    repository: str,
    manifest: Manifest,
    done: set[str],
    depth: int,
    progress: Progress | None,
) -> None:
    if manifest.digest in done:
        return
    done.add(manifest.digest)
    if depth > 16:
        raise Integrity(f"{folder}: its indexes lie in one another without end")
    blobs = blobs_of(manifest)
    taken = {each.digest for each in blobs}
    for child in manifest.children:
        if child.digest not in taken:
            await _push(target, folder, repository, _manifest(folder, child), done, depth + 1, progress)
    paths = [_blob(folder, blob.digest) for blob in blobs]
    for path in paths:
        if not path.is_file():
            raise NotFound(f"{path} is not there: the layout is not whole", remedy="export it once more")
    sources = [FileSource(path, blob.digest) for path, blob in zip(paths, blobs, strict=True)]
    for source, blob in zip(sources, blobs, strict=True):
        if source.size != blob.size:
            raise Integrity(f"{source.path} has {source.size} bytes and not {blob.size}")
    await target.put_blobs(repository, sources, progress)
    await target.put_manifest(repository, manifest)


def _manifest(folder: Path, descriptor: Descriptor) -> Manifest:
    raw = _read(_blob(folder, descriptor.digest))
    check(raw, descriptor.digest, str(_blob(folder, descriptor.digest)))
    return Manifest.read(descriptor.digest, descriptor.media_type, raw)


def _blob(folder: Path, digest: str) -> Path:
    if not is_digest(digest):  # what names a file comes from outside
        raise Integrity(f"{digest[:100]!r} is no digest")
    algorithm, _, value = digest.partition(":")
    return folder / "blobs" / algorithm / value


def _index(folder: Path) -> list[Descriptor]:
    found = _document(folder / "index.json").get("manifests")
    if not isinstance(found, list):
        raise Integrity(f"{folder}/index.json lists no manifests")
    return [Descriptor.parse(each) for each in found]


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(_read(path))
    except (ValueError, RecursionError):
        raise Integrity(f"{path} is not JSON") from None
    if not isinstance(document, dict):
        raise Integrity(f"{path} is no JSON object")
    return document


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_DOCUMENT + 1)
    except FileNotFoundError:
        raise NotFound(f"{path} is not there") from None
    except OSError as error:
        raise GatiError(f"{path}: {error.strerror}") from None
    if len(data) > _MAX_DOCUMENT:
        raise Integrity(f"{path} is too large")
    return data


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(path)
