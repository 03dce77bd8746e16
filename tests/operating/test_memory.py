"""Memory of an idle server, and what it does without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.serving.processes import started
from tests.serving.raw import get
from tests.support.server import RegistryProcess

MIB = 1024 * 1024


def test_an_idle_worker_stays_below_90_mib(tmp_path: Path, http_server: str) -> None:
    with started(RegistryProcess(tmp_path / "data", args=["--open", "--server", http_server])) as server:
        for _ in range(20):
            assert get(server.host, "/v2/").status == 200
        assert server.rss() < 90 * MIB


def test_help_does_without_the_slow_imports() -> None:
    program = (
        "import sys; from gati_registry.__main__ import parser; parser();"
        "sys.exit(any(name in sys.modules for name in ('pydantic', 'apsw', 'hypercorn', 'starlette')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
