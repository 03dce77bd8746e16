"""Users: sign-up, profiles, passwords, standing; what is kept of oneself, and the end of it."""

from __future__ import annotations

from gati_extensions.identity import model, secret
from gati_extensions.identity.hooks import wrong
from gati_extensions.identity.parts import Parts, absent, described, require_full, taken, view
from gati_extensions.identity.passkeys import store as passkeys
from gati_extensions.identity.passkeys.ceremony import PROVE
from gati_extensions.identity.passkeys.routes import passkey_view, session_of
from gati_extensions.identity.passwords import ADMIN, set_admin
from gati_extensions.identity.routes.credentials import key_view, link_view, login_view, session_view
from gati_extensions.identity.sessions import csrf_token
from gati_extensions.identity.store import accounts, credentials, factors, invitations, links, orgs
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Call, Paging, Permission, Route, Transaction

MOST = 1000
"""Entries of each list in an export."""


class UserRoutes:
    """Handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        public = Permission("identity.signup", Action.PUBLIC)
        own = Permission("identity.self", Action.SIGN_IN)
        operate = Permission("identity.operate", Action.OPERATE)
        user, changes, account = model.NewUser, model.Changes, model.AccountView
        return [
            Route("POST", "users", public, self.create, "Make a user.", user, answer=account, status=201),
            Route("GET", "users", operate, self.list, "All users.", query=Paging, answer=model.Accounts),
            Route("GET", "users/{name}", own, self.get, "A user's profile.", answer=account),
            Route("PATCH", "users/{name}", operate, self.change, "Change a user.", changes, answer=account),
            Route("PUT", "users/{name}/password", operate, self.set_password, "Set a password.", model.PasswordChange),
            Route("DELETE", "users/{name}", operate, self.erase, "Erase a user; the name stays taken."),
            Route("GET", "me", own, self.me, "Who am I, and with what?", answer=model.Me),
            Route("PATCH", "me", own, self.change_me, "Change your profile.", model.Profile, answer=account),
            Route("PUT", "me/password", own, self.change_password, "Change your password.", model.PasswordChange),
            Route("GET", "me/export", own, self.export, "All that is kept of you.", answer=model.Export),
            Route("DELETE", "me", own, self.erase_me, "Erase your account; the name stays taken."),
        ]

    # --- users --------------------------------------------------------------------------------------------------

    async def create(self, call: Call) -> model.AccountView:
        """By an administrator, with an invitation, or by everybody where sign-up is open."""
        wanted: model.NewUser = call.body
        operator, signup = await self._parts.operates(call), self._parts.settings.signup
        if not operator:
            if signup == "closed" or (signup == "invite" and wanted.invitation is None):
                raise RegistryError(Code.DENIED, "sign-up is closed; ask an administrator for an account")
            if wanted.admin:
                raise RegistryError(Code.DENIED, "only administrators make administrators")
        invited = not operator and signup == "invite"
        if invited and not secret.is_well_formed(wanted.invitation or "", secret.INVITATION):
            raise RegistryError(Code.DENIED, "the invitation is wrong, used or over; ask for another")
        password, now = await self._parts.passwords.hash(wanted.password), self._parts.kernel.clock.now()

        async def work(tx: Transaction) -> AccountRow:
            made = await accounts.add(
                tx,
                wanted.name,
                "user",
                now,
                admin=wanted.admin,
                email=wanted.email,
                display=wanted.display,
                url=wanted.url,
                password=password,
            )
            if made is None:
                raise taken("name", wanted.name)
            if invited and not await invitations.use(tx, secret.hashed(wanted.invitation or ""), made.id, now):
                raise RegistryError(Code.DENIED, "the invitation is wrong, used or over; ask for another")
            await self._parts.note(
                tx, call.caller, "user", "create", made.name, namespace=made.namespace, after=described(made)
            )
            return made

        return view(await self._parts.revision.write(work), private=True)

    async def list(self, call: Call) -> model.Accounts:
        """By name."""
        paging: Paging = call.query
        rows = await self._parts.kernel.database.scan(
            lambda tx: accounts.page(tx, "user", paging.cursor, paging.limit + 1)
        )
        items = [view(row, private=True) for row in rows[: paging.limit]]
        return model.Accounts(items=items, next=items[-1].name if len(rows) > paging.limit else None)

    async def get(self, call: Call) -> model.AccountView:
        """The account of a name."""
        account = await self._parts.kernel.database.read(lambda tx: _user(tx, call.parameters["name"]))
        return view(account, private=account.name == call.identity.name or await self._parts.operates(call))

    async def change(self, call: Call) -> model.AccountView:
        """By an administrator."""
        wanted: model.Changes = call.body

        async def work(tx: Transaction) -> AccountRow:
            before = await _user(tx, call.parameters["name"])
            admin = before.admin if wanted.admin is None else wanted.admin
            active = before.active if wanted.active is None else wanted.active
            if before.name == ADMIN and not (admin and active):
                raise RegistryError(Code.CONFLICT, "the user admin stays an active administrator")
            await _set_profile(tx, before, wanted)
            await accounts.set_standing(tx, before.id, admin=admin, active=active)
            if not active:
                await accounts.end_all(tx, before.id)
            return await self._changed(tx, call, before)

        return view(await self._parts.revision.write(work), private=True)

    async def set_password(self, call: Call) -> None:
        """By an administrator; ends the user's sessions and logins."""
        wanted: model.PasswordChange = call.body
        account = await self._parts.kernel.database.read(lambda tx: _user(tx, call.parameters["name"]))
        await self._store_password(call, account, wanted.new)

    async def erase(self, call: Call) -> None:
        """By an administrator."""
        account = await self._parts.kernel.database.read(lambda tx: _user(tx, call.parameters["name"]))
        await self._erase(call, account.name)

    # --- oneself ------------------------------------------------------------------------------------------------

    async def me(self, call: Call) -> model.Me:
        """The caller."""

        async def work(tx: Transaction) -> model.Me:
            account = await self._parts.caller(tx, call)
            cookie = self._parts.sessions.cookie(call.exchange) if call.identity.method == "session" else None
            bounds = call.identity.grants
            return model.Me(
                account=view(account, private=True),
                method=call.identity.method,
                credential=call.identity.credential,
                bounds=None
                if bounds is None
                else [model.Bound(actions=sorted(a.value for a in grant.actions), path=grant.path) for grant in bounds],
                organizations=await _memberships(tx, account.id),
                teams=await _teams(tx, account.id),
                second_factor=await factors.is_on(tx, account.id),
                csrf_token=csrf_token(cookie) if cookie is not None else None,
            )

        return await self._parts.kernel.database.read(work)

    async def change_me(self, call: Call) -> model.AccountView:
        """Name, address, page."""
        require_full(call)
        wanted: model.Profile = call.body

        async def work(tx: Transaction) -> AccountRow:
            before = await self._parts.caller(tx, call)
            await _set_profile(tx, before, wanted)
            return await self._changed(tx, call, before)

        return view(await self._parts.revision.write(work), private=True)

    async def change_password(self, call: Call) -> None:
        """With the present one; ends all sessions and logins, keys stay."""
        wanted: model.PasswordChange = call.body
        account = await self._parts.kernel.database.read(lambda tx: self._parts.caller(tx, call))
        if wanted.current is None:
            raise RegistryError(Code.INVALID, "send the present password as current")
        proven = await self._parts.authenticator.of_password(
            account.name,
            wanted.current,
            call.caller.address,
            code=wanted.code,
            passkey=wanted.passkey,
            purpose=(PROVE, session_of(call)),
        )
        if proven is None:
            raise wrong()
        await self._store_password(call, account, wanted.new)

    async def export(self, call: Call) -> model.Export:
        """Everything of the caller, for the caller."""
        require_full(call)

        async def work(tx: Transaction) -> model.Export:
            account = await self._parts.caller(tx, call)
            return model.Export(
                account=view(account, private=True),
                organizations=await _memberships(tx, account.id),
                teams=await _teams(tx, account.id),
                keys=[key_view(key, account.name) for key in await credentials.keys(tx, account.id, "", MOST)],
                sessions=[
                    session_view(session, call.identity.credential)
                    for session in await credentials.sessions(tx, account.id, "", MOST)
                ],
                logins=[login_view(row) for row in await credentials.refreshes(tx, account.id, "", MOST)],
                links=[link_view(link) for link in await links.of_account(tx, account.id)],
                passkeys=[passkey_view(passkey) for passkey in await passkeys.of_account(tx, account.id)],
                second_factor=await factors.is_on(tx, account.id),
            )

        return await self._parts.kernel.database.scan(work)

    async def erase_me(self, call: Call) -> None:
        """The caller's own account."""
        require_full(call)
        account = await self._parts.kernel.database.read(lambda tx: self._parts.caller(tx, call))
        await self._erase(call, account.name)

    # --- inside -------------------------------------------------------------------------------------------------

    async def _changed(self, tx: Transaction, call: Call, before: AccountRow) -> AccountRow:
        after = await accounts.get(tx, before.id)
        assert after is not None
        await self._parts.note(
            tx,
            call.caller,
            "user",
            "update",
            before.name,
            namespace=before.namespace,
            before=described(before),
            after=described(after),
        )
        return after

    async def _store_password(self, call: Call, account: AccountRow, password: str) -> None:
        passwords, is_admin = self._parts.passwords, account.name == ADMIN
        hashed = await (passwords.hash_of_admin(password) if is_admin else passwords.hash(password))

        async def work(tx: Transaction) -> None:
            if await links.has(tx, account.id, "ldap"):
                raise RegistryError(Code.CONFLICT, "this account's password is the directory's; change it there")
            if is_admin:
                await set_admin(tx, hashed)
            else:
                await accounts.set_password(tx, account.id, hashed)
            await accounts.end_all(tx, account.id)
            await self._parts.note(tx, call.caller, "password", "update", account.name, namespace=account.namespace)

        await self._parts.revision.write(work)

    async def _erase(self, call: Call, name: str) -> None:
        now = self._parts.kernel.clock.now()

        async def work(tx: Transaction) -> None:
            account = await _user(tx, name)
            if account.name == ADMIN:
                raise RegistryError(Code.CONFLICT, "the user admin cannot be erased")
            for membership in await orgs.memberships(tx, account.id):
                if membership.role == orgs.OWNER and await orgs.owners(tx, membership.org_id) == 1:
                    raise RegistryError(
                        Code.CONFLICT, f"{name} is the last owner of {membership.org}; make another or delete it first"
                    )
            await erase_with_robots(tx, account, now)
            await self._parts.note(
                tx, call.caller, "user", "delete", account.name, namespace=account.namespace, before=described(account)
            )

        await self._parts.revision.write(work)


async def erase_with_robots(tx: Transaction, account: AccountRow, now: int) -> None:
    """Erase an account and all that belong to it."""
    while robots := await accounts.robots(tx, account.id, "", 100):
        for robot in robots:
            await accounts.erase(tx, robot.id, now)
    await accounts.erase(tx, account.id, now)


async def _user(tx: Transaction, name: str) -> AccountRow:
    account = await accounts.find(tx, name)
    if account is None or account.kind != "user" or account.erased_at is not None:
        raise absent("user", name)
    return account


async def _set_profile(tx: Transaction, account: AccountRow, wanted: model.Profile) -> None:
    given = wanted.model_fields_set
    await accounts.set_profile(
        tx,
        account.id,
        email=wanted.email if "email" in given else account.email,
        display=(wanted.display or "") if "display" in given else account.display,
        url=wanted.url if "url" in given else account.url,
    )


async def _memberships(tx: Transaction, account_id: int) -> list[model.Member]:
    return [model.Member(org=found.org, role=found.role) for found in await orgs.memberships(tx, account_id)]


async def _teams(tx: Transaction, account_id: int) -> list[model.TeamOf]:
    return [model.TeamOf(org=found.org, team=found.name) for found in await orgs.teams_of(tx, account_id)]
