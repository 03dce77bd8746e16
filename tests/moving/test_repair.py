"""`verify --repair`: damaged and missing content comes back from a second store, a backup, a peer."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.moving.support import PASSWORD, Site, run, told
from tests.support.minio import MinioServer

INLINE = "SELECT digest FROM blob WHERE data IS NOT NULL AND size > 100"

pytestmark = pytest.mark.timeout(900)  # many processes, one after the other; a busy machine takes its time


@pytest.fixture
def here(tmp_path: Path) -> Site:
    """A registry of two images, and a copy of all that it has."""
    site = Site(tmp_path / "here")
    with site.serving() as (_, client):
        site.fill(client, 2)
    shutil.copytree(tmp_path / "here", tmp_path / "sound")
    return site


def stored(site: Site) -> list[Path]:
    """The blobs that are files."""
    return sorted(path for path in (site.folder / "data/blobs/blobs").rglob("*") if path.is_file())


def spoil(site: Site, sql: str) -> None:
    """Damage in the database."""
    with sqlite3.connect(site.folder / "data/metadata.sqlite") as connection:
        connection.execute(sql)
    connection.close()


def spoil_everything(site: Site) -> None:
    """A file changed, one gone, a small blob and a manifest changed in the database."""
    first, second = stored(site)
    first.write_bytes(b"rotten" + first.read_bytes()[6:])
    second.unlink()
    spoil(site, f"UPDATE blob SET data = x'00' WHERE digest = ({INLINE} LIMIT 1)")
    spoil(site, "UPDATE manifest SET data = x'00' WHERE id = 1")


def mended(report: dict[str, Any]) -> dict[str, list[bool]]:
    """Whether each finding was mended, by kind."""
    kinds: dict[str, list[bool]] = {}
    for found in report["damaged"]:
        kinds.setdefault(found["kind"], []).append(found["mended"])
    return kinds


def all_is_well(site: Site) -> None:
    """Nothing is damaged, and everything is served."""
    assert told("verify", env=site.env)["damaged"] == []
    with site.serving() as (_, client):
        site.compare(client)


@pytest.mark.proof
def test_from_a_second_store(here: Site, tmp_path: Path, minio: MinioServer, prefix: str) -> None:
    sound = Site(tmp_path / "sound")
    run("migrate-storage", "--to", minio.url(prefix), env=sound.env)
    first, second = stored(here)
    first.write_bytes(b"")
    report = told("verify", "--repair", "--from", minio.url(prefix), env=here.env)
    assert mended(report) == {"blob": [True]}
    # One that was found earlier, whose stored name is forgotten: files have their digests in their names.
    second.unlink()
    assert mended(told("verify", env=here.env, code=1)) == {"blob": [False]}
    report = told("verify", "--repair", "--from", f"file://{tmp_path}/sound/data/blobs", env=here.env)
    assert mended(report) == {"blob": [True]}
    all_is_well(here)


def test_from_a_backup(here: Site, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(secrets.token_hex(32))
    run("backup", "--to", tmp_path / "vault", "--key-file", key, env=here.env)
    spoil_everything(here)
    plain = run("verify", "--repair", "--from", tmp_path / "vault", "--key-file", key, env=here.env)
    assert "4 damaged, 4 of them mended" in plain.stdout
    all_is_well(here)


@pytest.mark.proof
def test_what_is_damaged_there_too_stays_aside(here: Site, tmp_path: Path) -> None:
    spare = tmp_path / "sound/data/blobs"
    victim = stored(here)[0]
    victim.write_bytes(b"rotten")
    twin = next(path for path in spare.rglob(victim.name))
    twin.write_bytes(bytes(300_000))
    report = told("verify", "--repair", "--from", f"file://{spare}", env=here.env, code=1)
    assert mended(report) == {"blob": [False]}
    refused = run("verify", "--repair", env=here.env, check=False)
    assert (refused.returncode, "goes with --from" in refused.stderr) == (2, True)
    refused = run("verify", "--repair", "--from", tmp_path / "nowhere", env=here.env, check=False)
    assert (refused.returncode, "neither a blob store nor a backup" in refused.stderr) == (1, True)


class Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody on to another place, and remembers what it was sent."""

    target: ClassVar[str] = ""
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        """Redirect; blobs alone are given from here."""
        self.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(307)
        self.send_header("Location", self.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def redirecting(target: str) -> Iterator[str]:
    """A server that redirects to another one; its URL."""
    Elsewhere.target, Elsewhere.seen[:] = target, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_from_a_peer_that_asks_who_we_are(here: Site, tmp_path: Path) -> None:
    sound = Site(tmp_path / "sound")
    credentials = tmp_path / "credentials"
    credentials.write_text(f"admin:{PASSWORD}\n")
    spoil_everything(here)
    with sound.serving() as (_, peer):
        private = peer.http.put(
            f"{peer.url}/v2/_ext/namespaces/library", json={"visibility": "private"}, auth=("admin", PASSWORD)
        )
        assert private.status_code < 300, private.text
        with redirecting(peer.url) as url:
            # Credentials are for who was named; the place that it leads to gets none, and so gives nothing.
            arguments = ("verify", "--repair", "--from", url, "--credentials-file", credentials)
            report = told(arguments[0], *arguments[1:], env=here.env, code=1)
            assert mended(report) == {"blob": [False] * 3, "manifest": [False]}
            assert {authorization is None for _, authorization in Elsewhere.seen} == {False}
        # Found damaged earlier, all of it comes back; but not for strangers.
        report = told("verify", "--repair", "--from", peer.url, env=here.env, code=1)
        assert mended(report) == {"blob": [False] * 3, "manifest": [False]}
        report = told("verify", "--repair", "--from", peer.url, "--credentials-file", credentials, env=here.env)
        assert mended(report) == {"blob": [True] * 3, "manifest": [True]}
    all_is_well(here)
