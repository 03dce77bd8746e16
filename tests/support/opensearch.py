"""A real OpenSearch node on loopback, in a folder of its own."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from bench.backends import opensearch_command

from tests.clients.programs import require
from tests.support.server import free_port


class OpenSearchNode:
    """One node; it can be stopped, frozen and started again on the same data and port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._libraries = require("opensearch", "java").parent
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it is green, which takes some 15 seconds of an idle machine."""
        # Half of a run would go into compiling for speed what runs once.
        options = ("-Xms256m", "-Xmx384m", "-XX:TieredStopAtLevel=1")
        command = opensearch_command(self._libraries, self._folder / "node", self.port, options)
        log = self._folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + 240
        while True:
            assert self._process.poll() is None, log.read_text(errors="replace")[-4000:]
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-4000:]
            with contextlib.suppress(httpx.HTTPError):
                health = httpx.get(f"{self.url}/_cluster/health", timeout=10)
                if health.is_success and health.json()["status"] == "green":
                    return
            time.sleep(0.2)

    def stop(self) -> None:
        """As it were by a crash. No error if it is stopped."""
        if self._process is not None:
            self.thaw()
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stand still: connections stay and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def opensearch(folder: Path) -> Iterator[OpenSearchNode]:
    """A node for the length of a `with` block; its folder goes afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    node = OpenSearchNode(folder)
    try:
        yield node
    finally:
        node.stop()
        shutil.rmtree(folder, ignore_errors=True)
