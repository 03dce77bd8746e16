"""What all commands share: options anywhere, results apart from words, exit codes, help, completion, the reference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.client.cli.conftest import GATI, PASSWORD, at_terminal, program
from tests.clients.client import Client
from tests.clients.registry import Registry
from tests.support.server import free_port

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def alone(home: Path) -> Client:
    """gati, with no registry to speak of."""
    return program(home)


def test_named_registries(alone: Client) -> None:
    """Added, listed in every form, used, removed."""
    alone("registry", "add", "lab", "http://127.0.0.1:5001")
    alone("registry", "add", "work", "https://registry.example")
    assert alone.run("registry", "add", "lab", "http://127.0.0.1:5002")[0] == 5
    alone("registry", "add", "lab", "http://127.0.0.1:5002", "--force")
    alone("registry", "use", "work")
    rows = [
        {"name": "lab", "url": "http://127.0.0.1:5002", "insecure": False, "default": False},
        {"name": "work", "url": "https://registry.example", "insecure": False, "default": True},
    ]
    assert json.loads(alone("registry", "list", "--output", "json")) == rows
    assert yaml.safe_load(alone("--output", "yaml", "registry", "list")) == rows
    assert alone("registry", "list") == (
        "NAME  URL                       DEFAULT\n"
        "lab   http://127.0.0.1:5002     no\n"
        "work  https://registry.example  yes\n"
    )
    assert "INSECURE" not in alone("registry", "list")
    assert "INSECURE" in alone("registry", "list", "-o", "wide")
    assert json.loads(alone("registry", "list", "-o", "json", "--filter", "url~5002")) == rows[:1]
    assert json.loads(alone("registry", "list", "-o", "json", "--filter", "default=yes")) == rows[1:]
    alone("registry", "remove", "work")
    written = tomllib.loads((alone.home / ".config" / "gati" / "config.toml").read_text())
    assert written == {"registries": {"lab": {"url": "http://127.0.0.1:5002"}}}


def test_several_add_registries_at_once(alone: Client) -> None:
    """To a file that --config names and that is not there yet: none is lost, one of them is the default."""
    file = alone.home / "new" / "gati.toml"
    odd = alone.run("registry", "use", "lab", "--config", str(file))
    assert (odd[0], str(file) in odd[2], file.parent.exists()) == (2, True, False), odd[2]
    names = [f"lab{number}" for number in range(6)]
    begun = [
        subprocess.Popen(
            [alone.program, "registry", "add", name, "127.0.0.1:5001", "--quiet", "--config", str(file)],
            env=alone.environment(),
        )
        for name in names
    ]
    assert [each.wait(120) for each in begun] == [0] * len(names)
    written = tomllib.loads(file.read_text())
    assert sorted(written["registries"]) == names
    assert written["default"] in names


def test_columns_of_wide_letters_and_marks(alone: Client) -> None:
    """Other programs' columns begin at the same place of a terminal; no line ends with blanks."""
    for name in ("lab", "日本語", "cafe\u0301"):
        alone("registry", "add", name, "127.0.0.1:5001")
    assert alone("registry", "list").splitlines() == [
        "NAME    URL             DEFAULT",
        "cafe\u0301    127.0.0.1:5001  no",
        "lab     127.0.0.1:5001  yes",
        "日本語  127.0.0.1:5001  no",
    ]
    assert b"\x1b[1m" in at_terminal(alone, "registry", "list")


@pytest.mark.parametrize("width", [30, 60, 90])
def test_narrow_terminals(alone: Client, width: int) -> None:
    """Words of a text go on in the next line; a name stays whole, be the line too long. A pipe gets it all in one."""
    name, text = "development-setup-of-everybody", "what somebody needs who begins to work on the shop and its parts"
    (alone.home / "gati.json").write_text("{}")
    (alone.home / "gati.lock").write_text('{"version": 1, "root": {}, "packages": {}}')
    alone("snapshot", "create", name, "--version", "1.0.0", "--description", text, "--no-env")
    shown = at_terminal(alone, "snapshot", "list", COLUMNS=str(width), NO_COLOR="1").decode().splitlines()
    first = shown[1].split()
    assert first[:3] == [name, "1.0.0", "0"]
    assert " ".join([*first[3:], *(line.strip() for line in shown[2:])]) == text
    assert len(shown) > 2
    least = len(f"{name}  VERSION  ARTIFACTS  ") + 16
    assert max(map(len, shown)) <= max(width, least)
    assert alone("snapshot", "list").splitlines()[1].endswith(text)


def test_wrong_usage_is_one_line(alone: Client, tmp_path: Path) -> None:
    """Exit code 2, nothing on standard output, one line with a way out."""
    odd = tmp_path / "odd.toml"
    odd.write_text("registry = 5")
    for arguments in (
        ("regitsry", "list"),
        ("registry", "use"),
        ("registry", "list", "--output", "xml"),
        ("registry", "list", "--bogus"),
        ("registry", "list", "--config", str(tmp_path / "none.toml")),
        ("registry", "list", "--config", str(odd)),
        ("module", "yank", "@acme/x"),
        ("module", "info", "No Such Name"),
        ("key", "revoke", "k_1"),
    ):
        code, out, err = alone.run(*arguments)
        assert (code, out) == (2, ""), (arguments, err)
        assert len(err.splitlines()) == 1, err
        assert err.startswith("gati: "), err
    assert "Did you mean 'registry'" in alone.fails("regitsry", "list")


def test_nobody_answers(alone: Client) -> None:
    code, out, err = alone.run("whoami", f"127.0.0.1:{free_port()}")
    assert (code, out) == (7, "")
    assert len(err.splitlines()) == 1, err


def test_what_a_terminal_sees(alone: Client) -> None:
    """Colour there, none with NO_COLOR, none in a pipe."""
    alone("registry", "add", "lab", "http://127.0.0.1:5001")
    assert b"\x1b[" in at_terminal(alone, "registry", "list")
    plain = at_terminal(alone, "registry", "list", NO_COLOR="1")
    assert b"\x1b[3" not in plain
    assert b"http://127.0.0.1:5001" in plain
    assert "\x1b" not in alone("registry", "list")
    assert b"\x1b[" not in at_terminal(alone, "registry", "list", "-o", "json")


def test_help_speaks_of_values(alone: Client) -> None:
    """Not of Python's types: a flag takes nothing, a choice is written out; no braces look like something to type."""
    page = alone("registry", "add", "--help")
    assert "Usage: gati registry add [OPTIONS] NAME URL " in page
    assert "table|wide|json|yaml" in page
    for odd in ("<", "{", "bool"):
        assert odd not in page


def test_completion(alone: Client) -> None:
    """bash's own completion finds commands of groups and options."""
    script = alone("completion", "bash")
    assert "complete" in script
    bash = shutil.which("bash")
    assert bash
    asked = f'{script}\nCOMP_WORDS=(gati registry "") COMP_CWORD=2\n_gati_completion gati\necho "${{COMPREPLY[@]}}"'
    env = {**alone.environment(), "PATH": f"{GATI.parent}:{os.environ['PATH']}"}
    found = subprocess.run([bash, "-c", asked], env=env, capture_output=True, text=True, check=True)
    assert {"add", "use", "list"} <= set(found.stdout.split())


def test_the_reference_is_the_programs(alone: Client) -> None:
    """docs/commands.md is what `gati man --markdown` prints; the man page names every command, too."""
    written = (DOCS / "commands.md").read_text()
    assert alone("man", "--markdown") == written, "run: gati man --markdown > docs/commands.md"
    page = alone("man").replace("\\-", "-")
    for line in written.splitlines():
        if line.startswith("### `"):
            assert line[5:].rstrip("`") in page, line


def test_version(alone: Client) -> None:
    assert alone("--version").startswith("gati ")


# --- doctor -----------------------------------------------------------------------------------------------------------


def test_doctor(site: Registry, home: Path, user: str) -> None:
    """All is well; without a login a warning; without a registry a failure with its remedy."""
    gati = program(home, site)
    lines = {line["check"]: line for line in json.loads(gati("doctor", "-o", "json"))}
    assert {name: line["state"] for name, line in lines.items() if name != "cache"} == {
        "gati": "ok",
        "configuration": "ok",
        "connection": "ok",
        "clock": "ok",
        "credentials": "warning",
        "features": "ok",
    }
    assert "gati login" in lines["credentials"]["remedy"]
    gati("login", "-u", user, "--password-stdin", stdin=PASSWORD)
    lines = {line["check"]: line for line in json.loads(gati("doctor", "-o", "json"))}
    assert lines["credentials"]["state"] == "ok"
    code, out, _ = gati.run("doctor", f"127.0.0.1:{free_port()}", "-o", "json")
    assert code == 1
    failed = [line for line in json.loads(out) if line["state"] == "failed"]
    assert [line["check"] for line in failed] == ["connection"]
    assert failed[0]["remedy"]


def test_debug_shows_no_secret(site: Registry, gati: Client) -> None:
    """--debug and --verbose tell of requests and where errors come from, never with what they were made."""
    made = json.loads(gati("key", "create", "ci", "-o", "json"))
    keyed = Client(gati.program, gati.home, env={**gati.env, "GATI_TOKEN": made["key"]})
    code, out, err = keyed.run("whoami", "--debug", "--verbose")
    assert code == 0, err
    assert made["key"] not in out + err
    assert "identity/me" in err
    code, _, err = keyed.run("org", "create", "nope", "--debug")
    assert code == 4
    assert "Traceback" in err
    assert made["key"] not in err
    code, _, err = keyed.run("org", "create", "nope")
    assert "Traceback" not in err
