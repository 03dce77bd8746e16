"""Fixtures: the program `gati` with a home of its own, and users of the registry `site`."""

from __future__ import annotations

import base64
import json
import os
import pty
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.client import Client
from tests.clients.registry import MANIFEST, Registry
from tests.extensions.kinds.support import CONFIGS, manifest_of

GATI = Path(sys.executable).parent / "gati"
PASSWORD = "a-password-of-alice"


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
    log_in(site, home, user)
    return program(home, site)


def log_in(site: Registry, home: Path, user: str) -> None:
    """What `gati login` leaves in a home without one (see test_login)."""
    auth = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {site.host: {"auth": auth}}}))


def found_by_search(site: Registry, namespace: str) -> int:
    """How many artifacts of a namespace a search finds: it follows a push within a moment."""
    total: int = site.request("GET", f"/v2/_ext/search?namespace={namespace}&limit=1").json()["total"]
    return total


def pushed(site: Registry, repository: str, kind: str = "library", version: str = "1.2.3") -> str:
    """An artifact that is there; its digest."""
    config = json.dumps({**CONFIGS[kind], "version": version}).encode()
    layer = b"not looked into"
    media_type = f"application/vnd.gati.{kind}.config.v1+json"
    manifest = manifest_of(kind, config, media_type, [(layer, f"application/vnd.gati.{kind}.layer.v1.tar+gzip", "x")])
    site.push_blob(repository, config)
    site.push_blob(repository, layer)
    return site.push_manifest(repository, version, manifest, MANIFEST)


def at_terminal(client: Client, *arguments: str, typed: bytes = b"", at: bytes = b"", **env: str) -> bytes:
    """What somebody at a terminal sees, who types that once `at` is there to be read."""
    parent, child = pty.openpty()
    with subprocess.Popen(
        [client.program, *arguments],
        env={**client.environment(), "TERM": "xterm-256color", **env},
        cwd=client.home,
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    ) as process:
        os.close(child)
        seen = b""
        while True:
            try:
                read = os.read(parent, 65536)
            except OSError:  # Linux says so when the last who could write has gone
                break
            seen += read
            if typed and at in seen:
                os.write(parent, typed)
                typed = b""
        os.close(parent)
        process.wait(60)
    return seen
