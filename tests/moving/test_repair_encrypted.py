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


def files(blobs: Path) -> list[Path]:
    """The blobs that lie in a store."""
    return sorted(path for path in (blobs / "blobs").rglob("*") if path.is_file())


def test_encrypted_blobs_are_backed_up_moved_and_come_back(tmp_path: Path) -> None:
    master, backup_key, vault = tmp_path / "master.key", tmp_path / "backup.key", tmp_path / "vault"
    master.write_text(f"1 {secrets.token_hex(32)}\n")
    master.chmod(0o600)
    backup_key.write_text(secrets.token_hex(32))
    encrypted = {"GATI_ENCRYPTION__MASTER": "file", "GATI_ENCRYPTION__FILE": str(master)}
    to, source = ("--to", vault, "--key-file", backup_key), ("--from", vault, "--key-file", backup_key)
    here, back = Site(tmp_path / "here"), Site(tmp_path / "back")
    with here.serving() as (_, client):
        here.fill(client, 1)  # from before encryption
    env = here.env | encrypted
    with here.serving(**encrypted) as (_, client):
        here.fill(client, 2, large=17_000_000)
        made = told("backup", *to, env=env)["made"]
        assert (made["blobs"], made["new_blobs"], made["damaged"]) == (3, 3, [])
        assert told("backup", *to, env=env)["made"]["new_blobs"] == 0
    forgotten = run("backup", *to, env=here.env, check=False)
    assert (forgotten.returncode, "encryption.master" in forgotten.stderr) == (2, True)
    stored = files(here.folder / "data/blobs")

    # Into another place, without the master key; only who has it can serve that.
    assert told("restore", *source, "--dry-run", env=back.env)["problems"] == []
    assert told("restore", *source, env=back.env)["blobs"] == 3
    assert [path.read_bytes() for path in files(back.folder / "data/blobs")] == [path.read_bytes() for path in stored]
    assert run("verify", env=back.env, check=False).returncode == 2
    assert told("verify", env=back.env | encrypted)["damaged"] == []
    back.pushed = here.pushed
    with back.serving(**encrypted) as (_, client):
        back.compare(client)

    # To another store; what is damaged stays behind, until it is mended from a backup, or from the other store.
    elsewhere = tmp_path / "elsewhere"
    sound = {path.name: path.read_bytes() for path in stored}
    (largest, *_) = sorted(stored, key=lambda path: -path.stat().st_size)
    rotten = bytearray(sound[largest.name])
    rotten[1_000_000] ^= 1
    largest.write_bytes(rotten)
    moved = told("migrate-storage", "--to", f"file://{elsewhere}", env=env, code=1)
    assert (moved["blobs"]["copied"], len(moved["damaged"])) == (2, 1)
    mended = told("verify", "--repair", *source, env=env)["damaged"]
    assert [found["mended"] for found in mended] == [True]
    moved = told("migrate-storage", "--to", f"file://{elsewhere}", env=env)
    assert (moved["blobs"]["copied"], moved["blobs"]["there"]) == (1, 2)
    assert told("verify", env=env | {"GATI_BLOBS_URL": f"file://{elsewhere}"})["damaged"] == []
    (largest, *_) = sorted(files(here.folder / "data/blobs"), key=lambda path: -path.stat().st_size)
    largest.write_bytes(rotten)
    assert len(told("verify", env=env, code=1)["damaged"]) == 1
    mended = told("verify", "--repair", "--from", f"file://{elsewhere}", env=env)["damaged"]  # what was set aside
    assert [found["mended"] for found in mended] == [True]
    # With its new key it is another blob to the backups.
    assert told("backup", *to, env=env)["made"]["new_blobs"] == 1
    with here.serving(**encrypted) as (_, client):
        here.compare(client)
