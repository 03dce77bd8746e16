"""A registry in this process with identity and audit, and what its administrator asks of the log."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gati_extensions.audit.sequencer import Sequencer
from gati_registry import loader
from gati_registry.bootstrap import Registry, build, prepare
from gati_registry.domain.access import Caller, Identity
from gati_registry.domain.events import Change, Operation
from gati_registry.jobs import Job
from gati_registry.ports import Clock, Transaction
from gati_registry.settings import Settings, load
from gati_registry.values.reference import RepositoryName
from tests.core.support import Answer, Client, image
from tests.support.passwords import lighten

PASSWORD = "correct horse battery"
CONFIG = b"{}"


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    """Credentials."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class Log:
    """One worker's registry, as its administrator uses it."""

    def __init__(self, site: Registry, clock: Clock) -> None:
        self.site = site
        self.clock = clock
        self.client = Client(site.app, basic("admin"))
        self.anonymous = Client(site.app)

    async def get(self, path: str, **query: object) -> Any:
        """A JSON answer of the audit API."""
        answer = await self.client.get(f"/v2/_ext/audit/{path}?{urlencode(query)}")
        assert answer.status == 200, answer
        return answer.json()

    async def entries(self, path: str = "entries", **query: object) -> list[dict[str, Any]]:
        """All entries that fit, whatever the pages."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self.get(path, **query, cursor=cursor)
            assert len(page["items"]) <= int(str(query.get("limit", 50)))
            found += page["items"]
            if page["next"] is None:
                return found
            assert page["next"] != cursor
            cursor = page["next"]

    async def push(self, repository: str, tag: str, client: Client | None = None, **fields: Any) -> bytes:
        """A small artifact."""
        client = client or self.client
        assert (await client.push_blob(repository, CONFIG)).status == 201
        data = image(CONFIG, **fields)
        assert (await client.push_manifest(repository, tag, data)).status == 201
        return data

    async def user(self, name: str) -> Client:
        """A new user."""
        document = {"name": name, "password": PASSWORD, "email": f"{name}@example.org"}
        answer = await self.client.request(
            "POST", "/v2/_ext/identity/users", json.dumps(document).encode(), {"Content-Type": "application/json"}
        )
        assert answer.status == 201, answer
        return Client(self.site.app, basic(name))

    async def emit(self, actor: str | None, *, path: str = "", **detail: Any) -> None:
        """An administrative act of some extension."""
        caller = Caller(Identity(actor, kind="user", method="password"), "10.1.2.3", "test", "r-1")
        now = self.clock.now()
        change = Change(Operation.STATE_CHANGE, RepositoryName(path), 0, caller, now, detail=detail)
        kernel = self.site.extensions.kernels["audit"]
        await self.site.metadata.write(lambda tx: kernel.core.emit(tx, change))

    async def settle(self) -> None:
        """Let a second pass: observers, then the sequencer."""
        await self.site.observers.flush()
        await self.job("audit.sequence").run()

    def job(self, name: str) -> Job:
        """A job of the extension."""
        jobs: list[Job] = self.site.extensions.all("jobs")
        return next(job for job in jobs if job.name == name)

    async def run(self, sql: str, **values: Any) -> int:
        """Change the database behind the log's back."""
        return await self.site.metadata.write(lambda tx: tx.run(sql, **values))

    async def all(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Look into the database."""

        async def work(tx: Transaction) -> list[tuple[Any, ...]]:
            return await tx.all(sql, **values)

        return await self.site.metadata.scan(work)

    async def request(self, method: str, path: str) -> Answer:
        """Any request of the administrator's."""
        return await self.client.request(method, path)

    @property
    def sequencer(self) -> Sequencer:
        """The object behind the job."""
        owner: Any = self.job("audit.sequence").run
        found: Sequencer = owner.__self__
        return found


def configured(folder: Path, location: str, **settings: object) -> Settings:
    """Settings of a registry with identity and audit."""
    password = folder / "password"
    password.write_text(f"{PASSWORD}\n")
    flags = {
        "data": folder / "data",
        "metadata_url": location,
        "extensions": ("identity", "audit"),
        "admin_password_file": password,
        **{name.replace("__", "."): value for name, value in settings.items()},
    }
    return load(flags, environment={}, extensions=loader.sections).settings


async def started(folder: Path, location: str) -> None:
    """What the first start leaves."""
    settings = configured(folder, location)
    await prepare(settings)
    async with build(settings) as site:
        await lighten(site, PASSWORD)


@contextlib.asynccontextmanager
async def opened(folder: Path, location: str, clock: Clock, **settings: object) -> AsyncIterator[Log]:
    """A registry on a database that may be shared with others."""
    made = configured(folder, location, **settings)
    await prepare(made)
    async with build(made, clock=clock) as site:
        yield Log(site, clock)
