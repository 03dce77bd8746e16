"""The `gati-registry` command. Each subcommand is a module of `gati_registry.commands`, imported when it is called."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version

from gati_registry.commands.options import COMMANDS, Command, ExitCode, add_common


def parser(more: Mapping[str, Command] | None = None) -> argparse.ArgumentParser:
    """The whole command line; `more` are the commands that extensions add."""
    root = argparse.ArgumentParser(prog="gati-registry", description="An OCI registry for every kind of artifact.")
    root.add_argument("--version", action="version", version=f"gati-registry {version('gati-registry')}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in (COMMANDS | dict(more or {})).items():
        sub = commands.add_parser(name, help=command.summary, description=command.description or command.summary)
        add_common(sub)
        command.arguments(sub)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (`ExitCode`)."""
    gc.set_threshold(20_000, 20, 20)  # what a start makes stays: the collector would look at it again and again
    given = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in given if not word.startswith("-")), "")
    arguments = parser({} if name in COMMANDS or "--version" in given else _of_extensions()).parse_args(given)
    own = arguments.command in COMMANDS
    module = import_module(f"gati_registry.commands.{arguments.command.replace('-', '_') if own else 'contributed'}")
    # Only now: `--help` and `--version` of our own commands do without pydantic and the database.
    from gati_registry.errors import RegistryError
    from gati_registry.metadata.migrate import MigrationError
    from gati_registry.settings import SettingsError

    try:
        return int(module.run(arguments))
    except SettingsError as error:
        return _complain(error, ExitCode.USAGE)
    except (RegistryError, MigrationError) as error:
        return _complain(error, ExitCode.FAILED)
    except KeyboardInterrupt:
        return ExitCode.FAILED


def _of_extensions() -> dict[str, Command]:
    from gati_registry.commands.contributed import commands

    return commands()


def _complain(error: Exception, code: ExitCode) -> int:
    print(f"gati-registry: {error}", file=sys.stderr)  # noqa: T201 - the one line that says what to mend
    return code


if __name__ == "__main__":
    sys.exit(main())
