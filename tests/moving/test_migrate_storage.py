"""`gati-registry migrate-storage`: to PostgreSQL and S3, and back; interrupted; beside a server; with damage."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.moving.support import PASSWORD, Site, environment, run, told
from tests.support.minio import MinioServer
from tests.support.postgresql import PostgresServer
from tests.support.server import wait_for

pytestmark = pytest.mark.timeout(900)  # many processes, one after the other; a busy machine takes its time


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything in the store's folder."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: (path.stat().st_mtime_ns, path.read_bytes()) for name, path in found.items()}


def user(server: str, path: str) -> httpx.Response:
    """Something that an extension keeps."""
    return httpx.get(f"{server}{path}", auth=("alice", PASSWORD), trust_env=False, timeout=60)


def test_to_postgresql_and_s3_and_back(tmp_path: Path, minio: MinioServer, prefix: str, server: PostgresServer) -> None:
    here = Site(tmp_path / "here")
    with here.serving() as (_, client):
        here.fill(client, 6, large=6_000_000)
        made = client.http.post(
            f"{client.url}/v2/_ext/identity/users",
            json={"name": "alice", "password": PASSWORD},
            auth=("admin", PASSWORD),
        )
        assert made.status_code == 201, made.text
    before = files(tmp_path / "here" / "data" / "blobs")
    with server.database() as name:
        there = Site(tmp_path / "there", server.url(name), minio.url(prefix), pushed=here.pushed)
        report = told("migrate-storage", "--to", server.url(name), minio.url(prefix), env=here.env)
        assert report["moved"]
        assert report["blobs"] == {"copied": 6, "bytes": 36_000_000, "there": 0}
        assert report["database"]["rows"] > 6
        assert files(tmp_path / "here" / "data" / "blobs") == before
        assert told("verify", env=there.env)["damaged"] == []
        assert run("audit", "verify", env=there.env).returncode == 0
        with there.serving() as (_, client):
            there.compare(client)
            assert user(client.url, "/v2/_ext/identity/me").status_code == 200
            # Numbers go on where they were.
            there.fill(client, 2)
            made = client.http.post(
                f"{client.url}/v2/_ext/identity/users",
                json={"name": "bob", "password": PASSWORD},
                auth=("admin", PASSWORD),
            )
            assert made.status_code == 201, made.text
        # A database that holds something is nobody's target.
        refused = run("migrate-storage", "--to", server.url(name), env=here.env, check=False)
        assert refused.returncode == 1
        assert "has tables already" in refused.stderr
        # And back, into other places.
        back = Site(tmp_path / "back", pushed=there.pushed)
        data = tmp_path / "back" / "data"
        report = told(
            "migrate-storage", "--to", f"sqlite://{data}/metadata.sqlite", f"file://{data}/blobs", env=there.env
        )
        assert report["moved"]
        assert report["blobs"]["copied"] == 8
        assert told("verify", env=back.env)["damaged"] == []
        assert run("audit", "verify", env=back.env).returncode == 0
        with back.serving() as (_, client):
            back.compare(client)
            assert user(client.url, "/v2/_ext/identity/me").status_code == 200
            back.fill(client, 1)
            back.compare(client)


def test_blobs_are_copied_beside_a_server_and_the_rest_after_it(
    tmp_path: Path, minio: MinioServer, prefix: str
) -> None:
    here = Site(tmp_path / "here")
    target = tmp_path / "moved.sqlite"
    to = ("--to", minio.url(prefix), f"sqlite://{target}")
    with here.serving() as (running, client):
        here.fill(client, 3)
        first = run("migrate-storage", *to, env=here.env, check=False)
        assert first.returncode == 1
        assert "3 blobs copied" in first.stdout
        assert "a registry serves" in first.stdout
        assert re.search(rf"process ({'|'.join(map(str, running.pids()))}) ", first.stdout)
        assert not target.exists()
        here.fill(client, 2)
    again = told("migrate-storage", *to, env=here.env)
    assert again["moved"]
    assert again["blobs"] == {"copied": 2, "bytes": 600_000, "there": 3}
    there = Site(tmp_path / "there", f"sqlite://{target}", minio.url(prefix), pushed=here.pushed)
    with there.serving() as (_, client):
        there.compare(client)


@pytest.mark.proof
def test_killed_at_any_moment_it_goes_on_and_nothing_is_half(
    tmp_path: Path, minio: MinioServer, prefix: str, server: PostgresServer
) -> None:
    here = Site(tmp_path / "here")
    with here.serving() as (_, client):
        here.fill(client, 12, large=2_000_000)
    with server.database() as name:
        to = ("--to", server.url(name), minio.url(prefix))
        command = [sys.executable, "-m", "gati_registry", "migrate-storage", *to]
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        copied = 0
        # After so many blobs have come; the last ones in the midst of the tables.
        for wanted in (1, 5, 9):
            process = subprocess.Popen(
                command, env=environment(here.env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            wait_for(lambda: len(minio.keys(prefix)) >= wanted or process.poll() is not None, timeout=120)  # noqa: B023
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
                wait_for(lambda: not sessions(server, name), timeout=120)
                assert server.execute(tables, name) == [(0,)]
            else:
                break  # it was faster than we
            assert len(minio.keys(prefix)) >= copied
            copied = len(minio.keys(prefix))
        if server.execute(tables, name) == [(0,)]:
            # The lock that its first look takes makes it wait in the midst of the tables' transaction.
            report = told("migrate-storage", *to, env=here.env)
            assert report["moved"]
            assert report["blobs"]["there"] >= 1
            assert report["blobs"]["there"] + report["blobs"]["copied"] == 12
        there = Site(tmp_path / "there", server.url(name), minio.url(prefix), pushed=here.pushed)
        assert told("verify", env=there.env)["damaged"] == []
        with there.serving() as (_, client):
            there.compare(client)


def sessions(server: PostgresServer, name: str) -> bool:
    """Whether anybody is connected to the database."""
    return server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'") != [(0,)]


@pytest.mark.proof
def test_damage_in_the_source_is_told_and_does_not_travel(tmp_path: Path, minio: MinioServer, prefix: str) -> None:
    here = Site(tmp_path / "here")
    with here.serving() as (_, client):
        here.fill(client, 3)
    stored = sorted(path for path in (tmp_path / "here" / "data" / "blobs" / "blobs").rglob("*") if path.is_file())
    stored[0].write_bytes(stored[0].read_bytes()[:-1] + b"?")
    stored[1].unlink()
    report = told("migrate-storage", "--to", minio.url(prefix), env=here.env, code=1)
    assert sorted(found["problem"][:8] for found in report["damaged"]) == ["its byte", "its cont"]
    assert report["blobs"]["copied"] == 1
    assert len(minio.keys(prefix)) == 1


def test_it_shows_a_bar_on_a_terminal_and_lines_elsewhere(tmp_path: Path) -> None:
    here = Site(tmp_path / "here")
    with here.serving() as (_, client):
        here.fill(client, 2)
    command = [sys.executable, "-m", "gati_registry", "migrate-storage", "--to"]
    plain = run("migrate-storage", "--to", f"file://{tmp_path}/plain", env=here.env)
    assert "blobs: 100%, 600.0k of 600.0k" in plain.stderr
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*command, f"file://{tmp_path}/terminal"], env=environment(here.env), stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    assert b"[##############################] 100% 600.0k of 600.0k" in shown


@pytest.mark.parametrize(
    ("to", "code", "said"),
    [
        (("ftp://x",), 2, "expected at most one of"),
        (("file:///a", "s3://bucket/x?endpoint=http://127.0.0.1:1"), 2, "expected at most one of"),
        (("s3://bucket",), 2, "--to: "),
        (("file://{data}/blobs",), 2, "the blobs are there already"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, to: tuple[str, ...], code: int, said: str) -> None:
    here = Site(tmp_path / "here")
    urls = [url.format(data=tmp_path / "here" / "data") for url in to]
    refused = run("migrate-storage", "--to", *urls, env=here.env, check=False)
    assert refused.returncode == code
    assert said in refused.stderr


def test_a_registry_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    here = Site(tmp_path / "here")
    refused = run("migrate-storage", "--to", f"file://{tmp_path}/other", env=here.env, check=False)
    assert refused.returncode == 1
    assert "there is no database at" in refused.stderr
    assert not (tmp_path / "here" / "data" / "metadata.sqlite").exists()
