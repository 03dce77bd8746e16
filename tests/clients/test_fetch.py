"""The fetching of client programs: what it says, and what it does when something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.programs import PROGRAMS, GoModule, System, require

REPOSITORY = Path(__file__).resolve().parents[2]


def _fetch(*arguments: str, cache: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command on an empty cache; `path` replaces PATH."""
    environment = {**os.environ, "GATI_TEST_CLIENTS": str(cache)}
    if path is not None:
        environment["PATH"] = path
    command = [sys.executable, "-m", "tests.clients.fetch", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_list_names_every_program(tmp_path: Path) -> None:
    """--list prints one line per program, and fetches nothing."""
    result = _fetch("--list", cache=tmp_path / "cache")
    assert result.returncode == 0, result.stderr
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert list(lines) == list(PROGRAMS)
    for name, program in PROGRAMS.items():
        assert program.version in lines[name]
        if not isinstance(program.source, System):
            assert "MISSING" in lines[name]
            assert str(tmp_path / "cache") in lines[name]
    assert not (tmp_path / "cache").exists()


def test_does_nothing_when_all_are_there(tmp_path: Path) -> None:
    """Present programs are left alone, without apt, Go or network."""
    chosen = [program for program in PROGRAMS.values() if isinstance(program.source, GoModule)]
    for program in chosen:
        place = tmp_path / program.name / program.version / program.binary
        place.parent.mkdir(parents=True)
        place.touch(mode=0o755)
    result = _fetch("--only", *(program.name for program in chosen), cache=tmp_path, path="/nonexistent")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_says_what_is_missing(tmp_path: Path) -> None:
    """Without apt-get and Go it names what cannot be had, and fails."""
    result = _fetch("--only", "oras", "crane", "oidc-provider", cache=tmp_path, path="/nonexistent")
    assert result.returncode == 1
    assert "no apt-get" in result.stderr
    assert "no go on PATH" in result.stderr
    assert "no npm" in result.stderr
    assert "still missing: oidc-provider" in result.stderr
    assert "still missing: oras" in result.stderr
    assert "still missing: crane" in result.stderr


def test_unknown_name_is_wrong_usage(tmp_path: Path) -> None:
    assert _fetch("--only", "nonesuch", cache=tmp_path).returncode == 2


def test_missing_program_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A required program may be missing on a developer's machine, not in CI; an optional one may be anywhere."""
    monkeypatch.setenv("GATI_TEST_CLIENTS", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="make real-clients"):
        require("crane")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"crane 0\.22"):
        require("crane")
    with pytest.raises(pytest.skip.Exception):
        require("distribution")
