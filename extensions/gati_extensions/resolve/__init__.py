"""Which releases fit together: dependencies across kinds and namespaces, locks, reverse dependencies, advisories.

POST resolve ──gather──▶ releases of everything that could be wanted ──solve (resolvelib, in a thread)──▶ packages
                                                                     └─▶ conflicts that a person can act on
"""

from __future__ import annotations

from gati_extensions.resolve.settings import ResolveSettings
from gati_registry.extension import Contribution, Extension, Kernel, Operation, on


def _contribute(kernel: Kernel, settings: ResolveSettings) -> Contribution:
    from gati_extensions.resolve.hooks import Edges
    from gati_extensions.resolve.resolver import Resolver
    from gati_extensions.resolve.routes import registry_routes, repository_routes
    from gati_extensions.resolve.routes.doors import Doors

    catalogue = kernel.apis["kinds"]
    resolver = Resolver(kernel, settings, catalogue)
    doors = Doors(kernel, catalogue, kernel.apis["namespaces"], resolver)
    edges = Edges()
    return Contribution(
        registry_routes(doors),
        repository_routes(doors),
        projections=[
            (on(Operation.MANIFEST_PUT), edges.pushed),
            (on(Operation.MANIFEST_DELETE), edges.deleted),
            (on(Operation.STATE_CHANGE), edges.renamed),
        ],
        api=resolver,
    )


extension = Extension(
    name="resolve",
    summary="Which releases fit together: dependencies, locks, who uses what, advisories.",
    contribute=_contribute,
    settings=ResolveSettings,
    requires=("identity", "namespaces", "kinds"),
    permissions={
        "resolve.resolve": "Resolve dependencies among what you may pull: everybody.",
        "resolve.dependents": "See who uses an artifact, as far as you may pull the users.",
        "resolve.advisories": "See the advisories about an artifact.",
        "resolve.advise": "Publish, change and withdraw advisories of an artifact; decide on those that others submit.",
        "resolve.submit": "Submit an advisory about an artifact, to be decided on by those who maintain it.",
    },
    migrations="gati_extensions.resolve.migrations",
)
