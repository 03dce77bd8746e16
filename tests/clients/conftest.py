"""Fixtures of the client tests: one open registry and one behind a password, each started once.

GATI_TEST_BACKEND names what they stand on (`tests.support.backends`). Without it all tests run on SQLite and files, and
those marked `backends` on the others too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.registry import Registry
from tests.support.backends import BACKENDS, serving
from tests.support.server import RegistryProcess

ADMIN_PASSWORD = "correct-horse-battery"
# How many workers the registries run with, and a registry to test instead of ours.
WORKERS = os.environ.get("GATI_TEST_WORKERS", "1")
OTHER = os.environ.get("GATI_TEST_URL")


BACKEND = os.environ.get("GATI_TEST_BACKEND")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Which backends a test runs on."""
    if "backend" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("backends") is not None
        chosen = [BACKEND] if BACKEND else BACKENDS if marked and not OTHER else BACKENDS[:1]
        unnamed = BACKENDS[0]
        ids = [pytest.HIDDEN_PARAM if backend == unnamed else backend for backend in chosen]
        metafunc.parametrize("backend", chosen, ids=ids, indirect=True, scope="session")


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> str:
    """What the registries stand on."""
    # Who asks for it by name at run time was not seen by `pytest_generate_tests`.
    name: str = getattr(request, "param", BACKEND or BACKENDS[0])
    assert name in BACKENDS, f"GATI_TEST_BACKEND: {name} is none of {', '.join(BACKENDS)}"
    return name


@pytest.fixture(scope="session")
def registry(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An open registry, shared by the tests; another one, if GATI_TEST_URL names it."""
    if OTHER:
        with contextlib.closing(Registry(OTHER.rstrip("/"))) as other:
            yield other
        return
    with (
        serving(backend, tmp_path_factory.mktemp("open"), args=("--open", "--workers", WORKERS)) as served,
        contextlib.closing(Registry(f"http://{served.host}")) as ours,
    ):
        yield ours
    for server in served.replicas:
        no_server_errors(server)


@pytest.fixture(scope="session")
def guarded(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry where nothing goes without the password of user admin."""
    if OTHER:
        pytest.skip("GATI_TEST_URL names an open registry")
    folder = tmp_path_factory.mktemp("guarded")
    secret = folder / "password"
    secret.write_text(ADMIN_PASSWORD)
    # Every client tries a wrong password here, all from one address.
    env = {"GATI_ADMIN_PASSWORD_FILE": str(secret), "GATI_IDENTITY__LOGIN_TRIES": "1000"}
    with (
        serving(backend, folder, args=("--workers", WORKERS), env=env) as served,
        contextlib.closing(Registry(f"http://{served.host}", ("admin", ADMIN_PASSWORD))) as ours,
    ):
        yield ours
    for server in served.replicas:
        no_server_errors(server)


def no_server_errors(server: RegistryProcess) -> None:
    """Whatever the clients did, no answer was a 5xx and nothing was logged as an error."""
    logged = [json.loads(line) for line in server.stderr().splitlines() if line.startswith("{")]
    assert logged, "the server logged no request"
    bad = [entry for entry in logged if entry.get("status", 0) >= 500 or entry["level"] in ("error", "critical")]
    assert not bad, bad[:5]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder: credentials and caches of one test stay in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path: Unix sockets allow 108 characters, podman's run folder 50."""
    with tempfile.TemporaryDirectory(prefix="gati-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository name of the test's own, new in every run: clients and registries remember."""
    module = request.path.stem.removeprefix("test_").replace("_", "-")
    test = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"{module}/{test}-{secrets.token_hex(4)}"
