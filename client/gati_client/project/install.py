"""What a lock names, on disk. The resolver is not asked, and nothing is looked up: every byte is known by its digest.

    gati_modules/
        orgs/acme/log -> ../../.store/<hex>/package     swapped by a rename: old or new, never in between
        .store/<hex>/                                   one artifact, whole: it appears by a rename
            manifest.json  config.json  package/
        .store/lock                                     held by who installs here

Whoever is killed leaves folders in `.store` whose names begin with a dot; the next one deletes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gati_client.cache import Cache, Fetch
from gati_client.client import Client
from gati_client.errors import Conflict, GatiError, Integrity, NotFound
from gati_client.locks import locked
from gati_client.pack.extract import Unpacking
from gati_client.project import files, ranges
from gati_client.project.lock import Lock, Package, nested
from gati_client.together import together
from gati_client.transfer import Descriptor, Manifest, Progress

FOLDER = "gati_modules"
MAX_MANIFEST = 4 * 1024 * 1024
AT_ONCE = 8
"""Packages that are worked on at a time, and blobs that are fetched."""
_OURS = re.compile(r"application/vnd\.gati\.([a-z]+)\.config\.v1\+json")
Connect = Callable[[str], Client]
"""A client, not yet entered, for the registry of a package; of the empty text, for the default one."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A package that is in its place; `fresh` if it was not before."""

    name: str
    version: str
    digest: str
    path: Path
    fresh: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What an installation came to."""

    packages: tuple[Installed, ...]
    removed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """How to install: `connect` is None offline; `gati` is the version of Gati that is here, where one knows it;
    `force` lets in what does not fit it."""

    cache: Cache
    connect: Connect | None
    gati: str | None = None
    dev: bool = True
    force: bool = False
    progress: Progress | None = None


async def install(lock: Lock, folder: Path, way: Way) -> Report:
    """Bring `gati_modules` of a folder to what the lock says; what it does not name goes.

    Raises:
        Integrity: something is not what the lock says.
        NotFound: it is not there; offline, not in the cache.
        Conflict: a package does not fit the Gati that is here, or a folder is in the way.
    """
    nested(lock)
    modules = folder / FOLDER
    wanted = lock.needed(dev=way.dev)
    async with locked(modules / ".store" / "lock"), way.cache.using(), _Registries(way.connect).open() as registries:
        _sweep(modules)
        work = _Work(modules, way, registries)
        await work.run(wanted)
        for name in wanted:
            work.judge(name)
        linked = tuple(_link(modules, key, package.digest) for key, package in wanted.items())
        removed = _unlink(modules, {one.name for one in linked})
        _forget(modules, {_hex(package.digest) for package in wanted.values()})
    packages = tuple(
        Installed(one.name, one.version, one.digest, one.path, one.fresh or _hex(one.digest) in work.fresh)
        for one in linked
    )
    return Report(packages, removed, tuple(work.warnings))


async def take(client: Client, repository: str, reference: str, folder: Path, cache: Cache) -> Path:
    """Unpack one artifact, by tag or digest, below a folder; where its files are."""
    digest = (await client.artifacts.manifest(repository, reference)).digest
    package = Package(digest)
    way = Way(cache, lambda _: client)
    work = _Work(folder, way, _Registries(way.connect))
    store = folder / _hex(digest)
    folder.mkdir(parents=True, exist_ok=True)
    async with cache.using():
        await work.fetch(f"{repository}@{reference}", repository, package, store)
    return store / "package"


class _Registries:
    """Clients, each connected when something is first asked of it."""

    def __init__(self, connect: Connect | None) -> None:
        self._connect = connect
        self._clients: dict[str, Client] = {}
        self._stack = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[_Registries]:
        async with self._stack:
            yield self

    @property
    def offline(self) -> bool:
        return self._connect is None

    async def get(self, registry: str) -> Client:
        assert self._connect is not None
        if registry not in self._clients:
            client = self._connect(registry)
            self._clients[registry] = client  # before anything is awaited: nobody makes a second one
            await self._stack.enter_async_context(client)
        return self._clients[registry]


@dataclass(slots=True)
class _Work:
    modules: Path
    way: Way
    registries: _Registries
    fresh: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    configs: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    blobs: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self, wanted: Mapping[str, Package]) -> None:
        turn = asyncio.Semaphore(AT_ONCE)
        once: dict[str, asyncio.Lock] = {}  # two names may be the same artifact

        async def one(key: str, package: Package) -> None:
            async with turn, once.setdefault(package.digest, asyncio.Lock()):
                await self._one(key, package)

        await together(one(key, package) for key, package in wanted.items())

    async def _one(self, key: str, package: Package) -> None:
        repository, _, version = key.rpartition("@")
        store = self.modules / ".store" / _hex(package.digest)
        manifest = _stored(store, package.digest)
        if manifest is None:
            manifest, config = await self.fetch(key, repository, package, store)
            self.fresh.add(store.name)
        else:
            config = (store / "config.json").read_bytes()
        descriptor = manifest.config
        kind = _OURS.fullmatch(descriptor.media_type if descriptor else "")
        if kind is None or not config:
            return
        document = files.parse(config, f"the config of {key}", Integrity)
        self.configs[key] = kind[1], document
        said = document.get("version")
        if not isinstance(said, str) or said.replace("_", "+") == version.replace("_", "+"):
            return
        if self.registries.offline:
            self.warnings.append(f"{key} says of itself that it is {said[:100]}")
        elif not await self._vouched(repository, version, package):
            raise Integrity(f"gati.lock is refused: what it names as {key} is version {said[:100]}")

    async def _vouched(self, repository: str, version: str, package: Package) -> bool:
        """Whether the registry too calls it so: authors may push what they like under any tag."""
        client = await self.registries.get(package.registry)
        try:
            found = await client.artifacts.manifest(repository, version.replace("+", "_"))
        except NotFound:
            return False
        return found.digest == package.digest

    async def fetch(self, key: str, repository: str, package: Package, store: Path) -> tuple[Manifest, bytes]:
        """Bring an artifact into its place; its manifest and config."""
        raw = (await self._blob(package.digest, self._manifest(key, repository, package))).read_bytes()
        manifest = Manifest.read(package.digest, "", raw)
        if manifest.children:
            raise GatiError(f"{key} is an index of several artifacts", remedy="ask for one of them by its digest")
        config = manifest.config

        async def blob(descriptor: Descriptor) -> Path:
            async with self.blobs:
                return await self._blob(descriptor.digest, self._download(repository, package, descriptor))

        paths = await together(blob(each) for each in [*([config] if config else []), *manifest.layers])
        data = b""
        if config:
            if config.size > MAX_MANIFEST:
                raise Integrity(f"the config of {key} has {config.size} bytes; at most {MAX_MANIFEST} are read")
            data = paths.pop(0).read_bytes()
        await asyncio.to_thread(_lay, store, manifest, data, paths, key)
        return manifest, data

    async def _blob(self, digest: str, fetch: Fetch) -> Path:
        return await self.way.cache.get(digest, None if self.registries.offline else fetch)

    def _manifest(self, key: str, repository: str, package: Package) -> Fetch:
        async def fetch(path: Path) -> None:
            client = await self.registries.get(package.registry)
            try:
                manifest = await client.artifacts.manifest(repository, package.digest)
            except NotFound as error:
                await self._moved(client, key, repository, package)
                raise NotFound(f"{key} is not at {package.registry or 'the registry'} (any more): {error}") from None
            path.write_bytes(manifest.raw)

        return fetch

    async def _moved(self, client: Client, key: str, repository: str, package: Package) -> None:
        """Where the version is there with another digest, either the lock or the registry was tampered with."""
        try:
            found = await client.artifacts.manifest(repository, key.rpartition("@")[2].replace("+", "_"))
        except GatiError:
            return
        raise Integrity(f"{key} is {found.digest} at {package.registry or 'the registry'}, not {package.digest}",
                        remedy="find out who changed gati.lock, or the registry")  # fmt: skip

    def _download(self, repository: str, package: Package, descriptor: Descriptor) -> Fetch:
        async def fetch(path: Path) -> None:
            client = await self.registries.get(package.registry)
            await client.artifacts.download(repository, descriptor, path, self.way.progress, durable=False)

        return fetch

    def judge(self, key: str) -> None:
        """Whether a plugin or module fits the Gati that is here."""
        kind, document = self.configs.get(key, ("", {}))
        section = document.get("gati")
        wanted = document.get("gatiVersion") or document.get("gati_version")
        if not wanted and isinstance(section, dict):
            wanted = section.get("version")
        if kind not in ("plugin", "module") or not isinstance(wanted, str) or not wanted:
            return
        if self.way.gati is None:
            self.warnings.append(f"{key} wants Gati {wanted[:100]}; which one is here is not known (gati.json: gati)")
            return
        if ranges.admits(wanted, self.way.gati) is not False:
            return
        text = f"{key} wants Gati {wanted[:100]}; here is {self.way.gati}"
        if not self.way.force:
            raise Conflict(text, remedy="take another version of it, or say --force")
        self.warnings.append(text)


def _hex(digest: str) -> str:
    return digest.partition(":")[2]


def _stored(store: Path, digest: str) -> Manifest | None:
    """The manifest of an artifact that is in its place."""
    try:
        raw = (store / "manifest.json").read_bytes()
    except OSError:
        return None
    if hashlib.new(digest.partition(":")[0], raw).hexdigest() != store.name:
        shutil.rmtree(store)
        return None
    return Manifest.read(digest, "", raw)


def _is_archive(layer: Descriptor) -> bool:
    """Whether a layer is unpacked. oras gives any file the type of images' layers, and a title."""
    if not layer.media_type.endswith((".tar", ".tar+gzip", ".tar+zstd")):
        return False
    unpack = layer.annotations.get("io.deis.oras.content.unpack") == "true"
    return unpack or layer.title is None or not layer.media_type.startswith("application/vnd.oci.image.layer.")


def _lay(store: Path, manifest: Manifest, config: bytes, layers: list[Path], key: str) -> None:
    """Unpack an artifact into its place, at once."""
    scratch = Path(tempfile.mkdtemp(prefix=".", dir=store.parent))
    try:
        package = scratch / "package"
        package.mkdir()
        unpacking = Unpacking(package)
        for descriptor, path in zip(manifest.layers, layers, strict=True):
            if _is_archive(descriptor):
                unpacking.add(path, digest=descriptor.digest, what=f"{key} ({descriptor.digest})")
            else:
                unpacking.file(descriptor.title or descriptor.digest.replace(":", "-"), path)
        kind = _OURS.fullmatch(manifest.config.media_type if manifest.config else "")
        (scratch / "config.json").write_bytes(config)
        if kind is not None and f"gati-{kind[1]}.json" not in unpacking:
            unpacking.file(f"gati-{kind[1]}.json", scratch / "config.json")
        unpacking.finish()
        (scratch / "manifest.json").write_bytes(manifest.raw)
        scratch.chmod(0o755)
        scratch.rename(store)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _sweep(modules: Path) -> None:
    """Delete what somebody who was killed has left."""
    for path in (modules / ".store").iterdir():
        if path.name.startswith("."):
            path.unlink() if path.is_symlink() else shutil.rmtree(path)


def _link(modules: Path, key: str, digest: str) -> Installed:
    name, _, version = key.rpartition("@")
    path = modules / name
    for parent in path.parents:
        if parent == modules:
            break
        if parent.is_symlink():  # an earlier package of the parent's name, which nobody wants any more
            parent.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.join(*[".."] * name.count("/"), ".store", _hex(digest), "package")
    if path.is_symlink() and path.readlink() == Path(target):
        return Installed(name, version, digest, path, False)
    if path.is_dir() and not path.is_symlink():
        for link, _ in _links(path):
            link.unlink()  # packages below it, likewise
        _tidy(path)
        if path.exists():
            raise Conflict(f"{path} is a folder that gati did not make", remedy="move it away")
    scratch = modules / ".store" / f".link-{os.getpid()}"
    scratch.symlink_to(target)
    try:
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise Conflict(f"{path} is in the way: {error.strerror}") from None
    return Installed(name, version, digest, path, True)


def _links(folder: Path) -> Iterator[tuple[Path, str]]:
    """Links to packages below a folder, with the names of the packages."""
    for place, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if name != ".store"]
        for name in folders:
            path = Path(place, name)
            if path.is_symlink():
                yield path, str(path.relative_to(folder))


def _unlink(modules: Path, wanted: set[str]) -> tuple[str, ...]:
    removed = []
    for path, name in list(_links(modules)):
        if name not in wanted:
            path.unlink()
            removed.append(name)
    for child in modules.iterdir():
        if child.name != ".store" and child.is_dir() and not child.is_symlink():
            _tidy(child)
    return tuple(sorted(removed))


def _tidy(folder: Path) -> None:
    """Delete empty folders, from below."""
    for place, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(place)


def _forget(modules: Path, wanted: set[str]) -> None:
    """Delete artifacts that nothing leads to; each vanishes at once."""
    for path in (modules / ".store").iterdir():
        if path.name not in wanted and path.is_dir():
            hidden = path.with_name(f".{path.name}")
            path.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)
