"""`gati-registry extension list`: the extensions that are installed, and which of them the settings enable."""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points

from gati_registry.commands.context import loaded, print_json, print_table
from gati_registry.commands.options import ExitCode

GROUP = "gati.extensions"


def run(arguments: argparse.Namespace) -> int:
    """Always 0, unless the settings do not fit."""
    wanted = loaded(arguments).settings.extensions
    rows = [
        {
            "name": entry.name,
            "distribution": entry.dist.name if entry.dist else "",
            "enabled": wanted is None or entry.name in wanted,
        }
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    ]
    if arguments.output == "json":
        print_json(rows)
    elif rows:
        print_table(rows, ("name", "distribution", "enabled"))
    else:
        print("no extensions are installed")
    return ExitCode.DONE
