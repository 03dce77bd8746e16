"""`gati-registry migrate`: bring the database to this version's schema. `serve` does the same at its start."""

from __future__ import annotations

import argparse
import asyncio

from gati_registry.bootstrap import Registry
from gati_registry.commands.context import loaded, print_json, with_registry
from gati_registry.commands.options import ExitCode


def run(arguments: argparse.Namespace) -> int:
    """0 when the schema is current."""

    async def ran(registry: Registry) -> list[str]:
        return registry.metadata.migrations_run

    applied = asyncio.run(with_registry(loaded(arguments).settings, ran))
    if arguments.output == "json":
        print_json({"applied": applied})
    else:
        print("\n".join(f"applied {name}" for name in applied) or "the schema is current")
    return ExitCode.DONE
