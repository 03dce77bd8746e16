"""What the routes of this extension share: names, and where a package is."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gati_extensions.facades import multipart, scanning
from gati_extensions.facades.model import Dist, ScanResults
from gati_extensions.facades.settings import FacadesSettings
from gati_extensions.identity.api import Accounts
from gati_extensions.kinds.api import (
    Catalogue,
    Described,
    Release,
    Releases,
    Version,
    canonical_name,
    meanings,
    parse_version,
)
from gati_extensions.namespaces.api import Namespaces
from gati_extensions.resolve.api import Resolving
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Call, Identity, Kernel, Permission, Transaction
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName

if TYPE_CHECKING:
    from gati_extensions.search.api import Search

READ = Permission("facades.read", Action.PUBLIC)
RESOLVE = Permission("facades.resolve", Action.CATALOG)
PUBLISH = Permission("facades.publish", Action.PING)

KIND = "spec"
TARBALL = "application/vnd.gati.spec.layer.v1.tar+gzip"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

RELEASES = 1000
"""Versions that a package's page shows: the highest."""

MAX_CONFIG = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """A package that the caller may see: its line in lists, and its versions."""

    entry: Described
    releases: Releases

    @property
    def name(self) -> str:
        """As it is written in a `spec.yaml`."""
        return short(self.entry.name)


@dataclass(frozen=True, slots=True)
class Doors:
    """The extension's parts, and the ways in which every route uses them."""

    kernel: Kernel
    settings: FacadesSettings
    turns: list[asyncio.Semaphore] = field(default_factory=list)

    @property
    def catalogue(self) -> Catalogue:
        """Of `kinds`."""
        found: Catalogue = self.kernel.apis["kinds"]
        return found

    @property
    def resolving(self) -> Resolving:
        """Of `resolve`."""
        found: Resolving = self.kernel.apis["resolve"]
        return found

    @property
    def accounts(self) -> Accounts:
        """Of `identity`."""
        found: Accounts = self.kernel.apis["identity"]
        return found

    @property
    def namespaces(self) -> Namespaces:
        """Of `namespaces`."""
        found: Namespaces = self.kernel.apis["namespaces"]
        return found

    @property
    def search(self) -> Search | None:
        """Of `search`, where that is enabled."""
        return self.kernel.apis.get("search")

    def turn(self) -> asyncio.Semaphore:
        """A place to hold a package in memory; made within the loop that uses it."""
        if not self.turns:
            self.turns.append(asyncio.Semaphore(self.settings.at_once))
        return self.turns[0]

    async def form(self, call: Call) -> tuple[Mapping[str, bytes], bytes]:
        """The form that was sent, and the package in it. Whoever sends it slowly does not keep a turn for long.

        Raises:
            RegistryError: it is none, comes too slowly, or is too large.
        """
        try:
            async with asyncio.timeout(self.settings.patience):
                body = await call.read()
        except TimeoutError:
            raise RegistryError(Code.INVALID, "the package came too slowly; send it again", status=408) from None
        form = multipart.parts(call.header("content-type") or "", body)
        if "package" not in form:
            raise RegistryError(
                Code.INVALID, "the form needs the field `package`: a gzipped tar", detail={"field": "package"}
            )
        return form, form["package"]

    # --- names --------------------------------------------------------------------------------------------------

    async def package(self, tx: Transaction, call: Call, name: str) -> Found | None:
        """The package of a name, as far as the caller may see it."""
        visible = await self.kernel.access.visible(call.identity)
        candidates = meanings(canonical_name(name), own(call.identity))
        there = await self.catalogue.existing(tx, candidates, visible)
        for repository in (one for one in candidates if one in there):
            entries = await self.catalogue.entries(tx, repository, KIND, "", 1, visible)
            if entries and entries[0].name == repository:
                found = await self.catalogue.releases(tx, [repository], RELEASES)
                return Found(entries[0], found[0]) if found else None
        return None

    async def target(self, tx: Transaction, call: Call, name: str) -> RepositoryName:
        """The repository that a package of this name is published to.

        Raises:
            RegistryError: NAME_INVALID; INVALID where a bare name has no namespace to be in.
        """
        wanted = canonical_name(name)
        first, slash, _ = wanted.partition("/")
        if not slash:
            namespace = own(call.identity)
            if namespace is None and not (self.kernel.open or call.identity.admin):
                raise RegistryError(Code.INVALID, "name: write the namespace too, as in acme/state-machine")
            wanted = f"{namespace or 'library'}/{wanted}"
        elif len(meanings(wanted, None)) > 1:
            account = await self.accounts.find(tx, first)
            wanted = f"{'orgs' if account is not None and account.kind == 'org' else 'users'}/{wanted}"
        return RepositoryName.parse(wanted)

    # --- contents -----------------------------------------------------------------------------------------------

    async def scan(self, tx: Transaction, repository: str, version: Version) -> ScanResults:
        """Advisories about a version."""
        return scanning.results(await self.resolving.advisories(tx, [repository]), version)

    async def manifest(self, repository: str, digest: str) -> Mapping[str, Any]:
        """A manifest of ours, as an object; empty where it is gone."""
        data = await self.kernel.core.manifest_bytes(RepositoryName(repository), Digest(digest))
        found = json.loads(data) if data is not None else {}
        return found if isinstance(found, dict) else {}

    async def blob(self, repository: str, digest: str, limit: int) -> bytes | None:
        """A small blob; None where it is not there, or larger."""
        found = await self.kernel.core.blob(RepositoryName(repository), Digest.parse(digest))
        if found is None:
            return None
        size, reader = found
        try:
            parts = []
            offset = 0
            while size <= limit and offset < size:
                part = await reader.read(offset, size - offset)
                if not part:
                    return None
                parts.append(part)
                offset += len(part)
            return b"".join(parts) if size <= limit else None
        finally:
            reader.close()


def dist(repository: str, digest: str, version: Version, manifest: Mapping[str, Any]) -> Dist:
    """Where a version is."""
    layer = tarball(manifest)
    found = layer["digest"] if layer is not None else None
    return Dist(
        repository=repository,
        digest=digest,
        tarball=f"/api/v1/packages/{short(repository)}/{version}/tarball" if layer is not None else None,
        tarball_digest=found,
        integrity=integrity(found) if found is not None else None,
        size=layer["size"] if layer is not None else None,
    )


def tarball(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The descriptor of the layer that is the package's archive."""
    layers = manifest.get("layers")
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict) and layer.get("mediaType") == TARBALL:
            return layer
    return None


def integrity(digest: str) -> str:
    """The digest as W3C's Subresource Integrity writes it."""
    algorithm, _, text = digest.partition(":")
    return f"{algorithm}-{base64.b64encode(bytes.fromhex(text)).decode()}"


def own(identity: Identity) -> str | None:
    """The namespace where a caller's bare names are looked for."""
    return f"users/{identity.name}" if identity.name is not None and identity.kind == "user" else None


def short(repository: str) -> str:
    """A repository's name as others' manifests write it: `acme/x` for `orgs/acme/x` and for `users/acme/x`."""
    top, slash, rest = repository.partition("/")
    return rest if slash and top in ("orgs", "users") and "/" in rest else repository


def release_of(found: Sequence[Release], text: str) -> Release | None:
    """The release of a version as somebody wrote it; builds of one version are told apart where a build is named."""
    version = parse_version(text)
    if version is None:
        return None
    return next((one for one in found if str(one.version) == str(version)), None)


def moment(milliseconds: int) -> datetime.datetime:
    """A time as the API writes it."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def no_package(name: str) -> RegistryError:
    """404, whether it is not there or not to be seen."""
    return RegistryError(Code.NOT_FOUND, f"there is no package {name[:255]} here that you may read")


def no_version(name: str, version: str) -> RegistryError:
    """404."""
    return RegistryError(Code.NOT_FOUND, f"the package {name[:255]} has no version {version[:100]} that you may read")
