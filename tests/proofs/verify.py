"""`gati-registry verify`, as an operator runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def verify(data: Path) -> tuple[int, str]:
    """Its exit code, and its report (JSON) with whatever it wrote to standard error."""
    command = [sys.executable, "-m", "gati_registry", "verify", "--data", str(data), "--output", "json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr
