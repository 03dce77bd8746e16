"""Reading packages: lists, a package, a version, its tarball, search.

A name is written as in a `spec.yaml` (`payment-protocol`, `crypto/algorithms`, `@acme/x`) or as a repository; slashes
in it may be percent-encoded. Whatever the caller may not pull is not there.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gati_extensions.facades.model import Package, PackageItem, PackageQuery, PackageVersion, SearchQuery, VersionItem
from gati_extensions.facades.routes.doors import (
    KIND,
    MANIFEST_TYPE,
    MAX_CONFIG,
    READ,
    Doors,
    Found,
    dist,
    moment,
    no_package,
    no_version,
    release_of,
    short,
    tarball,
)
from gati_extensions.kinds.api import Described, Invalid, Release, document_of, parse_version
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import (
    Access,
    Action,
    Answer,
    Call,
    Decision,
    Event,
    Operation,
    Page,
    Pull,
    Route,
    Transaction,
)
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag

if TYPE_CHECKING:
    from gati_extensions.search.api import Search

LOOKED_AT = 2000
"""Packages that a list with a condition looks at for one page, where there is no search index."""

_SECTIONS = (
    "framework", "description", "dependencies", "devDependencies", "specifications", "tests", "documentation", "tools",
    "keywords", "license", "author", "repository", "homepage",
)  # fmt: skip


def routes(doors: Doors) -> Sequence[Route]:
    """Below `/api/v1/`."""
    own = _Packages(doors)
    return [
        Route("GET", "/api/v1/packages", READ, own.page, "Packages of specifications, by name.", query=PackageQuery,
              answer=Page[PackageItem]),
        Route("GET", "/api/v1/packages/{name:path}/{version}/tarball", READ, own.tarball,
              "The package as it was published: leads to the blob."),
        Route("GET", "/api/v1/packages/{name:path}", READ, own.package,
              "A package; with a version (or a channel) behind its name, that one.", answer=Package),
        Route("GET", "/api/v1/search", READ, own.search, "Packages with all these words.", query=SearchQuery,
              answer=Page[PackageItem]),
    ]  # fmt: skip


class _Packages:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def page(self, call: Call) -> Page[PackageItem]:
        return await self._listed(call, call.query, [])

    async def search(self, call: Call) -> Page[PackageItem]:
        """By the index of `search`, and its query language, where that is enabled and there is one."""
        asked: SearchQuery = call.query
        if self._doors.search is not None and asked.q:
            try:
                return await self._indexed(call, self._doors.search, asked)
            except RegistryError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
        return await self._listed(call, asked, asked.q.lower().split())

    async def package(self, call: Call) -> Package | PackageVersion:
        name = call.parameters["name"].strip("/")
        head, _, last = name.rpartition("/")
        if head and parse_version(last) is not None:
            return await self._version(call, head, last)
        found = await self._doors.kernel.database.scan(lambda tx: self._doors.package(tx, call, name))
        if found is not None:
            return _package(found)
        if head:  # the last part may be a channel
            whole = await self._doors.kernel.database.scan(lambda tx: self._doors.package(tx, call, head))
            if whole is not None and last in whole.releases.channels:
                return await self._version(call, head, last)
        raise no_package(name)

    async def tarball(self, call: Call) -> Answer:
        """By way of the blob itself, so that ranges, bandwidth and what is kept of pulls are those of any pull."""
        name, version = call.parameters["name"].strip("/"), call.parameters["version"]
        kernel = self._doors.kernel
        found, release = await self._find(call, name, version)
        repository, digest = RepositoryName(release.repository), Digest(release.digest)
        tag = Tag(release.tag)
        verdict = await kernel.core.judge(Pull(repository, digest, MANIFEST_TYPE, tag))
        if verdict.refusal is not None:
            raise verdict.refusal.error()
        if verdict.members:
            access = Access(Action.PULL, repository, member=True, request=call.exchange)
            if await kernel.access.decide(call.identity, access) is not Decision.ALLOW:
                raise no_version(name, version)
        layer = tarball(await self._doors.manifest(repository, digest))
        if layer is None:
            raise RegistryError(Code.NOT_FOUND, f"{found.name}@{release.version} was published without a tarball")
        caller = call.caller
        kernel.core.tell(
            Event(
                str(uuid.uuid4()), Operation.PULL, repository, kernel.clock.now(), digest, tag, MANIFEST_TYPE,
                actor=caller.identity.name, actor_id=caller.identity.id, credential=caller.identity.credential,
                method=caller.identity.method, address=caller.address, user_agent=caller.user_agent,
                request_id=caller.request_id, status=307, detail={"method": call.method},
            )
        )  # fmt: skip
        headers = {"Location": f"/v2/{repository}/blobs/{layer['digest']}", "ETag": f'"{layer["digest"]}"'}
        if verdict.warnings:
            text = " ".join(verdict.warnings).replace("\\", "\\\\").replace('"', '\\"')[:2048]
            headers["Warning"] = f'299 - "{text.encode("latin-1", "replace").decode("latin-1")}"'
        return Answer(307, headers={**dict(verdict.headers), **headers})

    # --- inside -------------------------------------------------------------------------------------------------

    async def _find(self, call: Call, name: str, version: str) -> tuple[Found, Release]:
        """A version or what a channel names."""
        found = await self._doors.kernel.database.scan(lambda tx: self._doors.package(tx, call, name))
        if found is None:
            raise no_package(name)
        release = release_of(found.releases.releases, version)
        if release is None and (digest := found.releases.channels.get(version)) is not None:
            release = next((one for one in found.releases.releases if one.digest == digest), None)
        if release is None:
            raise no_version(name, version)
        return found, release

    async def _version(self, call: Call, name: str, version: str) -> PackageVersion:
        found, release = await self._find(call, name, version)
        repository = release.repository
        manifest = await self._doors.manifest(repository, release.digest)
        sections = await self._sections(repository, manifest)
        scan = await self._doors.kernel.database.read(lambda tx: self._doors.scan(tx, repository, release.version))
        return PackageVersion(
            name=found.name,
            version=str(release.version),
            state=release.state,
            published=moment(release.time),
            dist=dist(repository, release.digest, release.version, manifest),
            scan_results=scan,
            **{section: sections.get(section) for section in _SECTIONS},
        )

    async def _sections(self, repository: str, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its `spec.yaml`, as it was pushed."""
        config = manifest.get("config")
        if not isinstance(config, dict) or not isinstance(config.get("mediaType"), str):
            return {}
        data = await self._doors.blob(repository, str(config.get("digest")), MAX_CONFIG)
        try:
            return document_of(config["mediaType"], data) if data is not None else {}
        except Invalid:
            return {}

    async def _indexed(self, call: Call, search: Search, asked: SearchQuery) -> Page[PackageItem]:
        from gati_extensions.search.api import SearchQuery as Question

        page = await search.search(
            call.identity,
            Question(
                q=asked.q,
                kind=[KIND],
                field=[f"type:{asked.framework.lower()}"] if asked.framework else [],
                limit=min(asked.limit, 100),
                cursor=asked.cursor,
                facets=False,
                ranking=None,
            ),
        )
        names = [item.repository for item in page.items]
        found = await self._doors.kernel.database.scan(lambda tx: self._doors.catalogue.described(tx, names))
        return Page[PackageItem](items=[_item(entry) for entry in found], next=page.next)

    async def _listed(self, call: Call, asked: PackageQuery, words: Sequence[str]) -> Page[PackageItem]:
        """By name; of the next packages those that meet the condition: a page may be short, its cursor leads on."""
        visible = await self._doors.kernel.access.visible(call.identity)
        framework = asked.framework.lower()
        items: list[PackageItem] = []

        async def work(tx: Transaction) -> str | None:
            items.clear()
            after = asked.cursor
            for _ in range(max(1, LOOKED_AT // asked.limit) if words or framework else 1):
                entries = await self._doors.catalogue.entries(tx, "", KIND, after, asked.limit + 1, visible)
                for entry in entries[: asked.limit]:
                    after = entry.name
                    if _meets(entry, framework, words):
                        items.append(_item(entry))
                        if len(items) == asked.limit:
                            break
                if len(items) == asked.limit or len(entries) <= asked.limit:
                    return after if entries and after != entries[-1].name else None
            return after

        following = await self._doors.kernel.database.scan(work)
        return Page[PackageItem](items=list(items), next=following)


def _meets(entry: Described, framework: str, words: Sequence[str]) -> bool:
    facts = entry.facts
    if framework and facts.get("type") != framework:
        return False
    text = " ".join([entry.name, entry.description, str(facts.get("type", "")), *facts.get("keywords", ())]).lower()
    return all(word in text for word in words)


def _item(entry: Described) -> PackageItem:
    return PackageItem(**_common(entry))


def _common(entry: Described) -> dict[str, Any]:
    facts, version = entry.facts, parse_version(entry.latest)
    return {
        "name": short(entry.name),
        "version": str(version) if version is not None else entry.latest,
        "framework": facts.get("type", ""),
        "description": entry.description,
        "keywords": list(facts.get("keywords", ())),
        "license": facts.get("license", ""),
        "author": ", ".join(facts.get("authors", ())),
        "stars": entry.stars,
        "downloads": entry.downloads,
        "updated": moment(entry.updated_at),
    }


def _package(found: Found) -> Package:
    facts, releases = found.entry.facts, found.releases.releases
    by_digest = {release.digest: str(release.version) for release in reversed(releases)}
    return Package(
        **_common(found.entry),
        repository=found.entry.name,
        homepage=facts.get("homepage", ""),
        source=facts.get("source", ""),
        versions=[
            VersionItem(
                version=str(one.version), state=one.state, reason=one.reason, digest=one.digest,
                published=moment(one.time),
            )
            for one in releases
        ],
        channels={
            name: by_digest[digest] for name, digest in found.releases.channels.items() if digest in by_digest
        },
    )  # fmt: skip
