"""Registries of others, served from the same artifacts: their clients' URLs on our repositories.

    SpecRegistry   /api/v1/…: packages of specifications (kind spec)
    mlld           /{user}/registry.json, /{user}/advisories.json

Nothing is stored here. What is published through a façade is pushed in its publisher's name, past the same decision,
gates and projections as any push; what is read is what the caller may pull.
"""

from __future__ import annotations

from gati_extensions.facades.settings import FacadesSettings
from gati_registry.extension import Contribution, Extension, Kernel


def _contribute(kernel: Kernel, settings: FacadesSettings) -> Contribution:
    from gati_extensions.facades.routes import root_routes
    from gati_extensions.facades.routes.doors import Doors

    return Contribution(root_routes=root_routes(Doors(kernel, settings)))


extension = Extension(
    name="facades",
    summary="The URLs of SpecRegistry and of mlld, served from the same artifacts.",
    contribute=_contribute,
    settings=FacadesSettings,
    requires=("identity", "namespaces", "kinds", "resolve"),
    uses=("search",),
    permissions={
        "facades.read": "Read packages and modules in others' forms, as far as you may pull them: everybody.",
        "facades.resolve": "Resolve dependencies and verify packages, as far as you may pull them: with an account.",
        "facades.publish": "Publish a package: whoever may push to its repository, which is decided on as for a push.",
    },
)
