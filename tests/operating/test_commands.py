"""The server's commands, run as a user runs them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.serving.processes import started
from tests.serving.raw import RawClient
from tests.support.server import RegistryProcess

PUSHED = b"x" * 100_000  # above what the database takes in: a file of its own


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
    return subprocess.run(
        [sys.executable, "-m", "gati_registry", *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _json(*arguments: str, **environment: str) -> Any:
    result = _run(*arguments, "--output", "json", **environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A data folder with one blob that nothing refers to."""
    data = tmp_path / "data"
    with started(RegistryProcess(data)) as server:
        digest = "sha256:" + hashlib.sha256(PUSHED).hexdigest()
        client = RawClient(server.host)
        length = f"Content-Length: {len(PUSHED)}"
        client.request("POST", f"/v2/a/b/blobs/uploads/?digest={digest}", length, body=PUSHED)
        assert client.answer().status == 201
        assert server.terminate() == 0
    return data


def test_version_and_help_name_every_command() -> None:
    assert _run("--version").stdout.startswith("gati-registry ")
    text = _run("--help").stdout
    for command in (
        "serve", "check", "settings", "gc", "verify", "migrate", "migrate-storage", "backup", "restore", "extension",
    ):  # fmt: skip
        assert command in text
        assert _run(command, "--help").returncode == 0
    assert _run("nonsense").returncode == 2
    assert _run().returncode == 2


@pytest.mark.parametrize("command", ["serve", "check", "settings", "gc", "verify", "migrate"])
def test_a_bad_setting_is_one_line_and_exit_2(command: str) -> None:
    result = _run(command, GATI_GC__GRACEE="1")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        "gati-registry: GATI_GC__GRACEE: unknown setting in the environment; did you mean GATI_GC__GRACE?\n"
    )


def test_open_on_a_public_address_is_refused() -> None:
    result = _run("serve", "--open", "--listen", "0.0.0.0:5000")
    assert result.returncode == 2
    assert result.stderr.startswith("gati-registry: open: ")


def test_settings_tells_values_and_sources_but_no_password(tmp_path: Path) -> None:
    file = tmp_path / "gati.toml"
    file.write_text("[gc]\ninterval = 9\n")
    rows = {row["name"]: row for row in _json("settings", "--config", str(file), "--data", "here", GATI_WORKERS="3")}
    assert (rows["gc.interval"]["value"], rows["gc.interval"]["source"]) == ("9", "file")
    assert (rows["data"]["value"], rows["data"]["source"]) == ("here", "flag")
    assert (rows["workers"]["value"], rows["workers"]["source"]) == ("3", "environment")
    assert (rows["gc.grace"]["value"], rows["gc.grace"]["source"]) == ("86400", "default")
    assert rows["gc.grace"]["unit"] == "seconds"
    told = _json("settings", GATI_TELEMETRY__OTLP_ENDPOINT="http://user:secret@127.0.0.1:4318")
    [endpoint] = [row for row in told if row["name"] == "telemetry.otlp_endpoint"]
    assert endpoint["value"] == "http://user:***@127.0.0.1:4318"
    told = _json("settings", GATI_METADATA_URL="postgresql://u@h/d?password=secret&sslmode=require")
    (url,) = [row for row in told if row["name"] == "metadata_url"]
    assert url["value"] == "postgresql://u@h/d?password=***&sslmode=require"
    assert "gc.interval = 3600 seconds" in _run("settings").stdout


def test_check_of_a_folder_that_does_not_exist_changes_nothing(tmp_path: Path) -> None:
    rows = _json("check", "--data", str(tmp_path / "data"))
    assert all(row["ok"] for row in rows)
    assert list(tmp_path.iterdir()) == []


def test_check_finds_a_damaged_database(stored: Path) -> None:
    assert _run("check", "--data", str(stored)).returncode == 0
    (stored / "metadata.sqlite").write_bytes(b"not a database at all" * 1000)
    result = _run("check", "--data", str(stored))
    assert result.returncode == 1
    assert "database: FAILED" in result.stdout


def test_migrate_says_what_it_did(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    assert "applied core 0001" in _run("migrate", "--data", data).stdout
    assert _json("migrate", "--data", data) == {"applied": []}


def test_gc_shows_then_marks_then_undoes(stored: Path) -> None:
    now = {"GATI_GC__GRACE": "0"}
    data = ("--data", str(stored))
    plan = _json("gc", "--dry-run", *data, **now)
    [candidate] = plan["candidates"]
    assert (candidate["repository"], candidate["size"], plan["bytes"]) == ("a/b", len(PUSHED), len(PUSHED))
    assert candidate["subject"] == "sha256:" + hashlib.sha256(PUSHED).hexdigest()
    assert "refers to it" in candidate["reason"]
    assert plan == _json("gc", "--dry-run", *data, **now), "a dry run changes nothing"
    assert _json("gc", "--dry-run", *data)["candidates"] == [], "the grace period protects it"
    assert _json("gc", *data, **now)["condemned"] == 1
    assert _json("gc", "--undo", *data) == {"revived": 1}
    assert "1 items, 100000 bytes; nothing was changed" in _run("gc", "--dry-run", *data, **now).stdout
    assert _run("gc", "--dry-run", "--undo", *data).returncode == 2


def test_gc_frees_the_bytes(stored: Path) -> None:
    at_once = {"GATI_GC__GRACE": "0", "GATI_GC__UNDO": "0", "GATI_GC__READERS": "0"}
    report = _json("gc", "--data", str(stored), **at_once)
    assert (report["removed"], report["freed_bytes"]) == (1, len(PUSHED))
    assert [path for path in (stored / "blobs").rglob("*") if path.is_file() and path.stat().st_size] == []


def test_verify_reads_everything_and_reports_damage(stored: Path) -> None:
    report = _json("verify", "--data", str(stored))
    assert (report["blobs"], report["bytes"], report["damaged"]) == (1, len(PUSHED), [])
    [file] = [path for path in (stored / "blobs").rglob("*") if path.is_file() and path.stat().st_size]
    content = bytearray(file.read_bytes())
    content[50_000] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
    result = _run("verify", "--data", str(stored), "--output", "json")
    assert result.returncode == 1
    report = json.loads(result.stdout)
    [damage] = report["damaged"]
    assert (damage["kind"], damage["digest"]) == ("blob", "sha256:" + hashlib.sha256(PUSHED).hexdigest())
    kept = [path for path in stored.rglob("*") if path.is_file() and path.stat().st_size == len(PUSHED)]
    assert [path.read_bytes() for path in kept] == [bytes(content)], "set aside, not deleted"


def test_extension_list() -> None:
    assert isinstance(_json("extension", "list"), list)


def test_a_backend_that_does_not_open_is_one_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "metadata.sqlite").write_bytes(b"not a database at all" * 1000)
    for command in ("gc", "verify", "migrate", "serve"):
        result = _run(command, "--data", str(data))
        assert result.returncode == 1, command
        assert result.stderr.splitlines()[-1].startswith("gati-registry: ")
        assert "Traceback" not in result.stderr
