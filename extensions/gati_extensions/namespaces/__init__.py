"""namespaces: who owns which names, members and their roles, visibility, quotas, drafts, verified publishers."""

from __future__ import annotations

from gati_extensions.namespaces.settings import NamespacesSettings
from gati_registry.extension import Contribution, Extension, Job, Kernel, Operation, on


def contribute(kernel: Kernel, settings: NamespacesSettings) -> Contribution:
    """What the extension adds, in each worker."""
    from gati_extensions.guarded import WebFetcher
    from gati_extensions.namespaces.dns import DnsResolver
    from gati_extensions.namespaces.hooks import (
        ADDING,
        REMOVING,
        Drafts,
        DraftsForMembers,
        GiveBack,
        QuotaGate,
        Resemblance,
    )
    from gati_extensions.namespaces.recount import INTERVAL, Recount
    from gati_extensions.namespaces.routes import registry_routes, repository_routes
    from gati_extensions.namespaces.routes.doors import Doors
    from gati_extensions.namespaces.standing import Tree
    from gati_extensions.namespaces.traffic import Traffic
    from gati_extensions.namespaces.verify import Verifier

    accounts = kernel.apis["identity"]
    tree = Tree(kernel, accounts, settings)
    for_members = DraftsForMembers(kernel.database)
    verifier = Verifier(DnsResolver(settings.resolver), WebFetcher(), settings)
    doors = Doors(kernel, tree, accounts, settings, verifier, for_members.changes)
    recount = Recount(kernel.database, tree, settings)
    of_registry, of_repository = registry_routes(doors), repository_routes(doors)
    if kernel.open:
        # Everything is allowed, so nobody is counted: it is made good at the first start that is not open.
        return Contribution(of_registry, of_repository, api=tree, prepare=recount.left_out, aliases=[tree.aliases])
    drafts, traffic = Drafts(tree), Traffic(kernel.database, kernel.clock, settings)
    interval = settings.recount_interval
    return Contribution(
        of_registry,
        of_repository,
        gates=[
            (on(*ADDING), QuotaGate(tree, settings)),
            (on(Operation.TAG_MOVE), drafts.guard),
            (on(Operation.STATE_CHANGE), Resemblance(settings)),
        ],
        projections=[(on(*REMOVING), GiveBack(settings)), (on(Operation.MANIFEST_PUT), drafts.note)],
        pull_gates=[for_members],
        members_only=[for_members],
        admissions=[traffic.admit],
        aliases=[tree.aliases],
        observers=[traffic.observe],
        jobs=[
            Job("namespaces.count", INTERVAL, recount.first, recount.uncounted),
            *([Job("namespaces.recount", interval, recount)] if interval else []),
        ],
        prepare=recount.at_first,
        api=tree,
    )


extension = Extension(
    name="namespaces",
    summary="Who owns which names: members and roles, visibility, quotas, drafts, verified publishers.",
    contribute=contribute,
    settings=NamespacesSettings,
    requires=("identity",),
    permissions={
        "namespaces.list": "See the namespaces that you may read.",
        "namespaces.read": "See a namespace.",
        "namespaces.administer": "Change a namespace's properties, members, quotas and policies.",
        "namespaces.drafts": "See a repository's drafts.",
        "namespaces.publish": "Make a draft public.",
    },
    migrations="gati_extensions.namespaces.migrations",
)
