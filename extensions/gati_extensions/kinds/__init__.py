"""What artifacts are: kinds, their checked manifests, versions, channels, states, and what is said of them later.

    push ──inspector (understanding)──▶ facts ──gates──▶ versions stay, references are there ──projections──▶ kinds_…
    pull ──pull gate──▶ deprecated and yanked versions say so

A kind is one record in one file (`kind.Kind`, `catalogue/`); a third party adds one by the entry-point group
`gati.kinds`. `gtypes/` reads the types of manifests.
"""

from __future__ import annotations

import argparse

from gati_extensions.kinds.settings import KindsSettings
from gati_registry.extension import Command, Contribution, Extension, Job, Kernel, Operation, on


def _contribute(kernel: Kernel, settings: KindsSettings) -> Contribution:
    from gati_extensions.kinds.catalog import Catalog
    from gati_extensions.kinds.downloads import Downloads
    from gati_extensions.kinds.hooks import MOVES, PUSHES, Gates, Projections, States
    from gati_extensions.kinds.kind import installed
    from gati_extensions.kinds.lines import Lines
    from gati_extensions.kinds.rebuild import INTERVAL, Rebuild
    from gati_extensions.kinds.routes import registry_routes, repository_routes
    from gati_extensions.kinds.routes.doors import Doors
    from gati_extensions.kinds.understanding import Understanding

    kinds, namespaces, accounts = installed(), kernel.apis["namespaces"], kernel.apis["identity"]
    understanding = Understanding(kernel.core, kinds, settings.max_config)
    lines, downloads = Lines(namespaces), Downloads(kernel.database, kernel.clock, settings)
    gates, projections, states = Gates(namespaces), Projections(lines), States(kernel.database)
    rebuild = Rebuild(kernel, lines, understanding)
    doors = Doors(kernel, kinds, settings, namespaces, accounts, states, lines)
    return Contribution(
        registry_routes(doors),
        repository_routes(doors),
        inspectors=[understanding],
        gates=[(on(*MOVES), gates.versions), (on(*PUSHES), gates.references)],
        projections=[
            (on(*PUSHES), projections.pushed),
            (on(*MOVES), projections.moved),
            (on(Operation.STATE_CHANGE), projections.changed),
        ],
        pull_gates=[states],
        observers=[downloads.observe],
        jobs=[Job("kinds.rebuild", INTERVAL, rebuild, rebuild.due), downloads.job],
        api=Catalog(kinds, namespaces, lines),
    )


async def _rebuild(kernel: Kernel, arguments: argparse.Namespace) -> int:
    from gati_extensions.kinds.rebuild import command

    return await command(kernel, arguments)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["rebuild"], help="go through all manifests again")


extension = Extension(
    name="kinds",
    summary="What artifacts are: kinds, versions, channels, states, overlays, stars.",
    contribute=_contribute,
    settings=KindsSettings,
    requires=("identity", "namespaces"),
    permissions={
        "kinds.kinds": "See which kinds of artifacts there are: everybody.",
        "kinds.browse": "See the artifacts of a namespace, as far as you may pull them.",
        "kinds.read": "See an artifact, its versions and channels.",
        "kinds.maintain": "Change what is said of a version: overlay, deprecation, channels.",
        "kinds.publish": "Hide a version from lists, or show it again.",
        "kinds.star": "Give stars and ratings, in one's own name.",
        "kinds.schemas": "See schemas of custom metadata; administrators of a namespace change them.",
    },
    migrations="gati_extensions.kinds.migrations",
    commands=[Command("kinds", "understand again what is stored", _rebuild, _arguments)],
)
