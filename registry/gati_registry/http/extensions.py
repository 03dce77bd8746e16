"""Finds and calls the routes of extensions.

    /v2/_ext/<extension>/…           registry routes
    /v2/<name>/_ext/<extension>/…    repository routes
    declared paths outside of /v2    root routes

No name of a repository has a part that begins with `_`, so these paths cannot be one.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from pydantic import BaseModel

from gati_registry.domain.access import Access
from gati_registry.errors import Code, RegistryError
from gati_registry.http.calls import Answer, Call, Route, read_body, read_query
from gati_registry.http.exchange import Exchange, Header
from gati_registry.http.locations import host_of
from gati_registry.values.reference import RepositoryName

MARK = "_ext/"
RESERVED = frozenset({"openapi.json", "docs"})
"""Names below `/v2/_ext/` that no extension may have."""

_SECURITY: list[Header] = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of one extension."""

    extension: str
    registry: Sequence[Route] = ()
    repository: Sequence[Route] = ()
    root: Sequence[Route] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A route with what its path said."""

    route: Route
    pattern: str
    parameters: Mapping[str, str]
    repository: RepositoryName | None

    @property
    def access(self) -> Access:
        """What the caller must be allowed."""
        permission = self.route.permission
        on: str | None = self.parameters[permission.on].strip("/") if permission.on else self.repository
        return Access(permission.action, on)


@dataclass(frozen=True, slots=True)
class _Entry:
    route: Route
    regex: re.Pattern[str]
    pattern: str


class ExtensionRouter:
    """All routes of all extensions."""

    def __init__(self, extensions: Iterable[Routes] = ()) -> None:
        self._registry: dict[str, list[_Entry]] = {}
        self._repository: dict[str, list[_Entry]] = {}
        self._root: list[_Entry] = []
        for found in extensions:
            name = found.extension
            self._registry[name] = [_entry(route, f"_ext/{name}", "/v2/") for route in found.registry]
            self._repository[name] = [_entry(route, f"_ext/{name}", "/v2/<name>/") for route in found.repository]
            self._root += [_entry(route, "", "") for route in found.root]

    def find(self, path: str, exchange: Exchange) -> Found:
        """The route of a path below `/v2/` that holds `_ext/`.

        Raises:
            RegistryError: 404 or 405.
        """
        # A whole part of the path: `a_ext/b` is a repository like others.
        begin = 0 if path.startswith(MARK) else path.index(f"/{MARK}") + 1
        head, rest = path[:begin], path[begin + len(MARK) :]
        extension, _, _ = rest.partition("/")
        entries = (self._repository if head else self._registry).get(extension, [])
        entry, parameters = _match(entries, MARK + rest, exchange)
        repository = RepositoryName.parse(head.rstrip("/"), host=host_of(exchange)) if head else None
        return Found(entry.route, entry.pattern, parameters, repository)

    def find_root(self, path: str, exchange: Exchange) -> Found | None:
        """The root route of a path outside of `/v2/`; None if no extension declares one."""
        if not any(entry.regex.fullmatch(path) for entry in self._root):
            return None
        entry, parameters = _match(self._root, path, exchange)
        return Found(entry.route, entry.pattern, parameters, None)

    async def call(self, found: Found, exchange: Exchange) -> None:
        """Check the request, call the handler, send its answer; the caller was admitted before."""
        route = found.route
        query, body = read_query(route, exchange), await read_body(route, exchange)
        call = Call(exchange, exchange.caller, found.parameters, found.repository, body, query, route.max_body)
        result = await route.handler(call)
        if result is None:
            result = Answer(204)
        elif isinstance(result, BaseModel):
            result = Answer(route.status, result)
        await _send(exchange, result)


async def _send(exchange: Exchange, answer: Answer) -> None:
    headers: list[Header] = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    given = {name for name, _ in headers}
    headers += [header for header in _SECURITY if header[0] not in given]
    headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in answer.cookies]
    body = answer.body
    if isinstance(body, BaseModel):
        body = body.model_dump_json(by_alias=True).encode()
    if answer.status != 204:
        headers.append((b"content-type", answer.media_type.encode("latin-1")))
    if isinstance(body, bytes):
        await exchange.answer(answer.status, headers, body)
        return
    await exchange.start(answer.status, headers)
    await _stream(exchange, body)


async def _stream(exchange: Exchange, parts: AsyncIterator[bytes]) -> None:
    async for part in parts:
        if part:
            await exchange.part(part, more=True)
    await exchange.part(b"", more=False)


def _entry(route: Route, prefix: str, before: str) -> _Entry:
    separator = "/" if prefix and route.path else ""
    path = prefix + separator
    return _Entry(route, route.pattern(path), before + path + route.path)


def _match(entries: Sequence[_Entry], path: str, exchange: Exchange) -> tuple[_Entry, Mapping[str, str]]:
    method = "GET" if exchange.method == "HEAD" else exchange.method
    allowed = set()
    for entry in entries:
        matched = entry.regex.fullmatch(path)
        if matched is None:
            continue
        if entry.route.method == method:
            return entry, {name: _decode(value) for name, value in matched.groupdict().items()}
        allowed.add(entry.route.method)
    if allowed:
        allow = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
        raise RegistryError(Code.UNSUPPORTED, f"this path takes {allow}", headers={"Allow": allow})
    raise RegistryError(Code.NOT_FOUND, "no such endpoint; /v2/_ext/openapi.json lists them all")


def _decode(value: str) -> str:
    try:
        decoded = unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise RegistryError(Code.INVALID, "the path is not UTF-8") from None
    if any(ord(char) < 32 or ord(char) == 127 for char in decoded) or "/../" in f"/{decoded}/":
        raise RegistryError(Code.INVALID, "the path holds a control character or '..'")
    return decoded


def discovery(extensions: Iterable[tuple[str, str, Routes]]) -> bytes:
    """The answer of `_oci/ext/discover`: (name, summary, routes) of what is enabled.

    Source: distribution-spec, extensions/_oci.md.
    """
    entries = [
        {
            "name": f"_ext/{name}",
            "description": summary,
            "url": "/v2/_ext/docs",
            "endpoints": sorted(
                {f"/v2/_ext/{name}/{route.path}".rstrip("/") for route in routes.registry}
                | {f"/v2/<name>/_ext/{name}/{route.path}".rstrip("/") for route in routes.repository}
                | {route.path for route in routes.root}
            ),
        }
        for name, summary, routes in extensions
    ]
    return json.dumps({"extensions": entries}, separators=(",", ":")).encode()
