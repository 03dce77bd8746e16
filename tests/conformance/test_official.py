"""The official program, where OCI_CONFORMANCE_BINARY names one: on our server, and beside our suite.

It has no release, so a machine that has not built it skips these; test_suite.py covers the same entries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gati_conformance.entries import API_ENTRIES, DATA_ENTRIES
from tests.conformance.running import command
from tests.support.backends import serving
from tests.support.server import free_port, running, wait_for

BINARY = os.environ.get("OCI_CONFORMANCE_BINARY", "")
pytestmark = [
    pytest.mark.client,
    pytest.mark.skipif(not BINARY, reason="OCI_CONFORMANCE_BINARY names no official conformance program"),
]


def _official(host: str, results: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Its results.yaml. Its exit code says little: a configuration error exits 0, and Skip is no failure."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OCI_", "GATI_"))}
    settings = {
        "OCI_VERSION": "dev",
        "OCI_TLS": "disabled",
        "OCI_REGISTRY": host,
        "OCI_REPO1": "official/one",
        "OCI_REPO2": "official/two",
        "OCI_RESULTS_DIR": str(results),
    }
    finished = subprocess.run(
        [BINARY],
        env=inherited | settings | dict(environment),
        capture_output=True,
        text=True,
        check=False,
        cwd=results.parent,
        timeout=300,
    )
    file = results / "results.yaml"
    assert file.exists(), finished.stdout + finished.stderr
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    assert set(document["apis"]) == set(API_ENTRIES)
    assert set(document["data"]) == set(DATA_ENTRIES)
    return document


def _not_pass(document: Mapping[str, Any]) -> dict[str, str]:
    entries = document["apis"] | document["data"]
    return {entry: status for entry, status in entries.items() if status != "Pass"}


@pytest.mark.parametrize("workers", [1, 3])
def test_all_52_entries_pass(tmp_path: Path, workers: int) -> None:
    environment = {"GATI_MANIFESTS__SPARSE": "true"}
    with running(tmp_path / "data", args=("--open", "--workers", str(workers)), env=environment) as server:
        document = _official(server.host, tmp_path / "results", {"OCI_DATA_SPARSE": "true"})
    assert len(document["apis"] | document["data"]) == 52
    assert _not_pass(document) == {}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["postgresql", "postgresql-s3x3"])
def test_all_52_entries_pass_on_shared_backends(tmp_path: Path, backend: str) -> None:
    with serving(backend, tmp_path, env={"GATI_MANIFESTS__SPARSE": "true"}) as served:
        document = _official(served.host, tmp_path / "results", {"OCI_DATA_SPARSE": "true"})
    assert len(document["apis"] | document["data"]) == 52
    assert _not_pass(document) == {}


@pytest.mark.parametrize("workers", [1, 3])
def test_only_the_sparse_entry_needs_the_setting(tmp_path: Path, workers: int) -> None:
    with running(tmp_path / "data", args=("--open", "--workers", str(workers))) as server:
        document = _official(server.host, tmp_path / "results", {"OCI_DATA_SPARSE": "false"})
    assert _not_pass(document) == {"Sparse Manifests": "Disabled"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("environment", [{}, {"OCI_VERSION": "1.0"}, {"OCI_API_BLOBS_DELETE": "false"}])
def test_our_suite_agrees_about_our_server(tmp_path: Path, environment: dict[str, str]) -> None:
    """Entry by entry, also with sparse manifests refused though they are asked for."""
    asked = {"OCI_DATA_SPARSE": "true", **environment}
    with running(tmp_path / "data") as server:
        theirs = _official(server.host, tmp_path / "theirs", asked)
        _, ours = command(server.host, tmp_path / "ours", "--official", environment=asked)
    assert ours["apis"] | ours["data"] == theirs["apis"] | theirs["data"]


@pytest.mark.timeout(900)
def test_our_suite_agrees_about_another_registry(tmp_path: Path) -> None:
    """CNCF distribution fails many entries, and both suites name the same ones."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed (apt-get install docker-registry)")
    host = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "data")}, "delete": {"enabled": True}},
        "http": {"addr": host},
    }
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    asked = {"OCI_DATA_SPARSE": "true"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([program, "serve", str(tmp_path / "config.yml")], stdout=log, stderr=log)
        try:
            wait_for(lambda: _answers(host))
            theirs = _official(host, tmp_path / "theirs", asked)
            _, ours = command(host, tmp_path / "ours", "--official", environment=asked)
        finally:
            process.terminate()
            process.wait()
    assert ours["apis"] | ours["data"] == theirs["apis"] | theirs["data"]
    assert len(_not_pass(theirs)) > 20


def _answers(host: str) -> bool:
    finished = subprocess.run(
        ["curl", "--silent", "--fail", "--output", "/dev/null", f"http://{host}/v2/"], check=False
    )
    return finished.returncode == 0
