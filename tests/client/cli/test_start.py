"""What a call of `gati` does not wait for: packages that it has no use for are not imported.

Typer reads values by pydantic, pydantic looks for plugins, httpx brings a command line, rich draws tables: each takes
longer to import than what a plain call does itself.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from gati_client.cli.root import KINDS, MODULES, Root
from gati_client.cli.tree import makers
from tests.client.cli.conftest import program, pushed
from tests.clients.client import Client
from tests.clients.registry import Registry

NEVER = {"rich", "pygments", "jinja2", "yaml", "jsonschema_rs", "cryptography"}
SLOW = {"httpx", "httpcore", "anyio"}
OFFLINE = {*NEVER, *SLOW, "pydantic"}


_TELLING = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "


def imported(client: Client, *arguments: str) -> set[str]:
    """The packages and modules that a call imports, which must succeed."""
    telling = ("-c", f"{_TELLING}from gati_client.cli import main; main()")
    code, _, err = Client(Path(sys.executable), client.home, telling, client.env).run(*arguments)
    assert code == 0, err
    return set(err.splitlines()[-1].split())


def test_version_imports_next_to_nothing(home: Path) -> None:
    found = imported(program(home), "--version")
    assert "gati_client.cli" in found
    assert not found & {*OFFLINE, "typer", "asyncio", "gati_client.cli.root"}


@pytest.mark.parametrize("words", [["registry", "list"], ["module", "create", "greet"], ["cache", "prune", "--yes"]])
def test_calls_without_a_registry(home: Path, words: list[str]) -> None:
    found = imported(program(home), *words)
    assert "typer" in found
    assert not found & OFFLINE


@pytest.mark.parametrize("words", ["module de", "registry "])
def test_completion(home: Path, words: str) -> None:
    """What a shell asks for at each press of a key."""
    found = imported(program(home, _GATI_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=f"gati {words}"))
    assert f"gati_client.cli.{'kinds' if words.startswith('module') else 'registry'}" in found
    assert not found & {*OFFLINE, "asyncio", "gati_client.client"}


def test_calls_of_a_registry(site: Registry, gati: Client, user: str) -> None:
    """Names on the command line, defaults and results are no reason for pydantic; models of one extension no reason
    for those of others."""
    pushed(site, f"users/{user}/tool")
    found = imported(gati, "search", "tool", "--limit", "3", "--output", "json")
    assert "gati_client.client" in found
    assert not found & {*NEVER, *SLOW, "pydantic", "gati_client.transfer"}
    found = imported(gati, "whoami")
    assert "gati_client.models.identity" in found
    assert not found & {*NEVER, *SLOW, "gati_client.models.kinds", "gati_client.models.resolve"}
    assert not imported(gati, "list", "--output", "wide") & {*NEVER, *SLOW}


def test_one_command_is_made(home: Path) -> None:
    """Other modules are left alone."""
    found = imported(program(home), "registry", "list")
    assert "gati_client.cli.registry" in found
    assert not found & {"gati_client.cli.project", "gati_client.cli.kinds", "gati_client.cli.reference"}


def test_the_table_says_where_each_command_is() -> None:
    for module, names in MODULES.items():
        assert tuple(makers(import_module(f"gati_client.cli.{module}").app)) == names
    root = Root(name="gati")
    assert root.list_commands(None) == [*(name for names in MODULES.values() for name in names), *KINDS]
    for name in root.list_commands(None):
        assert root.get_command(None, name).name == name
    assert root.get_command(None, "nope") is None
