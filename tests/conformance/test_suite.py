"""Our server under our suite: everything passes, and what is skipped is known by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gati_conformance.entries import OFFICIAL_ENTRIES
from tests.conformance.running import command
from tests.support.server import running

PASSWORD = "a-password-of-the-tests"
# What cannot be judged, because nothing provokes it.
QUIET = {"limits/too-many-requests", "limits/warnings"}
# Where references that are missing are accepted, nothing tells of them.
SPARSE = {"manifests/missing-blobs", "manifests/missing-children", "manifests/missing-told-once"}
# Where the server asks for Basic credentials, there are no tokens.
BASIC = {"auth/challenge-scope", "auth/token-answer", "auth/token-too-narrow", "auth/token-tampered"}


def _with_status(document: dict[str, Any], status: str) -> set[str]:
    return {case["id"] for case in document["cases"] if case["status"] == status}


@pytest.mark.timeout(900)
def test_everything_passes_with_sparse_manifests(tmp_path: Path) -> None:
    """One worker, open, references that are missing accepted: all 52 official entries pass, and all cases of ours."""
    environment = {"GATI_MANIFESTS__SPARSE": "true"}
    with running(tmp_path / "data", env=environment) as server:
        finished, document = command(server.host, tmp_path, environment={"OCI_DATA_SPARSE": "true"})
    assert finished.returncode == 0, finished.stderr[:4000]
    entries = document["apis"] | document["data"]
    assert {entry for entry, status in entries.items() if status == "Pass"} == set(OFFICIAL_ENTRIES)
    assert _with_status(document, "Skip") <= SPARSE | QUIET
    assert {case.partition("/")[0] for case in _with_status(document, "Disabled")} == {"auth"}


@pytest.mark.timeout(900)
def test_everything_passes_behind_a_password(tmp_path: Path) -> None:
    """Three workers, credentials asked for, references checked: all passes but the entry of sparse manifests, which is
    off."""
    (tmp_path / "password").write_text(PASSWORD)
    settings = {"GATI_ADMIN_PASSWORD_FILE": str(tmp_path / "password")}
    credentials = {"OCI_USERNAME": "admin", "OCI_PASSWORD": PASSWORD}
    with running(tmp_path / "data", args=("--workers", "3"), env=settings) as server:
        finished, document = command(server.host, tmp_path, environment=credentials)
    assert finished.returncode == 0, finished.stderr[:4000]
    entries = document["apis"] | document["data"]
    assert {entry: status for entry, status in entries.items() if status != "Pass"} == {"Sparse Manifests": "Disabled"}
    assert _with_status(document, "Skip") <= BASIC | QUIET
    assert {case.partition("/")[0] for case in _with_status(document, "Disabled")} == {"sparse"}
    for report in ("results.yaml", "junit.xml", "report.html"):
        assert PASSWORD not in (tmp_path / report).read_text()
