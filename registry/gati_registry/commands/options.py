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


def _migrate_storage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to", nargs="+", required=True, metavar="URL", help="new database (sqlite:///…, postgresql://…) or blob store"
    )


def _key(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    key = parser.add_mutually_exclusive_group(required=required)
    key.add_argument("--key-file", type=Path, metavar="FILE", help="key: 64 hexadecimal digits (openssl rand -hex 32)")
    key.add_argument("--passphrase-file", type=Path, metavar="FILE", help="passphrase: the file's first line")


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repair", action="store_true", help="give what is damaged, now or since earlier, sound bytes of --from"
    )
    parser.add_argument(
        "--from",
        dest="sources",
        action="append",
        default=[],
        metavar="PLACE",
        help="repair: second blob store or backup (folder, file:///DIR, s3://…) or peer registry (https://HOST); "
        "may be given again",
    )
    _key(parser, required=False)
    parser.add_argument("--credentials-file", type=Path, metavar="FILE", help="for the peer, one line: NAME:PASSWORD")


def _backup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=("make", "list", "verify", "prune"),
        default="make",
        help="make one (the default), list those there are, read one and compare digests, or only end old ones",
    )
    parser.add_argument("--to", required=True, metavar="PLACE", help="folder, file:///DIR or s3://BUCKET/PREFIX?…")
    _key(parser)
    parser.add_argument("--name", help="verify: which one (default: the newest)")
    parser.add_argument(
        "--follow", type=float, metavar="SECONDS", help="make: go on, one each so many seconds, until SIGTERM"
    )
    keep = parser.add_argument_group("retention", "which ones stay; all of them where nothing is said")
    keep.add_argument("--keep-last", type=int, default=0, metavar="N", help="the last N")
    for period, unit in (("hourly", "hours"), ("daily", "days"), ("weekly", "weeks"), ("monthly", "months")):
        keep.add_argument(
            f"--keep-{period}", type=int, default=0, metavar="N", help=f"the newest of each of the last N {unit}"
        )


def _restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", required=True, metavar="PLACE", help="where `backup --to` put it")
    _key(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--name", help="which backup (default: the newest)")
    which.add_argument("--at", metavar="TIME", help="the newest of no later than this time (RFC 3339)")
    parser.add_argument("--dry-run", action="store_true", help="read all of it and compare digests; write nothing")


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
    "verify": Command(
        "read everything that is stored, report, set aside and repair what is damaged; delete nothing",
        arguments=_verify,
    ),
    "keys": Command("rotate the master key of encrypted blobs, destroy a namespace's key", arguments=_keys),
    "migrate": Command("bring the database to this version's schema"),
    "migrate-storage": Command(
        "copy blobs or database to another store or engine, verified; call again to go on",
        "Copy the blobs (while a registry serves, if need be) and the tables (only after it was stopped) to other "
        "places. The source is not changed. A run that was interrupted is continued by calling it again.",
        _migrate_storage,
    ),
    "backup": Command(
        "back up beside a serving registry: encrypted, incremental, kept by policy; list, verify, prune",
        arguments=_backup,
    ),
    "restore": Command("bring a registry back into an empty place, verified; call again to go on", arguments=_restore),
    "openapi": Command("print the extension API as OpenAPI 3.1"),
    "extension": Command("list extensions, or lay out a new one", arguments=_extension),
}
