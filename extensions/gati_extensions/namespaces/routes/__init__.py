"""The API. Paths of namespaces have any number of parts, so what comes behind them is matched first."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.namespaces.routes import drafts, limits, members, namespaces, proofs, transfers
from gati_extensions.namespaces.routes.doors import Doors
from gati_registry.extension import Route


def registry_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/_ext/namespaces/`."""
    modules = (members, limits, proofs, transfers, namespaces)
    return [route for module in modules for route in module.routes(doors)]


def repository_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/<repository>/_ext/namespaces/`."""
    return drafts.routes(doors)
