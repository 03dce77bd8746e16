"""Our suite on shared backends: PostgreSQL with files, and three replicas on PostgreSQL and S3 of which every request
goes to another one: nobody can tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gati_conformance.entries import OFFICIAL_ENTRIES
from tests.clients.programs import require
from tests.conformance.running import command
from tests.support.backends import serving

pytestmark = [pytest.mark.client, pytest.mark.timeout(900)]

SPARSE = {"GATI_MANIFESTS__SPARSE": "true"}
# Refused by nginx itself, which knows no JSON.
NGINX_REFUSES = "names/bad-names"


@pytest.mark.parametrize(("backend", "may_fail"), [("postgresql", set()), ("postgresql-s3x3", {NGINX_REFUSES})])
def test_every_entry_passes(tmp_path: Path, backend: str, may_fail: set[str]) -> None:
    require("nginx")
    with serving(backend, tmp_path, env=SPARSE) as served:
        _, document = command(served.host, tmp_path, environment={"OCI_DATA_SPARSE": "true"})
    entries = document["apis"] | document["data"]
    assert {entry for entry, status in entries.items() if status == "Pass"} == set(OFFICIAL_ENTRIES)
    assert {case["id"] for case in document["cases"] if case["status"] in ("Fail", "Error")} <= may_fail
    counts = []
    for replica in served.replicas:
        logged = [json.loads(line) for line in replica.stderr().splitlines() if line.startswith("{")]
        assert not [entry for entry in logged if entry.get("status", 0) >= 500]
        counts.append(sum("status" in entry for entry in logged))
    assert min(counts) > 0.9 * max(counts), "they took turns"
