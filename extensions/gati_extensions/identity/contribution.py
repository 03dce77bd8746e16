"""What this extension adds, and what it answers to others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gati_extensions.identity.api import Account, Belonging, Membership, Team
from gati_extensions.identity.certificates.authenticator import CertificateAuthenticator
from gati_extensions.identity.certificates.routes import CertificateRoutes
from gati_extensions.identity.device.routes import DeviceRoutes
from gati_extensions.identity.federation.routes import FederationRoutes
from gati_extensions.identity.jobs import jobs
from gati_extensions.identity.parts import Parts
from gati_extensions.identity.passkeys.routes import PasskeyRoutes
from gati_extensions.identity.publishers.issuers import Issuers, fetcher
from gati_extensions.identity.publishers.routes import PublisherRoutes
from gati_extensions.identity.routes.credentials import CredentialRoutes
from gati_extensions.identity.routes.orgs import OrgRoutes
from gati_extensions.identity.routes.sessions import SessionRoutes
from gati_extensions.identity.routes.token import TokenRoutes
from gati_extensions.identity.routes.users import UserRoutes
from gati_extensions.identity.settings import IdentitySettings
from gati_extensions.identity.store import accounts, orgs
from gati_extensions.identity.vault import protect
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Contribution, Kernel, Transaction

if TYPE_CHECKING:
    from gati_extensions.identity.ldap.logins import DirectoryLogins


class StoredAccounts:
    """`api.Accounts` on this extension's tables."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def find(self, tx: Transaction, name: str) -> Account | None:
        return _account(await accounts.find(tx, name))

    async def get(self, tx: Transaction, account_id: int) -> Account | None:
        return _account(await accounts.get(tx, account_id))

    async def memberships(self, tx: Transaction, account_id: int) -> Sequence[Membership]:
        return await orgs.memberships(tx, account_id)

    async def teams(self, tx: Transaction, account_id: int) -> Sequence[Team]:
        return await orgs.teams_of(tx, account_id)

    async def belonging(self, tx: Transaction, account: int | str) -> Belonging | None:
        return await orgs.belonging(tx, account)

    async def team(self, tx: Transaction, org: str, name: str) -> Team | None:
        return await orgs.team(tx, org, name)

    async def revision(self) -> str:
        return str(await self._parts.revision.get())

    async def ends(self, tx: Transaction, credential: str) -> int:
        standing = await self._parts.authenticator.standing(tx, credential, self._parts.kernel.clock.now())
        return standing.until if standing is not None else 0


def _account(row: accounts.AccountRow | None) -> Account | None:
    if row is None or row.erased_at is not None:
        return None
    return Account(row.id, row.name, row.kind, row.admin, row.active, row.email, row.display, row.epoch)


def _directory(parts: Parts) -> DirectoryLogins | None:
    """The directory, where there is one; an open registry checks no passwords."""
    if not parts.settings.ldap_url or parts.kernel.open:
        return None
    from gati_extensions.identity.ldap.logins import DirectoryLogins

    found = parts.authenticator.directory = DirectoryLogins(parts)
    return found


def contribution(kernel: Kernel, settings: IdentitySettings) -> Contribution:
    """Put it together."""
    parts = Parts.build(kernel, settings)
    token, credentials = TokenRoutes(parts), CredentialRoutes(parts)
    if settings.providers and kernel.public_url is None:
        raise RegistryError(
            Code.INVALID, "identity.providers: needs public_url, where browsers come back to; set it to https://…"
        )
    directory = _directory(parts)

    async def prepare() -> Sequence[str]:
        lines = await protect(kernel.database, parts.vault)
        if not kernel.open:  # an open registry asks for no tokens; if one is asked for, there will be a key
            await parts.tokens.prepare()
        return [] if kernel.open else lines

    return Contribution(
        registry_routes=[
            *UserRoutes(parts).routes(),
            *SessionRoutes(parts).routes(),
            *credentials.routes(),
            *OrgRoutes(parts).routes(),
            *FederationRoutes(parts).routes(),
            *token.routes(),
            *PasskeyRoutes(parts).routes(),
            *CertificateRoutes(parts, credentials).routes(),
            *DeviceRoutes(parts).routes(),
            *PublisherRoutes(parts, Issuers(lambda: fetcher(settings), kernel.clock)).routes(),
        ],
        root_routes=token.root(),
        authenticators=[
            parts.authenticator,
            CertificateAuthenticator(kernel, parts.revision, parts.authenticator),
        ],
        jobs=[*jobs(parts), *(directory.jobs() if directory is not None else ())],
        prepare=prepare,
        api=StoredAccounts(parts),
    )
