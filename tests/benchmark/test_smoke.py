"""The benchmark runs through on our own server and reports every row; nothing here looks at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.model import Scale
from bench.rows import all_rows

from tests.clients.programs import require
from tests.support.postgresql import binaries

ROOT = Path(__file__).parents[2]
TINY: dict[str, object] = {
    "seconds": 1,
    "connections": 4,
    "size": "1MiB",
    "streams": 2,
    "pushing": 1,
    "clients": 4,
    "tags": 20,
    "referrers": 10,
    "repositories": 10,
    "stored": 20,
}


def _bench(folder: Path, **options: object) -> tuple[Any, str]:
    """A quick run: what it measured, and its report."""
    if shutil.which("wrk") is None:
        assert os.environ.get("CI") != "true", "CI needs the load generator: apt-get install wrk"
        pytest.skip("the load generator wrk is missing")
    files = {"output": folder / "report.md", "json": folder / "samples.json"}
    arguments = [f"--{name}={value}" for name, value in (TINY | options | files).items()]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    samples = json.loads((folder / "samples.json").read_text())
    assert samples["failures"] == []
    return samples, (folder / "report.md").read_text()


def test_a_quick_run_reports_every_row(tmp_path: Path) -> None:
    samples, report = _bench(tmp_path, ours="hypercorn-1", peers="", data=tmp_path)
    for row in all_rows(Scale(streams=2)):
        figures = samples["rows"][row.name]["hypercorn-1"]
        assert set(figures) == {metric.key for metric in row.metrics}, row.name
        assert all(len(values) == 1 for values in figures.values()), row.name
        assert f"| `{row.name}` | {row.metrics[0].title}" in report
    assert str(tmp_path) not in report, "the report names a folder of the machine it ran on"


@pytest.mark.proof
def test_replicas_on_postgresql_and_s3(tmp_path: Path) -> None:
    for program in ("minio", "nginx"):
        require(program)
    binaries()
    # Its data lies where PostgreSQL's account may pass, unlike a test's folder.
    samples, report = _bench(tmp_path, suite="replicas", ours="postgresql-s3-1,postgresql-s3-3", rows="cost,artifacts")
    cost = {key: values[0] for key, values in samples["rows"]["cost"]["postgresql-s3-1"].items()}
    # What is certain whatever becomes of the code: a pull is one question, only large blobs are in S3.
    assert (cost["get-tag-statements"], cost["get-tag-trips"], cost["get-tag-s3"]) == (1, 1, 0)
    # Not compared: preparing a statement in a session that has not done so yet is a trip of its own.
    assert cost["manifest-statements"] > 0
    assert cost["manifest-trips"] > 0
    assert cost["blob-small-s3"] == 0
    assert cost["blob-large-s3"] > 0
    for stack in ("postgresql-s3-1", "postgresql-s3-3"):
        assert samples["rows"]["artifacts"][stack]["rate"][0] > 0
    assert "proxy_pass http://replicas" in report


@pytest.mark.proof
def test_growth_compares_filled_databases(tmp_path: Path) -> None:
    binaries()
    stock = tmp_path / "stock"
    samples, _ = _bench(tmp_path, suite="growth", ours="hypercorn-1", rows="growth-start", few=20, many=60, stock=stock)
    assert samples["rows"]["growth-start"]["hypercorn-1"]["many"][0] > 0
    assert {path.name for path in stock.iterdir()} == {"sqlite-20", "sqlite-60"}, "they stay for the next run"


def test_search_and_resolution_run_on_a_small_stock(tmp_path: Path) -> None:
    samples, _ = _bench(tmp_path, suite="search", ours="hypercorn-1", many=300, resolved=12, seconds=0.2)
    resolve, search = (samples["rows"][name]["hypercorn-1"] for name in ("resolve", "search"))
    assert resolve["kib"][0] > 1
    assert {"rare-p95", "medium-beside-p95", "common-ratio", "visible"} <= set(search)
