"""Manifests: GET, HEAD, PUT, DELETE (end-3, end-7, end-9)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from gati_registry.errors import Code, RegistryError
from gati_registry.http.conditions import not_modified
from gati_registry.http.exchange import Exchange, Header, RequestBody
from gati_registry.http.locations import Locations
from gati_registry.http.members import Members
from gati_registry.http.warnings import warnings
from gati_registry.ports import ManifestRow
from gati_registry.service.manifests import ManifestService, unknown_manifest
from gati_registry.values.digest import Digest
from gati_registry.values.reference import Tag, parse_reference

HELD = 16 * 1024
"""Bytes of a manifest that is kept with its answer; larger ones are looked up in their own cache."""


class _Ready(NamedTuple):
    """An answer to GET or HEAD. Without a `body` that is still to be looked up."""

    row: ManifestRow
    status: int
    headers: tuple[Header, ...]
    body: bytes | None


class ManifestEndpoints:
    """Handlers of one resource. `max_bytes` bounds a manifest, `max_tags` the tag parameters of one PUT."""

    def __init__(
        self,
        service: ManifestService,
        locations: Locations,
        members: Members,
        *,
        max_bytes: int,
        max_tags: int,
    ) -> None:
        self._service = service
        self._members = members
        self._locations = locations
        self._max_bytes = max_bytes
        self._max_tags = max_tags

    async def get(self, exchange: Exchange) -> None:
        """The manifest byte for byte, with the media type it was pushed with."""
        ready: _Ready | None = exchange.held.get("manifest")
        if ready is None:
            ready = await self._prepare(exchange)
        body = ready.body
        if body is None:
            body = await self._service.data(exchange.name, ready.row)
        await exchange.ready(ready.status, ready.headers, body)
        if ready.status == 200:
            exchange.served = ready.row

    async def _prepare(self, exchange: Exchange) -> _Ready:
        """The answer, held for requests with the same head unless it depends on who sends them."""
        repository = exchange.name
        reference = parse_reference(exchange.reference)
        row = await self._service.find(repository, reference)
        headers = [*_headers(row)]
        verdict = await self._service.judge(repository, reference, row)
        if verdict is not None:
            if verdict.refusal is not None:
                raise verdict.refusal.error()
            if verdict.members and not await self._members.includes(exchange, exchange.caller.identity, repository):
                raise unknown_manifest(reference)
            headers += warnings(list(verdict.warnings))
            headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in verdict.headers]
        if not_modified(exchange, row.digest):
            ready = _Ready(row, 304, tuple(headers), b"")
        else:
            headers.append((b"content-length", b"%d" % row.size))
            body: bytes | None = b""
            if exchange.method != "HEAD":
                body = await self._service.data(repository, row) if row.size <= HELD else None
            ready = _Ready(row, 200, tuple(headers), body)
        if verdict is None or not verdict.members:
            exchange.held["manifest"] = ready
        return ready

    async def put(self, exchange: Exchange) -> None:
        """Store a manifest under a tag, or under its digest and the tags of the query."""
        reference = parse_reference(exchange.reference)
        tags: list[Tag] = []
        if isinstance(reference, Digest):
            values = exchange.queries("tag")
            if len(values) > self._max_tags:
                raise RegistryError(
                    Code.UNSUPPORTED, f"at most {self._max_tags} tag parameters are taken at once", status=414
                )
            tags = [Tag.parse(value) for value in values]
        data = await RequestBody(exchange).whole(self._max_bytes)
        pushed = await self._service.push(
            exchange.name, reference, tags, data, exchange.header(b"content-type"), exchange.caller
        )
        path = f"/v2/{exchange.name}/manifests/{exchange.reference if not tags else pushed.digest}"
        headers = [
            (b"location", self._locations.url(exchange, path)),
            (b"docker-content-digest", pushed.digest.encode()),
        ]
        if pushed.subject is not None:
            headers.append((b"oci-subject", pushed.subject.encode()))
        if tags:
            headers += [(b"oci-tag", tag.encode()) for tag in pushed.tags]
        if pushed.missing:
            count = len(pushed.missing)
            headers += warnings([f"sparse manifest: {count} of its references are not stored in this repository"])
        await exchange.answer(201, headers)

    async def delete(self, exchange: Exchange) -> None:
        """Remove a tag or a manifest."""
        await self._service.delete(exchange.name, parse_reference(exchange.reference), exchange.caller)
        await exchange.answer(202, [])


# A manifest may have any media type, also one that browsers render: it must not become a page of this origin.
_INERT = ((b"content-security-policy", b"default-src 'none'; sandbox"), (b"x-content-type-options", b"nosniff"))


@lru_cache(maxsize=4096)
def _headers(row: ManifestRow) -> tuple[Header, ...]:
    digest = row.digest.encode()
    headers = (
        (b"content-type", row.media_type.encode()),
        (b"docker-content-digest", digest),
        (b"etag", b'"%s"' % digest),
    )
    return headers if row.media_type.endswith("json") else headers + _INERT
