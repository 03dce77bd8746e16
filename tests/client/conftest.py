"""Servers for the tests of the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gati_client import Credential, StaticCredentials
from tests.support.server import RegistryProcess, running

PASSWORD = "a-password-of-tests"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A registry with accounts."""

    host: str
    credentials: StaticCredentials


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
