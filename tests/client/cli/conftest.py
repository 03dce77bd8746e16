"""Fixtures: one registry with accounts for each module, and the program `gati` with a home of its own."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.registry import MANIFEST, Registry
from tests.extensions.kinds.support import CONFIGS, manifest_of
from tests.support.server import running

GATI = Path(sys.executable).parent / "gati"
PASSWORD = "a-password-of-alice"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry where everybody may sign up and nothing goes without a login; seen by its administrator."""
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
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def program(home: Path, registry: Registry | None = None, **env: str) -> Client:
    """gati, as a user runs it in a folder of their own."""
    named = {"GATI_REGISTRY": registry.url} if registry else {}
    return Client(GATI, home, env={**named, **env})


def sign_up(site: Registry) -> str:
    """A new user; their password is `PASSWORD`."""
    name = f"u{secrets.token_hex(5)}"
    made = site.http.post(f"{site.url}/v2/_ext/identity/users", json={"name": name, "password": PASSWORD})
    assert made.status_code == 201, made.text
    return name


@pytest.fixture
def user(site: Registry) -> str:
    """A user of the test's own."""
    return sign_up(site)


@pytest.fixture
def gati(site: Registry, home: Path, user: str) -> Client:
    """gati, logged in as `user`."""
    found = program(home, site)
    found("login", "--username", user, "--password-stdin", stdin=PASSWORD)
    return found


def pushed(site: Registry, repository: str, kind: str = "library", version: str = "1.2.3") -> str:
    """An artifact that is there; its digest."""
    config = json.dumps({**CONFIGS[kind], "version": version}).encode()
    layer = b"not looked into"
    media_type = f"application/vnd.gati.{kind}.config.v1+json"
    manifest = manifest_of(kind, config, media_type, [(layer, f"application/vnd.gati.{kind}.layer.v1.tar+gzip", "x")])
    site.push_blob(repository, config)
    site.push_blob(repository, layer)
    return site.push_manifest(repository, version, manifest, MANIFEST)
