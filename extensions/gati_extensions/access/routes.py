"""The API: explanations and capabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gati_extensions.access import capability, store
from gati_extensions.access.authenticator import CapabilityAuthenticator
from gati_extensions.access.authorizer import AccessAuthorizer
from gati_extensions.access.capability import Capability, InvalidCapability
from gati_extensions.access.model import (
    CapabilityChange,
    CapabilityItem,
    CapabilityToken,
    Delegation,
    Explain,
    Explanation,
    Revocation,
    StepItem,
    moment,
)
from gati_extensions.access.rules import Trace
from gati_extensions.access.settings import AccessSettings
from gati_extensions.access.store import Issued
from gati_extensions.identity.api import Account, Accounts
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import (
    Access,
    Action,
    Call,
    Change,
    Decision,
    Identity,
    Kernel,
    Operation,
    Page,
    Paging,
    Permission,
    Route,
    Transaction,
)
from gati_registry.values.reference import RepositoryName

EXPLAIN = Permission("access.explain", Action.SIGN_IN)
CAPABILITIES = Permission("access.capabilities", Action.SIGN_IN)
HOLDER = Permission("access.holder", Action.PUBLIC)

MOST = 1000
"""Capabilities of one account that have not expired."""


class AccessRoutes:
    """Handlers."""

    def __init__(
        self,
        kernel: Kernel,
        settings: AccessSettings,
        authorizer: AccessAuthorizer,
        authenticator: CapabilityAuthenticator,
    ) -> None:
        self._kernel = kernel
        self._settings = settings
        self._authorizer = authorizer
        self._authenticator = authenticator
        self._accounts: Accounts = kernel.apis["identity"]

    def routes(self) -> Sequence[Route]:
        """Below `/v2/_ext/access/`."""
        one = "capabilities/{jti}"
        return [
            Route("POST", "explain", EXPLAIN, self.explain, "Which rule allows or denies an action.", body=Explain,
                  answer=Explanation),
            Route("GET", "capabilities", CAPABILITIES, self.page, "Capabilities that you issued.", query=Paging,
                  answer=Page[CapabilityItem]),
            Route("POST", "capabilities", CAPABILITIES, self.issue, "Issue a capability.", body=CapabilityChange,
                  answer=CapabilityToken, status=201),
            Route("POST", "capabilities/delegate", HOLDER, self.delegate, "Make a narrower capability of one.",
                  body=Delegation, answer=CapabilityToken, status=201),
            Route("POST", "capabilities/revoke", HOLDER, self.give_up, "End a capability that you hold.",
                  body=Revocation),
            Route("DELETE", one, CAPABILITIES, self.revoke, "End a capability and all that was delegated from it."),
        ]  # fmt: skip

    # --- explain ------------------------------------------------------------------------------------------------

    async def explain(self, call: Call) -> Explanation:
        """For oneself, or by administrators for anybody."""
        asked: Explain = call.body
        identity = call.identity
        if asked.account is not None and asked.account != identity.name:
            if not (identity.admin or self._kernel.open):
                raise RegistryError(Code.DENIED, "account: only administrators of the server may ask about others")
            identity = await self._identity(asked.account)
        path = RepositoryName.parse(asked.repository) if asked.repository is not None else None
        trace = Trace()
        access = Access(Action(asked.action), path, request=call.exchange)
        decision = await self._authorizer.judged(identity, access, trace)
        steps = [StepItem(rule=s.rule, outcome=s.outcome, reason=s.reason) for s in trace.steps]  # type: ignore[arg-type]
        return Explanation(
            decision=decision.value,
            account=identity.name,
            action=asked.action,
            repository=path,
            steps=steps,
        )

    async def _identity(self, name: str) -> Identity:
        account = await self._kernel.database.read(lambda tx: self._accounts.find(tx, name))
        if account is None:
            raise RegistryError(Code.NOT_FOUND, "account: there is no such account")
        return Identity(account.name, account.admin and account.active, account.id, account.kind)

    # --- capabilities -------------------------------------------------------------------------------------------

    async def page(self, call: Call) -> Page[CapabilityItem]:
        """One's own."""
        query: Paging = call.query
        account_id = (await self._account(call)).id
        found = await self._kernel.database.read(lambda tx: store.page(tx, account_id, query.cursor, query.limit + 1))
        items = [
            CapabilityItem(
                jti=one.jti,
                note=one.note,
                cap=one.caps,
                issued_at=moment(one.issued_at),
                expires_at=moment(one.expires_at),
                revoked=one.revoked,
            )
            for one in found[: query.limit]
        ]
        return Page[CapabilityItem](items=items, next=items[-1].jti if len(found) > query.limit else None)

    async def issue(self, call: Call) -> CapabilityToken:
        """Of what one may do oneself, with the credentials at hand."""
        wanted: CapabilityChange = call.body
        self._check(wanted)
        account = await self._account(call)
        account_id, identity = account.id, call.identity
        for cap in wanted.cap:
            for word in cap.actions:
                access = Access(Action(word), RepositoryName.parse(cap.path), request=call.exchange)
                if await self._kernel.access.decide(call.identity, access) is not Decision.ALLOW:
                    raise RegistryError(Code.DENIED, f"cap: you may not {word} at {cap.path} yourself")
        now, key = self._kernel.clock.now(), await self._authenticator.private_key()
        instance = await self._authenticator.instance()
        payload = {
            **_payload(wanted, now),
            "iss": instance,
            "aud": instance,
            "sub": call.identity.name,
            "acc": account_id,
            "epo": account.epoch,
            "crd": identity.credential if identity.method == "api-key" else None,
        }
        caps: list[Any] = payload["cap"]
        issued = Issued(payload["jti"], account_id, wanted.note, caps, now, payload["exp"] * 1000, revoked=False)

        async def work(tx: Transaction) -> None:
            if await store.count(tx, account_id, now) >= MOST:
                raise RegistryError(Code.CONFLICT, f"there are {MOST} capabilities already; let some expire")
            await store.add(tx, issued)
            await self._tell(tx, call, issued.jti, "create", {"cap": caps, "expires_at": issued.expires_at})

        await self._kernel.database.write(work)
        token = capability.issue(payload, key)
        return self._made(token, await self._authenticator.read(token))

    async def delegate(self, call: Call) -> CapabilityToken:
        """By whoever holds it; offline it is done the same way."""
        wanted: Delegation = call.body
        self._check(wanted)
        parent = await self._authenticator.read(wanted.token)
        self._authenticator.check_times(parent)
        if await self._authenticator.is_revoked(parent):
            raise RegistryError(Code.UNAUTHORIZED, "the capability was revoked; ask for a new one")
        if parent.depth_left < 1:
            raise RegistryError(Code.DENIED, "token: this capability cannot be delegated any further")
        payload = _payload(wanted, self._kernel.clock.now())
        payload["exp"] = min(payload["exp"], parent.expires)
        if payload["max_delegation_depth"] > parent.depth_left - 1:
            raise RegistryError(Code.INVALID, f"max_delegation_depth: at most {parent.depth_left - 1} here")
        try:
            token = capability.delegate(wanted.token, payload)
        except InvalidCapability as error:
            raise RegistryError(Code.DENIED, f"token: {error}") from None
        return self._made(token, await self._authenticator.read(token))

    async def give_up(self, call: Call) -> None:
        """End the last block of a token."""
        asked: Revocation = call.body
        await self._end(call, await self._authenticator.read(asked.token))

    async def _end(self, call: Call, held: Capability) -> None:
        last, now = held.blocks[-1], self._kernel.clock.now()

        async def work(tx: Transaction) -> None:
            if await store.revoke(tx, last.jti, held.expires * 1000, now):
                await self._tell(tx, call, last.jti, "revoke", None)

        await self._kernel.database.write(work)
        self._authenticator.forget()

    async def revoke(self, call: Call) -> None:
        """By who issued it, or an administrator."""
        jti, now = call.parameters["jti"], self._kernel.clock.now()
        account_id = None if call.identity.admin else (await self._account(call)).id

        async def work(tx: Transaction) -> None:
            found = await store.find(tx, jti)
            if found is None or account_id not in (None, found[0]):
                raise RegistryError(Code.NOT_FOUND, "there is no such capability of yours")
            if await store.revoke(tx, jti, found[1], now):
                await self._tell(tx, call, jti, "revoke", None)

        await self._kernel.database.write(work)
        self._authenticator.forget()

    # --- inside -------------------------------------------------------------------------------------------------

    async def _account(self, call: Call) -> Account:
        identity = call.identity
        if isinstance(identity, capability.CapabilityIdentity):
            raise RegistryError(Code.DENIED, "a capability manages none; log in")
        name = identity.name or ""
        account = await self._kernel.database.read(lambda tx: self._accounts.find(tx, name))
        if account is None:
            raise RegistryError(Code.DENIED, "only accounts have capabilities; log in")
        return account

    def _check(self, wanted: CapabilityChange) -> None:
        if wanted.expires_in > self._settings.capability_ttl:
            raise RegistryError(Code.INVALID, f"expires_in: at most {self._settings.capability_ttl} seconds")
        if wanted.max_delegation_depth > self._settings.capability_depth:
            raise RegistryError(Code.INVALID, f"max_delegation_depth: at most {self._settings.capability_depth}")
        if wanted.delegable != (wanted.max_delegation_depth > 0):
            raise RegistryError(Code.INVALID, "delegable: goes with a max_delegation_depth of at least 1")

    def _made(self, token: str, made: Capability) -> CapabilityToken:
        if len(token) > capability.LONGEST:
            raise RegistryError(Code.INVALID, "cap: the token would be too long; ask for less")
        return CapabilityToken(
            token=token,
            jti=made.blocks[-1].jti,
            expires_at=moment(made.expires * 1000),
            delegations_left=made.depth_left,
        )

    async def _tell(self, tx: Transaction, call: Call, jti: str, action: str, after: dict[str, Any] | None) -> None:
        await self._kernel.core.emit(
            tx,
            Change(
                Operation.STATE_CHANGE,
                NOWHERE,
                0,
                call.caller,
                self._kernel.clock.now(),
                detail={"subject": "access.capability", "action": action, "id": jti, "before": None, "after": after},
            ),
        )


NOWHERE = RepositoryName("")


def _payload(wanted: CapabilityChange, now: int) -> dict[str, Any]:
    seconds = now // 1000
    return {
        "cap": [cap.model_dump(mode="json") for cap in wanted.cap],
        "iat": seconds,
        "nbf": seconds + wanted.not_before_in,
        "exp": seconds + wanted.expires_in,
        "jti": capability.new_jti(),
        "delegable": wanted.delegable,
        "max_delegation_depth": wanted.max_delegation_depth,
    }
