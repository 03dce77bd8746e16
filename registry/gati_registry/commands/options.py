"""The command line's table: what each command is called, takes and says of itself. Imports nothing that is slow."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # also: a setting that does not fit


@dataclass(frozen=True)
class Command:
    """A row of the table."""

    summary: str
    description: str = ""
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command takes."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    parser.add_argument("--data", metavar="DIR", help="folder of everything that is stored")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="form of the result")


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", metavar="HOST:PORT", help="address to listen on")
    parser.add_argument(
        "--open", action="store_true", default=None, help="anonymous callers may do everything; loopback only"
    )
    parser.add_argument("--server", choices=("hypercorn", "uvicorn"), help="HTTP server")
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain, PEM")
    parser.add_argument("--tls-key", metavar="FILE", help="private key, PEM")


def _settings(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if action.dest == "output":
            action.choices = ("text", "json", "markdown")


def _gc(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--dry-run", action="store_true", help="print what would go and why; change nothing")
    choice.add_argument("--undo", action="store_true", help="bring back what is marked as deleted and not yet gone")


def _keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("status", "rotate", "rewrap", "destroy"),
        help="what wraps what; make a new master key; have it wrap all; end a namespace's key",
    )
    parser.add_argument("namespace", nargs="?", help="destroy: whose key, such as orgs/acme")
    parser.add_argument("--yes", action="store_true", help="destroy: its blobs are to be lost for good")


def _extension(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "new"), help="list those installed, or lay out a new one")
    parser.add_argument("name", nargs="?", help="new: what it is called")
    parser.add_argument("--into", default=".", metavar="DIR", help="new: the folder to put it in (default: here)")


COMMANDS = {
    "serve": Command(
        "run the registry",
        "Run the registry until SIGTERM. One line on standard output, ending in the URL, says that it answers.",
        _serve,
    ),
    "check": Command("check settings, backends and schema; exit 0 or 1"),
    "settings": Command("list every setting: value, its source, default, meaning", arguments=_settings),
    "gc": Command("collect garbage now; a running server does not mind", arguments=_gc),
    "verify": Command("read everything that is stored, report and set aside what is damaged; delete nothing"),
    "keys": Command("rotate the master key of encrypted blobs, destroy a namespace's key", arguments=_keys),
    "migrate": Command("bring the database to this version's schema"),
    "openapi": Command("print the extension API as OpenAPI 3.1"),
    "extension": Command("list extensions, or lay out a new one", arguments=_extension),
}
