"""Logging in, in all ways, and one login for gati, docker and oras."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.client.cli.conftest import GATI, PASSWORD, program, sign_up
from tests.clients import dockerd
from tests.clients.client import Client
from tests.clients.programs import require
from tests.clients.registry import Registry

HELPER = f"""#!{sys.executable}
import json, pathlib, sys
store = pathlib.Path(__file__).with_name("kept.json")
kept = json.loads(store.read_text()) if store.exists() else {{}}
action, said = sys.argv[1], sys.stdin.read().strip()
if action == "store":
    entry = json.loads(said)
    kept[entry["ServerURL"]] = entry
elif said not in kept:
    print("credentials not found in native keychain")
    sys.exit(1)
elif action == "get":
    print(json.dumps(kept[said]))
else:
    del kept[said]
store.write_text(json.dumps(kept))
"""
"""A credential helper that keeps in a file what a desktop's would keep in its keyring."""


def docker_config(home: Path) -> Any:
    return json.loads((home / ".docker" / "config.json").read_text())


def test_by_password(site: Registry, home: Path, user: str) -> None:
    gati = program(home, site)
    code, out, err = gati.run("whoami")
    assert (code, out) == (4, "")
    assert "gati login" in err
    code, out, err = gati.run("login", "-u", user, "--password-stdin", stdin="not the password")
    assert (code, out) == (4, "")
    assert not (home / ".docker").exists()
    assert gati("login", "-u", user, "--password-stdin", stdin=PASSWORD + "\n") == ""
    me = json.loads(gati("whoami", "--output", "json"))
    assert (me["name"], me["namespace"], me["registry"]) == (user, f"users/{user}", site.host)
    # As docker keeps it, readable by nobody else.
    auth = docker_config(home)["auths"][site.host]["auth"]
    assert base64.b64decode(auth).decode() == f"{user}:{PASSWORD}"
    assert (home / ".docker" / "config.json").stat().st_mode & 0o077 == 0
    gati("logout")
    assert gati.run("whoami")[0] == 4
    assert gati.run("logout")[0] == 3


def test_by_key(site: Registry, gati: Client, tmp_path: Path) -> None:
    """A key from standard input; one in GATI_TOKEN comes before the stored login."""
    made = json.loads(gati("key", "create", "ci", "--scope", "read", "--output", "json"))
    other = tmp_path / "other"
    other.mkdir()
    named = program(other, site)
    named("login", "--token-stdin", stdin=made["key"])
    me = json.loads(named("whoami", "-o", "json"))
    assert (me["method"], me["name"]) == ("api-key", made["account"])
    assert named.run("key", "create", "more")[0] == 4  # bound to reading
    by_environment = Client(gati.program, gati.home, env={**gati.env, "GATI_TOKEN": made["key"]})
    assert json.loads(by_environment("whoami", "-o", "json"))["method"] == "api-key"
    assert [key["name"] for key in json.loads(gati("key", "list", "-o", "json"))] == ["ci"]
    gati("key", "revoke", made["id"], "--yes")
    # Nor is anything said of what the registry lacks, or done as somebody else.
    for words in (("whoami",), ("search", "x"), ("info", "x"), ("doctor",)):
        code, out, err = named.run(*words)
        assert (code, "credentials are wrong" in out + err) == (1 if words == ("doctor",) else 4, True), out + err


def test_in_a_browser(site: Registry, home: Path, user: str) -> None:
    """gati shows a code, the person confirms it, gati has a key."""
    command = [str(GATI), "registry", "login", "--no-browser"]
    gati = program(home, site)
    with subprocess.Popen(command, env=gati.environment(), cwd=home, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"code ([A-Z]{4}-[A-Z]{4}) at (http\S+)", line)
        assert found, line
        assert found[2].startswith(f"{site.url}/v2/_ext/identity/device?user_code=")
        confirmed = httpx.post(
            f"{site.url}/v2/_ext/identity/device/confirm",
            json={"user_code": found[1], "decision": "approve"},
            auth=(user, PASSWORD),
            timeout=60,
        )
        assert confirmed.status_code == 204, confirmed.text
        said = process.stderr.read()
        assert process.wait(60) == 0, said
    assert "gati_" not in said
    me = json.loads(gati("whoami", "-o", "json"))
    assert (me["name"], me["method"]) == (user, "api-key")


def test_a_helper_keeps_it(site: Registry, home: Path, user: str, tmp_path: Path) -> None:
    """With a credential helper nothing secret lies in the file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker-credential-vault").write_text(HELPER)
    (folder / "docker-credential-vault").chmod(0o755)
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text('{"credsStore": "vault", "detachKeys": "ctrl-x"}')
    gati = program(home, site, PATH=f"{folder}:/usr/bin:/bin")
    gati("login", "-u", user, "--password-stdin", stdin=PASSWORD)
    assert docker_config(home) == {"credsStore": "vault", "detachKeys": "ctrl-x", "auths": {site.host: {}}}
    assert json.loads((folder / "kept.json").read_text())[site.host]["Username"] == user
    assert json.loads(gati("whoami", "-o", "json"))["name"] == user
    gati("logout")
    assert json.loads((folder / "kept.json").read_text()) == {}
    (folder / "docker-credential-vault").unlink()
    code, _, err = gati.run("whoami")
    assert code == 1
    assert "docker-credential-vault is not installed" in err


def test_a_damaged_file_is_told(site: Registry, home: Path) -> None:
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text("{")
    code, _, err = program(home, site).run("whoami")
    assert code == 2
    assert "config.json" in err
    assert len(err.splitlines()) == 1


# --- with others ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """A Docker engine: docker login asks it."""
    with (
        tempfile.TemporaryDirectory(prefix="gati-docker-", ignore_cleanup_errors=True) as folder,
        dockerd.engine(Path(folder)) as address,
    ):
        yield address


@pytest.mark.client
def test_dockers_login_serves_gati(site: Registry, home: Path, engine: str) -> None:
    user = sign_up(site)
    docker, gati = dockerd.docker(home, engine), program(home, site)
    docker("login", "-u", user, "--password-stdin", site.host, stdin=PASSWORD)
    (home / "hello").mkdir()
    prompt = {"name": "hello", "version": "1.0.0", "messages": [{"role": "system", "content": "Hello."}]}
    (home / "hello" / "gati-prompt.json").write_text(json.dumps(prompt))
    gati("prompt", "publish", "hello", "--to", f"users/{user}/hello")
    assert site.tags(f"users/{user}/hello")
    docker("logout", site.host)
    assert gati.run("prompt", "publish", "hello", "--to", f"users/{user}/other")[0] == 4


@pytest.mark.client
def test_gatis_login_serves_docker_and_oras(site: Registry, home: Path, engine: str, gati: Client, user: str) -> None:
    docker = dockerd.docker(home, engine)
    (home / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    docker("build", "-t", f"{site.host}/users/{user}/image:v1", home)
    docker("push", f"{site.host}/users/{user}/image:v1")
    oras = Client(require("oras"), home)
    oras("push", "--plain-http", f"{site.host}/users/{user}/file:v1", "Dockerfile")
    gati("logout")
    docker.fails("push", f"{site.host}/users/{user}/image:v1")
    oras.fails("push", "--plain-http", f"{site.host}/users/{user}/file:v2", "Dockerfile")
