"""`verify --repair` where blobs are encrypted: a peer gives plain bytes, the store gets encrypted ones."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.moving.support import PASSWORD, Site, run, told

pytestmark = pytest.mark.timeout(900)  # many processes, one after the other


def test_from_a_peer(tmp_path: Path) -> None:
    key = tmp_path / "master.key"
    key.write_text(f"1 {secrets.token_hex(32)}\n")
    key.chmod(0o600)
    encrypted = {"GATI_ENCRYPTION__MASTER": "file", "GATI_ENCRYPTION__FILE": str(key)}
    here, peer = Site(tmp_path / "here"), Site(tmp_path / "peer")
    with here.serving(**encrypted) as (_, ours), peer.serving() as (_, theirs):
        here.push(ours, "library/app", "v1", [b"x" * 300_000])
        peer.push(theirs, "library/app", "v1", [b"x" * 300_000])
    env = here.env | encrypted
    (file,) = [path for path in (here.folder / "data/blobs/blobs").rglob("*") if path.is_file()]
    sealed = file.read_bytes()
    assert b"x" * 100 not in sealed
    file.write_bytes(sealed[:1000] + b"rotten" + sealed[1006:])
    credentials = tmp_path / "credentials"
    credentials.write_text(f"admin:{PASSWORD}\n")
    with peer.serving() as (_, theirs):
        report = told("verify", "--repair", "--from", theirs.url, "--credentials-file", credentials, env=env)
    assert [found["mended"] for found in report["damaged"]] == [True]
    assert told("verify", env=env)["damaged"] == []
    with here.serving(**encrypted) as (_, ours):
        here.compare(ours)
    (again,) = [path for path in (here.folder / "data/blobs/blobs").rglob("*") if path.is_file()]
    assert b"x" * 100 not in again.read_bytes()


def test_what_copies_stored_bytes_says_that_it_cannot(tmp_path: Path) -> None:
    key = tmp_path / "master.key"
    key.write_text(f"1 {secrets.token_hex(32)}\n")
    key.chmod(0o600)
    env = Site(tmp_path / "here").env | {"GATI_ENCRYPTION__MASTER": "file", "GATI_ENCRYPTION__FILE": str(key)}
    phrase = tmp_path / "phrase"
    phrase.write_text("a long passphrase of some words\n")
    run("check", env=env)
    for command in (
        ("backup", "--to", str(tmp_path / "backups"), "--passphrase-file", str(phrase)),
        ("migrate-storage", "--to", f"file://{tmp_path / 'elsewhere'}"),
    ):
        done = run(command[0], *command[1:], env=env, check=False)
        assert done.returncode == 2, done
        assert "encryption.master" in done.stderr
        assert len(done.stderr.splitlines()) == 1
