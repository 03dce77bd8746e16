"""How much is lost and how long it takes when a registry that is being pushed to is destroyed; both are printed.

`backup --follow` runs beside it. GATI_PROOF_RECOVERY_SECONDS is how long is pushed before the end.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from gati_registry.moving.backup import moment_of
from tests.clients.registry import Registry
from tests.moving.support import PASSWORD, Site, told
from tests.moving.test_backup import backing_up
from tests.support.minio import MinioServer
from tests.support.postgresql import PostgresServer
from tests.support.server import wait_for

pytestmark = pytest.mark.proof

SECONDS = float(os.environ.get("GATI_PROOF_RECOVERY_SECONDS", "60"))
EVERY = "5"
"""Seconds between two backups; the end of one is waited for before the next begins."""


@dataclass
class Pusher:
    """Pushes images until it fails; remembers when each was acknowledged."""

    site: Site
    url: str
    name: str
    acknowledged: dict[tuple[str, str], float] = field(default_factory=dict)

    def run(self) -> None:
        """Until the registry is gone."""
        client = Registry(self.url, ("admin", PASSWORD))
        number = 0
        try:
            while True:
                key = (f"library/{self.name}", f"v{number}")
                self.site.push(client, *key, [random.randbytes(3000), random.randbytes(500_000)])
                self.acknowledged[key] = time.time()
                number += 1
        except (httpx.HTTPError, AssertionError):
            return
        finally:
            client.close()


@pytest.fixture(params=["sqlite and files", "postgresql and s3"])
def sites(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Site, Site, str]:
    """The registry, the place it comes back in, and what its backup is in."""
    here, back = Site(tmp_path / "here"), Site(tmp_path / "back")
    if request.param == "sqlite and files":
        return here, back, str(tmp_path / "vault")
    minio: MinioServer = request.getfixturevalue("minio")
    server: PostgresServer = request.getfixturevalue("server")
    prefix: str = request.getfixturevalue("prefix")
    for site, name in ((here, "here"), (back, "back")):
        database = f"recovery_{name}_{secrets.token_hex(4)}"
        server.execute(f"CREATE DATABASE {database}")
        site.metadata, site.blobs = server.url(database), minio.url(f"{prefix}-{name}")
    return here, back, minio.url(f"{prefix}-vault")


def test_recovery_point_and_time(sites: tuple[Site, Site, str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    here, back, vault = sites
    key = tmp_path / "key"
    key.write_text(secrets.token_hex(32))
    with here.serving() as (server, client), backing_up(here, vault, key, "--follow", EVERY) as process:
        pushers = [Pusher(here, client.url, f"app-{number}") for number in range(2)]
        threads = [threading.Thread(target=pusher.run) for pusher in pushers]
        for thread in threads:
            thread.start()
        time.sleep(SECONDS)
        arguments = ("backup", "list", "--to", vault, "--key-file", key)
        wait_for(lambda: told(*arguments, env=here.env), timeout=120, interval=1)
        server.kill()
        destroyed = time.time()
        process.kill()
        for thread in threads:
            thread.join()
    shutil.rmtree(here.folder / "data", ignore_errors=True)
    acknowledged = {at: when for pusher in pushers for at, when in pusher.acknowledged.items()}
    assert acknowledged

    began = time.monotonic()
    restored = told("restore", "--from", vault, "--key-file", key, env=back.env)
    with back.serving() as (_, client):
        seconds = time.monotonic() - began
        lost = {at: when for at, when in acknowledged.items() if not client.has_manifest(*at)}
        back.pushed = {at: here.pushed[at] for at in acknowledged.keys() - lost.keys()}
        back.compare(client)
    assert told("verify", env=back.env)["damaged"] == []
    # What was acknowledged before the backup was taken is in it.
    taken = moment_of(restored["name"]).timestamp()
    assert [at for at, when in lost.items() if when < taken] == []
    point = destroyed - min(lost.values()) if lost else 0.0
    print(
        f"\n{request.node.callspec.id}: {len(acknowledged)} pushes acknowledged, {len(lost)} lost; "
        f"recovery point {point:.1f} s, recovery time {seconds:.1f} s "
        f"({restored['blobs']} blobs, {restored['bytes'] >> 20} MiB)"
    )
