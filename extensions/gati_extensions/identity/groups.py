"""How an account gets and loses what its groups elsewhere mean, with each login.

Organizations and teams that are not there are made. What somebody was given by hand stays: only what a provider gave is
taken again, and never from an organization's last owner.
"""

from __future__ import annotations

from gati_extensions.identity.parts import Parts, described
from gati_extensions.identity.store import accounts, links, orgs
from gati_extensions.identity.store.accounts import AccountRow
from gati_extensions.identity.targets import ADMIN, split
from gati_registry.extension import Caller, Transaction


async def refresh(
    parts: Parts, tx: Transaction, caller: Caller, account: AccountRow, provider: str, wanted: frozenset[str]
) -> None:
    """Let an account have what its groups at a provider mean, and no more of what they meant before."""
    change = _Changes(parts, tx, caller, account)
    for target in await links.given(tx, account.id, provider):
        if target not in wanted and await links.take(tx, account.id, provider, target):
            await change.take(target, wanted)
    for target in sorted(wanted):
        if await change.give(target):
            await links.give(tx, account.id, provider, target)


class _Changes:
    """Of one account, in one transaction."""

    def __init__(self, parts: Parts, tx: Transaction, caller: Caller, account: AccountRow) -> None:
        self._parts = parts
        self._tx = tx
        self._caller = caller
        self._account = account
        self._now = parts.kernel.clock.now()

    async def give(self, target: str) -> bool:
        """False if the account had it."""
        tx, account = self._tx, self._account
        if target == ADMIN:
            return await self._set_admin(True)
        name, team_name, owner = split(target)
        org = await self._org(name)
        if org is None:
            return False
        if team_name:
            return await self._join_team(org, team_name)
        role = await orgs.role(tx, org.id, account.id)
        if role is not None and not (owner and role == orgs.MEMBER):
            return False
        wanted = orgs.OWNER if owner else orgs.MEMBER
        await orgs.put_member(tx, org.id, account.id, wanted, self._now)
        await self._note(org, "member", "update" if role else "create", account.name, role, wanted)
        return True

    async def take(self, target: str, wanted: frozenset[str]) -> None:
        tx, account = self._tx, self._account
        if target == ADMIN:
            await self._set_admin(False)
            return
        name, team_name, owner = split(target)
        org = await accounts.find(tx, name)
        if org is None or org.kind != "org" or org.erased_at is not None:
            return
        if team_name:
            team = await orgs.team(tx, name, team_name)
            if team is not None and await orgs.drop_team_member(tx, team.id, account.id):
                await self._note(org, "team-member", "delete", f"{team_name}/{account.name}", None, None)
            return
        role = await orgs.role(tx, org.id, account.id)
        if role is None or (role == orgs.OWNER) != owner:
            return  # it was given more, or less, by hand
        if owner and await orgs.owners(tx, org.id) == 1:
            self._parts.kernel.log.warning("%s stays the last owner of %s", account.name, org.name)
            return
        if owner and name in wanted:
            await orgs.put_member(tx, org.id, account.id, orgs.MEMBER, self._now)
        else:
            await orgs.drop_member(tx, org.id, account.id)
        await self._note(org, "member", "delete", account.name, role, None)

    async def _org(self, name: str) -> AccountRow | None:
        found = await accounts.find(self._tx, name)
        if found is None:
            found = await accounts.add(self._tx, name, "org", self._now)
            if found is not None:
                await self._parts.note(
                    self._tx, self._caller, "org", "create", name, namespace=found.namespace, after=described(found)
                )
        if found is None:  # somebody else took the name just now; the next login finds it
            return None
        if found.kind != "org" or found.erased_at is not None:
            self._parts.kernel.log.warning("groups name the organization %s, which is none", name)
            return None
        return found

    async def _join_team(self, org: AccountRow, name: str) -> bool:
        tx, account = self._tx, self._account
        team = await orgs.team(tx, org.name, name)
        if team is None:
            await orgs.add_team(tx, org.id, name, "", self._now)
            await self._note(org, "team", "create", name, None, None)
            team = await orgs.team(tx, org.name, name)
            assert team is not None
        if any(held.id == team.id for held in await orgs.teams_of(tx, account.id)):
            return False
        if await orgs.role(tx, org.id, account.id) is None:
            await orgs.put_member(tx, org.id, account.id, orgs.MEMBER, self._now)
        await orgs.put_team_member(tx, team.id, account.id, self._now)
        await self._note(org, "team-member", "create", f"{name}/{account.name}", None, None)
        return True

    async def _set_admin(self, admin: bool) -> bool:
        before = await accounts.get(self._tx, self._account.id)
        assert before is not None
        if before.admin == admin:
            return False
        await accounts.set_standing(self._tx, before.id, admin=admin, active=before.active)
        await self._parts.note(
            self._tx,
            self._caller,
            "user",
            "update",
            before.name,
            namespace=before.namespace,
            before=described(before),
            after={**described(before), "admin": admin},
        )
        return True

    async def _note(
        self, org: AccountRow, subject: str, action: str, about: str, before: str | None, after: str | None
    ) -> None:
        await self._parts.note(
            self._tx,
            self._caller,
            subject,
            action,
            f"{org.name}/{about}",
            namespace=org.namespace,
            before={"role": before} if before else None,
            after={"role": after} if after else None,
        )
