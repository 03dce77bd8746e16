"""Registries for the tests of the client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gati_client import Credential, StaticCredentials
from tests.client.projects import Workshop
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.registry import Registry
from tests.support.server import RegistryProcess, running

PASSWORD = "a-password-of-tests"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A registry with accounts."""

    host: str
    credentials: StaticCredentials


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the SDK."""
    return "asyncio"


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """One that is open."""
    with running(tmp_path_factory.mktemp("open") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """One with accounts; the credentials are the administrator's."""
    folder = tmp_path_factory.mktemp("guarded")
    password = folder / "password"
    password.write_text(PASSWORD)
    with running(folder / "data", args=(), env={"GATI_ADMIN_PASSWORD_FILE": str(password)}) as server:
        yield Guarded(server.host, StaticCredentials(server.host, Credential("admin", PASSWORD)))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One where everybody may sign up and nothing goes without a login; seen by its administrator."""
    folder = tmp_path_factory.mktemp("site")
    secret = folder / "password"
    secret.write_text(ADMIN_PASSWORD)
    env = {
        "GATI_ADMIN_PASSWORD_FILE": str(secret),
        "GATI_IDENTITY__LOGIN_TRIES": "1000",
        "GATI_IDENTITY__SIGNUP": "open",
    }
    with (
        running(folder / "data", args=(), env=env) as server,
        contextlib.closing(Registry(server.url, ("admin", ADMIN_PASSWORD))) as registry,
    ):
        yield registry


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    name = "".join(each if each.isalnum() else "-" for each in request.node.name.lower()).strip("-")
    return "library/" + "-".join(part for part in name.split("-") if part)


@pytest.fixture
def workshop(registry: RegistryProcess, tmp_path: Path) -> Workshop:
    """Publishes to the open registry, and opens projects."""
    return Workshop(registry.url, tmp_path)
