"""The registry's API as one ASGI application: finds the endpoint, asks whether the caller may, calls the handler."""

from __future__ import annotations

from gati_registry.domain.access import ANONYMOUS, Access, Action, Decision, Identity
from gati_registry.errors import Code, RegistryError
from gati_registry.http.blobs import BlobEndpoints
from gati_registry.http.exchange import ClientDisconnected, Exchange, Receive, Scope, Send
from gati_registry.http.lists import ListEndpoints
from gati_registry.http.locations import host_of
from gati_registry.http.manifests import ManifestEndpoints
from gati_registry.http.routes import MAX_PATH, Endpoint, Resource, Table, method_not_allowed, not_found
from gati_registry.http.uploads import UploadEndpoints
from gati_registry.ports import Authenticator, Authorizer
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


class RegistryApp:
    """ASGI application for everything under `/v2/`."""

    def __init__(self, endpoints: Table, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._table = endpoints
        self._authenticator = authenticator
        self._authorizer = authorizer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        try:
            endpoint = self._find(exchange)
            await self._admit(exchange, Access(endpoint.action, exchange.name or None))
            # Only now is the name's form told from its existence: whoever may not ask learns neither.
            await endpoint.handler(exchange)
        except RegistryError as error:
            if exchange.started:
                raise
            await exchange.fail(error)
        except ClientDisconnected:
            scope["gati.disconnected"] = True

    def _find(self, exchange: Exchange) -> Endpoint:
        raw: bytes = exchange.scope.get("raw_path") or exchange.scope["path"].encode()
        if len(raw) + len(exchange.scope["query_string"]) > MAX_PATH:
            raise RegistryError(Code.UNSUPPORTED, f"the request's path and query exceed {MAX_PATH} bytes", status=414)
        path = raw.decode("latin-1").removeprefix("/v2").removeprefix("/")
        found = self._table.match(path)
        if found is None:
            raise not_found()
        resource, name, exchange.reference = found
        exchange.scope["gati.route"] = resource.pattern
        if name:
            exchange.name = RepositoryName.parse(name, host=host_of(exchange))
        elif "<name>" in resource.pattern:
            raise RegistryError(Code.NAME_INVALID, "the repository's name is missing")
        endpoint = resource.methods.get(exchange.method)
        if endpoint is None:
            raise method_not_allowed(resource)
        return endpoint

    async def _admit(self, exchange: Exchange, access: Access) -> None:
        """Decide before anything is looked up; the handler finds the identity in the scope.

        Raises:
            RegistryError: UNAUTHORIZED with a challenge, or DENIED.
        """
        credentials = exchange.header(b"authorization")
        identity: Identity | None = ANONYMOUS
        if credentials is not None:
            identity = await self._authenticator.authenticate(credentials)
        if identity is None:
            raise self._challenge(access, "the credentials are wrong; log in again")
        decision = await self._authorizer.decide(identity, access)
        if decision is Decision.CHALLENGE:
            raise self._challenge(access, None)
        if decision is Decision.DENY:
            raise RegistryError(Code.DENIED)
        exchange.scope["gati.identity"] = identity

    def _challenge(self, access: Access, message: str | None) -> RegistryError:
        return RegistryError(
            Code.UNAUTHORIZED, message, headers={"WWW-Authenticate": self._authorizer.challenge(access)}
        )
