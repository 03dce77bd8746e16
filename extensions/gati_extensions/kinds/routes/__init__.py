"""The endpoints of `kinds`."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.kinds.routes import changing, reading
from gati_extensions.kinds.routes.doors import Doors
from gati_registry.extension import Route


def registry_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/_ext/kinds/`."""
    return [*reading.registry_routes(doors), *changing.registry_routes(doors)]


def repository_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/<repository>/_ext/kinds/`."""
    return [*reading.repository_routes(doors), *changing.repository_routes(doors)]
