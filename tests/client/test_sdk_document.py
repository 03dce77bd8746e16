"""docs/sdk.md: its programs are run, as a reader would copy them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gati_client.scaffold import create
from tests.client.documents import ADDRESS, DOCS
from tests.support.server import RegistryProcess

_PROGRAM = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)
FORKED = """
import os, signal, sys
from gati_client import SyncClient, Usage

def tags(client):
    return list(client.artifacts.tags("library/notes"))

with SyncClient(sys.argv[1]) as client:
    found = tags(client)
    child = os.fork()
    if child == 0:
        signal.alarm(100)  # what waits for a thread that the parent has waits for ever
        try:
            tags(client)
        except Usage as error:
            print(error.remedy)
        with SyncClient(sys.argv[1]) as own:
            assert tags(own) == found
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert tags(client) == found
"""


def ran(folder: Path, program: str, *arguments: str) -> str:
    """What a program prints."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_programs(registry: RegistryProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "XDG_CACHE_HOME", "DOCKER_CONFIG"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.delenv("GATI_TOKEN", raising=False)
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "app").mkdir()
    create("module", "greet", tmp_path / "greet")
    text = (DOCS / "sdk.md").read_text().replace(ADDRESS, registry.host)
    programs = [found.replace("\n    ", "\n") for found in _PROGRAM.findall(text) if "import" in found]
    assert len(programs) == 3
    said = [ran(tmp_path, program) for program in programs]
    assert (tmp_path / "copy.txt").read_text() == "notes"
    assert said[1].split() == ["1.0.0", "latest"]
    assert "library/greet 0.1.0 app/gati_modules/library/greet" in said[2]
    assert (tmp_path / "app/gati_modules/library/greet/gati-module.json").is_file()
    assert "after the fork" in ran(tmp_path, FORKED, registry.host)
