"""A Docker engine of the tests' own: no network, its own folders, reached by its own socket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.clients.client import Client
from tests.clients.daemon import daemon
from tests.clients.programs import require, require_root


@contextlib.contextmanager
def engine(folder: Path) -> Iterator[str]:
    """Run dockerd in the folder (a short path: it holds sockets); yields the address for DOCKER_HOST."""
    require_root()
    binary = require("dockerd", "docker", "containerd", "runc")
    settings = folder / "daemon.json"
    settings.write_text("{}")  # the machine's own /etc/docker/daemon.json stays out
    address = f"unix://{folder / 'd.sock'}"
    command: list[str | Path] = [
        *(binary, "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"),
        *("--exec-root", folder / "exec", "--data-root", folder / "data", "--pidfile", folder / "d.pid"),
        *("--host", address, "--config-file", settings),
    ]
    probe = docker(folder, address)
    with daemon(command, folder / "dockerd.log", lambda: probe.run("version")[0] == 0):
        yield address


def docker(home: Path, address: str) -> Client:
    """The docker command, talking to the engine; the classic builder needs no plugin."""
    return Client(require("docker"), home, env={"DOCKER_HOST": address, "DOCKER_BUILDKIT": "0"})
