"""Docker's file, read and written by its own rules."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gati_client.auth import Credential
from gati_client.credentials import DockerCredentials
from gati_client.errors import Usage


def stored(folder: Path, document: Any) -> DockerCredentials:
    (folder / "config.json").write_text(json.dumps(document))
    return DockerCredentials(folder=folder)


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def test_what_docker_writes_is_read(tmp_path: Path) -> None:
    found = stored(
        tmp_path,
        {
            "auths": {
                "https://index.docker.io/v1/": auth("hub:pass"),
                "https://registry.example/v2/": auth("ada:pass:word"),
                "127.0.0.1:5000": {**auth("x:"), "identitytoken": "refresh"},
            }
        },
    )
    assert found.stored("registry-1.docker.io") == Credential("hub", "pass")
    assert found.stored("registry.example") == Credential("ada", "pass:word")
    assert found.stored("127.0.0.1:5000") == Credential(token="refresh")
    assert found.stored("127.0.0.1:5001") is None
    assert found.stored("example") is None


def test_what_is_written_leaves_the_rest(tmp_path: Path) -> None:
    """Keys that gati does not know stay; a link stays one; nobody else reads it."""
    real = tmp_path / "real.json"
    real.write_text(json.dumps({"auths": {"other": auth("a:b")}, "plugins": {"x": 1}}))
    (tmp_path / "config.json").symlink_to(real)
    found = DockerCredentials(folder=tmp_path)
    found.store("registry.example", "ada", "secret")
    assert (tmp_path / "config.json").is_symlink()
    assert real.stat().st_mode & 0o077 == 0
    assert json.loads(real.read_text()) == {
        "auths": {"other": auth("a:b"), "registry.example": auth("ada:secret")},
        "plugins": {"x": 1},
    }
    assert found.erase("registry.example")
    assert not found.erase("registry.example")
    assert found.stored("other") == Credential("a", "b")


def test_several_log_in_at_once(tmp_path: Path) -> None:
    """Each has a lock of its own on the file, as processes have: no login is lost."""
    hosts = [f"host{number}" for number in range(12)]
    (tmp_path / "config.json").write_text(json.dumps({"auths": None, "detachKeys": "ctrl-x"}))
    with ThreadPoolExecutor(len(hosts)) as threads:
        list(threads.map(lambda host: DockerCredentials(folder=tmp_path).store(host, "ada", host), hosts))
    written = json.loads((tmp_path / "config.json").read_text())
    assert written == {"detachKeys": "ctrl-x", "auths": {host: auth(f"ada:{host}") for host in hosts}}


@pytest.mark.parametrize(
    "document", [[], {"auths": [1]}, {"auths": {"h": {"auth": "%"}}}, {"credsStore": "../../evil"}]
)
def test_what_is_damaged_is_told(tmp_path: Path, document: Any) -> None:
    with pytest.raises(Usage):
        stored(tmp_path, document).stored("h")


def test_no_secret_is_shown(tmp_path: Path) -> None:
    found = stored(tmp_path, {"auths": {"h": auth("ada:secret")}}).stored("h")
    assert "secret" not in repr(found)
