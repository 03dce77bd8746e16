"""API keys, robots that have them, and what client programs keep of a login."""

from __future__ import annotations

from gati_extensions.identity import model, secret
from gati_extensions.identity.parts import Parts, absent, described, require_full, taken, view
from gati_extensions.identity.store import accounts, credentials, links, orgs
from gati_extensions.identity.store.accounts import AccountRow
from gati_extensions.identity.store.credentials import Key
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Access, Action, Call, Paging, Permission, Route, Transaction

MOST_KEYS = 200
"""Keys of an account."""


class CredentialRoutes:
    """Handlers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        keys = Permission("identity.keys", Action.SIGN_IN)
        robots = Permission("identity.robots", Action.SIGN_IN)
        made, robot = model.MadeKey, model.NewRobot
        view_, robots_ = model.AccountView, model.Accounts
        return [
            Route("POST", "keys", keys, self.make_key, "Make an API key.", model.NewKey, answer=made, status=201),
            Route("GET", "keys", keys, self.list_keys, "Your API keys.", query=model.KeyQuery, answer=model.Keys),
            Route("DELETE", "keys/{id}", keys, self.revoke_key, "Revoke an API key."),
            Route("POST", "keys/{id}/rotate", keys, self.rotate_key, "Give a key a new secret.", answer=made),
            Route("GET", "logins", keys, self.list_logins, "Logins of client programs.", None, Paging, model.Logins),
            Route("DELETE", "logins/{id}", keys, self.end_login, "End a login of a client program."),
            Route("POST", "robots", robots, self.make_robot, "Make a robot.", robot, answer=view_, status=201),
            Route("GET", "robots", robots, self.list_robots, "Robots.", query=model.RobotQuery, answer=robots_),
            Route("DELETE", "robots/{name}", robots, self.erase_robot, "Remove a robot and its keys."),
        ]

    # --- keys ---------------------------------------------------------------------------------------------------

    async def make_key(self, call: Call) -> model.MadeKey:
        """For the caller or one of the caller's robots; within the caller's own bounds."""
        wanted: model.NewKey = call.body
        require_full(call)
        scopes = tuple(dict.fromkeys(wanted.scopes))
        operator = await self._parts.operates(call)
        if "operate" in scopes and not operator:
            raise RegistryError(Code.DENIED, "the scope operate is for administrators of the server")
        now = self._parts.kernel.clock.now()
        expires = int(wanted.expires_at.timestamp() * 1000) if wanted.expires_at is not None else None
        if expires is not None and expires <= now:
            raise RegistryError(Code.INVALID, "expires_at lies in the past")
        text = secret.make(secret.KEY)

        async def work(tx: Transaction) -> tuple[Key, AccountRow]:
            account = await self.own(tx, call, wanted.account, operator=operator)
            if account.kind == "robot" and "operate" in scopes:
                raise RegistryError(Code.DENIED, "a robot does not operate the server")
            if await credentials.count_keys(tx, account.id) >= MOST_KEYS:
                raise RegistryError(Code.CONFLICT, f"an account has at most {MOST_KEYS} keys; revoke some")
            key = Key(secret.new_id("k"), account.id, wanted.name, scopes, wanted.path, now, expires, None)
            await credentials.add_key(tx, key, secret.hashed(text))
            await self._note_key(tx, call, "create", key, account)
            return key, account

        key, account = await self._parts.revision.write(work)
        return model.MadeKey(**key_view(key, account.name).model_dump(), key=text)

    async def list_keys(self, call: Call) -> model.Keys:
        """By id."""
        query: model.KeyQuery = call.query
        operator = await self._parts.operates(call)

        async def work(tx: Transaction) -> model.Keys:
            account = await self.own(tx, call, query.account, operator=operator)
            rows = await credentials.keys(tx, account.id, query.cursor, query.limit + 1)
            items = [key_view(key, account.name) for key in rows[: query.limit]]
            return model.Keys(items=items, next=items[-1].id if len(rows) > query.limit else None)

        return await self._parts.kernel.database.read(work)

    async def revoke_key(self, call: Call) -> None:
        """At once. A key may revoke itself, whatever its scopes."""
        operator = await self._parts.operates(call)

        async def work(tx: Transaction) -> None:
            key, account = await self._key(tx, call, operator=operator)
            if call.identity.credential != key.id:
                require_full(call)
            await credentials.drop_key(tx, key.id)
            await self._note_key(tx, call, "delete", key, account)

        await self._parts.revision.write(work)

    async def rotate_key(self, call: Call) -> model.MadeKey:
        """The old secret ends at once."""
        require_full(call)
        text, now = secret.make(secret.KEY), self._parts.kernel.clock.now()
        operator = await self._parts.operates(call)

        async def work(tx: Transaction) -> tuple[Key, AccountRow]:
            key, account = await self._key(tx, call, operator=operator)
            if "operate" in key.scopes and not call.identity.bounded(Access(Action.OPERATE)):
                raise RegistryError(Code.DENIED, "this credential is bound to less than that key")
            await credentials.replace_secret(tx, key.id, secret.hashed(text), now)
            await self._note_key(tx, call, "rotate", key, account)
            fresh = await credentials.get_key(tx, key.id)
            assert fresh is not None
            return fresh, account

        key, account = await self._parts.revision.write(work)
        return model.MadeKey(**key_view(key, account.name).model_dump(), key=text)

    async def _key(self, tx: Transaction, call: Call, *, operator: bool) -> tuple[Key, AccountRow]:
        """A key of the caller's or of one of the caller's robots; those of others are not there."""
        key_id = call.parameters["id"]
        key = await credentials.get_key(tx, key_id)
        account = await self.owned(tx, call, key.account_id, operator=operator) if key is not None else None
        if key is None or account is None:
            raise absent("key", key_id)
        return key, account

    async def _note_key(self, tx: Transaction, call: Call, action: str, key: Key, account: AccountRow) -> None:
        described = {"account": account.name, "scopes": list(key.scopes), "path": key.path}
        before, after = (described, None) if action == "delete" else (None, described)
        await self._parts.note(
            tx, call.caller, "key", action, key.id, namespace=account.namespace, before=before, after=after
        )

    # --- logins -------------------------------------------------------------------------------------------------

    async def list_logins(self, call: Call) -> model.Logins:
        """By id."""
        paging: Paging = call.query

        async def work(tx: Transaction) -> model.Logins:
            account = await self._parts.caller(tx, call)
            rows = await credentials.refreshes(tx, account.id, paging.cursor, paging.limit + 1)
            items = [login_view(row) for row in rows[: paging.limit]]
            return model.Logins(items=items, next=items[-1].id if len(rows) > paging.limit else None)

        return await self._parts.kernel.database.read(work)

    async def end_login(self, call: Call) -> None:
        """Its refresh token and the tokens got with it end at once."""
        require_full(call)
        login = call.parameters["id"]

        async def work(tx: Transaction) -> None:
            account, row = await self._parts.caller(tx, call), await credentials.get_refresh(tx, login)
            if row is None or row.account_id != account.id:
                raise absent("login", login)
            await credentials.drop_refresh(tx, login)
            await self._parts.note(tx, call.caller, "login", "delete", login, namespace=account.namespace)

        await self._parts.revision.write(work)

    # --- robots -------------------------------------------------------------------------------------------------

    async def make_robot(self, call: Call) -> model.AccountView:
        """Of the caller, or of an organization that the caller owns; it becomes the organization's member."""
        wanted: model.NewRobot = call.body
        require_full(call)
        name, now = f"{wanted.owner}+{wanted.name}", self._parts.kernel.clock.now()
        operator = await self._parts.operates(call)

        async def work(tx: Transaction) -> AccountRow:
            owner = await self._owner(tx, call, wanted.owner, operator=operator)
            made = await accounts.add(tx, name, "robot", now, display=wanted.display, owner_id=owner.id)
            if made is None:
                raise taken("name", name)
            if owner.kind == "org":
                await orgs.put_member(tx, owner.id, made.id, orgs.MEMBER, now)
            await self._parts.note(
                tx, call.caller, "robot", "create", name, namespace=owner.namespace, after=described(made)
            )
            return made

        return view(await self._parts.revision.write(work), private=True)

    async def list_robots(self, call: Call) -> model.Accounts:
        """By name."""
        query: model.RobotQuery = call.query
        operator = await self._parts.operates(call)

        async def work(tx: Transaction) -> model.Accounts:
            owner = await self._owner(tx, call, query.owner, operator=operator)
            rows = await accounts.robots(tx, owner.id, query.cursor, query.limit + 1)
            items = [view(row, private=True) for row in rows[: query.limit]]
            return model.Accounts(items=items, next=items[-1].name if len(rows) > query.limit else None)

        return await self._parts.kernel.database.read(work)

    async def erase_robot(self, call: Call) -> None:
        """Its name stays taken."""
        require_full(call)
        now = self._parts.kernel.clock.now()
        operator = await self._parts.operates(call)

        async def work(tx: Transaction) -> None:
            robot = await accounts.find(tx, call.parameters["name"])
            if robot is None or robot.kind != "robot" or robot.owner is None or robot.erased_at is not None:
                raise absent("robot", call.parameters["name"])
            owner = await self._owner(tx, call, robot.owner, operator=operator)
            await accounts.erase(tx, robot.id, now)
            await self._parts.note(
                tx, call.caller, "robot", "delete", robot.name, namespace=owner.namespace, before=described(robot)
            )

        await self._parts.revision.write(work)

    # --- inside -------------------------------------------------------------------------------------------------

    async def own(self, tx: Transaction, call: Call, name: str, *, operator: bool) -> AccountRow:
        """The caller, or a robot that the caller may manage."""
        caller = await self._parts.caller(tx, call)
        if name in ("", caller.name):
            return caller
        robot = await accounts.find(tx, name)
        if robot is None or robot.owner is None or robot.erased_at is not None:
            raise absent("robot of yours called", name)
        await self._owner(tx, call, robot.owner, operator=operator)
        return robot

    async def owned(self, tx: Transaction, call: Call, account_id: int, *, operator: bool) -> AccountRow | None:
        """The same by number; None for an account of others, which is as if it were not there."""
        account = await accounts.get(tx, account_id)
        try:
            return await self.own(tx, call, account.name, operator=operator) if account is not None else None
        except RegistryError as error:
            if error.code is Code.UNAUTHORIZED:
                raise
            return None

    async def _owner(self, tx: Transaction, call: Call, name: str, *, operator: bool) -> AccountRow:
        """The caller, or an organization that the caller owns."""
        caller = await self._parts.caller(tx, call)
        if name in ("", caller.name) and caller.kind == "user":
            return caller
        return await self._parts.owned_org(tx, caller, name, operator=operator)


def key_view(key: Key, account: str) -> model.KeyView:
    """A key as it is answered."""
    return model.KeyView(
        id=key.id,
        account=account,
        name=key.name,
        scopes=list(key.scopes),
        path=key.path,
        created_at=model.time_of(key.created_at),
        expires_at=model.optional_time_of(key.expires_at),
        used_at=model.optional_time_of(key.used_at),
    )


def session_view(session: credentials.Session, current: str | None) -> model.SessionView:
    """A session as it is answered."""
    return model.SessionView(
        id=session.id,
        address=session.address,
        user_agent=session.user_agent,
        created_at=model.time_of(session.created_at),
        seen_at=model.time_of(session.seen_at),
        current=session.id == current,
    )


def login_view(row: credentials.Refresh) -> model.LoginView:
    """A client program's login as it is answered."""
    return model.LoginView(
        id=row.id, client=row.client, created_at=model.time_of(row.created_at), used_at=model.time_of(row.used_at)
    )


def link_view(link: links.Link) -> model.LinkView:
    """A link as it is answered."""
    return model.LinkView(
        id=link.id,
        provider=link.provider,
        issuer=link.issuer,
        subject=link.subject,
        label=link.label,
        created_at=model.time_of(link.created_at),
        used_at=model.time_of(link.used_at),
    )
