"""What the routes and commands of this extension share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gati_extensions.identity import grants
from gati_extensions.identity.backoff import Backoff
from gati_extensions.identity.hooks import Authenticator
from gati_extensions.identity.model import AccountView, time_of
from gati_extensions.identity.passwords import Passwords
from gati_extensions.identity.revision import Revision
from gati_extensions.identity.sessions import Sessions
from gati_extensions.identity.settings import IdentitySettings
from gati_extensions.identity.store import accounts, orgs
from gati_extensions.identity.store.accounts import AccountRow
from gati_extensions.identity.tokens import Tokens
from gati_extensions.identity.vault import Vault
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Access, Action, Call, Caller, Change, Decision, Kernel, Operation, Transaction
from gati_registry.values.reference import RepositoryName


@dataclass(frozen=True, slots=True)
class Parts:
    """The extension, put together."""

    kernel: Kernel
    settings: IdentitySettings
    revision: Revision
    passwords: Passwords
    tokens: Tokens
    sessions: Sessions
    vault: Vault
    authenticator: Authenticator

    @classmethod
    def build(cls, kernel: Kernel, settings: IdentitySettings) -> Parts:
        """Put it together."""
        database, clock = kernel.database, kernel.clock
        revision, passwords = Revision(database), Passwords()
        vault = Vault(settings.secret_key_file, kernel.folder)
        tokens = Tokens(database, revision, clock, vault, settings.token_ttl)
        sessions = Sessions(database, settings)
        authenticator = Authenticator(
            database,
            clock,
            revision,
            passwords,
            Backoff(database, clock, settings),
            tokens,
            sessions,
            vault,
            lenient=kernel.open,
        )
        return cls(kernel, settings, revision, passwords, tokens, sessions, vault, authenticator)

    # --- who calls ----------------------------------------------------------------------------------------------

    async def operates(self, call: Call) -> bool:
        """Whether the caller is an administrator of the server, with credentials that say so."""
        return await self.kernel.access.decide(call.identity, Access(Action.OPERATE)) is Decision.ALLOW

    async def caller(self, tx: Transaction, call: Call) -> AccountRow:
        """The caller's account.

        Raises:
            RegistryError: UNAUTHORIZED, the caller has none.
        """
        identity = call.identity
        account = await accounts.find(tx, identity.name) if identity.name is not None else None
        if account is None or not account.active:
            raise RegistryError(Code.UNAUTHORIZED, "log in: this is about your own account")
        return account

    async def owned_org(self, tx: Transaction, caller: AccountRow, name: str, *, operator: bool) -> AccountRow:
        """An organization of which the caller is an owner; operators are taken for one.

        Raises:
            RegistryError: NOT_FOUND, DENIED.
        """
        org = await found_org(tx, name)
        if not operator and await orgs.role(tx, org.id, caller.id) != orgs.OWNER:
            raise RegistryError(Code.DENIED, f"this is for owners of {org.name}")
        return org

    async def note(
        self,
        tx: Transaction,
        caller: Caller,
        subject: str,
        action: str,
        about: str,
        *,
        namespace: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Let others know of a change, in its transaction: gates, audit."""
        change = Change(
            Operation.STATE_CHANGE,
            RepositoryName(namespace),
            0,
            caller,
            self.kernel.clock.now(),
            detail={
                "subject": f"identity.{subject}",
                "action": action,
                "id": about,
                "before": dict(before) if before is not None else None,
                "after": dict(after) if after is not None else None,
            },
        )
        await self.kernel.core.emit(tx, change)


def require_full(call: Call) -> None:
    """Refuse a credential with narrow bounds: it must not make others, nor change who belongs to what.

    Raises:
        RegistryError: DENIED.
    """
    if not grants.is_full(call.identity.grants):
        raise RegistryError(
            Code.DENIED, "this credential is bound to less; use a password, a session or a key with scope admin"
        )


async def found_org(tx: Transaction, name: str) -> AccountRow:
    """An organization by its name.

    Raises:
        RegistryError: NOT_FOUND.
    """
    org = await accounts.find(tx, name)
    if org is None or org.kind != "org" or org.erased_at is not None:
        raise absent("organization", name)
    return org


def view(account: AccountRow, *, private: bool) -> AccountView:
    """An account as it is answered; with `private`, to itself and to administrators."""
    return AccountView(
        name=account.name,
        kind=account.kind,  # type: ignore[arg-type]  # as the store keeps it
        display=account.display,
        url=account.url,
        email=account.email if private or account.kind == "org" else None,
        admin=account.admin,
        active=account.active,
        namespace=account.namespace,
        created_at=time_of(account.created_at),
    )


def described(account: AccountRow) -> dict[str, Any]:
    """An account as the audit log describes it; persons are not."""
    return {"kind": account.kind, "admin": account.admin, "active": account.active}


def absent(what: str, name: str) -> RegistryError:
    """404."""
    return RegistryError(Code.NOT_FOUND, f"there is no {what} {name[:100]}")


def taken(what: str, name: str) -> RegistryError:
    """409."""
    return RegistryError(Code.CONFLICT, f"the {what} {name} is taken; choose another")
