"""A registry with something of everything in it, and the commands as a user runs them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.clients.registry import MANIFEST, Registry, digest_of
from tests.support.server import RegistryProcess

PASSWORD = "correct horse battery"
CONFIG = b"{}"


def run(
    command: str, *arguments: str | Path, env: Mapping[str, str], check: bool = True
) -> subprocess.CompletedProcess[str]:
    """A command of the server's, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "gati_registry", command, *map(str, arguments)],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def told(command: str, *arguments: str | Path, env: Mapping[str, str], code: int = 0) -> Any:
    """What it says as JSON."""
    done = run(command, *arguments, "--output", "json", env=env, check=False)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command or server, without settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATI_")} | dict(env)


@dataclass
class Site:
    """Where a registry keeps what it has; and what was acknowledged to its clients."""

    folder: Path
    metadata: str | None = None
    blobs: str | None = None
    pushed: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The settings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        env = {"GATI_DATA": str(self.folder / "data"), "GATI_ADMIN_PASSWORD_FILE": str(password)}
        env |= {"GATI_METADATA_URL": self.metadata} if self.metadata else {}
        return env | ({"GATI_BLOBS_URL": self.blobs} if self.blobs else {})

    @contextlib.contextmanager
    def serving(self, **env: str) -> Iterator[tuple[RegistryProcess, Registry]]:
        """A server on it, and its administrator."""
        server = RegistryProcess(self.folder / "data", args=(), env=self.env | env).start(timeout=60)
        try:
            with contextlib.closing(Registry(server.url, ("admin", PASSWORD))) as client:
                yield server, client
        finally:
            if server.process is not None:
                server.terminate()

    def fill(self, client: Registry, count: int, *, large: int = 300_000) -> None:
        """Push images of two layers each, one in the database and one in the store."""
        for number in range(len(self.pushed), len(self.pushed) + count):
            repository = f"library/app-{number % 3}"
            layers = [random.randbytes(5000), random.randbytes(large)]
            self.push(client, repository, f"v{number}", layers)

    def push(self, client: Registry, repository: str, tag: str, layers: list[bytes]) -> None:
        """Push one image; what is acknowledged is remembered."""
        for data in (CONFIG, *layers):
            client.push_blob(repository, data)
        self.pushed[repository, tag] = client.push_manifest(repository, tag, manifest(layers), MANIFEST)

    def compare(self, client: Registry) -> None:
        """All that was acknowledged is there, byte by byte."""
        for (repository, tag), digest in self.pushed.items():
            found = client.manifest(repository, tag)
            assert found.digest == digest
            for layer in found.json["layers"]:
                assert len(client.blob(repository, layer["digest"])) == layer["size"]


def manifest(layers: list[bytes]) -> bytes:
    """An image's manifest."""

    def descriptor(data: bytes, kind: str) -> dict[str, Any]:
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest_of(data), "size": len(data)}

    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, "config.v1+json"),
            "layers": [descriptor(data, "layer.v1.tar") for data in layers],
        }
    ).encode()
