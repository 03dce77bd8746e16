"""Whose the certificate is that a connection was made with."""

from __future__ import annotations

from gati_extensions.identity import grants
from gati_extensions.identity.certificates import parsing, store
from gati_extensions.identity.certificates.store import Mapping
from gati_extensions.identity.hooks import Authenticator, Known
from gati_extensions.identity.revision import Revision
from gati_extensions.identity.sessions import SAFE, is_same_origin
from gati_extensions.identity.store import accounts
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Database, Identity, Kernel, Request, Transaction


class CertificateAuthenticator:
    """`extension.Authenticator` where there are no other credentials; a certificate that is nobody's proves nothing."""

    def __init__(self, kernel: Kernel, revision: Revision, others: Authenticator) -> None:
        self._database: Database = kernel.database
        self._clock = kernel.clock
        self._revision = revision
        self._others = others

    async def authenticate(self, request: Request) -> Identity | None:
        der = request.certificate
        if der is None or request.header(b"authorization") is not None:
            return None
        fingerprint = parsing.fingerprint(der)
        mark, now = f"certificate:{fingerprint}", self._clock.now()
        identity = await self._others.recall(mark, now)
        if identity is None:
            state = self._database.revision(), await self._revision.get()
            found = await self._look_up(der, fingerprint, now)
            if found is None:
                return None
            identity = found[0]
            self._others.remember(mark, Known(identity, found[1], *state))
        _guard(request)
        return identity

    async def _look_up(self, der: bytes, fingerprint: str, now: int) -> tuple[Identity, int] | None:
        try:
            shown = parsing.of_der(der)
        except ValueError:
            return None
        if not shown.not_before <= now < shown.not_after:
            return None

        async def work(tx: Transaction) -> tuple[Mapping, AccountRow] | None:
            mapping = await store.of_certificate(tx, shown)
            if mapping is None or await store.is_revoked(tx, fingerprint):
                return None
            account = await accounts.get(tx, mapping.account_id)
            return (mapping, account) if account is not None and account.active else None

        found = await self._database.read(work)
        if found is None:
            return None
        mapping, account = found
        identity = Identity(
            name=account.name,
            admin=account.admin,
            id=account.id,
            kind=account.kind,
            method="mtls",
            credential=f"{mapping.id}.{fingerprint}",
            grants=grants.of_key(mapping.scopes, mapping.path),
            verified_at=now,
        )
        return identity, shown.not_after


def _guard(request: Request) -> None:
    """A browser that has a certificate sends it along with whatever another site makes it request.

    Raises:
        RegistryError: DENIED.
    """
    if request.method in SAFE:
        return
    told = request.header(b"sec-fetch-site") is not None or request.header(b"origin") is not None
    if told and not is_same_origin(request):
        raise RegistryError(Code.DENIED, "the request comes from another site")
