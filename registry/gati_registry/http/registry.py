"""The registry's API as one ASGI application: finds the endpoint, asks whether the caller may, calls the handler."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gati_registry.clock import SystemClock
from gati_registry.domain.access import ANONYMOUS, Access, Action, Decision, Identity
from gati_registry.domain.events import Event, Operation
from gati_registry.errors import ClientDisconnected, Code, RegistryError
from gati_registry.http.blobs import BlobEndpoints
from gati_registry.http.exchange import CERTIFICATE, Exchange, Receive, Scope, Send
from gati_registry.http.extensions import MARK, ExtensionRouter
from gati_registry.http.lists import ListEndpoints
from gati_registry.http.locations import Locations, host_of
from gati_registry.http.manifests import ManifestEndpoints
from gati_registry.http.observe.logs import request_id
from gati_registry.http.routes import MAX_PATH, Endpoint, Resource, Table, method_not_allowed, not_found
from gati_registry.http.uploads import UploadEndpoints
from gati_registry.http.warnings import warnings
from gati_registry.ports import Admission, Alias, Authenticator, Authorizer, Clock, Steady
from gati_registry.service.manifests import unknown_repository
from gati_registry.service.observers import Observers
from gati_registry.values.reference import RepositoryName


def table(blobs: BlobEndpoints, uploads: UploadEndpoints, manifests: ManifestEndpoints, lists: ListEndpoints) -> Table:
    """The specification's table with its handlers."""
    catalog = Endpoint("catalog", Action.CATALOG, lists.catalog)
    discover = Endpoint("discover", Action.PING, lists.discover)
    return Table(
        base=Resource("/v2/", _reading(Endpoint("end-1", Action.PING, lists.base))),
        catalog=Resource("/v2/_catalog", _reading(catalog)),
        discover=Resource("/v2/_oci/ext/discover", _reading(discover)),
        repository_discover=Resource(
            "/v2/<name>/_oci/ext/discover", _reading(Endpoint("discover", Action.PULL, lists.discover))
        ),
        openapi=Resource("/v2/_ext/openapi.json", _reading(Endpoint("openapi", Action.PUBLIC, lists.openapi))),
        docs=Resource("/v2/_ext/docs", _reading(Endpoint("docs", Action.PUBLIC, lists.docs))),
        blob=Resource(
            "/v2/<name>/blobs/<digest>",
            {
                "GET": Endpoint("end-2", Action.PULL, blobs.get),
                "HEAD": Endpoint("end-2", Action.PULL, blobs.head),
                "DELETE": Endpoint("end-10", Action.DELETE, blobs.delete),
            },
        ),
        manifest=Resource(
            "/v2/<name>/manifests/<reference>",
            {
                **_reading(Endpoint("end-3", Action.PULL, manifests.get)),
                "PUT": Endpoint("end-7", Action.PUSH, manifests.put),
                "DELETE": Endpoint("end-9", Action.DELETE, manifests.delete),
            },
        ),
        uploads=Resource("/v2/<name>/blobs/uploads/", {"POST": Endpoint("end-4", Action.PUSH, uploads.start)}),
        upload=Resource(
            "/v2/<name>/blobs/uploads/<id>",
            {
                "GET": Endpoint("end-13", Action.PUSH, uploads.status),
                "PATCH": Endpoint("end-5", Action.PUSH, uploads.append),
                "PUT": Endpoint("end-6", Action.PUSH, uploads.close),
                "DELETE": Endpoint("end-14", Action.PUSH, uploads.cancel),
            },
        ),
        tags=Resource("/v2/<name>/tags/list", _reading(Endpoint("end-8", Action.PULL, lists.tags))),
        referrers=Resource("/v2/<name>/referrers/<digest>", _reading(Endpoint("end-12", Action.PULL, lists.referrers))),
    )


def _reading(endpoint: Endpoint) -> dict[str, Endpoint]:
    return {"GET": endpoint, "HEAD": endpoint}


class _Found(NamedTuple):
    """Where a request leads: follows from its head alone."""

    endpoint: Endpoint
    pattern: str
    path: str
    name: RepositoryName
    reference: str
    reads: bool  # and changes nothing
    told: dict[str, str]  # what observers are told of a pull


class _Admitted(NamedTuple):
    """A caller, and what may be done. `peer` and `certificate` are what a request tells beside its head."""

    peer: str
    certificate: bytes | None
    identity: Identity
    access: Access


class RegistryApp:
    """ASGI application for everything under `/v2/`, and for the root routes of extensions."""

    def __init__(
        self,
        endpoints: Table,
        extensions: ExtensionRouter,
        authenticator: Authenticator,
        authorizer: Authorizer,
        observers: Observers,
        locations: Locations,
        *,
        admissions: Sequence[Admission] = (),
        aliases: Sequence[Alias] = (),
        revision: Callable[[], bytes | None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        """`revision` is the database's: what was decided is held only as long as that stands still."""
        self._revision = revision
        self._clock = clock or SystemClock()
        self._admissions = tuple(admissions)
        self._aliases = tuple(aliases)
        self._table = endpoints
        self._extensions = extensions
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._steady = authorizer if isinstance(authorizer, Steady) else None
        self._observers = observers
        # Ids of events that no other process makes.
        self._events = f"{uuid.uuid4().hex}-"
        self._numbers = itertools.count(1)
        self._locations = locations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        if self._locations.proxied:
            scope["gati.client"] = self._locations.client(exchange)
            scope[CERTIFICATE] = self._locations.certificate(exchange)
        try:
            await self._answer(exchange)
        except RegistryError as error:
            if exchange.started:
                raise
            if (error.status in _TOLD or "gati.hidden" in scope) and self._observers.watching:
                self._tell(exchange, Operation.REFUSAL, error.status, _refused(exchange, error))
            await exchange.fail(error)
        except ClientDisconnected:
            scope["gati.disconnected"] = True
            if exchange.served is not None and self._observers.watching:  # it has had some of it
                self._tell(exchange, Operation.PULL, 200, _asked(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        memo = exchange.memo
        found: _Found | None = memo.found
        if found is None:
            found = memo.found = await self._find(exchange)
            if found is None:
                return
        endpoint, pattern, exchange.path, exchange.name, exchange.reference, reads, told = found
        exchange.scope["gati.route"] = pattern
        if reads:
            exchange.held = memo.held(self._revision(), self._clock.now())
            await self._enter(exchange, endpoint)
        else:
            await self._admit(exchange, Access(endpoint.action, exchange.name or None, request=exchange))
        if self._aliases and endpoint.action is Action.PULL and exchange.name:
            await self._resolve(exchange)
        # Only now is the name's form told from its existence: whoever may not ask learns neither.
        await endpoint.handler(exchange)
        if exchange.served is not None and self._observers.watching:
            self._tell(exchange, Operation.PULL, 200, told)

    async def _find(self, exchange: Exchange) -> _Found | None:
        """The endpoint; None where an extension has answered."""
        raw: bytes = exchange.scope.get("raw_path") or exchange.scope["path"].encode()
        if len(raw) + len(exchange.scope["query_string"]) > MAX_PATH:
            raise RegistryError(Code.UNSUPPORTED, f"the request's path and query exceed {MAX_PATH} bytes", status=414)
        exchange.path = raw.decode("latin-1")
        # `/v2a/…` must not be another spelling of `/v2/a/…`: proxies have rules about paths.
        if exchange.path != "/v2" and not exchange.path.startswith("/v2/"):
            await self._extension(exchange, exchange.path, root=True)
            return None
        path = exchange.path[4:]
        if MARK in path and (path.startswith(MARK) or f"/{MARK}" in path) and path not in _OWN:
            await self._extension(exchange, path, root=False)
            return None
        return self._match(exchange, path)

    async def _extension(self, exchange: Exchange, path: str, *, root: bool) -> None:
        found = self._extensions.find_root(path, exchange) if root else self._extensions.find(path, exchange)
        if found is None:
            raise not_found()
        exchange.scope["gati.route"] = found.pattern
        exchange.scope["gati.origin"] = self._locations.origin(exchange)
        await self._admit(exchange, replace(found.access, request=exchange))
        await self._extensions.call(found, exchange)

    async def _resolve(self, exchange: Exchange) -> None:
        """Read a repository under an earlier name. Within the registry: not every client follows a redirect here."""
        asked, current = exchange.name, exchange.held.get("name")
        if current is None:
            current = asked
            for alias in self._aliases:
                current = await alias(current)
            exchange.held["name"] = current
        if current != asked:
            exchange.name = current
            exchange.extra = warnings([f"{asked} was renamed to {current}; use the new name"])

    def _match(self, exchange: Exchange, path: str) -> _Found:
        found = self._table.match(path)
        if found is None:
            raise not_found()
        resource, name, reference = found
        exchange.scope["gati.route"] = resource.pattern
        if name:
            exchange.name = RepositoryName.parse(name, host=host_of(exchange))
        elif "<name>" in resource.pattern:
            raise RegistryError(Code.NAME_INVALID, "the repository's name is missing")
        endpoint = resource.methods.get(exchange.method)
        if endpoint is None:
            raise method_not_allowed(resource)
        reads = exchange.method in _READS
        return _Found(endpoint, resource.pattern, exchange.path, exchange.name, reference, reads, _asked(exchange))

    async def _enter(self, exchange: Exchange, endpoint: Endpoint) -> None:
        """Admit a request that changes nothing."""
        # The connection's own peer: what a head says of its client is believed of proxies alone.
        held, client, certificate = exchange.held, exchange.scope.get("client"), exchange.certificate
        peer = client[0] if client else ""
        admitted: _Admitted | None = held.get("admitted")
        if admitted is not None and admitted.peer == peer and admitted.certificate == certificate:
            # Decided a moment ago, and the same for every such request: only what counts requests is asked again.
            exchange.scope["gati.access"] = admitted.access
            exchange.scope["gati.identity"] = admitted.identity
            if self._admissions:
                await self._count(exchange, admitted.identity, admitted.access, Decision.ALLOW)
            return
        access = Access(endpoint.action, exchange.name or None, request=exchange)
        await self._admit(exchange, access)
        identity: Identity = exchange.scope["gati.identity"]
        if self._steady is not None and self._steady.steady(identity, access):
            held["admitted"] = _Admitted(peer, certificate, identity, Access(access.action, access.repository))

    async def _admit(self, exchange: Exchange, access: Access) -> None:
        """Decide before anything is looked up; the handler finds the identity in the scope.

        Raises:
            RegistryError: UNAUTHORIZED with a challenge, DENIED, or NAME_UNKNOWN where the repository is hidden.
        """
        exchange.scope["gati.access"] = access
        try:
            identity = await self._authenticator.authenticate(exchange) or ANONYMOUS
        except RegistryError as error:
            if error.code is Code.UNAUTHORIZED and "WWW-Authenticate" not in error.headers:
                error.headers["WWW-Authenticate"] = self._challenge(exchange, [access])
            raise
        exchange.scope["gati.identity"] = identity
        decision = await self._authorizer.decide(identity, access)
        await self._count(exchange, identity, access, decision)
        if decision is Decision.ALLOW:
            return
        if decision is Decision.CHALLENGE:
            raise RegistryError(Code.UNAUTHORIZED, headers={"WWW-Authenticate": self._challenge(exchange, [access])})
        if decision is Decision.HIDE and access.repository is not None:
            exchange.scope["gati.hidden"] = True
            raise unknown_repository(RepositoryName(access.repository))
        raise RegistryError(Code.DENIED, detail={"action": access.action.value, "resource": access.repository})

    async def _count(self, exchange: Exchange, identity: Identity, access: Access, decision: Decision) -> None:
        for admission in self._admissions:
            refusal = await admission(exchange, identity, access, decision)
            if refusal is not None:
                raise refusal.error()

    def _challenge(self, exchange: Exchange, accesses: Sequence[Access]) -> str:
        exchange.scope["gati.origin"] = self._locations.origin(exchange)
        return self._authorizer.challenge(accesses, exchange)

    def _tell(self, exchange: Exchange, operation: Operation, status: int, detail: dict[str, str]) -> None:
        # In every pull's way: no more is made of it here than the event itself, whose fields stand in their order
        # because naming them would take four times as long.
        served, identity = exchange.served, exchange.scope.get("gati.identity", ANONYMOUS)
        reference = exchange.reference
        values: tuple[Any, ...] = (
            f"{self._events}{next(self._numbers):x}",
            operation,
            exchange.name or detail.get("resource", ""),
            int(time.time() * 1000),
            served.digest if served is not None else None,
            reference if served is not None and ":" not in reference else None,
            getattr(served, "media_type", None),
            None,  # artifact_type
            None,  # subject
            served.size if served is not None else 0,
            exchange.sent,
            identity.name,
            identity.id,
            identity.credential,
            identity.method,
            exchange.address,
            exchange.header(b"user-agent") or "",
            request_id.get(),
            status,
            (time.monotonic() - exchange.began) * 1000,
            detail,
        )
        self._observers.tell(Event._make(values))


def _asked(exchange: Exchange) -> dict[str, str]:
    return {"method": exchange.method, "path": exchange.path[:1000]}


def _refused(exchange: Exchange, error: RegistryError) -> dict[str, str]:
    """What observers are told of a refusal: what was asked, and whether credentials came with it."""
    access: Access | None = exchange.scope.get("gati.access")
    offered = exchange.header(b"authorization") is not None or exchange.header(b"x-api-key") is not None
    asked = {"action": access.action.value, "resource": access.repository or ""} if access is not None else {}
    return {**_asked(exchange), "code": error.code.name, "credentials": "offered" if offered else "none", **asked}


_READS = frozenset({"GET", "HEAD"})
_TOLD = frozenset({401, 403, 429})
_OWN = frozenset({"_ext/openapi.json", "_ext/docs"})
