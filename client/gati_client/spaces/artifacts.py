"""Artifacts of any registry: push, pull, list, copy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gati_client.errors import Network
from gati_client.names import check_repository
from gati_client.transfer.download import Downloads
from gati_client.transfer.hashing import digest_of
from gati_client.transfer.manifests import Manifests
from gati_client.transfer.model import MANIFEST, Descriptor, Layer, Manifest, Progress
from gati_client.transfer.sources import BytesSource, Source
from gati_client.transfer.upload import Uploads
from gati_client.transport import Transport

if TYPE_CHECKING:
    from gati_client.client import Client


class _Arrived:
    """Passes on how far transfers came, and knows whether anything came through."""

    def __init__(self, progress: Progress | None) -> None:
        self.any = False
        self._progress = progress

    def __call__(self, what: str, done: int, total: int) -> None:
        self.any = self.any or done > 0
        if self._progress is not None:
            self._progress(what, done, total)


class Artifacts:
    """`client.artifacts`: plain OCI, with any registry."""

    def __init__(self, transport: Transport) -> None:
        self.host = transport.host
        self._manifests = Manifests(transport)
        self._uploads = Uploads(transport)
        self._downloads = Downloads(transport)

    async def push(
        self,
        repository: str,
        *,
        artifact_type: str,
        config: bytes,
        config_type: str,
        layers: Sequence[Layer],
        annotations: Mapping[str, str] | None = None,
        subject: Descriptor | None = None,
        tags: Sequence[str] = (),
        progress: Progress | None = None,
        mount_from: Sequence[str] = (),
    ) -> Descriptor:
        """Push layers, config and the manifest over them; what is there already is not sent again.

        Args:
            annotations: of the manifest.
            subject: what the artifact refers to (a signature's image).
            tags: all that shall point to it; none: it is there by its digest alone.
            mount_from: repositories of the same registry that may have the layers.

        Returns: The manifest's descriptor.

        Raises:
            Denied, Conflict, Integrity, Network, GatiError: what the registry refuses, and why.
        """
        check_repository(repository)
        own = Layer(BytesSource(config), config_type)
        arrived = _Arrived(progress)
        try:
            *pushed, described = await self._uploads.layers(repository, [*layers, own], arrived, mount_from)
        except Network as error:
            if arrived.any:
                error.remedy = "Try again: what was transferred is kept."
            raise
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": described.document(),
            "layers": [each.document() for each in pushed],
        }
        if subject is not None:
            document["subject"] = {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size}
        if annotations:
            document["annotations"] = dict(annotations)
        raw = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        manifest = Manifest(digest_of(raw), MANIFEST, raw, document)
        await self._manifests.put(repository, manifest, tags)
        return manifest.descriptor

    async def manifest(self, repository: str, reference: str) -> Manifest:
        """A manifest by tag or digest; its bytes are those that the digest names.

        Raises:
            NotFound: there is none, or not for this caller.
            Integrity: the registry gave something else.
        """
        return await self._manifests.get(repository, reference)

    async def digest(self, repository: str, reference: str) -> str | None:
        """What a tag points to now; None: there is no such tag."""
        return await self._manifests.digest(repository, reference)

    async def put_manifest(self, repository: str, manifest: Manifest, tags: Sequence[str] = ()) -> None:
        """Put a manifest byte for byte under its digest and the tags."""
        await self._manifests.put(repository, manifest, tags)

    async def delete(self, repository: str, reference: str) -> None:
        """Delete a tag, or a manifest by its digest."""
        await self._manifests.delete(repository, reference)

    async def blob(self, repository: str, descriptor: Descriptor, limit: int = 4 << 20) -> bytes:
        """A small blob, checked; one of more than `limit` bytes is not fetched.

        Raises:
            Integrity: it is larger, or not what its descriptor says.
        """
        return await self._downloads.blob(check_repository(repository), descriptor, limit)

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has the blob."""
        return await self._uploads.has(check_repository(repository), digest)

    async def put_blob(self, repository: str, source: Source, digest: str, *, mount_from: Sequence[str] = ()) -> None:
        """Make a blob be there."""
        await self._uploads.blob(check_repository(repository), source, digest, mount_from=mount_from)

    async def put_blobs(
        self,
        repository: str,
        sources: Sequence[Source],
        progress: Progress | None = None,
        *,
        mount_from: Sequence[str] = (),
    ) -> None:
        """Make many blobs be there, several at a time; the registry checks those whose digest is told."""
        layers = [Layer(source, "application/octet-stream") for source in sources]
        await self._uploads.layers(check_repository(repository), layers, progress, mount_from)

    async def mount_blob(self, repository: str, digest: str, source_repository: str) -> bool:
        """Make a blob of another repository of the same registry be in this one; whether that went."""
        return await self._uploads.mount(check_repository(repository), digest, check_repository(source_repository))

    async def download(
        self,
        repository: str,
        descriptor: Descriptor,
        path: Path,
        progress: Progress | None = None,
        *,
        durable: bool = True,
    ) -> None:
        """A blob as a file. It goes on where an earlier try ended, and is there whole and checked or not at all.

        Args:
            path: the file; an earlier one is replaced. `<path>.partial` and `<path>.partial.json` stand beside it
                meanwhile, and after a failure.
            durable: the file outlasts a power cut from then on.

        Raises:
            Integrity: its bytes are not those that the descriptor names.
            Network: the connection broke again and again; what came is kept.
            Conflict: another process downloads the same file.
        """
        await self._downloads.file(check_repository(repository), descriptor, path, progress, durable)

    async def download_all(
        self,
        repository: str,
        wanted: Sequence[tuple[Descriptor, Path]],
        progress: Progress | None = None,
        *,
        durable: bool = True,
    ) -> None:
        """Many blobs as files, several at a time; each as by `download`. After a failure some may be there."""
        await self._downloads.files(check_repository(repository), wanted, progress, durable)

    def tags(self, repository: str) -> AsyncIterator[str]:
        """All tags, in the registry's order."""
        return self._manifests.tags(repository)

    def repositories(self) -> AsyncIterator[str]:
        """All repositories that the caller sees (`_catalog`); not every registry has that."""
        return self._manifests.repositories()

    async def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> list[Descriptor]:
        """What refers to a manifest: signatures, SBOMs, attestations."""
        return await self._manifests.referrers(repository, digest, artifact_type)

    async def copy(
        self,
        source: Client,
        source_repository: str,
        reference: str,
        repository: str,
        tag: str | None,
        referrers: bool = True,
        progress: Progress | None = None,
    ) -> Descriptor:
        """Copy from another registry or repository, byte for byte: children, referrers and theirs included."""
        from gati_client.transfer.copying import copy

        return await copy(
            source.artifacts,
            source_repository,
            reference,
            self,
            repository,
            tag,
            referrers=referrers,
            progress=progress,
        )

    async def export_layout(
        self, repository: str, references: Sequence[str], folder: Path, progress: Progress | None = None
    ) -> list[Descriptor]:
        """Write an OCI image layout with these tags or digests, their children and referrers."""
        from gati_client.transfer.layout import export_layout

        return await export_layout(self, repository, references, folder, progress)

    async def import_layout(self, folder: Path, repository: str, progress: Progress | None = None) -> list[Descriptor]:
        """Push all that an OCI image layout's index lists, under the tags that it names."""
        from gati_client.transfer.layout import import_layout

        return await import_layout(self, folder, repository, progress)
