"""What the identity tests share: a registry with this extension alone, and simple rules of who may do what."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gati_extensions.identity.api import Accounts
from gati_registry import loader
from gati_registry.auth.admin import AdminAuthenticator
from gati_registry.auth.chain import Bounded, Chain
from gati_registry.bootstrap import Registry, build, prepare
from gati_registry.http.extensions import ExtensionRouter
from gati_registry.http.locations import Locations
from gati_registry.http.registry import RegistryApp
from gati_registry.ports import Clock
from gati_registry.service.core import Deciding
from gati_registry.settings import Settings, load
from tests.core.support import Answer, Client, image
from tests.extensions.identity.rules.gati_rules import Rules
from tests.support.passwords import lighten
from tests.support.server import RegistryProcess, running

ADMIN_PASSWORD = "correct horse battery"
PASSWORD = "a fine password"
EXT = "/v2/_ext/identity"
RULES = Path(__file__).parent / "rules"


@dataclass(frozen=True, slots=True)
class Site:
    """A registry of one worker, and requests to it."""

    registry: Registry
    app: RegistryApp
    accounts: Accounts

    def client(self, headers: Mapping[str, str] | None = None) -> Client:
        """Requests with these headers."""
        return Client(self.app, {"Host": "registry.test", **(headers or {})})

    @property
    def admin(self) -> Api:
        """The built-in administrator, by password."""
        return self.user("admin", ADMIN_PASSWORD)

    def user(self, name: str, password: str = PASSWORD) -> Api:
        """A user, by password."""
        return Api(self.client(basic(name, password)))

    def bearer(self, token: str) -> Api:
        """Whoever a token or key belongs to."""
        return Api(self.client({"Authorization": f"Bearer {token}"}))

    @property
    def nobody(self) -> Api:
        """An anonymous caller."""
        return Api(self.client())


@dataclass(frozen=True, slots=True)
class Api:
    """Calls of the extension's routes."""

    client: Client

    async def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request; a path without a leading slash is the extension's."""
        target = path if path.startswith("/") else f"{EXT}/{path}"
        data = json.dumps(body).encode() if body is not None else b""
        kind = {"Content-Type": "application/json"} if body is not None else {}
        return await self.client.request(method, target, data, {**kind, **(headers or {})})

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self.call("GET", path)

    async def post(self, path: str, body: Any = None) -> Answer:
        """POST."""
        return await self.call("POST", path, body)

    async def put(self, path: str, body: Any = None) -> Answer:
        """PUT."""
        return await self.call("PUT", path, body)

    async def patch(self, path: str, body: Any) -> Answer:
        """PATCH."""
        return await self.call("PATCH", path, body)

    async def delete(self, path: str) -> Answer:
        """DELETE."""
        return await self.call("DELETE", path)

    async def make(self, path: str, body: Any) -> Any:
        """POST that makes something; what it answers."""
        answer = await self.post(path, body)
        assert answer.status == 201, answer
        return answer.json()

    async def sign_up(self, name: str, password: str = PASSWORD, **more: Any) -> Any:
        """Make a user."""
        return await self.make("users", {"name": name, "password": password, **more})

    async def key(self, *scopes: str, **more: Any) -> Any:
        """Make an API key."""
        return await self.make("keys", {"name": "test", "scopes": list(scopes), **more})

    async def token(self, *scopes: str, query: str = "") -> Any:
        """A token for these scopes; the whole answer."""
        wanted = "".join(f"&scope={scope}" for scope in scopes)
        answer = await self.get(f"/token?service=registry.test{wanted}{query}")
        assert answer.status == 200, answer
        return answer.json()


def basic(name: str, password: str) -> dict[str, str]:
    """The header of a name and password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def claims_of(token: str) -> Any:
    """What a token says, its signature unchecked."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def form(api: Api, fields: Mapping[str, str]) -> Answer:
    """POST /token."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return await api.client.request("POST", "/token", urlencode(fields).encode(), kind)


async def push_image(client: Client, repository: str, tag: str = "v1") -> Answer:
    """An image; the answer to its manifest."""
    await client.push_blob(repository, b"{}")
    await client.push_blob(repository, b"layer")
    return await client.push_manifest(repository, tag, image(b"{}", b"layer"))


@contextlib.contextmanager
def server(folder: Path, *, workers: int = 1, **env: str) -> Iterator[RegistryProcess]:
    """A real server with identity and the tests' rules, where everybody may sign up."""
    password = folder / "password"
    password.write_text(ADMIN_PASSWORD)
    environment = {
        "GATI_ADMIN_PASSWORD_FILE": str(password),
        "GATI_EXTENSIONS": "identity,rules",
        "GATI_IDENTITY__SIGNUP": "open",
        "PYTHONPATH": str(RULES),
        **env,
    }
    with running(folder / "data", args=("--workers", str(workers)), env=environment) as process:
        yield process


def configured(folder: Path, metadata_url: str | None = None, **identity: Any) -> Settings:
    """Settings with this extension alone; `identity` is its section."""
    password = folder / "password"
    password.write_text(ADMIN_PASSWORD)
    if metadata_url is not None:  # replicas share no folder
        identity.setdefault("secret_key_file", str(key_file(folder / "secret.key")))
    flags = {
        "data": str(folder / "data"),
        "extensions": "identity",
        "metadata_url": metadata_url,
        "admin_password_file": str(password),
        **{f"identity.{name}": value for name, value in identity.items()},
    }
    return load(flags, environment={}, extensions=loader.sections).settings


def key_file(path: Path) -> Path:
    """A file of a key that seals secrets; the one that is there, or a new one."""
    if not path.exists():
        path.write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
    return path


@contextlib.asynccontextmanager
async def worker(settings: Settings, clock: Clock) -> AsyncIterator[Site]:
    """One worker of a registry that was prepared; several may share its data."""
    async with build(settings, clock=clock) as registry:
        part = next(part for found, part in registry.extensions.parts if found.name == "identity")
        kernel = registry.extensions.kernels["identity"]
        authorizer = Bounded(Rules(registry.metadata, part.api))
        assert isinstance(kernel.access, Deciding)
        kernel.access.authorizer = authorizer
        authenticators = [*registry.extensions.all("authenticators"), AdminAuthenticator(registry.metadata)]
        app = RegistryApp(
            registry.endpoints,
            ExtensionRouter([routes for _, _, routes in registry.extensions.routes()]),
            Chain(authenticators),
            authorizer,
            registry.observers,
            Locations(None, ()),
        )
        yield Site(registry, app, part.api)


async def started(folder: Path, metadata_url: str | None = None, **identity: Any) -> None:
    """What the first start leaves; the administrator's password is checked at once."""
    async with build(await prepared(folder, metadata_url, **identity)) as registry:
        await lighten(registry, ADMIN_PASSWORD)


async def prepared(folder: Path, metadata_url: str | None = None, **identity: Any) -> Settings:
    """Settings of a registry that was started once."""
    settings = configured(folder, metadata_url, **identity)
    assert await prepare(settings) == []
    return settings
