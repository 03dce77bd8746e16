"""`--open`: anonymous callers may do everything. Settings refuse it on an address that is not loopback."""

from __future__ import annotations

from gati_registry.domain.access import ANONYMOUS, Access, Decision, Identity


class OpenAuthenticator:
    """`ports.Authenticator` that takes any credentials for anonymous; clients send leftovers of other logins."""

    async def authenticate(self, authorization: str | None) -> Identity | None:
        return ANONYMOUS


class OpenAuthorizer:
    """`ports.Authorizer` that allows."""

    async def decide(self, identity: Identity, access: Access) -> Decision:
        return Decision.ALLOW

    def challenge(self, access: Access) -> str:
        return 'Basic realm="gati"'
