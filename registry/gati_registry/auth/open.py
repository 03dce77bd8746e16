"""`--open`: anonymous callers may do everything. Settings refuse it on an address that is not loopback."""

from __future__ import annotations

from collections.abc import Sequence

from gati_registry.domain.access import EVERYTHING, Access, Decision, Identity, Visible
from gati_registry.ports import Request


class OpenAuthorizer:
    """`ports.Authorizer` that allows."""

    async def decide(self, identity: Identity, access: Access) -> Decision:
        return Decision.ALLOW

    def steady(self, identity: Identity, access: Access) -> bool:
        return True

    async def visible(self, identity: Identity) -> Visible:
        return EVERYTHING

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        return 'Basic realm="gati"'
