"""Processes, sockets and HTTP servers under the ASGI application.

`serve` is the whole interface. One worker serves in the calling process; more are forked and watched by a supervisor.
Why not `hypercorn.run`: it cuts running transfers at SIGTERM, and its workers share one listener unevenly.
"""

from __future__ import annotations

from gati_registry.serving.application import Application, ApplicationFactory
from gati_registry.serving.listener import AddressError
from gati_registry.serving.serve import serve

__all__ = ["AddressError", "Application", "ApplicationFactory", "serve"]
