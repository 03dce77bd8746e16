"""Templates from a registry or a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from gati_client.errors import GatiError, NotFound
from gati_client.names import is_digest
from gati_client.pack.extract import Limits, extract
from gati_client.pack.names import BadName, checked
from gati_client.project import ranges
from gati_client.templates.project import MANIFEST, Origin, Template
from gati_client.templates.variables import Description

if TYPE_CHECKING:
    from gati_client.client import Client
    from gati_client.transfer import Progress

CONFIG = "application/vnd.gati.template.config.v1+json"
_LAYERS = tuple(f"application/vnd.gati.template.layer.v1.tar+{way}" for way in ("gzip", "zstd"))
# What a project begins with is small; a template that needs more is no template.
_LIMITS = Limits(total=256 * 1024**2, file=256 * 1024**2, members=20_000)
_MOST_LAYERS = 1000
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MOST_CONFIG = 4 * 1024**2


def local(folder: Path) -> Template:
    """A template that lies here, to try it.

    Raises:
        NotFound: there is no `gati-template.json`.
    """
    try:
        config = (folder / MANIFEST).read_bytes()
    except OSError:
        raise NotFound(f"there is no {MANIFEST} in {folder}", remedy="gati template create NAME begins one") from None
    return Template(folder, Description.read(config))


async def fetch(
    client: Client, repository: str, reference: str | None, folder: Path, progress: Progress | None = None
) -> Template:
    """A template of a registry, unpacked below `folder`.

    Args:
        reference: a version, channel, digest or range; None: `latest`.

    Raises:
        NotFound: there is no such template.
        GatiError: it is no template, or of an engine that is not rendered here.
    """
    name = f"{repository}@{reference}" if reference else repository
    manifest = await client.artifacts.manifest(repository, await _exact(client, repository, reference or "latest"))
    if manifest.config is None or manifest.config.media_type != CONFIG:
        raise GatiError(f"{name} is no template", remedy="gati search --kind template QUERY finds some")
    config = await client.artifacts.blob(repository, manifest.config, limit=_MOST_CONFIG)
    description = Description.read(config)
    target = folder / "files"
    packs = [layer for layer in manifest.layers if layer.media_type in _LAYERS]
    if len(packs) > 1:
        raise GatiError(f"{name} has {len(packs)} packs of files; a template has one")
    if packs:
        archive = folder / "layer"
        await client.artifacts.download(repository, packs[0], archive, progress)
        extract(archive, target, _LIMITS, digest=packs[0].digest)
    for layer in manifest.layers[:_MOST_LAYERS]:
        # Files with a type of their own (`.wasm`, `.onnx`) travel beside the pack.
        if layer.title is not None and layer not in packs:
            await client.artifacts.download(repository, layer, _place(target, layer.title), progress)
    target.mkdir(exist_ok=True)
    origin = Origin(client.host, repository, description.version, manifest.digest)
    return Template(target, description, origin)


def _place(folder: Path, title: str) -> Path:
    try:
        path = folder / checked(title)
    except BadName as error:
        raise GatiError(f"the template is refused: {error}") from None
    if path == folder or path.exists():
        raise GatiError(f"the template is refused: it holds {title[:200]!r} twice")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


async def _exact(client: Client, repository: str, reference: str) -> str:
    """The tag of the newest version that a range admits; what is no range stays."""
    if is_digest(reference) or _TAG.fullmatch(reference):
        return reference
    best: tuple[ranges.Version, str] | None = None
    async for tag in client.artifacts.tags(repository):
        version = ranges.Version.parse(tag)
        if version is not None and ranges.admits(reference, tag) and (best is None or best[0] < version):
            best = version, tag
    if best is None:
        raise NotFound(f"{repository} has no version that {reference} admits", remedy=f"gati info {repository}")
    return best[1]
