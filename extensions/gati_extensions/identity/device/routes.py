"""The endpoints: a device begins and asks, a person looks and decides.

Source: RFC 8628 sections 3.1 to 3.5.
"""

from __future__ import annotations

from gati_extensions.identity import secret
from gati_extensions.identity.backoff import Backoff, origin
from gati_extensions.identity.device import codes, model, page, store
from gati_extensions.identity.device.store import Waiting
from gati_extensions.identity.grants import checked_path, scope_word
from gati_extensions.identity.oauth import Form, OAuthError
from gati_extensions.identity.parts import Parts, require_full
from gati_extensions.identity.routes.credentials import MOST_KEYS
from gati_extensions.identity.sessions import csrf_token
from gati_extensions.identity.store import accounts, credentials
from gati_extensions.identity.store.accounts import AccountRow
from gati_extensions.identity.store.credentials import Key
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Answer, Call, Caller, Identity, Permission, Route, Transaction

GRANT = "urn:ietf:params:oauth:grant-type:device_code"

LIFE = 600
"""Seconds in which a person has to decide."""

INTERVAL = 5
"""Seconds between two questions of a device, and what is added for each that comes too early."""

MOST_WAITING, MOST_OF_ADDRESS = 10_000, 20
"""Requests that wait at a time."""


class DeviceRoutes:
    """Handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._backoff = Backoff(parts.kernel.database, parts.kernel.clock, parts.settings)

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        public = Permission("identity.device", Action.PUBLIC)
        own = Permission("identity.device-confirm", Action.SIGN_IN)
        given = model.DeviceToken
        return [
            Route("POST", "device", public, self.begin, "Begin to connect a device (a form).", answer=model.Begun),
            Route("POST", "device/token", public, self.token, "Ask for a device's key (a form).", answer=given),
            Route("GET", "device", public, self.look, "The page to connect a device.", query=model.PageQuery),
            Route("POST", "device/confirm", own, self.confirm, "Approve or deny a device.", model.Decided),
        ]

    # --- the device ---------------------------------------------------------------------------------------------

    async def begin(self, call: Call) -> Answer:
        """`client_id` is what the program calls itself, `scope` words of API keys, `path` what they are bound to."""
        form = Form(await call.form())
        client = form.get("client_id", 60)
        if not client or not client.isprintable():
            raise OAuthError("invalid_request", "client_id: say what the program is called")
        scopes, path = _scopes(form.get("scope", 200)), form.get("path", 255)
        try:
            checked_path(path)
        except ValueError as error:
            raise OAuthError("invalid_request", f"path: {error}") from None
        now, address = self._parts.kernel.clock.now(), call.caller.address
        text, code = secret.make(secret.DEVICE), codes.make()
        waiting = Waiting(
            id=secret.new_id("d"),
            client=client,
            scopes=scopes,
            path=path,
            address=origin(address),
            created_at=now,
            expires_at=now + LIFE * 1000,
            state=store.PENDING,
            account_id=None,
            epoch=None,
            polled_at=0,
            interval=INTERVAL,
        )

        async def work(tx: Transaction) -> None:
            in_all, of_address = await store.count(tx, waiting.address, now)
            taken = in_all >= MOST_WAITING or of_address >= MOST_OF_ADDRESS
            if taken or not await store.add(tx, waiting, secret.hashed(text), codes.hashed(code)):
                message = "too many devices wait to be connected; try again later"
                raise RegistryError(Code.TOOMANYREQUESTS, message, headers={"Retry-After": "60"})

        await self._parts.kernel.database.write(work)
        uri = f"{call.origin}/v2/_ext/identity/device"
        return Answer(
            200,
            model.Begun(
                device_code=text,
                user_code=code,
                verification_uri=uri,
                verification_uri_complete=f"{uri}?user_code={code}",
                expires_in=LIFE,
                interval=INTERVAL,
            ),
        )

    async def token(self, call: Call) -> Answer:
        """The key once a person has approved, in the name of that person; then never again."""
        form = Form(await call.form())
        if form.get("grant_type", 100) != GRANT:
            raise OAuthError("unsupported_grant_type", f"grant_type must be {GRANT}")
        code, client = form.get("device_code", 100), form.get("client_id", 60)
        if not secret.is_well_formed(code, secret.DEVICE):
            raise OAuthError("invalid_grant", "there is no such device_code, or it was used")
        hashed, now, text = secret.hashed(code), self._parts.kernel.clock.now(), secret.make(secret.KEY)
        life = self._parts.settings.device_key_ttl

        async def work(tx: Transaction) -> Key | OAuthError:
            # An error is returned where something is to be stored: what is raised undoes all.
            waiting = await store.of_device(tx, hashed)
            if waiting is None or waiting.client != client:
                return OAuthError("invalid_grant", "there is no such device_code for this client_id, or it was used")
            if now >= waiting.expires_at:
                return OAuthError("expired_token", "nobody has decided in time; begin again")
            early = now - waiting.polled_at < waiting.interval * 1000
            await store.polled(tx, waiting.id, now, waiting.interval + (INTERVAL if early else 0))
            if early:
                return OAuthError("slow_down", f"wait {waiting.interval + INTERVAL} s between two questions")
            if waiting.state == store.DENIED:
                return OAuthError("access_denied", "the person has denied it", code=Code.DENIED)
            if waiting.state == store.PENDING:
                return OAuthError("authorization_pending", "nobody has decided yet; ask again")
            account = await accounts.get(tx, waiting.account_id or 0)
            if account is None or not account.active or account.epoch != waiting.epoch:
                return OAuthError("access_denied", "the account that approved it has changed", code=Code.DENIED)
            if not await store.spend(tx, waiting.id):
                return OAuthError("invalid_grant", "the device_code was used")
            name = f"device: {waiting.client}"
            made = Key(secret.new_id("k"), account.id, name, waiting.scopes, waiting.path, now, now + life * 1000, None)
            if await credentials.count_keys(tx, account.id) >= MOST_KEYS:
                return OAuthError("access_denied", f"the account has {MOST_KEYS} keys; revoke some", code=Code.CONFLICT)
            await credentials.add_key(tx, made, secret.hashed(text))
            await self._note(tx, call.caller, account, waiting, made)
            return made

        made = await self._parts.revision.write(work)
        if isinstance(made, OAuthError):
            raise made
        scope = " ".join(made.scopes)
        return Answer(200, model.DeviceToken(access_token=text, token_type="Bearer", scope=scope, expires_in=life))  # noqa: S106 - its kind

    async def _note(self, tx: Transaction, caller: Caller, account: AccountRow, waiting: Waiting, key: Key) -> None:
        identity = Identity(account.name, id=account.id, kind=account.kind, method="oauth2", credential=key.id)
        after = {"account": account.name, "scopes": list(key.scopes), "path": key.path, "device": waiting.id}
        as_account = Caller(identity, caller.address, caller.user_agent, caller.request_id, caller.began)
        await self._parts.note(tx, as_account, "key", "create", key.id, namespace=account.namespace, after=after)

    # --- the person ---------------------------------------------------------------------------------------------

    async def look(self, call: Call) -> Answer:
        """Log in, type the code, see what is asked for."""
        query: model.PageQuery = call.query
        if call.identity.name is None:
            return page.login()
        if not query.user_code:
            return page.ask(call.identity.name)
        try:
            waiting, code = await self._find(call, query.user_code)
        except RegistryError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return page.ask(call.identity.name, wrong=query.user_code)
        cookie = self._parts.sessions.cookie(call.exchange) if call.identity.method == "session" else None
        return page.confirm(call.identity.name, waiting, code, csrf_token(cookie) if cookie is not None else "")

    async def confirm(self, call: Call) -> None:
        """By a person, with credentials that could make such a key."""
        wanted: model.Decided = call.body
        require_full(call)
        operator = await self._parts.operates(call)
        waiting, _ = await self._find(call, wanted.user_code)
        approved = wanted.decision == "approve"

        async def work(tx: Transaction) -> None:
            account = await self._parts.caller(tx, call)
            if account.kind != "user":
                raise RegistryError(Code.DENIED, "a device is connected by a person")
            if approved and "operate" in waiting.scopes and not operator:
                raise RegistryError(Code.DENIED, "the scope operate is for administrators of the server")
            state = store.APPROVED if approved else store.DENIED
            if not await store.decide(tx, waiting.id, state, account.id, account.epoch):
                raise RegistryError(Code.CONFLICT, "somebody has decided already")
            after = {"client": waiting.client, "scopes": list(waiting.scopes), "path": waiting.path}
            await self._parts.note(
                tx, call.caller, "device", wanted.decision, waiting.id, namespace=account.namespace, after=after
            )

        await self._parts.kernel.database.write(work)

    async def _find(self, call: Call, typed: str) -> tuple[Waiting, str]:
        """The request of a code that somebody typed; whoever guesses has to wait."""
        name, address = f"device\0{call.identity.name}", call.caller.address
        await self._backoff.check(name, address)
        code, now = codes.normal(typed), self._parts.kernel.clock.now()
        hashed = codes.hashed(code or "")
        waiting = await self._parts.kernel.database.read(lambda tx: store.of_user(tx, hashed, now))
        if waiting is None or code is None:
            await self._backoff.failed(name, address)
            raise RegistryError(Code.NOT_FOUND, "there is no such code, or it has expired")
        return waiting, code


def _scopes(text: str) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(scope_word(word) for word in text.split())) or ("read",)
    except ValueError as error:
        raise OAuthError("invalid_scope", f"scope: each {error}") from None
