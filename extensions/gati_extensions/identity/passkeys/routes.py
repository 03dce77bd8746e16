"""Adding, listing and removing passkeys, and the challenge of a login."""

from __future__ import annotations

import secrets

from gati_extensions.identity import secret
from gati_extensions.identity.hooks import wrong
from gati_extensions.identity.model import optional_time_of, time_of
from gati_extensions.identity.parts import Parts, absent, require_full
from gati_extensions.identity.passkeys import ceremony, model, store
from gati_extensions.identity.passkeys.store import Passkey
from gati_extensions.identity.store import factors
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Call, Permission, Route, Transaction

RECOVERY_CODES = 10

MAX_BODY = 64 * 1024


class PasskeyRoutes:
    """Handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._passkeys = parts.authenticator.passkeys

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        public = Permission("identity.login", Action.PUBLIC)
        own = Permission("identity.second-factor", Action.SIGN_IN)
        new, begun, made, listed = model.NewPasskey, model.Ceremony, model.MadePasskey, model.Passkeys
        first, factor, largest = model.FirstFactor, model.Factor, MAX_BODY
        return [
            Route("POST", "passkeys/options", own, self.begin, "Begin to add a passkey.", answer=begun),
            Route("POST", "passkeys", own, self.add, "Add it.", new, answer=made, status=201, max_body=largest),
            Route("GET", "passkeys", own, self.list, "Your passkeys.", answer=listed),
            Route("POST", "passkeys/proof", own, self.challenge, "Begin to prove a passkey.", answer=begun),
            Route("POST", "passkeys/{id}/remove", own, self.remove, "Remove a passkey.", factor, max_body=largest),
            Route("POST", "login/passkey", public, self.login, "Begin to log in with one.", first, answer=begun),
        ]

    async def begin(self, call: Call) -> model.Ceremony:
        """For this session alone."""
        require_full(call)
        return await self._passkeys.begin_adding(await self._account(call), session_of(call), call.origin)

    async def add(self, call: Call) -> model.MadePasskey:
        """From now on the password alone is not enough."""
        wanted: model.NewPasskey = call.body
        require_full(call)
        account = await self._account(call)
        if await self._parts.kernel.database.read(lambda tx: factors.is_on(tx, account.id)):
            await self._prove(call, account, wanted)
        passkey = await self._passkeys.added(account, session_of(call), wanted.state, wanted.name, wanted.credential)
        codes = [f"{secrets.token_hex(4)}-{secrets.token_hex(4)}" for _ in range(RECOVERY_CODES)]

        async def work(tx: Transaction) -> list[str]:
            is_first = not await factors.is_on(tx, account.id)
            if not await store.add(tx, passkey):
                raise RegistryError(Code.CONFLICT, "this passkey was added before")
            if is_first:
                await factors.set_recovery(tx, account.id, [secret.hashed(code) for code in codes])
            await self._note(tx, call, account, "create", passkey.id)
            return codes if is_first else []

        shown = await self._parts.revision.write(work)
        return model.MadePasskey(**passkey_view(passkey).model_dump(), codes=shown)

    async def list(self, call: Call) -> model.Passkeys:
        """The oldest first."""
        account = await self._account(call)
        held = await self._parts.kernel.database.read(lambda tx: store.of_account(tx, account.id))
        return model.Passkeys(items=[passkey_view(passkey) for passkey in held])

    async def challenge(self, call: Call) -> model.Ceremony:
        """For what asks for a second factor of whoever is logged in."""
        require_full(call)
        account = await self._account(call)
        return await self._passkeys.begin_proof(account, ceremony.PROVE, session_of(call), call.origin)

    async def remove(self, call: Call) -> None:
        """With a code, or with a passkey, which may be this one."""
        require_full(call)
        account, passkey_id = await self._account(call), call.parameters["id"]
        held = await self._parts.kernel.database.read(lambda tx: store.of_account(tx, account.id))
        if not any(passkey.id == passkey_id for passkey in held):
            raise absent("passkey", passkey_id)
        await self._prove(call, account, call.body)

        async def work(tx: Transaction) -> None:
            if not await store.drop(tx, account.id, passkey_id):
                raise absent("passkey", passkey_id)
            await factors.removed(tx, account.id)
            await self._note(tx, call, account, "delete", passkey_id)

        await self._parts.revision.write(work)

    async def login(self, call: Call) -> model.Ceremony:
        """Once the password is right; `POST login` takes what the browser answers."""
        wanted: model.FirstFactor = call.body
        authenticator = self._parts.authenticator
        account = await authenticator.of_password(wanted.name, wanted.password, call.caller.address, first=True)
        if account is None:
            raise wrong()
        return await self._passkeys.begin_proof(account, ceremony.LOGIN, "", call.origin)

    async def _account(self, call: Call) -> AccountRow:
        return await self._parts.kernel.database.read(lambda tx: self._parts.caller(tx, call))

    async def _prove(self, call: Call, account: AccountRow, factor: model.Factor) -> None:
        await self._parts.authenticator.second_factor(
            account, call.caller.address, factor.code, factor.passkey, (ceremony.PROVE, session_of(call))
        )

    async def _note(self, tx: Transaction, call: Call, account: AccountRow, action: str, passkey_id: str) -> None:
        await self._parts.note(tx, call.caller, "passkey", action, passkey_id, namespace=account.namespace)


def session_of(call: Call) -> str:
    """What a challenge is bound to: the credential that asks for it."""
    return call.identity.credential or ""


def passkey_view(passkey: Passkey) -> model.PasskeyView:
    """A passkey as it is answered."""
    return model.PasskeyView(
        id=passkey.id,
        name=passkey.name,
        created_at=time_of(passkey.created_at),
        used_at=optional_time_of(passkey.used_at),
        cloned_at=optional_time_of(passkey.cloned_at),
    )
