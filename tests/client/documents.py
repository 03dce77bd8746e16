"""Documents whose shell blocks are run, as a reader would copy them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
SECONDS = 240
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDRESS = "127.0.0.1:5000"
"""The registry in the documents."""


def blocks(path: Path) -> list[str]:
    """The document's shell blocks, in order."""
    return _BLOCK.findall(path.read_text())


def follow(path: Path, folder: Path, host: str, env: Mapping[str, str]) -> str:
    """Run all blocks of a document in one shell that stops at the first error; returns what it printed.

    The registry's address is that of the test; whatever the document leaves running is ended.
    """
    script = "\n".join(["set -eu", *blocks(path)]).replace(ADDRESS, host)
    programs = Path(sys.executable).parent
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        **env,
    }
    output = folder / "output"
    # Into a file: what runs on in the background would keep a pipe open.
    with output.open("w") as written:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
    said = output.read_text(errors="replace")
    assert code == 0, f"{path.name} ended with {code}:\n{said[-4000:]}"
    return said
