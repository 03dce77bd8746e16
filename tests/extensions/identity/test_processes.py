"""Real servers: what is at rest and in the log, several workers, commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.extensions.identity.support import ADMIN_PASSWORD, EXT, PASSWORD, RULES, server


def command(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """`gati-registry …` on the data of a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
    return subprocess.run(
        [sys.executable, "-m", "gati_registry", *arguments, "--data", str(folder / "data")],
        env={**environment, "GATI_EXTENSIONS": "identity,rules", "PYTHONPATH": str(RULES)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_no_secret_is_stored_or_logged(tmp_path: Path) -> None:
    """Keys, passwords, tokens, cookies: neither in the data folder nor in what the server wrote."""
    secrets = [PASSWORD, "wrong password", ADMIN_PASSWORD, "changed password"]
    with server(tmp_path, GATI_LOG__LEVEL="debug") as running, httpx.Client(base_url=running.url, timeout=60) as http:
        http.post(f"{EXT}/users", json={"name": "alice", "password": PASSWORD}).raise_for_status()
        alice = httpx.BasicAuth("alice", PASSWORD)
        made = http.post(f"{EXT}/keys", json={"name": "x", "scopes": ["publish"]}, auth=alice).json()
        rotated = http.post(f"{EXT}/keys/{made['id']}/rotate", auth=alice).json()
        secrets += [made["key"], rotated["key"]]
        tokens = http.get("/token?offline_token=true&scope=repository:users/alice/a:pull", auth=alice).json()
        secrets += [tokens["token"], tokens["refresh_token"]]
        login = http.post(f"{EXT}/login", json={"name": "alice", "password": PASSWORD})
        secrets += [login.cookies["gati_session"], login.json()["csrf_token"]]
        enrolment = http.post(f"{EXT}/me/second-factor", auth=alice).json()
        # And where they do not belong: in queries, paths, wrong places.
        http.cookies.clear()
        for header in (
            {"Authorization": f"Bearer {rotated['key']}"},
            {"X-API-Key": rotated["key"]},
            {"Authorization": f"Bearer {tokens['token']}"},
            {"Authorization": f"Bearer {tokens['token']}x"},
            {"Cookie": f"gati_session={login.cookies['gati_session']}"},
        ):
            http.get("/v2/", headers=header)
        http.get("/v2/", auth=("alice", "wrong password"))
        fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        http.post("/token", data=fields).raise_for_status()
        http.put(f"{EXT}/me/password", json={"current": PASSWORD, "new": "changed password"}, auth=alice)
        for path in (tmp_path / "data").rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not [text for text in secrets if text.encode() in content], path
        log = running.stderr()
    assert not [text for text in [*secrets, enrolment["secret"]] if text in log]


def test_what_is_revoked_ends_in_every_worker(tmp_path: Path) -> None:
    """On one database file at once: a key, a token, an account."""
    with server(tmp_path, workers=2) as running:

        def statuses(headers: dict[str, str]) -> set[int]:
            """Of connections of their own, so that both workers are asked."""
            return {httpx.get(f"{running.url}/v2/", headers=headers, timeout=60).status_code for _ in range(16)}

        with httpx.Client(base_url=running.url, timeout=60) as http:
            http.post(f"{EXT}/users", json={"name": "alice", "password": PASSWORD}).raise_for_status()
            alice, admin = httpx.BasicAuth("alice", PASSWORD), httpx.BasicAuth("admin", ADMIN_PASSWORD)
            key = http.post(f"{EXT}/keys", json={"name": "x", "scopes": ["read"]}, auth=alice).json()
            token = http.get("/token", auth=alice).json()["token"]
            with_key, with_token = {"X-API-Key": key["key"]}, {"Authorization": f"Bearer {token}"}
            assert statuses(with_key) == statuses(with_token) == {200}
            http.delete(f"{EXT}/keys/{key['id']}", auth=alice).raise_for_status()
            assert statuses(with_key) == {401}
            assert statuses(with_token) == {200}
            http.patch(f"{EXT}/users/alice", json={"active": False}, auth=admin).raise_for_status()
            assert statuses(with_token) == {401}


def test_commands(tmp_path: Path) -> None:
    """Users are made with and without a server that runs."""
    made = command(tmp_path, "user", "create", "alice", "--output", "json")
    told: dict[str, Any] = json.loads(made.stdout)
    assert told["name"] == "alice"
    assert len(told["password"]) >= 20
    assert command(tmp_path, "user", "create", "boss", "--admin", "--password-stdin", stdin=f"{PASSWORD}\n").stdout
    with server(tmp_path) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        assert http.get("/v2/", auth=("alice", told["password"])).status_code == 200
        assert http.get(f"{EXT}/users", auth=("boss", PASSWORD)).status_code == 200
        assert http.get(f"{EXT}/users", auth=("alice", told["password"])).status_code == 403
        token = http.get("/token", auth=("alice", told["password"])).json()["token"]
        assert command(tmp_path, "signing-key", "rotate").returncode == 0
        assert http.get("/v2/", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert command(tmp_path, "user", "password", "alice", "--password-stdin", stdin="another one\n").returncode == 0
        assert http.get("/v2/", auth=("alice", told["password"])).status_code == 401
        assert http.get("/v2/", auth=("alice", "another one")).status_code == 200
        assert http.get("/v2/", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        assert command(tmp_path, "user", "deactivate", "alice").returncode == 0
        assert http.get("/v2/", auth=("alice", "another one")).status_code == 401


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("create", "alice"), "", "the name alice is taken"),
        (("create", "Alice"), "", "the name 'Alice' must be 2 to 39 lower-case letters"),
        (("create", "library"), "", "reserved word"),
        (("create", "bob", "--password-stdin"), "short\n", "at least 8 characters"),
        (("password", "bob"), "", "there is no user bob"),
        (("deactivate", "admin"), "", "stays active"),
    ],
)
def test_a_command_says_what_is_wrong(
    tmp_path_factory: pytest.TempPathFactory, arguments: tuple[str, ...], stdin: str, words: str
) -> None:
    folder = tmp_path_factory.mktemp("commands")
    if arguments[1] == "alice":
        assert command(folder, "user", "create", "alice").returncode == 0
    failed = command(folder, "user", *arguments, stdin=stdin)
    assert failed.returncode == 1
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr
