"""Manifests, tags and referrers of a registry's repositories."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

from gati_client.answers import Answer
from gati_client.errors import Integrity, NotFound
from gati_client.names import check_reference, check_repository, is_digest
from gati_client.transfer.hashing import check, digest_of
from gati_client.transfer.model import DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor, Manifest
from gati_client.transfer.upload import pull_scopes, push_scopes
from gati_client.transport import Transport

_ACCEPT = ", ".join([INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, "*/*;q=0.1"])
_MAX_MANIFEST = 16 << 20
_MAX_PAGES = 10_000
_MAX_REFERRERS = 100_000
_PAGE = 1000


class Manifests:
    """Reads and writes manifests of one registry."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, repository: str, reference: str) -> Manifest:
        """A manifest by tag or digest, its bytes checked.

        Raises:
            NotFound: there is none.
            Integrity: its bytes have another digest, or are no manifest.
        """
        answer = await self._transport.ask(
            "GET",
            _path(repository, reference),
            action=f"give manifest {repository}:{reference}",
            scopes=pull_scopes(repository),
            headers={"Accept": _ACCEPT},
            limit=_MAX_MANIFEST,
        )
        named = answer.headers.get("docker-content-digest", "")
        digest = reference if is_digest(reference) else named
        if not is_digest(digest):
            digest = digest_of(answer.body)
        check(answer.body, digest, f"manifest {repository}:{reference}")
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        manifest = Manifest.read(digest, media_type, answer.body)
        written = manifest.document.get("mediaType")
        if isinstance(written, str) and written != media_type:
            raise Integrity(f"manifest {digest} is sent as {media_type[:100]!r} and calls itself {written[:100]!r}")
        return manifest

    async def digest(self, repository: str, reference: str) -> str | None:
        """What a tag points to now; None: there is no such tag."""
        answer = await self._transport.ask(
            "HEAD",
            _path(repository, reference),
            action=f"look for manifest {repository}:{reference}",
            scopes=pull_scopes(repository),
            headers={"Accept": _ACCEPT},
            expected=(200, 404),
        )
        if answer.status == 404:
            return None
        named = answer.headers.get("docker-content-digest", "")
        return named if is_digest(named) else (await self.get(repository, reference)).digest

    async def put(self, repository: str, manifest: Manifest, tags: Sequence[str] = ()) -> None:
        """Put it under its digest, or under all of the tags; where it refers to something, let that be known."""
        for tag in tags:
            check_reference(tag)
        if len(tags) == 1:
            answer = await self._put(repository, tags[0], manifest)
        else:
            # All tags in one request, where the registry knows that (end-7b); the header names those that it set.
            query = "&".join(f"tag={tag}" for tag in tags)
            answer = await self._put(repository, manifest.digest, manifest, query)
            done = {each.strip() for each in answer.headers.get("oci-tag", "").split(",")}
            for tag in tags:
                if tag not in done:
                    answer = await self._put(repository, tag, manifest)
        subject = manifest.subject
        if subject is not None and answer.headers.get("oci-subject") != subject.digest:
            await self._add_referrer(repository, subject.digest, manifest)

    async def _put(self, repository: str, reference: str, manifest: Manifest, query: str = "") -> Answer:
        answer = await self._transport.ask(
            "PUT",
            _path(repository, reference) + (f"?{query}" if query else ""),
            action=f"take manifest {repository}:{reference}",
            scopes=push_scopes(repository),
            headers={"Content-Type": manifest.media_type},
            content=manifest.raw,
            expected=(201,),
        )
        named = answer.headers.get("docker-content-digest", manifest.digest)
        if named != manifest.digest and named.startswith(manifest.digest.partition(":")[0]):
            raise Integrity(f"{self._transport.host} stored manifest {manifest.digest} as {named[:200]}")
        return answer

    async def delete(self, repository: str, reference: str) -> None:
        """Delete a tag, or a manifest by its digest."""
        await self._transport.ask(
            "DELETE",
            _path(repository, reference),
            action=f"delete {repository}:{reference}",
            scopes=(f"repository:{check_repository(repository)}:delete",),
            expected=(202,),
        )

    async def tags(self, repository: str) -> AsyncIterator[str]:
        """All tags, in the registry's order."""
        path = f"/v2/{check_repository(repository)}/tags/list?n={_PAGE}"
        async for document in self._pages(path, f"list tags of {repository}", pull_scopes(repository)):
            for tag in _list(document, "tags", str):
                yield tag

    async def repositories(self) -> AsyncIterator[str]:
        """All repositories of the registry that the caller sees."""
        async for document in self._pages(f"/v2/_catalog?n={_PAGE}", "list repositories", ("registry:catalog:*",)):
            for name in _list(document, "repositories", str):
                yield name

    async def referrers(self, repository: str, digest: str, artifact_type: str | None = None) -> list[Descriptor]:
        """What refers to a manifest; `artifact_type` keeps those of one."""
        if not is_digest(digest):
            raise Integrity(f"{digest[:200]!r} is no digest")
        path = f"/v2/{check_repository(repository)}/referrers/{digest}"
        query = urlencode({"artifactType": artifact_type}) if artifact_type else ""
        found: list[Descriptor] = []
        try:
            scopes = pull_scopes(repository)
            async for page in self._pages(f"{path}?{query}" if query else path, f"list referrers of {digest}", scopes):
                found += [Descriptor.parse(each) for each in _list(page, "manifests", dict)]
                if len(found) > _MAX_REFERRERS:
                    raise Integrity(f"{self._transport.host} lists more than {_MAX_REFERRERS} referrers of {digest}")
        except NotFound:
            found = await self._fallback(repository, digest)
        return [each for each in found if artifact_type in (None, each.artifact_type)]

    async def _fallback(self, repository: str, digest: str) -> list[Descriptor]:
        """Referrers as registries before 1.1 have them: an index under a tag made of the digest."""
        try:
            return (await self.get(repository, _fallback_tag(digest))).children
        except NotFound:
            return []

    async def _add_referrer(self, repository: str, digest: str, manifest: Manifest) -> None:
        known = await self._fallback(repository, digest)
        if any(each.digest == manifest.digest for each in known):
            return
        own = manifest.descriptor
        own = Descriptor(own.media_type, own.digest, own.size, manifest.annotations, own.artifact_type)
        document = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [each.document() for each in (*known, own)],
        }
        raw = json.dumps(document).encode()
        await self._put(repository, _fallback_tag(digest), Manifest(digest_of(raw), INDEX, raw, document))

    async def _pages(self, path: str, action: str, scopes: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
        """The pages of a list that goes on by Link headers: of this registry alone, and none twice."""
        seen = set()
        for _ in range(_MAX_PAGES):
            seen.add(path)
            answer = await self._transport.ask("GET", path, action=action, scopes=scopes)
            document = answer.json()
            if not isinstance(document, dict):
                raise Integrity(f"{self._transport.host} answers with something else than a list")
            yield document
            target = _next(answer.headers.get("link", ""))
            if target is None:
                return
            path = self._transport.origin.target(target, "the next page of a list", path)
            if path in seen:
                break
        raise Integrity(f"{self._transport.host} gives the pages of a list in circles")


def _path(repository: str, reference: str) -> str:
    return f"/v2/{check_repository(repository)}/manifests/{check_reference(reference)}"


def _fallback_tag(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    return f"{algorithm}-{value[:64]}"


def _next(link: str) -> str | None:
    """The target of rel="next" (RFC 8288)."""
    for each in link.split(",<") if link else ():
        target, closed, parameters = each.strip().lstrip("<").partition(">")
        if closed and "next" in parameters.replace('"', "").lower():
            return target
    return None


def _list(document: dict[str, Any], key: str, kind: type) -> list[Any]:
    found = document.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, kind) for each in found):
        raise Integrity(f"a list of the registry has something else as {key}")
    return found
