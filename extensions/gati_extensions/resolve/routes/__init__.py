"""The endpoints of `resolve`."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.resolve.routes import advising, resolving
from gati_extensions.resolve.routes.doors import Doors
from gati_registry.extension import Route


def registry_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/_ext/resolve`."""
    return resolving.registry_routes(doors)


def repository_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/<repository>/_ext/resolve/`."""
    return [*resolving.repository_routes(doors), *advising.repository_routes(doors)]
