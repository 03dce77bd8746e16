"""access: the one decision point, why it decides as it does, limits of rates, capability tokens."""

from __future__ import annotations

from gati_extensions.access.settings import AccessSettings
from gati_registry.extension import Contribution, Extension, Job, Kernel


def contribute(kernel: Kernel, settings: AccessSettings) -> Contribution:
    """What the extension adds, in each worker."""
    from gati_extensions.access import store
    from gati_extensions.access.authenticator import CapabilityAuthenticator
    from gati_extensions.access.authorizer import AccessAuthorizer
    from gati_extensions.access.rates import Rates
    from gati_extensions.access.routes import AccessRoutes

    authorizer, authenticator = AccessAuthorizer(kernel), CapabilityAuthenticator(kernel)
    rates = Rates(settings)

    async def forget() -> None:
        before = kernel.clock.now() - DAY
        await kernel.database.write(lambda tx: store.forget(tx, before))

    return Contribution(
        registry_routes=AccessRoutes(kernel, settings, authorizer, authenticator).routes(),
        authenticators=[authenticator],
        authorizer=authorizer,
        admissions=[rates] if rates.wanted and not kernel.open else [],
        jobs=[Job("access.forget", 3600, forget)],
    )


DAY = 86_400_000
"""Milliseconds for which what has expired is still listed."""

extension = Extension(
    name="access",
    summary="Who may do what, and why; limits of rates; capability tokens.",
    contribute=contribute,
    settings=AccessSettings,
    requires=("identity", "namespaces"),
    permissions={
        "access.explain": "Ask which rule allows or denies an action.",
        "access.capabilities": "Issue, list and end capabilities of your own.",
        "access.holder": "Delegate or end a capability that you hold.",
    },
    migrations="gati_extensions.access.migrations",
)
