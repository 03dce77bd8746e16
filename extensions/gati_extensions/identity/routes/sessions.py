"""Logging in and out in a browser, second factors, invitations."""

from __future__ import annotations

import base64
import secrets
from urllib.parse import quote

from gati_extensions.identity import model, secret
from gati_extensions.identity.hooks import wrong
from gati_extensions.identity.parts import Parts, absent, require_full, view
from gati_extensions.identity.passkeys.ceremony import PROVE
from gati_extensions.identity.passkeys.routes import session_of
from gati_extensions.identity.routes.credentials import session_view
from gati_extensions.identity.sessions import csrf_token
from gati_extensions.identity.store import credentials, factors, invitations, totp
from gati_extensions.identity.store.accounts import AccountRow
from gati_extensions.identity.store.credentials import Session
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Answer, Call, Paging, Permission, Route, Transaction

RECOVERY_CODES = 10

MOST_SESSIONS = 100
"""Sessions of an account."""


class SessionRoutes:
    """Handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        public = Permission("identity.login", Action.PUBLIC)
        own = Permission("identity.sessions", Action.SIGN_IN)
        factor = Permission("identity.second-factor", Action.SIGN_IN)
        invite = Permission("identity.invitations", Action.OPERATE)
        made = model.MadeInvitation
        pages, codes = model.SessionsPage, model.RecoveryCodes
        return [
            Route("POST", "login", public, self.login, "Log in, in a browser.", model.Login, answer=model.LoggedIn),
            Route("POST", "logout", public, self.logout, "Log out, in a browser."),
            Route("GET", "sessions", own, self.list, "Your browsers' sessions.", query=Paging, answer=pages),
            Route("DELETE", "sessions/{id}", own, self.end, "End a session."),
            Route("POST", "me/second-factor", factor, self.enrol, "Begin a second factor.", answer=model.Enrolment),
            Route(
                "POST",
                "me/second-factor/confirm",
                factor,
                self.confirm,
                "Confirm it.",
                model.Confirmation,
                answer=codes,
            ),
            Route("POST", "me/second-factor/remove", factor, self.remove, "Do without it.", model.Code),
            Route("POST", "invitations", invite, self.invite, "Invite.", model.NewInvitation, answer=made, status=201),
            Route("GET", "invitations", invite, self.invited, "Invitations.", query=Paging, answer=model.Invitations),
            Route("DELETE", "invitations/{id}", invite, self.uninvite, "Take an invitation back."),
        ]

    # --- sessions -----------------------------------------------------------------------------------------------

    async def login(self, call: Call) -> Answer:
        """The answer sets the cookie. An earlier session of this browser stays what it was: log out to end it."""
        wanted: model.Login = call.body
        account = await self._parts.authenticator.of_password(
            wanted.name, wanted.password, call.caller.address, code=wanted.code, passkey=wanted.passkey
        )
        if account is None:
            raise wrong()
        session, text, cookie = await begin_session(self._parts, call, account, "password")
        answer = model.LoggedIn(
            account=view(account, private=True),
            csrf_token=csrf_token(text),
            expires_at=model.time_of(self._parts.sessions.until(session)),
        )
        return Answer(200, answer, cookies=(cookie,))

    async def logout(self, call: Call) -> Answer:
        """Ends the session whose cookie was sent."""
        session_id = call.identity.credential if call.identity.method == "session" else None
        if session_id is not None:
            await self._end(call, session_id)
        return Answer(204, cookies=(session_cookie(self._parts, call, ""),))

    async def list(self, call: Call) -> model.SessionsPage:
        """By id."""
        paging: Paging = call.query

        async def work(tx: Transaction) -> model.SessionsPage:
            account = await self._parts.caller(tx, call)
            rows = await credentials.sessions(tx, account.id, paging.cursor, paging.limit + 1)
            items = [session_view(row, call.identity.credential) for row in rows[: paging.limit]]
            return model.SessionsPage(items=items, next=items[-1].id if len(rows) > paging.limit else None)

        return await self._parts.kernel.database.read(work)

    async def end(self, call: Call) -> None:
        """One of the caller's."""
        require_full(call)
        await self._end(call, call.parameters["id"])

    async def _end(self, call: Call, session_id: str) -> None:
        async def work(tx: Transaction) -> None:
            account, session = await self._parts.caller(tx, call), await credentials.get_session(tx, session_id)
            if session is None or session.account_id != account.id:
                raise absent("session", session_id)
            await credentials.drop_session(tx, session_id)
            await self._parts.note(tx, call.caller, "session", "delete", session_id, namespace=account.namespace)

        await self._parts.revision.write(work)

    # --- second factor ------------------------------------------------------------------------------------------

    async def enrol(self, call: Call) -> model.Enrolment:
        """In force once it is confirmed."""
        require_full(call)
        shared = base64.b32encode(secrets.token_bytes(20)).decode()

        async def work(tx: Transaction) -> str:
            account = await self._parts.caller(tx, call)
            if not await totp.enrol(tx, self._parts.vault, account.id, shared):
                raise RegistryError(Code.CONFLICT, "there is a second factor; remove it first")
            return account.name

        name = await self._parts.revision.write(work)
        return model.Enrolment(secret=shared, uri=f"otpauth://totp/gati:{quote(name)}?secret={shared}&issuer=gati")

    async def confirm(self, call: Call) -> model.RecoveryCodes:
        """From now on the password alone is not enough."""
        require_full(call)
        wanted: model.Confirmation = call.body
        holder = await self._parts.kernel.database.read(lambda tx: self._parts.caller(tx, call))
        if await self._parts.kernel.database.read(lambda tx: factors.is_on(tx, holder.id)):
            await self._parts.authenticator.second_factor(
                holder, call.caller.address, None, wanted.passkey, (PROVE, session_of(call))
            )
        codes = [f"{secrets.token_hex(4)}-{secrets.token_hex(4)}" for _ in range(RECOVERY_CODES)]
        hashes, now = [secret.hashed(code) for code in codes], self._parts.kernel.clock.now()

        async def work(tx: Transaction) -> None:
            account = await self._parts.caller(tx, call)
            if not await totp.confirm(tx, self._parts.vault, account.id, wanted.code, hashes, now):
                raise RegistryError(Code.INVALID, "the code is wrong, or there is nothing to confirm")
            await self._parts.note(
                tx, call.caller, "second-factor", "create", account.name, namespace=account.namespace
            )

        await self._parts.revision.write(work)
        return model.RecoveryCodes(codes=codes)

    async def remove(self, call: Call) -> None:
        """With a code."""
        require_full(call)
        wanted: model.Code = call.body
        account = await self._parts.kernel.database.read(lambda tx: self._parts.caller(tx, call))
        await self._parts.authenticator.second_factor(account, call.caller.address, wanted.code)

        async def work(tx: Transaction) -> None:
            await totp.drop(tx, account.id)
            await factors.removed(tx, account.id)
            await self._parts.note(
                tx, call.caller, "second-factor", "delete", account.name, namespace=account.namespace
            )

        await self._parts.revision.write(work)

    # --- invitations --------------------------------------------------------------------------------------------

    async def invite(self, call: Call) -> model.MadeInvitation:
        """By an administrator."""
        wanted: model.NewInvitation = call.body
        text, now = secret.make(secret.INVITATION), self._parts.kernel.clock.now()
        until = now + self._parts.settings.invitation_ttl * 1000
        made = invitations.Invitation(secret.new_id("i"), wanted.email, now, until, None)

        async def work(tx: Transaction) -> None:
            caller = await self._parts.caller(tx, call)
            await invitations.add(tx, made, secret.hashed(text), caller.id)
            await self._parts.note(tx, call.caller, "invitation", "create", made.id)

        await self._parts.revision.write(work)
        return model.MadeInvitation(**_invitation(made).model_dump(), invitation=text)

    async def invited(self, call: Call) -> model.Invitations:
        """By id."""
        paging: Paging = call.query
        rows = await self._parts.kernel.database.scan(lambda tx: invitations.page(tx, paging.cursor, paging.limit + 1))
        items = [_invitation(row) for row in rows[: paging.limit]]
        return model.Invitations(items=items, next=items[-1].id if len(rows) > paging.limit else None)

    async def uninvite(self, call: Call) -> None:
        """Nobody comes in by it any more; whoever came stays."""
        invitation_id = call.parameters["id"]

        async def work(tx: Transaction) -> None:
            if not await invitations.drop(tx, invitation_id):
                raise absent("invitation", invitation_id)
            await self._parts.note(tx, call.caller, "invitation", "delete", invitation_id)

        await self._parts.revision.write(work)


async def begin_session(parts: Parts, call: Call, account: AccountRow, method: str) -> tuple[Session, str, str]:
    """A session of somebody who has just logged in by `method`; it, its secret, and the cookie's header."""
    text, now = secret.make(secret.SESSION), parts.kernel.clock.now()
    agent = call.caller.user_agent[:300]
    session = Session(secret.new_id("s"), account.id, account.epoch, call.caller.address, agent, now, now)

    async def work(tx: Transaction) -> None:
        await credentials.add_session(tx, session, secret.hashed(text), MOST_SESSIONS)
        await parts.note(
            tx, call.caller, "session", "create", session.id, namespace=account.namespace, after={"method": method}
        )

    await parts.revision.write(work)
    return session, text, session_cookie(parts, call, text)


def session_cookie(parts: Parts, call: Call, value: str) -> str:
    """The header that gives the caller's browser a session, or takes it away with an empty value."""
    return parts.sessions.set_cookie(value, secure=call.origin.startswith("https:"))


def _invitation(found: invitations.Invitation) -> model.InvitationView:
    return model.InvitationView(
        id=found.id,
        email=found.email,
        created_at=model.time_of(found.created_at),
        expires_at=model.time_of(found.expires_at),
        used_by=found.used_by,
    )
