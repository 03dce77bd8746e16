"""Commands that extensions bring: `gati-registry user …`, `gati-registry audit …`."""

from __future__ import annotations

import argparse
import asyncio

from gati_registry import loader
from gati_registry.bootstrap import Registry
from gati_registry.commands.context import loaded, with_registry
from gati_registry.commands.options import Command
from gati_registry.settings import SettingsError


def commands() -> dict[str, Command]:
    """Those of all installed extensions. One that is broken is left out here; the server's start tells of it."""
    try:
        return {
            command.name: Command(command.summary, arguments=command.arguments)
            for found in loader.declared(None)
            for command in found.commands
        }
    except SettingsError:
        return {}


def run(arguments: argparse.Namespace) -> int:
    """Whatever the command returns.

    Raises:
        SettingsError: the settings do not enable its extension.
    """
    settings = loaded(arguments).settings

    async def call(registry: Registry) -> int:
        for found, _ in registry.extensions.parts:
            for command in found.commands:
                if command.name == arguments.command:
                    return await command.run(registry.extensions.kernels[found.name], arguments)
        raise SettingsError(f"extensions: the command {arguments.command} belongs to one that is not enabled")

    return asyncio.run(with_registry(settings, call))
