"""The token service: `GET` and `POST /token`.

Sources: distribution's token specification (docs/content/spec/auth/{token,oauth}.md); RFC 6749 sections 4.3 and 6.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from gati_extensions.identity import grants, secret
from gati_extensions.identity.hooks import NOTED, wrong
from gati_extensions.identity.model import Jwks, time_of
from gati_extensions.identity.parts import Parts
from gati_extensions.identity.store import accounts, credentials
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import (
    Access,
    Action,
    Answer,
    Call,
    Decision,
    Grant,
    Identity,
    Model,
    Permission,
    Route,
    Transaction,
)

MOST_REFRESH = 100
"""Refresh tokens of an account; the one that was idle longest makes room."""

_SERVICE = 255

_LASTING = frozenset({"password", "api-key"})
"""How one has to have logged in for a refresh token; a browser's session gets none, as it is to end."""

_ACTIONS = {"pull": Action.PULL, "push": Action.PUSH, "delete": Action.DELETE}


class TokenQuery(Model):
    """What clients send along to get a token."""

    service: Annotated[str, Field(max_length=_SERVICE)] = ""
    scope: list[str] = Field(default_factory=list)
    account: str = ""
    client_id: Annotated[str, Field(max_length=200)] = ""
    offline_token: str = ""


class TokenRoutes:
    """Handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def root(self) -> list[Route]:
        """Outside of /v2."""
        permission = Permission("identity.token", Action.PUBLIC)
        return [
            Route("GET", "/token", permission, self.get, "A token for the scopes asked for.", query=TokenQuery),
            Route("POST", "/token", permission, self.post, "A token by password or refresh token (a form)."),
        ]

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        permission = Permission("identity.token", Action.PUBLIC)
        return [Route("GET", "jwks", permission, self.jwks, "The keys that verify tokens.", answer=Jwks)]

    async def jwks(self, call: Call) -> Jwks:
        """Public keys."""
        return Jwks(keys=await self._parts.tokens.published())

    async def get(self, call: Call) -> Answer:
        """By Basic, an API key, a session, or for an anonymous caller."""
        query: TokenQuery = call.query
        scheme, _, value = (call.header("authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and not value.strip().startswith(secret.KEY) and call.identity.name is not None:
            raise RegistryError(Code.UNAUTHORIZED, "a token gets no token; use a password, a key or a refresh token")
        offline = query.offline_token.lower() in ("true", "1")
        epoch = await self._epoch(call.identity)
        if call.identity.name is not None:
            # Again, after the epoch was read: a password that is changed just now must not get tokens of the new one.
            await self._parts.authenticator.authenticate(call.exchange)
        return await self._issue(
            call, call.identity, epoch, query.service, query.scope, query.client_id, offline=offline
        )

    async def post(self, call: Call) -> Answer:
        """By a form."""
        form = await call.form()

        def field(name: str) -> str:
            return form.get(name, [""])[0]

        service, client = field("service")[:_SERVICE], field("client_id")[:200]
        kind = field("grant_type")
        if kind == "refresh_token":
            refresh = field("refresh_token")
            identity, epoch = await self._refreshed(refresh)
            return await self._issue(call, identity, epoch, service, form.get("scope", []), client, refresh=refresh)
        if kind != "password":
            raise RegistryError(Code.INVALID, "grant_type must be password or refresh_token")
        identity, epoch = await self._by_password(field("username"), field("password"), call.caller.address)
        offline = field("access_type") == "offline"
        return await self._issue(call, identity, epoch, service, form.get("scope", []), client, offline=offline)

    # --- who ----------------------------------------------------------------------------------------------------

    async def _epoch(self, identity: Identity) -> int:
        if identity.id is None:
            return 0
        account_id = identity.id
        account = await self._parts.kernel.database.read(lambda tx: accounts.get(tx, account_id))
        if account is None:
            raise wrong()
        return account.epoch

    async def _by_password(self, name: str, password: str, address: str) -> tuple[Identity, int]:
        """Who it is, and the epoch before the password was verified."""
        authenticator, now = self._parts.authenticator, self._parts.kernel.clock.now()
        if password.startswith(secret.KEY):
            identity, _ = await authenticator.of_key(password, name)
            return identity, await self._epoch(identity)
        account = await authenticator.of_password(name, password, address)
        if account is None:
            raise wrong()
        identity = Identity(account.name, account.admin, account.id, account.kind, method="password", verified_at=now)
        return identity, account.epoch

    async def _refreshed(self, text: str) -> tuple[Identity, int]:
        if not secret.is_well_formed(text, secret.REFRESH):
            raise wrong()
        hashed, now = secret.hashed(text), self._parts.kernel.clock.now()
        oldest = now - self._parts.settings.refresh_idle * 1000

        async def work(tx: Transaction) -> tuple[credentials.Refresh, AccountRow, tuple[Grant, ...]] | None:
            refresh = await credentials.find_refresh(tx, hashed)
            if refresh is None or refresh.used_at < oldest:
                return None
            account = await accounts.get(tx, refresh.account_id)
            standing = await self._parts.authenticator.standing(tx, refresh.key_id, now)
            return (refresh, account, standing.bounds) if account is not None and standing is not None else None

        found = await self._parts.kernel.database.read(work)
        if found is None or not found[1].active or found[0].epoch != found[1].epoch:
            raise wrong()
        refresh, account, bounds = found
        if now - refresh.used_at >= NOTED:
            await self._parts.kernel.database.write(lambda tx: credentials.refresh_used(tx, refresh.id, now))
        identity = Identity(
            name=account.name,
            admin=account.admin,
            id=account.id,
            kind=account.kind,
            method=refresh.method,
            credential=refresh.id,
            grants=bounds,
            verified_at=refresh.created_at,
        )
        return identity, refresh.epoch

    # --- what ---------------------------------------------------------------------------------------------------

    async def _issue(
        self,
        call: Call,
        identity: Identity,
        epoch: int,
        service: str,
        scopes: Sequence[str],
        client: str,
        *,
        offline: bool = False,
        refresh: str = "",
    ) -> Answer:
        tokens = self._parts.tokens
        access = [entry for wanted in grants.parse(scopes) if (entry := await self._granted(call, identity, wanted))]
        if offline and identity.id is not None and identity.method in _LASTING:
            refresh = await self._new_refresh(identity.id, identity, epoch, client)
        service = service or urlsplit(call.origin).netloc
        token, issued = await tokens.issue(identity, epoch, service, access)
        answer: dict[str, Any] = {
            "token": token,
            "access_token": token,
            "expires_in": tokens.ttl,
            "issued_at": time_of(issued * 1000),
        }
        if call.method == "POST":
            answer |= {"token_type": "Bearer", "scope": " ".join(_written(entry) for entry in access)}
        if refresh:
            answer["refresh_token"] = refresh
        return Answer(200, json.dumps(answer).encode())

    async def _granted(self, call: Call, identity: Identity, wanted: grants.Wanted) -> dict[str, Any] | None:
        """The part of a scope that the identity has."""

        async def may(action: Action, repository: str | None) -> bool:
            access = Access(action, repository, request=call.exchange)  # roles may hold for some addresses only
            found = await self._parts.kernel.access.decide(identity, access)
            return found is Decision.ALLOW

        if wanted.type == "registry":
            if wanted.name != "catalog" or "*" not in wanted.actions or not await may(Action.CATALOG, None):
                return None
            return {"type": "registry", "name": "catalog", "actions": ["*"]}
        # `*` is everything: it is granted to whoever administers the repository, and its parts to others.
        asked = [*_ACTIONS, "*"] if "*" in wanted.actions else [name for name in _ACTIONS if name in wanted.actions]
        actions = [name for name in asked if await may(_ACTIONS.get(name, Action.ADMINISTER), wanted.name)]
        return {"type": "repository", "name": wanted.name, "actions": actions} if actions else None

    async def _new_refresh(self, account_id: int, identity: Identity, epoch: int, client: str) -> str:
        text, now = secret.make(secret.REFRESH), self._parts.kernel.clock.now()
        key_id = identity.credential if identity.method == "api-key" else None
        row = credentials.Refresh(secret.new_id("r"), account_id, key_id, epoch, identity.method, client, now, now)
        await self._parts.kernel.database.write(
            lambda tx: credentials.add_refresh(tx, row, secret.hashed(text), MOST_REFRESH)
        )
        return text


def _written(entry: dict[str, Any]) -> str:
    return f"{entry['type']}:{entry['name']}:{','.join(entry['actions'])}"
