"""Lists: tags (end-8), referrers (end-12), catalog, extension discovery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

from gati_registry.domain.access import Access, Action, Decision, Identity
from gati_registry.domain.paging import Cursor, Page, link
from gati_registry.http.exchange import Exchange, Header
from gati_registry.http.extensions import Routes, discovery
from gati_registry.http.members import Members
from gati_registry.ports import Authorizer, Steady
from gati_registry.service.lists import ListService
from gati_registry.values.digest import Digest
from gati_registry.values.mediatype import OCI_INDEX
from gati_registry.values.reference import RepositoryName


class _CatalogPage(NamedTuple):
    """A page of the catalog as one caller sees it."""

    identity: Identity
    headers: tuple[Header, ...]
    body: bytes


class ListEndpoints:
    """Handlers of the list resources. `page_size` bounds what one answer holds."""

    def __init__(
        self,
        service: ListService,
        authorizer: Authorizer,
        members: Members,
        *,
        page_size: int,
        extensions: Sequence[tuple[str, str, Routes]] = (),
    ) -> None:
        self._service = service
        self._authorizer = authorizer
        self._members = members
        self._page_size = page_size
        self._extensions = extensions
        self._discovery = discovery(extensions)

    async def base(self, exchange: Exchange) -> None:
        """end-1: yes, this is a registry."""
        headers = [(b"docker-distribution-api-version", b"registry/2.0")]
        await _json(exchange, {}, headers)

    async def tags(self, exchange: Exchange) -> None:
        """A page of tags."""
        repository, cursor = exchange.name, self._cursor(exchange)
        page = await self._service.tags(repository, cursor, await self._members.hidden_from(exchange))
        path = f"/v2/{repository}/tags/list"
        await _json(exchange, {"name": repository, "tags": list(page.items)}, _next(path, cursor, page))

    async def catalog(self, exchange: Exchange) -> None:
        """A page of the repositories that the caller may pull from."""
        identity: Identity = exchange.scope["gati.identity"]
        kept: _CatalogPage | None = exchange.held.get("page")
        if kept is None or kept.identity is not identity:
            kept = await self._catalog(exchange, identity)
        await exchange.ready(200, kept.headers, b"" if exchange.method == "HEAD" else kept.body)

    async def _catalog(self, exchange: Exchange, identity: Identity) -> _CatalogPage:
        """The page; held for requests with the same head if all decisions on its names hold for them."""
        # A token for the catalog has no scope for each repository in it: what its owner may pull is what counts.
        owner = identity.owner
        steady = isinstance(self._authorizer, Steady)

        async def visible(name: RepositoryName) -> bool:
            nonlocal steady
            access = Access(Action.PULL, name, request=exchange)
            decision = await self._authorizer.decide(owner, access)
            steady = steady and self._authorizer.steady(owner, access)  # type: ignore[attr-defined]  # it is `Steady`
            return decision is Decision.ALLOW

        cursor = self._cursor(exchange)
        page = await self._service.catalog(cursor, await self._authorizer.visible(owner), visible)
        body = _encoded({"repositories": list(page.items)})
        headers = (
            *_next("/v2/_catalog", cursor, page),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        )
        made = _CatalogPage(identity, headers, body)
        if steady:
            exchange.held["page"] = made
        return made

    async def referrers(self, exchange: Exchange) -> None:
        """An image index of what refers to a digest."""
        repository, subject = exchange.name, Digest.parse(exchange.reference)
        artifact_type = exchange.query("artifactType") or None
        hidden = await self._members.hidden_from(exchange)
        body, following = await self._service.referrers(
            repository, subject, artifact_type, exchange.query("last") or "", hidden
        )
        headers: list[Header] = [(b"content-type", OCI_INDEX.encode())]
        if artifact_type is not None:
            headers.append((b"oci-filters-applied", b"artifactType"))
        if following is not None:
            parameters = {"artifactType": artifact_type} if artifact_type is not None else {}
            target = link(f"/v2/{repository}/referrers/{subject}", **parameters, last=following)
            headers.append((b"link", target.encode()))
        await exchange.answer(200, headers, body)

    async def discover(self, exchange: Exchange) -> None:
        """The extensions that are enabled."""
        await exchange.answer(200, [(b"content-type", b"application/json")], self._discovery)

    async def openapi(self, exchange: Exchange) -> None:
        """The extension API for programs."""
        await exchange.answer(200, [(b"content-type", b"application/json")], self._api()[0])

    async def docs(self, exchange: Exchange) -> None:
        """The extension API for people."""
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", b"default-src 'none'")]
        await exchange.answer(200, headers, self._api()[1])

    @cache  # noqa: B019 - there is one of these objects in a process
    def _api(self) -> tuple[bytes, bytes]:
        # Only when it is asked for: the models' schemas take a while, and most processes never tell them.
        from gati_registry.http import openapi

        api = openapi.document(version("gati-registry"), self._extensions)
        return json.dumps(api).encode(), openapi.page(api)

    def _cursor(self, exchange: Exchange) -> Cursor:
        return Cursor.parse(exchange.query("n"), exchange.query("last"), maximum=self._page_size)


def _next(path: str, cursor: Cursor, page: Page[str]) -> list[Header]:
    if not page.more or not page.items:
        return []
    return [(b"link", link(path, n=cursor.limit, last=page.items[-1]).encode())]


async def _json(exchange: Exchange, document: Any, headers: list[Header]) -> None:
    headers.append((b"content-type", b"application/json"))
    await exchange.answer(200, headers, _encoded(document))


def _encoded(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
