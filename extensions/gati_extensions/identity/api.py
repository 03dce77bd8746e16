"""What extensions that require `identity` get: accounts, and who belongs to what. `kernel.apis["identity"]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gati_registry.extension import Transaction


@dataclass(frozen=True, slots=True)
class Account:
    """A user, an organization or a robot; all share one space of names. `kind` is `user`, `org` or `robot`.

    What was given out under an earlier `epoch` has ended: the password is another, or all was ended at once.
    """

    id: int
    name: str
    kind: str
    admin: bool
    active: bool
    email: str | None
    display: str
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Membership:
    """An account's place in an organization; `role` is `owner` or `member`."""

    org_id: int
    org: str
    role: str


@dataclass(frozen=True, slots=True)
class Team:
    """Members of one organization under a name."""

    id: int
    org_id: int
    org: str
    name: str


@dataclass(frozen=True, slots=True)
class Belonging:
    """An account with its organizations, by name, and its teams."""

    account: Account
    memberships: Sequence[Membership]
    teams: Sequence[Team]


class Accounts(Protocol):
    """Questions about accounts, in the asker's transaction."""

    async def find(self, tx: Transaction, name: str) -> Account | None:
        """The account of a name, active or not."""

    async def get(self, tx: Transaction, account_id: int) -> Account | None:
        """The account of a number. Numbers are never used twice."""

    async def ends(self, tx: Transaction, credential: str) -> int:
        """Until when a credential, as `Identity` names it, is good (milliseconds); 0: it has ended."""

    async def memberships(self, tx: Transaction, account_id: int) -> Sequence[Membership]:
        """The organizations of a user, by name; a robot of an organization is its `member`."""

    async def teams(self, tx: Transaction, account_id: int) -> Sequence[Team]:
        """The teams of an account."""

    async def belonging(self, tx: Transaction, account: int | str) -> Belonging | None:
        """All of these of the account of a number or name, in one look."""

    async def team(self, tx: Transaction, org: str, name: str) -> Team | None:
        """A team by its organization's and its own name."""

    async def revision(self) -> str:
        """Changes within a second of any change to accounts, members, teams or keys; microseconds to ask."""
