"""`backup` and `restore`: incremental, sealed, verified, kept by policy, beside a server that pushes and collects."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.moving.support import Site, environment, run, told
from tests.support.minio import MinioServer
from tests.support.postgresql import PostgresServer
from tests.support.server import wait_for

pytestmark = pytest.mark.timeout(900)  # many processes, one after the other; a busy machine takes its time


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key file, as `openssl rand -hex 32` makes it."""
    path = tmp_path / "key"
    path.write_text(secrets.token_hex(32) + "\n")
    return path


def pieces(vault: Path, folder: str = "") -> set[Path]:
    """What lies in a vault's folder."""
    return {path for path in (vault / folder).rglob("*") if path.is_file()}


def test_a_registry_comes_back_from_its_backup(tmp_path: Path, key: Path) -> None:
    here, vault = Site(tmp_path / "here"), tmp_path / "vault"
    to, source = ("--to", vault, "--key-file", key), ("--from", vault, "--key-file", key)
    with here.serving() as (_, client):
        here.fill(client, 3, large=17_000_000)  # each of more than one piece
        first = told("backup", *to, env=here.env)["made"]
        assert (first["blobs"], first["new_blobs"], first["damaged"]) == (3, 3, [])
        here.fill(client, 2)
        second = told("backup", *to, env=here.env)["made"]
        assert (second["blobs"], second["new_blobs"]) == (5, 2)
        assert second["written"] < 2_000_000  # nothing twice
        third = told("backup", *to, env=here.env)["made"]
        assert third["new_blobs"] == 0
        here.compare(client)
    # Nothing of the content or its names is readable there.
    kept = b"".join(path.read_bytes() for path in pieces(vault))
    digests = {digest.partition(":")[2].encode() for digest in here.pushed.values()}
    assert not any(word in kept for word in (b"library/app", b"sha256", b"repository", *digests))
    assert [row["name"] for row in told("backup", "list", *to, env=here.env)] == [
        made["name"] for made in (first, second, third)
    ]
    assert told("backup", "verify", *to, env=here.env)["problems"] == []
    back = Site(tmp_path / "back", pushed=here.pushed)
    dry = told("restore", *source, "--dry-run", env=back.env)
    assert (dry["blobs"], dry["problems"]) == (5, [])
    assert not (tmp_path / "back" / "data").exists()
    assert told("restore", *source, env=back.env)["blobs"] == 5
    assert told("verify", env=back.env)["damaged"] == []
    assert run("audit", "verify", env=back.env).returncode == 0
    with back.serving() as (_, client):
        back.compare(client)
        back.fill(client, 1)
    again = run("restore", *source, env=back.env, check=False)
    assert again.returncode == 1
    assert "already; restore into an empty place" in again.stderr
    # An earlier one, by time.
    earlier = Site(tmp_path / "earlier", pushed=dict(list(here.pushed.items())[:3]))
    refused = run("restore", *source, "--at", "2001-01-01T00:00:00Z", env=earlier.env, check=False)
    assert (refused.returncode, "no such backup" in refused.stderr) == (1, True)
    moment = datetime.fromtimestamp(first["taken_at"] / 1000 + 0.001, UTC).isoformat()
    assert told("restore", *source, "--at", moment, env=earlier.env)["name"] == first["name"]
    with earlier.serving() as (_, client):
        earlier.compare(client)
        assert client.tags("library/app-0") == ["v0"]


@pytest.mark.proof
def test_postgresql_and_s3_with_the_backup_in_s3(
    tmp_path: Path, minio: MinioServer, prefix: str, server: PostgresServer
) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("a long enough passphrase\n")
    vault = minio.url(f"{prefix}-vault")
    to, source = ("--to", vault, "--passphrase-file", passphrase), ("--from", vault, "--passphrase-file", passphrase)
    with server.database() as name, server.database() as other:
        here = Site(tmp_path / "here", server.url(name), minio.url(prefix))
        with here.serving() as (_, client):
            here.fill(client, 4)
            assert told("backup", *to, env=here.env)["made"]["new_blobs"] == 4
            here.fill(client, 2)
            assert told("backup", *to, env=here.env)["made"]["new_blobs"] == 2
        back = Site(tmp_path / "back", server.url(other), minio.url(f"{prefix}-back"), pushed=here.pushed)
        # It was interrupted: what had come is used, and checked by size.
        some = sorted(minio.keys(prefix))[0]
        minio.write(f"{prefix}-back", some, minio.read(prefix, some))
        restored = told("restore", *source, env=back.env)
        assert (restored["blobs"], restored["there"], restored["problems"]) == (5, 1, [])
        assert told("verify", env=back.env)["damaged"] == []
        assert run("audit", "verify", env=back.env).returncode == 0
        with back.serving() as (_, client):
            back.compare(client)
            back.fill(client, 1)
        refused = run("restore", *source, env=back.env, check=False)
        assert refused.returncode == 1
        assert "has tables already" in refused.stderr
        wrong = tmp_path / "wrong"
        wrong.write_text("another long passphrase\n")
        refused = run("restore", "--from", vault, "--passphrase-file", wrong, env=back.env, check=False)
        assert refused.returncode == 2
        assert "the key is not this backup's" in refused.stderr


@pytest.mark.proof
def test_damage_in_a_backup_is_found_and_never_restored(tmp_path: Path, key: Path) -> None:
    here, vault = Site(tmp_path / "here"), tmp_path / "vault"
    to, source = ("--to", vault, "--key-file", key), ("--from", vault, "--key-file", key)
    with here.serving() as (_, client):
        here.fill(client, 2)
        run("backup", *to, env=here.env)
    for folder, damage in (("blobs", b"?"), ("blobs", None), ("data", b"?"), ("snapshots", b"?")):
        victim = sorted(pieces(vault, folder))[0]
        sound = victim.read_bytes()
        if damage is None:
            victim.unlink()
        else:
            victim.write_bytes(sound[:-1] + damage)
        assert run("backup", "verify", *to, env=here.env, check=False).returncode == 1
        back = Site(tmp_path / "back")
        assert run("restore", *source, env=back.env, check=False).returncode == 1
        assert not (tmp_path / "back" / "data" / "metadata.sqlite").exists()
        victim.write_bytes(sound)
    # One sound piece in another's place is damage too.
    first, second = sorted(pieces(vault, "blobs"))
    first.write_bytes(second.read_bytes())
    assert run("restore", "--dry-run", *source, env=here.env, check=False).returncode == 1


def test_damage_in_the_registry_is_told_and_the_rest_is_backed_up(tmp_path: Path, key: Path) -> None:
    here, to = Site(tmp_path / "here"), ("--to", tmp_path / "vault", "--key-file", key)
    with here.serving() as (_, client):
        here.fill(client, 3)
    victim = next(path for path in (tmp_path / "here/data/blobs/blobs").rglob("*") if path.is_file())
    victim.write_bytes(b"rotten")
    made = told("backup", *to, env=here.env, code=1)["made"]
    assert [found["problem"] for found in made["damaged"]] == ["it has 6 bytes, expected 300000"]
    assert made["new_blobs"] == 2
    found = told("backup", "verify", *to, env=here.env, code=1)
    assert (found["blobs"], len(found["problems"])) == (2, 1)


@pytest.mark.proof
def test_what_the_policy_does_not_keep_goes_and_nothing_else(tmp_path: Path, key: Path) -> None:
    here, vault = Site(tmp_path / "here"), tmp_path / "vault"
    to = ("--to", vault, "--key-file", key)
    with here.serving(GATI_GC__GRACE="0", GATI_GC__UNDO="0", GATI_GC__READERS="0") as (_, client):
        here.fill(client, 1)
        first = told("backup", *to, env=here.env)["made"]["name"]
        # The first image goes, from the registry and from all later backups.
        ((repository, _), digest) = here.pushed.popitem()
        assert client.request("DELETE", f"/v2/{repository}/manifests/{digest}").status_code == 202
        run("gc", env=here.env | {"GATI_GC__GRACE": "0", "GATI_GC__UNDO": "0", "GATI_GC__READERS": "0"})
        here.push(client, "library/other", "v1", [b"x" * 400_000])
        for _ in range(3):
            run("backup", *to, env=here.env)
    before = pieces(vault, "blobs")
    assert len(before) == 2
    pruned = told("backup", "prune", *to, env=here.env)["pruned"]
    assert pruned == []
    pruned = told("backup", "prune", *to, "--keep-last", "2", "--keep-daily", "7", env=here.env)["pruned"]
    assert len(pruned) == 2
    assert first in pruned
    assert len(pieces(vault, "blobs")) == 1
    for row in told("backup", "list", *to, env=here.env):
        assert told("backup", "verify", *to, "--name", row["name"], env=here.env)["problems"] == []
    back = Site(tmp_path / "back", pushed=here.pushed)
    run("restore", "--from", vault, "--key-file", key, env=back.env)
    with back.serving() as (_, client):
        back.compare(client)


def test_the_collector_takes_nothing_away_from_a_backup_under_way(tmp_path: Path, key: Path) -> None:
    """The vault is slow (a stopped process), and the collector runs meanwhile with no grace at all."""
    here, vault = Site(tmp_path / "here"), tmp_path / "vault"
    none = {"GATI_GC__GRACE": "0", "GATI_GC__UNDO": "0", "GATI_GC__READERS": "0", "GATI_GC__INTERVAL": "0"}
    with here.serving(**none) as (_, client):
        here.fill(client, 8, large=3_000_000)
        with backing_up(here, vault, key) as process:
            wait_for(lambda: pieces(vault, "blobs"), timeout=120)
            process.send_signal(signal.SIGSTOP)
            started = len(pieces(vault, "blobs"))
            for (repository, _), digest in here.pushed.items():
                assert client.request("DELETE", f"/v2/{repository}/manifests/{digest}").status_code == 202
            report = told("gc", env=here.env | none)
            if started < 8:
                assert (report["claimed"], report["removed"]) == (17, 0)  # with those in the database
            process.send_signal(signal.SIGCONT)
            assert process.wait(120) == 0
        assert told("gc", env=here.env | none)["removed"] == 8  # nothing holds it any more
    assert told("backup", "verify", "--to", vault, "--key-file", key, env=here.env)["blobs"] == 8


@pytest.mark.proof
def test_a_backup_that_was_killed_is_none_and_the_next_one_goes_on(tmp_path: Path, key: Path) -> None:
    here, vault = Site(tmp_path / "here"), tmp_path / "vault"
    to = ("--to", vault, "--key-file", key)
    with here.serving() as (_, client):
        here.fill(client, 10, large=3_000_000)
        with backing_up(here, vault, key) as process:
            wait_for(lambda: len(pieces(vault, "blobs")) > 2, timeout=120)
            process.kill()
            process.wait()
        left = len(pieces(vault, "blobs"))
        if not pieces(vault, "snapshots"):
            made = told("backup", *to, env=here.env)["made"]  # waits until the lease of the killed one is over
            assert made["new_blobs"] <= 10 - left + 8  # those under way are begun anew
    assert told("backup", "verify", *to, env=here.env)["blobs"] == 10


@pytest.mark.proof
def test_a_restore_that_was_killed_is_nothing_and_the_next_one_goes_on(tmp_path: Path, key: Path) -> None:
    here, vault = Site(tmp_path / "here"), tmp_path / "vault"
    with here.serving() as (_, client):
        here.fill(client, 10, large=3_000_000)
        run("backup", "--to", vault, "--key-file", key, env=here.env)
    back = Site(tmp_path / "back", pushed=here.pushed)
    source = ("--from", str(vault), "--key-file", str(key))
    blobs = tmp_path / "back" / "data" / "blobs" / "blobs"
    process = subprocess.Popen(
        [sys.executable, "-m", "gati_registry", "restore", *source],
        env=environment(back.env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: pieces(blobs) if blobs.exists() else None, timeout=120)
    process.kill()
    process.wait()
    if not (tmp_path / "back" / "data" / "metadata.sqlite").exists():
        restored = told("restore", *source, env=back.env)
        assert restored["there"] >= 1
        assert restored["there"] + restored["blobs"] == 10
    assert told("verify", env=back.env)["damaged"] == []
    with back.serving() as (_, client):
        back.compare(client)


def test_following_makes_one_after_the_other_until_it_is_told_to_end(tmp_path: Path, key: Path) -> None:
    here, vault = Site(tmp_path / "here"), tmp_path / "vault"
    # It may be there before the registry's first start.
    with backing_up(here, vault, key, "--follow", "0.2") as process, here.serving() as (_, client):
        assert process.stdout is not None
        here.fill(client, 2)
        lines = [json.loads(process.stdout.readline()) for _ in range(4)]
        assert len({line["name"] for line in lines}) == 4
        here.fill(client, 2)
        seen = len(lines)
        while (line := json.loads(process.stdout.readline()))["blobs"] < 4:
            seen += 1
            assert seen < 1000
        process.terminate()
        assert process.wait(60) == 0
    assert told("backup", "verify", "--to", vault, "--key-file", key, env=here.env)["name"] >= line["name"]


def test_what_makes_no_sense_is_refused(tmp_path: Path, key: Path) -> None:
    here = Site(tmp_path / "here")
    short = tmp_path / "short"
    short.write_text("short\n")
    vault = tmp_path / "vault"
    for arguments, code, said in (
        (("backup", "--to", vault), 2, "--key-file"),
        (("backup", "--to", vault, "--key-file", short), 2, "64 hexadecimal digits"),
        (("backup", "--to", vault, "--passphrase-file", short), 2, "less than 12 characters"),
        (("backup", "--to", vault, "--key-file", tmp_path / "none"), 2, "cannot be read"),
        (("backup", "--to", vault, "--key-file", key, "--follow", "0"), 2, "--follow"),
        (("backup", "--to", "sqlite:///x", "--key-file", key), 2, "expected a folder"),
        (("backup", "list", "--to", tmp_path / "nowhere", "--key-file", key), 1, "there is no backup"),
        (("restore", "--from", tmp_path / "nowhere", "--key-file", key), 1, "there is no backup"),
        (("restore", "--from", vault, "--key-file", key, "--at", "yesterday"), 2, "--at"),
    ):
        refused = run(*map(str, arguments), env=here.env, check=False)
        assert (refused.returncode, said in refused.stderr) == (code, True), (arguments, refused)
    assert not (tmp_path / "nowhere").exists()
    # A vault without its header, or of another key, is not taken for a new one.
    with here.serving() as (_, client):
        here.fill(client, 1)
    run("backup", "--to", vault, "--key-file", key, env=here.env)
    other = tmp_path / "other"
    other.write_text(secrets.token_hex(32))
    refused = run("backup", "--to", vault, "--key-file", other, env=here.env, check=False)
    assert (refused.returncode, "not this backup's" in refused.stderr) == (2, True)
    shutil.move(vault / "vault.json", tmp_path / "lost")
    refused = run("backup", "--to", vault, "--key-file", key, env=here.env, check=False)
    assert (refused.returncode, "has lost its vault.json" in refused.stderr) == (1, True)


@contextmanager
def backing_up(here: Site, vault: Path | str, key: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A backup under way; killed at the end, if it still is."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gati_registry", "backup", "--to", str(vault), "--key-file", str(key), *more],
        env=environment(here.env),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
