"""Copies between repositories and registries: manifests byte for byte, blobs through a file of this machine where
they cannot be mounted, referrers with them."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gati_client.errors import Integrity
from gati_client.names import check_reference
from gati_client.together import together
from gati_client.transfer.model import Descriptor, Manifest, Progress
from gati_client.transfer.sources import FileSource

if TYPE_CHECKING:
    from gati_client.spaces.artifacts import Artifacts

_MAX_MANIFESTS = 10_000
_MAX_DEPTH = 16
_AT_ONCE = 8  # blobs of a manifest, which are as many files meanwhile
_ELSEWHERE = ("layer.nondistributable", "rootfs.foreign")  # in media types of layers that vendors keep

Visit = Callable[[Manifest], Awaitable[None]]


async def walk(
    source: Artifacts,
    repository: str,
    manifest: Manifest,
    visit: Visit,
    *,
    referrers: bool,
    seen: set[str],
    depth: int = 0,
) -> None:
    """Visit all that a manifest needs, then itself, then what refers to it, each once: in an order that a registry
    accepts.

    Raises:
        Integrity: it has no end, or refers to what is not what it should be.
    """
    if manifest.digest in seen:
        return
    seen.add(manifest.digest)
    if depth > _MAX_DEPTH or len(seen) > _MAX_MANIFESTS:
        raise Integrity(f"manifest {manifest.digest} leads to too many others")
    for child in manifest.children:
        if _is_manifest(child):  # build caches list blobs, too
            found = await source.manifest(repository, child.digest)
            await walk(source, repository, found, visit, referrers=referrers, seen=seen, depth=depth + 1)
    await visit(manifest)
    if referrers:
        for each in await source.referrers(repository, manifest.digest):
            found = await source.manifest(repository, each.digest)
            subject = found.subject
            if subject is None or subject.digest != manifest.digest:
                raise Integrity(f"{each.digest} is listed as a referrer of {manifest.digest} and is none")
            await walk(source, repository, found, visit, referrers=True, seen=seen, depth=depth + 1)


def blobs_of(manifest: Manifest) -> list[Descriptor]:
    """Config, layers, and what an index lists that is no manifest; without what registries do not hand out."""
    found = [] if manifest.config is None else [manifest.config]
    found += manifest.layers
    found += [each for each in manifest.children if not _is_manifest(each)]
    return [each for each in found if not any(mark in each.media_type for mark in _ELSEWHERE)]


def _is_manifest(descriptor: Descriptor) -> bool:
    return "manifest" in descriptor.media_type or "index" in descriptor.media_type


async def copy(
    source: Artifacts,
    source_repository: str,
    reference: str,
    target: Artifacts,
    repository: str,
    tag: str | None,
    *,
    referrers: bool,
    progress: Progress | None,
) -> Descriptor:
    """See `Artifacts.copy`."""
    if tag is not None:
        check_reference(tag)
    root = await source.manifest(source_repository, reference)
    # Between repositories of one registry bytes stay where they are.
    mount_from = [source_repository] if source.host == target.host else []

    with tempfile.TemporaryDirectory(prefix="gati-copy-") as folder:

        async def bring(blob: Descriptor) -> None:
            if await target.has_blob(repository, blob.digest):
                return
            if mount_from and await target.mount_blob(repository, blob.digest, source_repository):
                return
            path = Path(folder) / blob.digest.replace(":", "-")
            await source.download(source_repository, blob, path, progress, durable=False)
            await target.put_blob(repository, FileSource(path, blob.digest), blob.digest)
            path.unlink()

        async def visit(manifest: Manifest) -> None:
            blobs = {blob.digest: blob for blob in blobs_of(manifest)}
            await together((bring(blob) for blob in blobs.values()), _AT_ONCE)
            await target.put_manifest(repository, manifest, [tag] if tag and manifest is root else [])

        await walk(source, source_repository, root, visit, referrers=referrers, seen=set())
    return root.descriptor
