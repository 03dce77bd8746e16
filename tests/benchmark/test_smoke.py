"""The benchmark runs through on our own server and reports every row; nothing here looks at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench.model import Scale
from bench.rows import all_rows

ROOT = Path(__file__).parents[2]
TINY = {
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


def test_a_quick_run_reports_every_row(tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        assert os.environ.get("CI") != "true", "CI needs the load generator: apt-get install wrk"
        pytest.skip("the load generator wrk is missing")
    options = {"ours": "hypercorn-1", "peers": "", **TINY}
    files = {"data": tmp_path, "output": tmp_path / "report.md", "json": tmp_path / "samples.json"}
    arguments = [f"--{name}={value}" for name, value in (options | files).items()]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    samples = json.loads((tmp_path / "samples.json").read_text())
    report = (tmp_path / "report.md").read_text()
    for row in all_rows(Scale(streams=2)):
        figures = samples["rows"][row.name]["hypercorn-1"]
        assert set(figures) == {metric.key for metric in row.metrics}, row.name
        assert all(len(values) == 1 for values in figures.values()), row.name
        assert f"| `{row.name}` | {row.metrics[0].title}" in report
    assert samples["failures"] == []
    assert str(tmp_path) not in report, "the report names a folder of the machine it ran on"
