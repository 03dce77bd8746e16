"""What the commands ask of a registry beside content: its extensions' endpoints, and where a name is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gati_client.cli.frame import configuration, connect, current
from gati_client.errors import Denied, NotFound

if TYPE_CHECKING:
    from gati_client.auth import Credentials
    from gati_client.client import Client
    from gati_client.names import Name

Json = Any


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """An artifact at a registry; `reference` is the version, tag or digest that was named, as the API takes it."""

    repository: str
    reference: str | None
    by_digest: bool = False

    @property
    def kinds(self) -> str:
        """The endpoints of the extension kinds."""
        return f"/v2/{self.repository}/_ext/kinds"


@asynccontextmanager
async def connected_to(
    registry: str | None = None, *, anonymous: bool = False, credentials: Credentials | None = None
) -> AsyncIterator[Client]:
    """A client for the registry that is named, else for the usual one."""
    async with connect(registry=registry, anonymous=anonymous, credentials=credentials) as client:
        yield client


@asynccontextmanager
async def reaching(text: str, *, publishing: bool = False) -> AsyncIterator[tuple[Client, Target]]:
    """A client for the registry of a name, and where the artifact is there."""
    from gati_client.names import Name

    name = Name.parse(text)
    async with connect(registry=name.registry) as client:
        repository = await placed(client, text, name, publishing=publishing)
        reference = name.digest or (name.version.replace("+", "_") if name.version else None)
        yield client, Target(repository, reference, by_digest=name.digest is not None)


async def placed(client: Client, text: str, name: Name, *, publishing: bool) -> str:
    """The repository of a name. A bare one is in the namespace that is set, else the caller's own, else `library`."""
    from gati_client.names import Name

    if name.unplaced:
        return await _owned(client, name)
    if Name.parse(text, namespace="users/x").repository == name.repository:
        return name.repository  # it says itself where it is
    if namespace := current().namespace or configuration().namespace:
        return Name.parse(text, namespace=namespace).repository
    own = await own_namespace(client)
    if own is None:
        return name.repository
    mine = Name.parse(text, namespace=own).repository
    return mine if publishing or await _there(client, mine) else name.repository


async def own_namespace(client: Client) -> str | None:
    """Where the caller's own artifacts are; None for nobody in particular, and at registries without accounts."""
    try:
        me = await ask(client, "GET", "/v2/_ext/identity/me")
    except (Denied, NotFound):
        return None
    return me["account"]["namespace"] or None


async def _owned(client: Client, name: Name) -> str:
    """`a/b` is of the organization `a`, if there is one, else of the user."""
    try:
        await ask(client, "GET", f"/v2/_ext/identity/orgs/{name.repository.partition('/')[0]}")
        return f"orgs/{name.repository}"
    except Denied:
        return name.repository
    except NotFound:
        return f"users/{name.repository}"


async def _there(client: Client, repository: str) -> bool:
    try:
        await ask(client, "GET", f"/v2/{repository}/_ext/kinds/artifact")
    except (Denied, NotFound):
        return False
    return True


async def ask(
    client: Client, method: str, path: str, *, body: Json = None, query: Mapping[str, Any] | None = None
) -> Json:
    """One request to an endpoint of an extension; what it answers, read from JSON; None where it answers nothing."""
    if query:
        pairs = (
            (name, each) for name, value in query.items() for each in (value if isinstance(value, list) else [value])
        )
        path += "?" + urlencode([(name, each) for name, each in pairs if each is not None])
    headers = {"Accept": "application/json", **await _own(client)}
    if body is not None:
        headers["Content-Type"] = "application/json"
    answer = await client.transport.ask(
        method,
        path,
        action=f"{method.lower()} {path.partition('?')[0]}",
        scopes=_scopes(method, path),
        headers=headers,
        content=None if body is None else json.dumps(body).encode(),
        expected=range(200, 300),
    )
    return answer.json() if answer.body else None


async def _own(client: Client) -> dict[str, str]:
    """TEMP"""
    credential = await client.transport._who()
    if credential is None or not credential.password:
        return {}
    from gati_client.tokens import basic

    return {"Authorization": basic(credential.username, credential.password)}


def _scopes(method: str, path: str) -> tuple[str, ...]:
    """What a token for an endpoint is to allow."""
    repository, extension, _ = path.removeprefix("/v2/").partition("/_ext/")
    if not extension or not repository:
        return ()
    return (f"repository:{repository}:pull" if method == "GET" else f"repository:{repository}:pull,push",)


async def pages(client: Client, path: str, limit: int, query: Mapping[str, Any] | None = None) -> list[Json]:
    """Up to `limit` items of a list, over as many pages as that takes."""
    items: list[Json] = []
    asked: dict[str, Any] = {**(query or {}), "limit": min(limit, 100)}
    while True:
        page = await ask(client, "GET", path, query=asked)
        items += page["items"]
        if page.get("next") is None or len(items) >= limit:
            return items[:limit]
        asked["cursor"] = page["next"]


async def form(client: Client, path: str, **fields: str) -> Json:
    """One form to an endpoint of OAuth, which needs no credentials; its answer, which may be an error of RFC 6749."""
    answer = await client.transport.ask(
        "POST",
        path,
        action="log in by browser",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        content=urlencode(fields).encode(),
        expected=(200, 400, 403, 409),
    )
    return answer.json()


async def features(client: Client) -> set[str]:
    """The extensions that a registry has; none, where it is another's."""
    try:
        found = await ask(client, "GET", "/v2/_oci/ext/discover")
    except NotFound:
        return set()
    return {str(each["name"]).removeprefix("_ext/") for each in found["extensions"]}
