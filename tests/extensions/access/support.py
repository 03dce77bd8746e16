"""What the tests of namespaces and access share: a registry with accounts in it, and requests in their names."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gati_registry import loader
from gati_registry.bootstrap import Registry, build, prepare
from gati_registry.domain.access import Identity
from gati_registry.ports import Clock
from gati_registry.settings import Settings, load
from tests.core.support import IMAGE, Answer, Client, image, scratch, sha256
from tests.support.passwords import lighten
from tests.support.postgresql import PostgresServer
from tests.support.templates import copied_folder, template_database

ADMIN_PASSWORD = "correct horse battery"
PASSWORD = "a fine password"
EXTENSIONS = "identity,namespaces,access,kinds,resolve"
CONFIG, LAYER = b"{}", b"layer"


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    """An Authorization header."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@dataclass(frozen=True, slots=True)
class User:
    """Requests in somebody's name."""

    client: Client

    async def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request; a path without a leading slash is of the extension API."""
        target = path if path.startswith("/") else f"/v2/_ext/{path}"
        data = json.dumps(body).encode() if body is not None else b""
        kind = {"Content-Type": "application/json"} if body is not None else {}
        return await self.client.request(method, target, data, {**kind, **(headers or {})})

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self.call("GET", path)

    async def put(self, path: str, body: Any = None) -> Answer:
        """PUT."""
        return await self.call("PUT", path, body)

    async def post(self, path: str, body: Any = None) -> Answer:
        """POST."""
        return await self.call("POST", path, body)

    async def delete(self, path: str) -> Answer:
        """DELETE."""
        return await self.call("DELETE", path)

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """A request that must succeed; what it answers."""
        answer = await self.call(method, path, body)
        assert 200 <= answer.status < 300, answer
        return answer.json() if answer.body else None

    async def push(self, repository: str, tag: str = "v1", layer: bytes = LAYER) -> Answer:
        """An image of one layer; the answer to what failed first, or to its manifest."""
        for blob in (CONFIG, layer):
            answer = await self.client.push_blob(repository, blob)
            if answer.status != 201:
                return answer
        return await self.client.push_manifest(repository, tag, image(CONFIG, layer))

    async def pull(self, repository: str, reference: str = "v1") -> Answer:
        """A manifest."""
        return await self.client.get(f"/v2/{repository}/manifests/{reference}", Accept=IMAGE)

    async def explain(self, action: str, repository: str | None = None, **more: Any) -> Any:
        """The decision on oneself, or on an account."""
        return await self.done("POST", "access/explain", {"action": action, "repository": repository, **more})


@dataclass(frozen=True, slots=True)
class World:
    """A registry of one worker. Alice owns the organization acme, bob is a member of it, carol is a stranger."""

    registry: Registry

    def user(self, name: str, password: str = PASSWORD, **headers: str) -> User:
        """Somebody, by password."""
        return self.with_headers({**basic(name, password), **headers})

    def with_headers(self, headers: Mapping[str, str] | None = None) -> User:
        """Whoever these headers say."""
        return User(Client(self.registry.app, {"Host": "registry.test", **(headers or {})}))

    def bearer(self, token: str, **headers: str) -> User:
        """Whoever a token, key or capability belongs to."""
        return self.with_headers({"Authorization": f"Bearer {token}", **headers})

    @property
    def admin(self) -> User:
        """The built-in administrator."""
        return self.user("admin", ADMIN_PASSWORD)

    @property
    def nobody(self) -> User:
        """An anonymous caller."""
        return self.with_headers()

    async def token(self, user: User, *scopes: str) -> User:
        """The user with a token for these scopes."""
        query = "&".join(f"scope={scope}" for scope in scopes)
        found = await user.done("GET", f"/token?service=registry.test&{query}")
        return self.bearer(found["token"])

    async def identity(self, name: str) -> Identity:
        """An account as the authorizer gets it."""
        accounts = self.registry.extensions.kernels["access"].apis["identity"]
        account = await self.registry.metadata.read(lambda tx: accounts.find(tx, name))
        return Identity(account.name, account.admin, account.id, account.kind)


def configured(folder: Path, **settings: Any) -> Settings:
    """Settings; those of an extension are `extension.name`."""
    password = folder / "password"
    password.write_text(ADMIN_PASSWORD)
    flags = {
        "data": str(folder / "data"),
        "extensions": EXTENSIONS,
        "admin_password_file": str(password),
        "identity.signup": "open",
        **settings,
    }
    return load(flags, environment={}, extensions=loader.sections).settings


@contextlib.asynccontextmanager
async def world(folder: Path, clock: Clock | None = None, /, **settings: Any) -> AsyncIterator[World]:
    """A registry that was started once, with nobody but the administrator in it."""
    configuration = configured(folder, **settings)
    await prepare(configuration)
    async with build(configuration, clock=clock) as registry:
        yield World(registry)


async def populate(found: World, *names: str, org: str | None = "acme") -> None:
    """Make users; the first owns the organization, the second is its member."""
    for name in names:
        await found.admin.done("POST", "identity/users", {"name": name, "password": PASSWORD})
    if org is not None:
        await found.user(names[0]).done("POST", "identity/orgs", {"name": org})
        await found.user(names[0]).done("PUT", f"identity/orgs/{org}/members/{names[1]}", {"role": "member"})


@contextlib.asynccontextmanager
async def peopled(
    folder: Path,
    clock: Clock | None = None,
    /,
    *names: str,
    org: str | None = "acme",
    server: PostgresServer | None = None,
    extensions: str | None = EXTENSIONS,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[World]:
    """`world` and `populate` in one, on SQLite or on a database of `server`.

    All of the same people and extensions are copies of one that was made once: to hash their passwords takes longer
    than most tests do. `settings` come after that, as an operator changes them before the next start.
    """
    more, what = dict(settings or {}), repr(("peopled", names, org, extensions))

    async def make(first: Path, metadata_url: str | None = None) -> None:
        async with world(first, extensions=extensions, metadata_url=metadata_url) as found:
            await populate(found, *names, org=org)
            await lighten(found.registry, ADMIN_PASSWORD, PASSWORD)

    with contextlib.ExitStack() as stack:
        if server is None:
            await copied_folder(what, folder, make)
        else:
            with scratch() as first:
                template = await template_database(what, server, partial(make, first))
            more["metadata_url"] = server.url(stack.enter_context(server.database(template)))
            more.setdefault("postgresql.pool_wait", 60)  # many requests at once on a busy machine are not refused
        async with world(folder, clock, extensions=extensions, **more) as found:
            yield found


MANIFEST = image(CONFIG, LAYER)
DIGEST = sha256(MANIFEST)
