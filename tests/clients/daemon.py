"""Start a daemon for the tests, wait until it answers, stop it by its own process id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.clients.programs import SYSTEM_FOLDERS
from tests.support.server import wait_for

START_SECONDS = 60
STOP_SECONDS = 30


@contextlib.contextmanager
def daemon(command: Sequence[str | Path], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Run the command until the block ends; its output goes to the log, which a failed start shows."""
    path = os.pathsep.join([os.environ.get("PATH", ""), SYSTEM_FOLDERS])
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": path, "HOME": str(log.parent)},
            start_new_session=True,
        )
    try:
        wait_for(lambda: process.poll() is not None or ready(), timeout=START_SECONDS, interval=0.1)
        assert process.poll() is None, f"{command[0]} ended\n{log.read_text(errors='replace')[-4000:]}"
        yield
    finally:
        process.send_signal(signal.SIGTERM)  # asked nicely it unmounts and ends its own children
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
