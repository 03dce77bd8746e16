"""A real nginx on loopback with the configuration of deploy/, its addresses and folder put in."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.clients.programs import require
from tests.deploy.files import DEPLOY
from tests.support.server import free_port, wait_for


def render(folder: Path, port: int, replicas: Sequence[str], changes: Mapping[str, str]) -> str:
    """The configuration with the test's addresses, each of which it must name once; then the changes."""
    text = (DEPLOY / "nginx.conf").read_text().replace("/tmp/", f"{folder}/")
    addresses = {"listen 8080;": f"listen 127.0.0.1:{port};"}
    addresses |= {f"registry-{turn}:5000 ": f"{replica} " for turn, replica in enumerate(replicas, 1)}
    for old, new in (addresses | dict(changes)).items():
        assert text.count(old) == 1, f"nginx.conf should say {old!r} once"
        text = text.replace(old, new)
    return text


class Nginx:
    """One nginx before two replicas."""

    def __init__(self, folder: Path, replicas: Sequence[str], changes: Mapping[str, str] | None = None) -> None:
        self._program = require("nginx")
        self._folder = folder
        folder.mkdir()
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self._config = folder / "nginx.conf"
        self._config.write_text(render(folder, self.port, replicas, changes or {}))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Nginx:
        """Start it and wait until it listens."""
        # As root its workers would be `nobody`, who may not enter the test's folder.
        account = "user root; " if os.geteuid() == 0 else ""
        command: list[str | Path] = [self._program, "-c", self._config, "-g", f"{account}daemon off;"]
        with (self._folder / "out").open("ab") as out, (self._folder / "err").open("ab") as err:
            self._process = subprocess.Popen(command, stdout=out, stderr=err)
        wait_for(self._listens)
        return self

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.errors()
        return (self._folder / "nginx.pid").exists()

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def errors(self) -> str:
        """What it warned of."""
        return (self._folder / "err").read_text()

    def requests(self) -> list[dict[str, Any]]:
        """Its access log."""
        return [json.loads(line) for line in (self._folder / "out").read_text().splitlines()]


@contextlib.contextmanager
def running_nginx(folder: Path, replicas: Sequence[str], changes: Mapping[str, str] | None = None) -> Iterator[Nginx]:
    """An nginx for the length of a `with` block."""
    nginx = Nginx(folder, replicas, changes)
    try:
        yield nginx.start()
    finally:
        nginx.stop()
