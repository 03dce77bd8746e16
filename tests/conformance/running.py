"""Running the suite in tests: inside this process, or as the command that users run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gati_conformance.config import Config, load
from gati_conformance.data import token
from gati_conformance.model import Result
from gati_conformance.runner import Run, run, select


def configuration(host: str, **environment: str) -> Config:
    """A configuration at spec version dev for a plain HTTP registry, in repositories of its own."""
    mark = token(6)
    base = {
        "OCI_VERSION": "dev",
        "OCI_REGISTRY": host,
        "OCI_TLS": "disabled",
        "OCI_REPO1": f"conformance/{mark}-one",
        "OCI_REPO2": f"conformance/{mark}-two",
    }
    return load(base | environment, directory=Path("/nonexistent"))


def check(host: str, *patterns: str, **environment: str) -> Run:
    """Run the cases with such ids here, in this process."""
    config = configuration(host, **environment)
    cases = select(config, only=patterns)
    assert cases, f"no case is called {patterns}"
    return run(config, cases)


def told(results: Sequence[Result]) -> str:
    """What came of each case, to read when a test fails."""
    return "\n".join(f"{result.status.word} {result.case.id}: {result.reason}" for result in results)


def command(
    host: str, results: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run `python -m gati_conformance`; the process, and its results.yaml (empty if there is none)."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OCI_", "GATI_"))}
    finished = subprocess.run(
        [sys.executable, "-m", "gati_conformance", f"http://{host}", "--results", str(results), *arguments],
        env=inherited | {"OCI_VERSION": "dev"} | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    file = results / "results.yaml"
    return finished, yaml.safe_load(file.read_text()) if file.exists() else {}
