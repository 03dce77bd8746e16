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
from gati_extensions.identity.hooks import wrong
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
        return await self._issue(call, call.identity, query.service, query.scope, query.client_id, offline=offline)

    async def post(self, call: Call) -> Answer:
        """By a form."""
        form = await call.form()

        def field(name: str) -> str:
            return form.get(name, [""])[0]

        service, client = field("service")[:_SERVICE], field("client_id")[:200]
        kind = field("grant_type")
        if kind == "refresh_token":
            identity = await self._refreshed(field("refresh_token"))
            return await self._issue(
                call, identity, service, form.get("scope", []), client, refresh=field("refresh_token")
            )
        if kind != "password":
            raise RegistryError(Code.INVALID, "grant_type must be password or refresh_token")
        identity = await self._by_password(field("username"), field("password"), call.caller.address)
        offline = field("access_type") == "offline"
        return await self._issue(call, identity, service, form.get("scope", []), client, offline=offline)

    # --- who ----------------------------------------------------------------------------------------------------

    async def _by_password(self, name: str, password: str, address: str) -> Identity:
        authenticator = self._parts.authenticator
        if password.startswith(secret.KEY):
            return (await authenticator.of_key(password, name))[0]
        account = await authenticator.of_password(name, password, address)
        if account is None:
            raise wrong()
        return Identity(account.name, account.admin, account.id, account.kind, "password")

    async def _refreshed(self, text: str) -> Identity:
        if not secret.is_well_formed(text, secret.REFRESH):
            raise wrong()
        hashed, now = secret.hashed(text), self._parts.kernel.clock.now()
        oldest = now - self._parts.settings.refresh_idle * 1000

        async def work(
            tx: Transaction,
        ) -> tuple[credentials.Refresh, AccountRow, credentials.Key | None] | None:
            refresh = await credentials.find_refresh(tx, hashed)
            if refresh is None or refresh.used_at < oldest:
                return None
            if not await self._parts.authenticator.stands(tx, refresh.id, now):
                return None
            account = await accounts.get(tx, refresh.account_id)
            key = await credentials.get_key(tx, refresh.key_id) if refresh.key_id is not None else None
            return (refresh, account, key) if account is not None else None

        found = await self._parts.kernel.database.read(work)
        if found is None or not found[1].active or found[0].epoch != found[1].epoch:
            raise wrong()
        refresh, account, key = found
        if now - refresh.used_at >= 60_000:
            await self._parts.kernel.database.write(lambda tx: credentials.refresh_used(tx, refresh.id, now))
        return Identity(
            account.name,
            account.admin,
            account.id,
            account.kind,
            refresh.method,
            refresh.id,
            grants.of_key(key.scopes, key.path) if key is not None else None,
            refresh.created_at,
        )

    # --- what ---------------------------------------------------------------------------------------------------

    async def _issue(
        self,
        call: Call,
        identity: Identity,
        service: str,
        scopes: Sequence[str],
        client: str,
        *,
        offline: bool = False,
        refresh: str = "",
    ) -> Answer:
        tokens = self._parts.tokens
        access = [entry for wanted in grants.parse(scopes) if (entry := await self._granted(identity, wanted))]
        epoch = 0
        if identity.id is not None:
            account_id = identity.id
            account = await self._parts.kernel.database.read(lambda tx: accounts.get(tx, account_id))
            if account is None:
                raise wrong()
            epoch = account.epoch
            if offline and identity.method in _LASTING:
                refresh = await self._new_refresh(identity, epoch, client)
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

    async def _granted(self, identity: Identity, wanted: grants.Wanted) -> dict[str, Any] | None:
        """The part of a scope that the identity has."""

        async def may(action: Action, repository: str | None) -> bool:
            found = await self._parts.kernel.access.decide(identity, Access(action, repository))
            return found is Decision.ALLOW

        if wanted.type == "registry":
            if wanted.name != "catalog" or "*" not in wanted.actions or not await may(Action.CATALOG, None):
                return None
            return {"type": "registry", "name": "catalog", "actions": ["*"]}
        # `*` is everything: it is granted to whoever administers the repository, and its parts to others.
        asked = [*_ACTIONS, "*"] if "*" in wanted.actions else [name for name in _ACTIONS if name in wanted.actions]
        actions = [name for name in asked if await may(_ACTIONS.get(name, Action.ADMINISTER), wanted.name)]
        return {"type": "repository", "name": wanted.name, "actions": actions} if actions else None

    async def _new_refresh(self, identity: Identity, epoch: int, client: str) -> str:
        assert identity.id is not None
        text, now = secret.make(secret.REFRESH), self._parts.kernel.clock.now()
        key_id = identity.credential if identity.method == "api-key" else None
        row = credentials.Refresh(secret.new_id("r"), identity.id, key_id, epoch, identity.method, client, now, now)
        await self._parts.kernel.database.write(
            lambda tx: credentials.add_refresh(tx, row, secret.hashed(text), MOST_REFRESH)
        )
        return text


def _written(entry: dict[str, Any]) -> str:
    return f"{entry['type']}:{entry['name']}:{','.join(entry['actions'])}"
