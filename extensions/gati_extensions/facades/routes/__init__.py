"""The endpoints of `facades`."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.facades.routes import mlld, packages, publishing, verifying
from gati_extensions.facades.routes.doors import Doors
from gati_registry.extension import Route


def root_routes(doors: Doors) -> Sequence[Route]:
    """Outside of `/v2`."""
    return [*packages.routes(doors), *publishing.routes(doors), *verifying.routes(doors), *mlld.routes(doors)]
