"""Registries for the tests of the client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gati_client import Credential, StaticCredentials
from tests.client.projects import Workshop
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


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    name = "".join(each if each.isalnum() else "-" for each in request.node.name.lower()).strip("-")
    return "library/" + "-".join(part for part in name.split("-") if part)


@pytest.fixture
def workshop(registry: RegistryProcess, tmp_path: Path) -> Workshop:
    """Publishes to the open registry, and opens projects."""
    return Workshop(registry.url, tmp_path)
