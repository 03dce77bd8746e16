"""The `gati-registry` command. Each subcommand is a module of `gati_registry.commands`, imported when it is called."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from gati_registry.commands.options import COMMANDS, ExitCode, add_common


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(prog="gati-registry", description="An OCI registry for every kind of artifact.")
    root.add_argument("--version", action="version", version=f"gati-registry {version('gati-registry')}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.summary, description=command.description or command.summary)
        add_common(sub)
        command.arguments(sub)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (`ExitCode`)."""
    arguments = parser().parse_args(argv)
    module = import_module(f"gati_registry.commands.{arguments.command.replace('-', '_')}")
    # Only now: `--help` and `--version` do without pydantic and the database.
    from gati_registry.errors import Unavailable
    from gati_registry.metadata.migrate import MigrationError
    from gati_registry.settings import SettingsError

    try:
        return int(module.run(arguments))
    except SettingsError as error:
        return _complain(error, ExitCode.USAGE)
    except (Unavailable, MigrationError) as error:
        return _complain(error, ExitCode.FAILED)
    except KeyboardInterrupt:
        return ExitCode.FAILED


def _complain(error: Exception, code: ExitCode) -> int:
    print(f"gati-registry: {error}", file=sys.stderr)  # noqa: T201 - the one line that says what to mend
    return code


if __name__ == "__main__":
    sys.exit(main())
