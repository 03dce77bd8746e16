"""Saying whose certificates are, and which are nobody's any more."""

from __future__ import annotations

from gati_extensions.identity import secret
from gati_extensions.identity.certificates import model, parsing, store
from gati_extensions.identity.certificates.store import Mapping
from gati_extensions.identity.model import time_of
from gati_extensions.identity.parts import Parts, absent, require_full
from gati_extensions.identity.routes.credentials import CredentialRoutes
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Call, Paging, Permission, Route, Transaction

MOST = 200
"""Mappings of an account."""


class CertificateRoutes:
    """Handlers."""

    def __init__(self, parts: Parts, credentials: CredentialRoutes) -> None:
        self._parts = parts
        self._credentials = credentials

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        own = Permission("identity.certificates", Action.SIGN_IN)
        operate = Permission("identity.revoke-certificates", Action.OPERATE)
        new, view, query, page = (
            model.NewCertificate, model.CertificateView, model.CertificateQuery, model.Certificates,
        )  # fmt: skip
        revoked, listed = "revoked-certificates", model.RevokedPage
        return [
            Route("POST", "certificates", own, self.add, "Say whose a certificate is.", new, answer=view, status=201),
            Route("GET", "certificates", own, self.list, "A robot's certificates.", query=query, answer=page),
            Route("DELETE", "certificates/{id}", own, self.remove, "A robot's certificate no more."),
            Route("GET", revoked, operate, self.revoked, "Revoked certificates.", query=Paging, answer=listed),
            Route("PUT", f"{revoked}/{{fingerprint}}", operate, self.revoke, "Revoke a certificate."),
        ]

    async def add(self, call: Call) -> model.CertificateView:
        """For a robot of the caller's. By name only administrators: whoever gets that name from the issuer is it."""
        wanted: model.NewCertificate = call.body
        require_full(call)
        operator = await self._parts.operates(call)
        if wanted.by != "fingerprint" and not operator:
            raise RegistryError(Code.DENIED, "by a name only administrators of the server map; use the fingerprint")
        if "operate" in wanted.scopes:
            raise RegistryError(Code.DENIED, "a robot does not operate the server")
        now = self._parts.kernel.clock.now()
        try:
            shown = parsing.of_pem(wanted.certificate)
        except ValueError:
            raise RegistryError(Code.INVALID, "certificate: is not one in PEM") from None
        if now >= shown.not_after:
            raise RegistryError(Code.INVALID, "certificate: has expired")
        named = next(((value, mark) for kind, value, mark in shown.marks if kind == wanted.by), None)
        if named is None:
            raise RegistryError(Code.INVALID, f"certificate: has no {wanted.by}")

        async def work(tx: Transaction) -> tuple[Mapping, AccountRow]:
            account = await self._robot(tx, call, wanted.account, operator=operator)
            if len(await store.of_account(tx, account.id, "", MOST)) == MOST:
                raise RegistryError(Code.CONFLICT, f"a robot has at most {MOST} certificates; remove some")
            scopes = tuple(dict.fromkeys(wanted.scopes))
            mapping = Mapping(
                secret.new_id("c"), account.id, wanted.by, named[0], shown.issuer, scopes, wanted.path, now
            )
            if not await store.add(tx, mapping, named[1]):
                raise RegistryError(Code.CONFLICT, "the certificate is somebody's already")
            await self._note(tx, call, "create", mapping, account)
            return mapping, account

        mapping, account = await self._parts.revision.write(work)
        return _view(mapping, account.name)

    async def list(self, call: Call) -> model.Certificates:
        """By id."""
        query: model.CertificateQuery = call.query
        operator = await self._parts.operates(call)

        async def work(tx: Transaction) -> model.Certificates:
            account = await self._robot(tx, call, query.account, operator=operator)
            rows = await store.of_account(tx, account.id, query.cursor, query.limit + 1)
            items = [_view(row, account.name) for row in rows[: query.limit]]
            return model.Certificates(items=items, next=items[-1].id if len(rows) > query.limit else None)

        return await self._parts.kernel.database.read(work)

    async def remove(self, call: Call) -> None:
        """At once, with the tokens that were got with it."""
        require_full(call)
        operator = await self._parts.operates(call)

        async def work(tx: Transaction) -> None:
            mapping = await store.get(tx, call.parameters["id"])
            account = await self._credentials.owned(tx, call, mapping.account_id if mapping else 0, operator=operator)
            if mapping is None or account is None:
                raise absent("certificate", call.parameters["id"])
            await store.drop(tx, mapping.id)
            await self._note(tx, call, "delete", mapping, account)

        await self._parts.revision.write(work)

    async def revoked(self, call: Call) -> model.RevokedPage:
        """By fingerprint."""
        paging: Paging = call.query
        rows = await self._parts.kernel.database.read(lambda tx: store.revoked(tx, paging.cursor, paging.limit + 1))
        items = [model.RevokedView(fingerprint=one, revoked_at=time_of(at)) for one, at in rows[: paging.limit]]
        return model.RevokedPage(items=items, next=items[-1].fingerprint if len(rows) > paging.limit else None)

    async def revoke(self, call: Call) -> None:
        """At once, on connections that are open too; whatever mapping it fits."""
        fingerprint, now = call.parameters["fingerprint"].lower().replace(":", ""), self._parts.kernel.clock.now()
        if len(fingerprint) != 64 or set(fingerprint) - set("0123456789abcdef"):
            raise RegistryError(Code.INVALID, "fingerprint: must be the SHA-256 of the certificate, in hex")

        async def work(tx: Transaction) -> None:
            await store.revoke(tx, fingerprint, now)
            await self._parts.note(tx, call.caller, "certificate", "revoke", fingerprint)

        await self._parts.revision.write(work)

    async def _robot(self, tx: Transaction, call: Call, name: str, *, operator: bool) -> AccountRow:
        account = await self._credentials.own(tx, call, name, operator=operator)
        if account.kind != "robot":
            raise RegistryError(Code.INVALID, "account: certificates are for robots; make one")
        return account

    async def _note(self, tx: Transaction, call: Call, action: str, mapping: Mapping, account: AccountRow) -> None:
        told = {
            "account": account.name,
            "by": mapping.kind,
            "value": mapping.value,
            "issuer": mapping.issuer,
            "scopes": list(mapping.scopes),
            "path": mapping.path,
        }
        before, after = (told, None) if action == "delete" else (None, told)
        await self._parts.note(
            tx, call.caller, "certificate", action, mapping.id, namespace=account.namespace, before=before, after=after
        )


def _view(mapping: Mapping, account: str) -> model.CertificateView:
    return model.CertificateView(
        id=mapping.id,
        account=account,
        by=mapping.kind,
        value=mapping.value,
        issuer=mapping.issuer,
        scopes=list(mapping.scopes),
        path=mapping.path,
        created_at=time_of(mapping.created_at),
    )
