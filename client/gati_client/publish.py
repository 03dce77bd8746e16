"""From a folder to a registry: `prepare` says what would go, `check` what speaks against it, `push` sends it.

The folder's `gati-<kind>.json` is the artifact's config, byte for byte; of a specification `spec.yaml` will do. Model
files and WebAssembly become layers of their own, under the types of their fields; all else is one pack. A folder that
holds its manifest alone (a hosted model, say) has no layers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gati_client.cache import Cache
from gati_client.client import Client
from gati_client.errors import Conflict, GatiError, NotFound, Usage
from gati_client.names import Name
from gati_client.pack.archive import Packed, PackedFile, listed, write
from gati_client.pack.ignore import Ignore
from gati_client.pack.secrets import ALLOWED, Finding, scan
from gati_client.project import files
from gati_client.project.ranges import Version
from gati_client.transfer import Descriptor, FileSource, Layer, Manifest, Progress
from gati_client.transfer.hashing import digest_of, digest_of_source

TYPES = {
    ".gguf": "application/vnd.gguf",
    ".onnx": "application/vnd.onnx",
    ".safetensors": "application/vnd.safetensors",
    ".wasm": "application/wasm",
}
"""Files that are layers of their own, by the ends of their names."""
CHANNELS = ("beta", "alpha", "canary", "edge", "nightly")
"""What a prerelease goes to, if its first word is one of them; every other version goes to `latest`."""
VERSION = "org.opencontainers.image.version"
SPEC = "spec.yaml"
"""A specification's manifest as SpecRegistry has it."""
_MANIFEST = re.compile(r"gati-([a-z]+)\.json")
_PREFIX = "org.opencontainers.image."
_ANNOTATED = (("version", "version"), ("description", "description"), ("license", "licenses"))


class SecretsFound(GatiError):
    """Something looks like a secret; `findings` say where."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        shown = "; ".join(map(str, findings[:3])) + (f"; and {len(findings) - 3} more" if len(findings) > 3 else "")
        super().__init__(
            f"this looks like secrets: {shown}",
            remedy=f"take them out, list the files in .gatiignore, write {ALLOWED} into a harmless line, or say "
            "--allow-secret",
        )
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would go: `files` in the pack, `large` beside it as layers of their own. Sizes are in bytes."""

    repository: str
    kind: str
    version: str
    tags: tuple[str, ...]
    config: bytes
    document: Mapping[str, Any]
    """What the config says."""
    form: str
    """How it is written: json or yaml."""
    pack: Packed | None
    large: tuple[PackedFile, ...]
    findings: tuple[Finding, ...]

    @property
    def files(self) -> tuple[PackedFile, ...]:
        """All files that go."""
        return (*(self.pack.files if self.pack else ()), *self.large)

    @property
    def size(self) -> int:
        """What is sent to a registry that has nothing of it."""
        return len(self.config) + (self.pack.size if self.pack else 0) + sum(file.size for file in self.large)

    @property
    def artifact_type(self) -> str:
        """Of the manifest."""
        return f"application/vnd.gati.{self.kind}.v1"

    @property
    def config_type(self) -> str:
        """Of the config."""
        return f"application/vnd.gati.{self.kind}.config.v1+{self.form}"

    @property
    def layers(self) -> list[Layer]:
        """As they are pushed: the pack first."""
        out = [
            Layer(FileSource(file.path), TYPES[Path(file.name).suffix.lower()], title=file.name) for file in self.large
        ]
        if self.pack is not None:
            kind = f"application/vnd.gati.{self.kind}.layer.v1.tar+gzip"
            out.insert(0, Layer(FileSource(self.pack.path, self.pack.digest), kind))
        return out

    @property
    def annotations(self) -> dict[str, str]:
        """Of the manifest; nothing that differs between two runs."""
        found = {name: self.document.get(key) for key, name in _ANNOTATED}
        return {_PREFIX + name: text for name, text in found.items() if isinstance(text, str) and text}


def manifest_of(folder: Path, kind: str | None = None) -> tuple[str, Path]:
    """The kind of a folder, and the file with its manifest.

    Raises:
        Usage: there is none, or more than one.
    """
    if folder.is_file():
        found = [folder]
        folder = folder.parent
    else:
        found = sorted(folder.glob(f"gati-{kind or '*'}.json"))
    matching = [(match[1], path) for path in found if (match := _MANIFEST.fullmatch(path.name))]
    if not matching and kind in (None, "spec"):
        matching = [("spec", path) for path in (*found, folder / SPEC) if path.name == SPEC and path.is_file()][:1]
    if not matching:
        if not folder.exists():
            raise Usage(f"there is no folder {folder}", remedy=f"gati {kind or '<kind>'} create NAME makes one")
        raise Usage(f"{folder} holds no gati-{kind or '<kind>'}.json",
                    remedy=f"gati {kind or '<kind>'} create NAME makes one")  # fmt: skip
    if kind is not None and matching[0][0] != kind:
        raise Usage(f"{matching[0][1]} is no {kind}", remedy=f"it is a {matching[0][0]}")
    if len(matching) > 1:
        raise Usage(f"{folder} holds manifests of several kinds: {', '.join(found for found, _ in matching)}",
                    remedy=f"say which: gati {matching[0][0]} publish")  # fmt: skip
    return matching[0]


@contextlib.contextmanager
def prepare(
    folder: Path, kind: str | None = None, *, repository: str | None = None, namespace: str | None = None,
    channels: Sequence[str] | None = None, ignore: Ignore | None = None, cache: Cache | None = None,
) -> Iterator[Plan]:  # fmt: skip
    """What publishing a folder would send; the pack lies in the cache's folder while this is open.

    Args:
        folder: the artifact's folder, or its manifest.
        kind: which kind, where the folder has several.
        repository: where it goes; None: what the manifest's name means, bare ones in `namespace`, else `library`.
        channels: tags to move to it besides the version; None: `latest`, or that of the prerelease.

    Raises:
        Usage: it cannot be published as it is.
    """
    kind, manifest = manifest_of(folder, kind)
    config = manifest.read_bytes()
    document = files.load(manifest, Usage)
    name, text = document.get("name"), document.get("version")
    version = Version.parse(text) if isinstance(text, str) else None
    if not isinstance(name, str) or not isinstance(text, str) or version is None:
        raise Usage(f"{manifest.name} needs a name, and a semantic version such as 1.0.0")
    text = text.strip().removeprefix("v")
    if repository is None:
        repository = Name.parse(name, namespace=namespace).repository
    if channels is None:
        channels = ("latest",) if not version.prerelease else tuple({*version.prerelease[:1]} & {*CHANNELS})
    found = listed(manifest.parent, ignore)
    large = tuple(file for file in found if Path(file.name).suffix.lower() in TYPES)
    rest = [file for file in found if file not in large]
    alone = [file.name for file in rest] == [manifest.name]
    with (cache or Cache()).scratch() as scratch:
        pack = write(rest, scratch / "pack.tar.gz") if rest and not alone else None
        yield Plan(
            repository, kind, text, (text.replace("+", "_"), *channels), config, document,
            "json" if manifest.suffix == ".json" else "yaml", pack, large, tuple(scan(found)),
        )  # fmt: skip


async def check(client: Client, plan: Plan) -> list[str]:
    """What the registry would say, as far as one can tell without pushing; nothing: it would take it."""
    out = []
    if await _there(client, plan) is False:
        out.append(f"{plan.repository} has another {plan.version} already; versions do not change")
    if "kinds" in await client.features():  # a registry without them takes everything
        schema = next((one.manifest for one in await client.versions.kinds() if one.name == plan.kind), None)
        if schema is None:
            out.append(f"the registry knows no kind {plan.kind}")
        else:
            out += _invalid(schema, plan.document)
    return out


def _invalid(schema: Any, document: Mapping[str, Any]) -> list[str]:
    import jsonschema_rs  # heavy, and only needed here

    return [
        f"/{'/'.join(map(str, error.instance_path))}: {error.message}"
        for error in jsonschema_rs.validator_for(schema).iter_errors(document)
    ]


async def push(client: Client, plan: Plan, *, allow_secrets: bool = False, force: bool = False,
               progress: Progress | None = None) -> Descriptor:  # fmt: skip
    """Send it. Whoever is interrupted runs it again: what is there is not sent twice.

    Args:
        force: also where the version is there with other content, and the registry allows it to move.

    Raises:
        SecretsFound: something looks like a secret.
        Conflict: the version is there with other content.
    """
    if plan.findings and not allow_secrets:
        raise SecretsFound(plan.findings)
    if not force and await _there(client, plan) is False:
        raise Conflict(f"{plan.repository} has another {plan.version} already", remedy="give it the next version")
    tags = [tag for tag in plan.tags if tag != "latest" or not await _newer(client, plan)]
    return await client.artifacts.push(
        plan.repository, artifact_type=plan.artifact_type, config=plan.config, config_type=plan.config_type,
        layers=plan.layers, annotations=plan.annotations, tags=tags, progress=progress,
    )  # fmt: skip


async def publish(
    client: Client, folder: Path, kind: str | None = None, *, repository: str | None = None,
    namespace: str | None = None, channels: Sequence[str] | None = None, allow_secrets: bool = False,
    force: bool = False, cache: Cache | None = None, progress: Progress | None = None,
) -> Descriptor:  # fmt: skip
    """All at once: the manifest's descriptor."""
    with prepare(folder, kind, repository=repository, namespace=namespace, channels=channels, cache=cache) as plan:
        return await push(client, plan, allow_secrets=allow_secrets, force=force, progress=progress)


async def _there(client: Client, plan: Plan) -> bool | None:
    """Whether the version is there with this content; None: it is not there."""
    found = await _manifest(client, plan.repository, plan.tags[0])
    if found is None:
        return None
    own = [layer.source for layer in plan.layers]
    theirs = found.layers
    if found.config is None or found.config.digest != digest_of(plan.config) or len(theirs) != len(own):
        return False
    for layer, source in zip(theirs, own, strict=True):
        if layer.size != source.size or layer.digest != await digest_of_source(source):
            return False
    return True


async def _newer(client: Client, plan: Plan) -> bool:
    """Whether `latest` is a higher version already: a fix of an older line does not become the latest."""
    found = await _manifest(client, plan.repository, "latest")
    theirs = Version.parse(found.annotations.get(VERSION, "")) if found is not None else None
    own = Version.parse(plan.version)
    return theirs is not None and own is not None and own < theirs


async def _manifest(client: Client, repository: str, reference: str) -> Manifest | None:
    try:
        return await client.artifacts.manifest(repository, reference)
    except NotFound:
        return None
