"""Names as users write them: at which registry, in which repository, which version."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from gati_client.answers import BEYOND
from gati_client.cli.frame import configuration, connect, current, say
from gati_client.errors import Denied, NotFound, Usage
from gati_client.names import LEVELS

if TYPE_CHECKING:
    from gati_client.auth import Credential
    from gati_client.client import Client
    from gati_client.names import Name

T = TypeVar("T")


def moment(said: datetime | None) -> datetime | None:
    """A time as users write it: where they name no zone it is UTC."""
    return said.replace(tzinfo=UTC) if said is not None and said.tzinfo is None else said


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """An artifact at a registry; `reference` is the version, channel or digest that was named."""

    repository: str
    reference: str | None
    by_digest: bool = False

    @property
    def version(self) -> str:
        """What was named.

        Raises:
            Usage: nothing was.
        """
        if self.reference is None:
            raise Usage(f"which version of {self.repository}?", remedy=f"write {self.repository}@1.2.3")
        return self.reference


def connect_named(registry: str | None, *, typed: bool = True) -> Client:
    """A client for the registry that a name, a lock or a record names; one that has a name here is as that says.

    The token of this once (`--token`, GATI_TOKEN) is for the registry that was chosen, by option, environment or
    configuration; where none was, for one that the user has `typed`. Others get what a login has kept for them.
    """
    from gati_client.hosts import registry_url

    known, wanted = configuration(), current().registry
    if not registry or (typed and not wanted and not known.default):
        return connect(registry=registry or None)
    named = next((name for name, entry in known.registries.items() if _same(entry.url, registry)), registry)
    usual, there = known.registry(wanted), known.registry(named)
    one, other = (registry_url(each.url, insecure=each.insecure).netloc for each in (usual, there))
    return connect(registry=named, credentials=None if one == other else _Kept())


class _Kept:
    """Docker's logins, without the token of this once."""

    async def get(self, host: str) -> Credential | None:
        import asyncio

        from gati_client.credentials import DockerCredentials

        found = await asyncio.to_thread(DockerCredentials().stored, host)
        if found is None and current().token:
            say(
                f"{host} does not get the token, which is for another registry: gati login {host}, or --registry {host}"
            )
        return found


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


@asynccontextmanager
async def reaching(text: str, *, publishing: bool = False) -> AsyncIterator[tuple[Client, Target]]:
    """A client for the registry of a name, and where the artifact is there."""
    from gati_client.names import Name, tag_of

    name = Name.parse(text)
    async with connect_named(name.registry) as client:
        repository = await placed(client, text, name, publishing=publishing)
        reference = name.digest or (tag_of(name.version) if name.version else None)
        try:
            yield client, Target(repository, reference, by_digest=name.digest is not None)
        except Denied as error:
            if publishing and error.remedy == BEYOND and "namespaces" in await client.features():
                space = repository.rpartition("/")[0]
                raise Denied(
                    f"{client.host} does not let you publish to {repository}",
                    remedy=f"gati namespace get {space} tells whether it is there; its admins give the role publisher",
                ) from None
            raise
        except NotFound as error:
            if error.code == "NAME_UNKNOWN":
                raise NotFound(f"{client.host} has no {repository} that you may see", remedy=error.remedy) from None
            if reference is not None and not error.remedy:
                error.remedy = f"gati version list {repository} shows those there are"
            raise


@asynccontextmanager
async def reaching_namespace(text: str) -> AsyncIterator[tuple[Client, str]]:
    """A client for the usual registry, and the path of a namespace there."""
    async with connect() as client:
        path = await namespace_at(client, text)
        try:
            yield client, path
        except NotFound as error:
            if error.code != "NAME_UNKNOWN":
                raise
            raise NotFound(f"{client.host} has no namespace {path} that you may see", remedy=_way_in(path)) from None


def _way_in(path: str) -> str:
    """What to do where a namespace is not there, or is not shown."""
    level, _, rest = path.partition("/")
    owner = rest.partition("/")[0]
    if level == "orgs" and owner:
        return f"gati org create {owner} makes it where the name is free; else ask its owner for a role there"
    if level == "users" and owner:
        return f"check the name; if you mean an organization, gati org create {owner} makes it"
    return "gati namespace list shows those that you may see"


async def some(items: AsyncIterator[T], limit: int = 10_000) -> list[T]:
    """The first `limit` of a list."""
    found: list[T] = []
    if limit > 0:
        async for item in items:
            found.append(item)
            if len(found) >= limit:
                break
    return found


async def placed(client: Client, text: str, name: Name, *, publishing: bool) -> str:
    """The repository of a name. A bare one is in the namespace that is set, else the caller's own, else `library`."""
    from gati_client.names import Name

    if name.unplaced:
        return await _owned(client, name.repository)
    if Name.parse(text, namespace="users/x").repository == name.repository:
        return name.repository  # it says itself where it is
    if namespace := current().namespace or configuration().namespace:
        return Name.parse(text, namespace=await namespace_at(client, namespace)).repository
    own = await own_namespace(client)
    if own is None:
        return name.repository
    mine = Name.parse(text, namespace=own).repository
    return mine if publishing or await _there(client, mine) else name.repository


async def own_namespace(client: Client) -> str | None:
    """Where the caller's own artifacts are; None for nobody in particular, and at registries without accounts."""
    if "identity" not in await client.features():
        return None
    try:
        return (await client.account.me()).account.namespace or None
    except Denied:
        return None


async def namespace_at(client: Client, text: str) -> str:
    """A namespace's path, of how users write it: `@acme/team`, `@user/alice`, or `acme` alone for an organization's
    or, if there is none, a user's."""
    written = text.strip("/")
    if written.startswith("@user/"):
        return f"users/{written[6:]}"
    if written.startswith("@"):
        return f"orgs/{written[1:]}"
    return await _owned(client, written) if written and written.partition("/")[0] not in LEVELS else written


async def _owned(client: Client, path: str) -> str:
    """`a/b` is of the organization `a`, if there is one, else of the user."""
    if "identity" not in await client.features():
        return path
    try:
        await client.orgs.get(path.partition("/")[0])
    except NotFound:
        return f"users/{path}"
    except Denied:  # strangers are not told which organizations there are, but may see what is public there
        return f"orgs/{path}" if "/" in path and await _there(client, f"orgs/{path}") else f"users/{path}"
    return f"orgs/{path}"


async def _there(client: Client, repository: str) -> bool:
    try:
        await client.versions.artifact(repository)
    except (Denied, NotFound):
        return False
    return True
