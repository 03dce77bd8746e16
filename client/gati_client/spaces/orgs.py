"""Organizations, their members, teams and robots."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gati_client.models import (
    AccountView,
    Member,
    MemberView,
    NewOrg,
    NewRobot,
    NewTeam,
    Profile,
    Role,
    TeamMemberView,
    TeamView,
)
from gati_client.spaces.base import Space, part

_PATH = "/v2/_ext/identity/orgs"
_ROBOTS = "/v2/_ext/identity/robots"


class Orgs(Space):
    """`client.orgs`."""

    needs = "identity"

    async def create(self, org: NewOrg) -> AccountView:
        """Make one, with the caller as its owner."""
        return await self._send("POST", _PATH, AccountView, org)

    def list(self) -> AsyncIterator[AccountView]:
        """Those that the caller sees, by name."""
        return self._items(AccountView, _PATH)

    async def get(self, org: str) -> AccountView:
        """One of them."""
        return await self._get(AccountView, f"{_PATH}/{part(org)}")

    async def update(self, org: str, profile: Profile) -> AccountView:
        """Change what it says of itself."""
        return await self._send("PATCH", f"{_PATH}/{part(org)}", AccountView, profile)

    async def delete(self, org: str) -> None:
        """Delete one that has nothing."""
        await self._do("DELETE", f"{_PATH}/{part(org)}")

    def members(self, org: str) -> AsyncIterator[MemberView]:
        """Who belongs to it."""
        return self._items(MemberView, f"{_PATH}/{part(org)}/members")

    async def put_member(self, org: str, name: str, role: Role) -> Member:
        """Let somebody in, or change the role."""
        return await self._send("PUT", f"{_PATH}/{part(org)}/members/{part(name)}", Member, role)

    async def delete_member(self, org: str, name: str) -> None:
        """Somebody belongs to it no longer."""
        await self._do("DELETE", f"{_PATH}/{part(org)}/members/{part(name)}")

    async def create_team(self, org: str, team: NewTeam) -> TeamView:
        """Make a team."""
        return await self._send("POST", f"{_PATH}/{part(org)}/teams", TeamView, team)

    def teams(self, org: str) -> AsyncIterator[TeamView]:
        """Its teams."""
        return self._items(TeamView, f"{_PATH}/{part(org)}/teams")

    async def delete_team(self, org: str, team: str) -> None:
        """Delete a team."""
        await self._do("DELETE", f"{_PATH}/{part(org)}/teams/{part(team)}")

    def team_members(self, org: str, team: str) -> AsyncIterator[TeamMemberView]:
        """Who is in a team."""
        return self._items(TeamMemberView, f"{_PATH}/{part(org)}/teams/{part(team)}/members")

    async def put_team_member(self, org: str, team: str, name: str) -> None:
        """Put a member into a team."""
        await self._do("PUT", f"{_PATH}/{part(org)}/teams/{part(team)}/members/{part(name)}")

    async def delete_team_member(self, org: str, team: str, name: str) -> None:
        """Take one out of it."""
        await self._do("DELETE", f"{_PATH}/{part(org)}/teams/{part(team)}/members/{part(name)}")

    async def create_robot(self, robot: NewRobot) -> AccountView:
        """Make an account for a machine."""
        return await self._send("POST", _ROBOTS, AccountView, robot)

    def robots(self, owner: str | None = None) -> AsyncIterator[AccountView]:
        """Machines' accounts."""
        return self._items(AccountView, _ROBOTS, {"owner": owner})

    async def delete_robot(self, name: str) -> None:
        """Delete one."""
        await self._do("DELETE", f"{_ROBOTS}/{part(name)}")
