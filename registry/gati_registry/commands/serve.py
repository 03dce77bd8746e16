"""`gati-registry serve`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from importlib.util import find_spec

from gati_registry.commands.context import loaded
from gati_registry.commands.options import ExitCode
from gati_registry.settings import Settings, SettingsError


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM. 0: all that ran was finished; 1: it did not start, or was cut short; 2: settings."""
    flags = {
        "listen": arguments.listen,
        "open": arguments.open,
        "server": arguments.server,
        "workers": arguments.workers,
        "tls.cert": arguments.tls_cert,
        "tls.key": arguments.tls_key,
    }
    settings = loaded(arguments, flags).settings
    _require_server(settings)
    from gati_registry.app import create_app
    from gati_registry.bootstrap import prepare
    from gati_registry.errors import RegistryError
    from gati_registry.metadata.migrate import MigrationError
    from gati_registry.serving import AddressError, serve

    try:
        # In an event loop of its own that has ended, with all connections and threads, when workers are forked.
        for line in asyncio.run(prepare(settings)):
            print(f"gati-registry: {line}", file=sys.stderr, flush=True)
        return serve(settings, create_app)
    except (AddressError, RegistryError, MigrationError, OSError) as error:
        print(f"gati-registry: {error}", file=sys.stderr)
        return ExitCode.FAILED


def _require_server(settings: Settings) -> None:
    if settings.server == "uvicorn" and not find_spec("uvicorn"):
        raise SettingsError(
            "server: uvicorn needs the extra `fast`; install it with: pip install 'gati-registry[fast]'"
        )
