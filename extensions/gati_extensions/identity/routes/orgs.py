"""Organizations, their members and teams."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from gati_extensions.identity import model
from gati_extensions.identity.api import Team
from gati_extensions.identity.parts import Parts, absent, described, found_org, require_full, taken, view
from gati_extensions.identity.routes.users import erase_with_robots
from gati_extensions.identity.store import accounts, orgs
from gati_extensions.identity.store.accounts import AccountRow
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Call, Paging, Permission, Route, Transaction

T = TypeVar("T")
OrgWork = Callable[[Transaction, AccountRow], Coroutine[Any, Any, T]]


class OrgRoutes:
    """Handlers. Owners change things, members read them; who belongs to an organization is no matter of others."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Below the extension's prefix."""
        own = Permission("identity.orgs", Action.SIGN_IN)
        account, team = model.AccountView, model.TeamView
        a_member, a_team = "orgs/{org}/members/{name}", "orgs/{org}/teams/{team}"
        in_team = "orgs/{org}/teams/{team}/members"
        return [
            Route("POST", "orgs", own, self.create, "Make an organization.", model.NewOrg, answer=account, status=201),
            Route("GET", "orgs", own, self.list, "Your organizations.", query=Paging, answer=model.Accounts),
            Route("GET", "orgs/{org}", own, self.get, "An organization's profile.", answer=account),
            Route("PATCH", "orgs/{org}", own, self.change, "Change its profile.", model.Profile, answer=account),
            Route("DELETE", "orgs/{org}", own, self.delete, "Delete it; the name stays taken."),
            Route("GET", "orgs/{org}/members", own, self.members, "Its members.", None, Paging, model.Members),
            Route("PUT", a_member, own, self.put_member, "Add or change a member.", model.Role, answer=model.Member),
            Route("DELETE", a_member, own, self.drop_member, "Remove a member, or leave."),
            Route("POST", "orgs/{org}/teams", own, self.make_team, "Make a team.", model.NewTeam, None, team, 201),
            Route("GET", "orgs/{org}/teams", own, self.teams, "Its teams.", query=Paging, answer=model.Teams),
            Route("DELETE", a_team, own, self.delete_team, "Delete a team."),
            Route("GET", in_team, own, self.team_members, "A team's members.", None, Paging, model.TeamMembers),
            Route("PUT", in_team + "/{name}", own, self.put_team_member, "Take a member into a team."),
            Route("DELETE", in_team + "/{name}", own, self.drop_team_member, "Remove a member from a team."),
        ]

    async def create(self, call: Call) -> model.AccountView:
        """By users where sign-up is open, else by administrators."""
        wanted: model.NewOrg = call.body
        require_full(call)
        if self._parts.settings.signup != "open" and not await self._parts.operates(call):
            raise RegistryError(Code.DENIED, "organizations are made by administrators here; ask one")
        now = self._parts.kernel.clock.now()

        async def work(tx: Transaction) -> AccountRow:
            owner = await self._parts.caller(tx, call)
            if owner.kind != "user":
                raise RegistryError(Code.DENIED, "an organization needs a user to own it")
            made = await accounts.add(
                tx, wanted.name, "org", now, email=wanted.email, display=wanted.display, url=wanted.url
            )
            if made is None:
                raise taken("name", wanted.name)
            await orgs.put_member(tx, made.id, owner.id, orgs.OWNER, now)
            await self._parts.note(
                tx, call.caller, "org", "create", made.name, namespace=made.namespace, after=described(made)
            )
            return made

        return view(await self._parts.revision.write(work), private=True)

    async def list(self, call: Call) -> model.Accounts:
        """Those of the caller, by name; all of them for administrators."""
        paging: Paging = call.query
        operator = await self._parts.operates(call)

        async def work(tx: Transaction) -> list[AccountRow]:
            if operator:
                return await accounts.page(tx, "org", paging.cursor, paging.limit + 1)
            caller = await self._parts.caller(tx, call)
            names = [found.org for found in await orgs.memberships(tx, caller.id) if found.org > paging.cursor]
            return [await found_org(tx, name) for name in names[: paging.limit + 1]]

        rows = await self._parts.kernel.database.scan(work)
        items = [view(row, private=True) for row in rows[: paging.limit]]
        return model.Accounts(items=items, next=items[-1].name if len(rows) > paging.limit else None)

    async def get(self, call: Call) -> model.AccountView:
        """For every user."""
        return view(await self._parts.kernel.database.read(lambda tx: found_org(tx, _org(call))), private=False)

    async def change(self, call: Call) -> model.AccountView:
        """By an owner."""
        wanted: model.Profile = call.body

        async def work(tx: Transaction, org: AccountRow) -> AccountRow:
            given = wanted.model_fields_set
            await accounts.set_profile(
                tx,
                org.id,
                email=wanted.email if "email" in given else org.email,
                display=(wanted.display or "") if "display" in given else org.display,
                url=wanted.url if "url" in given else org.url,
            )
            after = await accounts.get(tx, org.id)
            assert after is not None
            before = {"display": org.display, "url": org.url}
            await self._note(tx, call, "org", "update", org.name, before, {"display": after.display, "url": after.url})
            return after

        return view(await self._as_owner(call, work), private=True)

    async def delete(self, call: Call) -> None:
        """By an owner; its robots go with it. What lies in its namespace is not touched."""
        now = self._parts.kernel.clock.now()

        async def work(tx: Transaction, org: AccountRow) -> None:
            await erase_with_robots(tx, org, now)
            await self._note(tx, call, "org", "delete", org.name, described(org), None)

        await self._as_owner(call, work)

    # --- members ------------------------------------------------------------------------------------------------

    async def members(self, call: Call) -> model.Members:
        """By name, for members."""
        paging: Paging = call.query

        async def work(tx: Transaction, org: AccountRow) -> model.Members:
            rows = await orgs.members(tx, org.id, paging.cursor, paging.limit + 1)
            items = [
                model.MemberView(name=name, kind=kind, role=role, since=model.time_of(since))
                for name, kind, role, since in rows[: paging.limit]
            ]
            return model.Members(items=items, next=items[-1].name if len(rows) > paging.limit else None)

        return await self._as_member(call, work)

    async def put_member(self, call: Call) -> model.Member:
        """By an owner; one owner has to stay."""
        wanted: model.Role = call.body
        name, now = call.parameters["name"], self._parts.kernel.clock.now()

        async def work(tx: Transaction, org: AccountRow) -> model.Member:
            account = await _account(tx, name)
            if account.kind == "org" or (account.kind == "robot" and account.owner_id != org.id):
                raise RegistryError(Code.INVALID, "members are users, and the organization's own robots")
            if account.kind == "robot" and wanted.role == orgs.OWNER:
                raise RegistryError(Code.INVALID, "a robot owns nothing")
            before = await orgs.role(tx, org.id, account.id)
            if before == orgs.OWNER and wanted.role != orgs.OWNER:
                await self._keep_an_owner(tx, org)
            await orgs.put_member(tx, org.id, account.id, wanted.role, now)
            await self._note(
                tx, call, "member", "update" if before else "create", name, {"role": before}, {"role": wanted.role}
            )
            return model.Member(org=org.name, role=wanted.role)

        return await self._as_owner(call, work)

    async def drop_member(self, call: Call) -> None:
        """By an owner, or by the member; one owner has to stay."""
        name = call.parameters["name"]

        async def work(tx: Transaction, org: AccountRow) -> None:
            account = await _account(tx, name)
            before = await orgs.role(tx, org.id, account.id)
            if before is None:
                raise absent("member", name)
            if before == orgs.OWNER:
                await self._keep_an_owner(tx, org)
            await orgs.drop_member(tx, org.id, account.id)
            await self._note(tx, call, "member", "delete", name, {"role": before}, None)

        if name == call.identity.name:
            require_full(call)
            await self._as_member(call, work, write=True)
        else:
            await self._as_owner(call, work)

    async def _keep_an_owner(self, tx: Transaction, org: AccountRow) -> None:
        if await orgs.owners(tx, org.id) < 2:
            raise RegistryError(Code.CONFLICT, f"this is the last owner of {org.name}; make another one first")

    # --- teams --------------------------------------------------------------------------------------------------

    async def make_team(self, call: Call) -> model.TeamView:
        """By an owner."""
        wanted: model.NewTeam = call.body
        now = self._parts.kernel.clock.now()

        async def work(tx: Transaction, org: AccountRow) -> model.TeamView:
            if not await orgs.add_team(tx, org.id, wanted.name, wanted.description, now):
                raise taken("team", wanted.name)
            await self._note(tx, call, "team", "create", wanted.name, None, {"description": wanted.description})
            return model.TeamView(
                org=org.name, name=wanted.name, description=wanted.description, created_at=model.time_of(now)
            )

        return await self._as_owner(call, work)

    async def teams(self, call: Call) -> model.Teams:
        """By name, for members."""
        paging: Paging = call.query

        async def work(tx: Transaction, org: AccountRow) -> model.Teams:
            rows = await orgs.teams(tx, org.id, paging.cursor, paging.limit + 1)
            items = [
                model.TeamView(org=org.name, name=name, description=description, created_at=model.time_of(created))
                for name, description, created in rows[: paging.limit]
            ]
            return model.Teams(items=items, next=items[-1].name if len(rows) > paging.limit else None)

        return await self._as_member(call, work)

    async def delete_team(self, call: Call) -> None:
        """By an owner."""

        async def work(tx: Transaction, org: AccountRow) -> None:
            team = await _team(tx, org, call)
            await orgs.drop_team(tx, team.id)
            await self._note(tx, call, "team", "delete", team.name, {}, None)

        await self._as_owner(call, work)

    async def team_members(self, call: Call) -> model.TeamMembers:
        """By name, for members of the organization."""
        paging: Paging = call.query

        async def work(tx: Transaction, org: AccountRow) -> model.TeamMembers:
            team = await _team(tx, org, call)
            rows = await orgs.team_members(tx, team.id, paging.cursor, paging.limit + 1)
            items = [
                model.TeamMemberView(name=name, since=model.time_of(since)) for name, since in rows[: paging.limit]
            ]
            return model.TeamMembers(items=items, next=items[-1].name if len(rows) > paging.limit else None)

        return await self._as_member(call, work)

    async def put_team_member(self, call: Call) -> None:
        """By an owner; of the organization's members."""
        name, now = call.parameters["name"], self._parts.kernel.clock.now()

        async def work(tx: Transaction, org: AccountRow) -> None:
            team, account = await _team(tx, org, call), await _account(tx, name)
            if await orgs.role(tx, org.id, account.id) is None:
                raise RegistryError(Code.CONFLICT, f"{name} is no member of {org.name}; add it there first")
            await orgs.put_team_member(tx, team.id, account.id, now)
            await self._note(tx, call, "team-member", "create", f"{team.name}/{name}", None, {})

        await self._as_owner(call, work)

    async def drop_team_member(self, call: Call) -> None:
        """By an owner, or by the member."""
        name = call.parameters["name"]

        async def work(tx: Transaction, org: AccountRow) -> None:
            team, account = await _team(tx, org, call), await _account(tx, name)
            if not await orgs.drop_team_member(tx, team.id, account.id):
                raise absent("member", name)
            await self._note(tx, call, "team-member", "delete", f"{team.name}/{name}", {}, None)

        if name == call.identity.name:
            require_full(call)
            await self._as_member(call, work, write=True)
        else:
            await self._as_owner(call, work)

    # --- inside -------------------------------------------------------------------------------------------------

    async def _as_owner(self, call: Call, work: OrgWork[T]) -> T:
        """Do something to the route's organization, if the caller owns it."""
        require_full(call)
        operator = await self._parts.operates(call)

        async def checked(tx: Transaction) -> T:
            caller = await self._parts.caller(tx, call)
            return await work(tx, await self._parts.owned_org(tx, caller, _org(call), operator=operator))

        return await self._parts.revision.write(checked)

    async def _as_member(self, call: Call, work: OrgWork[T], *, write: bool = False) -> T:
        """Look at the route's organization, if the caller belongs to it."""
        operator = await self._parts.operates(call)

        async def checked(tx: Transaction) -> T:
            caller, org = await self._parts.caller(tx, call), await found_org(tx, _org(call))
            if not operator and await orgs.role(tx, org.id, caller.id) is None:
                raise RegistryError(Code.DENIED, f"this is for members of {org.name}")
            return await work(tx, org)

        return await (self._parts.revision.write if write else self._parts.kernel.database.scan)(checked)

    async def _note(
        self,
        tx: Transaction,
        call: Call,
        subject: str,
        action: str,
        about: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
    ) -> None:
        await self._parts.note(
            tx, call.caller, subject, action, about, namespace=f"orgs/{_org(call)}", before=before, after=after
        )


def _org(call: Call) -> str:
    return call.parameters["org"]


async def _account(tx: Transaction, name: str) -> AccountRow:
    account = await accounts.find(tx, name)
    if account is None or account.erased_at is not None:
        raise absent("account", name)
    return account


async def _team(tx: Transaction, org: AccountRow, call: Call) -> Team:
    team = await orgs.team(tx, org.name, call.parameters["team"])
    if team is None:
        raise absent("team", call.parameters["team"])
    return team
