"""`gati-registry openapi`: the extension API of the enabled extensions, as OpenAPI 3.1 on standard output."""

from __future__ import annotations

import argparse
import asyncio
from importlib.metadata import version

from gati_registry.bootstrap import Registry
from gati_registry.commands.context import loaded, print_json, with_registry
from gati_registry.commands.options import ExitCode
from gati_registry.http.openapi import document


def run(arguments: argparse.Namespace) -> int:
    """Always 0, unless a backend does not open."""

    async def describe(registry: Registry) -> None:
        print_json(document(version("gati-registry"), registry.extensions.routes()))

    asyncio.run(with_registry(loaded(arguments).settings, describe))
    return ExitCode.DONE
