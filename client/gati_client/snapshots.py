"""Snapshots of an environment: what is installed, at which version and digest, so that somebody else has the same.

    .gati/snapshots/<name>/<version>/
        gati-snapshot.json       what the registry sees: artifacts by kind, versions, names of variables
        gati.lock, gati.json     as they were, byte for byte

A snapshot is an artifact of the kind `snapshot`: `gati-snapshot.json` is its config, the other two are its layer. Of
environment variables the names are kept, never a value.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gati_client.errors import Conflict, Denied, GatiError, Integrity, NotFound, Usage
from gati_client.names import tag_of
from gati_client.pack import archive, extract
from gati_client.project import files as json_files
from gati_client.project import lock as locks
from gati_client.project import manifest as applications
from gati_client.project import ranges
from gati_client.transfer import Descriptor, FileSource, Layer, Progress

if TYPE_CHECKING:
    from gati_client.client import Client

ARTIFACT = "application/vnd.gati.snapshot.v1"
CONFIG = "application/vnd.gati.snapshot.config.v1+json"
LAYER = "application/vnd.gati.snapshot.layer.v1.tar+gzip"
MANIFEST = "gati-snapshot.json"
FOLDER = Path(".gati/snapshots")
KINDS = ("module", "plugin", "agent", "model")
"""Kinds that a snapshot lists one by one; what else is locked is in its lock."""

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_MOST_VARIABLES = 1000
# What every shell sets says nothing of an environment.
_OF_SHELLS = frozenset({"_", "COLUMNS", "LINES", "OLDPWD", "PS1", "PWD", "SHLVL", "TERM"})
_LIMITS = extract.Limits(total=256 * 1024**2, file=128 * 1024**2, members=16)
_MOST_CONFIG = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot: its manifest, and the files `gati.lock` and `gati.json` as bytes."""

    document: Mapping[str, Any]
    files: Mapping[str, bytes]

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.document["name"])

    @property
    def version(self) -> str:
        """Its version; of those that gati makes up, later ones are higher."""
        return str(self.document["version"])

    @property
    def environment(self) -> list[str]:
        """Names of environment variables."""
        return list(self.document.get("environment", ()))

    @property
    def artifacts(self) -> dict[str, tuple[str, str, str]]:
        """Version, digest and kind of everything in its lock, by repository."""
        lock = locks.parse(json_files.parse(self.files[locks.FILE], locks.FILE, Integrity))
        return {
            key.rpartition("@")[0]: (key.rpartition("@")[2], package.digest, package.kind)
            for key, package in lock.packages.items()
        }


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: what it is about (`module`, `cli`, `environment`, …), its name, and what it was and is; empty
    where it is not there."""

    what: str
    name: str
    before: str = ""
    after: str = ""


def made_up(now: datetime) -> str:
    """A version for a snapshot of that moment (UTC): `2026.1128.160142`."""
    return f"{now.year}.{now.month * 100 + now.day}.{now.hour * 10_000 + now.minute * 100 + now.second}"


def capture(
    folder: Path,
    name: str,
    version: str,
    *,
    description: str = "",
    variables: Sequence[str] = ("*",),
    environment: Mapping[str, str] | None = None,
) -> Snapshot:
    """The state of a project: its lock, its application and the environment's names.

    Args:
        variables: patterns (`NODE_*`) of the names of variables to keep.
        environment: that of this process, if it is None.

    Raises:
        NotFound: the project has no lock.
        Conflict: its lock is not for what it asks for.
        Usage: the name or the version is none.
    """
    if _NAME.fullmatch(name) is None:
        raise Usage(f"{name[:80]!r} is no name of a snapshot", remedy="letters, digits and - . _, such as dev-setup")
    if ranges.Version.parse(tag_of(version)) is None:  # it names a folder, too
        raise Usage(f"{version[:80]!r} is no version of a snapshot", remedy="write one such as 1.2.0")
    lock = locks.load(folder)
    if not lock.fits(applications.load(folder)):
        raise Conflict(f"{locks.FILE} is not for what {applications.FILE} asks for", remedy="gati install first")
    files = {name: (folder / name).read_bytes() for name in (locks.FILE, applications.FILE)}
    listed: dict[str, list[dict[str, str]]] = {kind: [] for kind in KINDS}
    for key, package in sorted(lock.packages.items()):
        if package.kind in listed:
            repository, _, release = key.rpartition("@")
            listed[package.kind].append({"name": repository, "version": release, "digest": package.digest})
    names = sorted(
        variable
        for variable in (os.environ if environment is None else environment)
        if _VARIABLE.fullmatch(variable)
        and variable not in _OF_SHELLS
        and any(fnmatch.fnmatchcase(variable, pattern) for pattern in variables)
    )
    document = {
        "name": name,
        "version": version,
        "description": description or f"{len(lock.packages)} artifacts of {folder.absolute().name}",
        **{f"{kind}s": entries for kind, entries in listed.items()},
        "cliVersion": installed_version("gati-registry"),
        "environment": names[:_MOST_VARIABLES],
        "lock": {"file": locks.FILE, "digest": _digest(files[locks.FILE]), "packages": len(lock.packages)},
    }
    return Snapshot(document, files)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _config(snapshot: Snapshot) -> bytes:
    return (json.dumps(snapshot.document, indent=2, ensure_ascii=False) + "\n").encode()


# --- kept in the project --------------------------------------------------------------------------------------------


def keep(folder: Path, snapshot: Snapshot) -> Path:
    """Keep a snapshot in the project.

    Raises:
        Conflict: there is one of that version.
    """
    target = folder / FOLDER / snapshot.name / snapshot.version
    if target.exists():
        raise Conflict(f"there is a snapshot {snapshot.name}@{snapshot.version} already", remedy="say --version")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
        half = Path(scratch) / "snapshot"
        half.mkdir()
        for name, data in {MANIFEST: _config(snapshot), **snapshot.files}.items():
            (half / name).write_bytes(data)
        half.rename(target)
    return target


def kept(folder: Path, name: str = "*") -> tuple[list[Snapshot], dict[str, Integrity]]:
    """The snapshots that the project keeps, of a name or all: by name and version, the newest last; and by
    `name@version`, as their folders have it, what is wrong with those that are damaged."""
    found, damaged = [], {}
    for place in sorted((folder / FOLDER).glob(f"{name}/*")):
        if not place.name.startswith(".") and place.is_dir():
            try:
                found.append(read(place))
            except Integrity as error:
                damaged[f"{place.parent.name}@{place.name}"] = error
    return sorted(found, key=lambda snapshot: (snapshot.name, _order(snapshot.version))), damaged


def _order(version: str) -> tuple[Any, ...]:
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"[.+-]", version))


def find(folder: Path, text: str) -> Snapshot | None:
    """A kept snapshot by `name` (the newest) or `name@version`; None if there is none.

    Raises:
        Integrity: it is damaged.
    """
    name, _, version = text.partition("@")
    if _NAME.fullmatch(name) is None:
        return None
    found, damaged = kept(folder, name)
    there = {each.version: each for each in found} | {key.rpartition("@")[2]: error for key, error in damaged.items()}
    newest = max((each for each in there if version in ("", each)), key=_order, default=None)
    if newest is None:
        return None
    if isinstance(wanted := there[newest], Integrity):
        raise wanted
    return wanted


def read(folder: Path) -> Snapshot:
    """A snapshot from its folder, checked.

    Raises:
        Integrity: it is not whole, or its lock is not the one that it was made of.
    """
    try:
        config = (folder / MANIFEST).read_bytes()
    except OSError:
        raise Integrity(f"there is no {MANIFEST} in {folder}") from None
    names = (locks.FILE, applications.FILE)
    if not all((folder / name).is_file() and not (folder / name).is_symlink() for name in names):
        raise Integrity(f"the snapshot in {folder} lacks {' or '.join(names)}")
    return _checked(config, {name: (folder / name).read_bytes() for name in names})


def _checked(config: bytes, files: Mapping[str, bytes]) -> Snapshot:
    document = json_files.parse(config, MANIFEST, Integrity)
    lock, names = document.get("lock"), document.get("environment", [])
    if not isinstance(document.get("name"), str) or not isinstance(document.get("version"), str):
        raise Integrity(f"{MANIFEST} has no name and version")
    if not isinstance(names, list) or not all(isinstance(name, str) and _VARIABLE.fullmatch(name) for name in names):
        raise Integrity(f"{MANIFEST}: environment must be a list of names of variables")
    if not isinstance(lock, dict) or lock.get("digest") != _digest(files[locks.FILE]):
        which = f"{document['name']}@{document['version']}"
        raise Integrity(f"the {locks.FILE} of {which[:200]} is not the one that it was made of")
    snapshot = Snapshot(document, files)
    assert snapshot.artifacts is not None  # the lock is read, and refused if it does not hold together
    return snapshot


# --- shared ---------------------------------------------------------------------------------------------------------


async def share(
    client: Client, repository: str, snapshot: Snapshot, *, labels: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Descriptor:  # fmt: skip
    """Push a snapshot under its version and `latest`; one that is there already is left as it is.

    Raises:
        Conflict: there is another one of that version.
        Denied: what the registry refuses.
    """
    tag = tag_of(snapshot.version)
    try:
        there = await fetch(client, repository, tag)
    except (NotFound, Denied):  # a repository that is not there yet may be told as either
        pass
    else:
        if there != snapshot:
            raise Conflict(f"{repository} has another {snapshot.version} already", remedy="create one with --version")
    with tempfile.TemporaryDirectory(prefix="gati-snapshot-") as scratch:
        content, target = Path(scratch) / "content", Path(scratch) / "layer.tar.gz"
        content.mkdir()
        for name, data in snapshot.files.items():
            (content / name).write_bytes(data)
        packed = archive.build(content, target)
        return await client.artifacts.push(
            repository,
            artifact_type=ARTIFACT,
            config=_config(snapshot),
            config_type=CONFIG,
            layers=[Layer(FileSource(packed.path), LAYER)],
            annotations=labels or {},
            tags=[tag, "latest"],
            progress=progress,
        )


async def fetch(client: Client, repository: str, reference: str, progress: Progress | None = None) -> Snapshot:
    """A shared snapshot by version or digest, checked.

    Raises:
        NotFound: there is none, or not for this caller.
        Integrity: it is not whole.
        GatiError: it is something else than a snapshot.
    """
    manifest = await client.artifacts.manifest(repository, reference)
    if manifest.config is None or manifest.config.media_type != CONFIG:
        raise GatiError(f"{repository} is no snapshot")
    layers = [layer for layer in manifest.layers if layer.media_type == LAYER]
    if len(layers) != 1:
        raise Integrity(f"{repository} has {len(layers)} layers; a snapshot has one")
    config = await client.artifacts.blob(repository, manifest.config, limit=_MOST_CONFIG)
    with tempfile.TemporaryDirectory(prefix="gati-snapshot-") as scratch:
        layer, content = Path(scratch) / "layer", Path(scratch) / "content"
        await client.artifacts.download(repository, layers[0], layer, progress)
        extract.extract(layer, content, _LIMITS, digest=layers[0].digest)
        (content / MANIFEST).write_bytes(config)
        return read(content)


_URL = re.compile(r"https?://([^/?#@\s]+)/(?:v2/([^?#\s]+)/manifests/([^/?#\s]+)|([^?#\s]+))")


def address(registry: str, repository: str, digest: str) -> str:
    """The URL of a shared snapshot: what `gati snapshot restore` takes, and where its manifest is."""
    return f"{registry.rstrip('/')}/v2/{repository}/manifests/{digest}"


def located(text: str) -> str:
    """The name of a shared snapshot, of what somebody was given: its URL or its name."""
    found = _URL.fullmatch(text)
    if found is None:
        return text
    host, repository, reference, path = found.groups()
    if repository is None:
        return f"{host}/{path}"
    return f"{host}/{repository}{'@' if ':' in reference else ':'}{reference}"


# --- used -----------------------------------------------------------------------------------------------------------


def put_back(snapshot: Snapshot, folder: Path, *, force: bool = False) -> None:
    """Write a snapshot's lock and application; what they name is installed from the lock afterwards.

    Raises:
        Conflict: there are others, and not `force`; nothing is written.
    """
    different = [
        name
        for name in (locks.FILE, applications.FILE)
        if (folder / name).exists() and (folder / name).read_bytes() != snapshot.files.get(name)
    ]
    if different and not force:
        raise Conflict(
            f"{folder} has {' and '.join(different)} already, which the snapshot has differently",
            remedy="restore into an empty folder, or --force to replace",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in snapshot.files.items():
        scratch = folder / f".{name}.{os.getpid()}"
        scratch.write_bytes(data)
        scratch.replace(folder / name)


def missing(snapshot: Snapshot, environment: Mapping[str, str] | None = None) -> list[str]:
    """Names of variables that were set when it was made, and are not here."""
    here = os.environ if environment is None else environment
    return [name for name in snapshot.environment if name not in here]


def diff(before: Snapshot, after: Snapshot) -> list[Change]:
    """What changed: artifacts first, then gati itself and the environment's names."""
    changes = []
    one, other = before.artifacts, after.artifacts
    for repository in sorted({*one, *other}):
        was, now = one.get(repository), other.get(repository)
        if was == now:
            continue
        kind = (now or was or ("", "", ""))[2] or "artifact"
        old, new = (entry[0] if entry else "" for entry in (was, now))
        if old == new and was and now:  # the same version with other content
            old, new = f"{old} {was[1]}", f"{new} {now[1]}"
        changes.append(Change(kind, repository, old, new))
    versions = [str(each.document.get("cliVersion", "")) for each in (before, after)]
    if versions[0] != versions[1]:
        changes.append(Change("cli", "gati", *versions))
    changes += [Change("environment", name, "set", "") for name in before.environment if name not in after.environment]
    changes += [Change("environment", name, "", "set") for name in after.environment if name not in before.environment]
    return changes
