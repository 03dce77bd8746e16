"""An artifact of every kind, pushed with the plain oras command and found again; a bad one is refused by its words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.client import Client
from tests.clients.programs import require
from tests.clients.registry import Registry
from tests.extensions.kinds.support import CONFIGS

pytestmark = pytest.mark.client


@pytest.fixture
def oras(home: Path) -> Client:
    """oras, in its folder `home`."""
    return Client(require("oras"), home)


def arguments(kind: str, target: str) -> list[str]:
    """What a user types."""
    return [
        "push", "--plain-http", "--artifact-type", f"application/vnd.gati.{kind}.v1",
        "--config", f"config.json:application/vnd.gati.{kind}.config.v1+json", target,
        f"layer.tar.gz:application/vnd.gati.{kind}.layer.v1.tar+gzip",
    ]  # fmt: skip


def test_every_kind(oras: Client, registry: Registry, repository: str) -> None:
    (oras.home / "layer.tar.gz").write_bytes(b"not looked into")
    for kind, config in CONFIGS.items():
        (oras.home / "config.json").write_text(json.dumps(config))
        name = f"{repository}/{kind}"
        oras(*arguments(kind, f"{registry.host}/{name}:1.2.3"))
        found = registry.http.get(f"{registry.url}/v2/{name}/_ext/kinds/artifact").raise_for_status().json()
        assert (found["kind"], found["latest"]) == (kind, "1.2.3")
        assert found["version"]["facts"]["license"] == "MIT"
        # What came is what is pulled: nothing was converted.
        assert json.loads(oras("manifest", "fetch-config", "--plain-http", f"{registry.host}/{name}:1.2.3")) == config
    listed = registry.http.get(f"{registry.url}/v2/_ext/kinds/namespaces/{repository}/artifacts").json()["items"]
    assert {item["kind"] for item in listed} == set(CONFIGS)


def test_a_bad_one_is_told_what_is_wrong(oras: Client, registry: Registry, repository: str) -> None:
    (oras.home / "layer.tar.gz").write_bytes(b"not looked into")
    (oras.home / "config.json").write_text(json.dumps({**CONFIGS["agent"], "runtime": "cobol"}))
    said = oras.fails(*arguments("agent", f"{registry.host}/{repository}:1.2.3"))
    assert "/runtime" in said
    assert "'js', 'wasm' or 'container'" in said
