"""Whole servers: a third party's kind, and what was pushed while nobody understood it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.core.support import sha256
from tests.extensions.kinds.support import CONFIGS, manifest_of
from tests.support.server import RegistryProcess, running, wait_for

THIRD_PARTY = Path(__file__).parent / "third_party"


def push(server: RegistryProcess, repository: str, tag: str, kind: str, config: object) -> httpx.Response:
    """An artifact without layers."""
    data = json.dumps(config).encode()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        client.post(
            f"/v2/{repository}/blobs/uploads/", params={"digest": sha256(data)}, content=data
        ).raise_for_status()
        manifest = manifest_of(kind, data, f"application/vnd.gati.{kind}.config.v1+json")
        headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
        return client.put(f"/v2/{repository}/manifests/{tag}", content=manifest, headers=headers)


def test_a_third_party_adds_a_kind_with_one_file(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(THIRD_PARTY)}
    with running(tmp_path / "data", args=("--open",), env=env) as server:
        kinds = httpx.get(f"{server.url}/v2/_ext/kinds/kinds", timeout=60).json()["items"]
        assert "recipe" in {kind["name"] for kind in kinds}
        recipe = {"name": "soup", "version": "1.0.0", "servings": 4}
        refused = push(server, "library/soup", "1.0.0", "recipe", {**recipe, "servings": "many"})
        assert refused.json()["errors"][0]["detail"]["pointer"] == "/servings"
        assert push(server, "library/soup", "1.0.0", "recipe", recipe).status_code == 201
        found = httpx.get(f"{server.url}/v2/library/soup/_ext/kinds/artifact", timeout=60).json()
        assert (found["kind"], found["version"]["facts"]["numbers"]) == ("recipe", {"servings": 4.0})


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_was_there_before_is_understood_later(tmp_path: Path, workers: str) -> None:
    data = tmp_path / "data"
    with running(data, args=("--open",), env={"GATI_EXTENSIONS": "identity,namespaces,access"}) as server:
        for number in range(3):
            version = f"1.{number}.0"
            config = {**CONFIGS["library"], "version": version}
            assert push(server, "library/thing", version, "library", config).status_code == 201
        # Nobody was there to refuse this one.
        assert push(server, "library/bad", "1.0.0", "library", {"name": "bad"}).status_code == 201
    with running(data, args=("--open", "--workers", workers)) as server:
        bad = f"{server.url}/v2/library/bad/_ext/kinds/artifact"
        wait_for(lambda: httpx.get(bad).status_code == 200, timeout=60)
        assert "/version" in httpx.get(bad, timeout=60).json()["version"]["facts"]["problems"][0]
        versions = httpx.get(f"{server.url}/v2/library/thing/_ext/kinds/versions", timeout=60).json()["items"]
        assert [version["version"] for version in versions] == ["1.2.0", "1.1.0", "1.0.0"]
