"""What a repository shows to the members of its namespace alone."""

from __future__ import annotations

from collections.abc import Sequence

from gati_registry.domain.access import Access, Action, Decision, Identity
from gati_registry.http.exchange import Exchange
from gati_registry.ports import Authorizer, MembersOnly
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName


class Members:
    """Tells who is a member; `rules` say what others do not get to see.

    `hidden` is their condition on manifests; None where there are no rules, and nobody needs to be asked.
    """

    def __init__(self, authorizer: Authorizer, rules: Sequence[MembersOnly] = ()) -> None:
        self._authorizer = authorizer
        self._rules = tuple(rules)
        self.hidden = " OR ".join(f"({rule.manifests})" for rule in rules) or None

    async def includes(self, exchange: Exchange, identity: Identity, repository: RepositoryName) -> bool:
        """Whether the caller is a member, by what is given to it rather than open to everybody."""
        access = Access(Action.PULL, repository, member=True, request=exchange)
        return await self._authorizer.decide(identity, access) is Decision.ALLOW

    async def hidden_from(self, exchange: Exchange) -> str | None:
        """The condition on manifests of the exchange's repository that its caller does not see."""
        if self.hidden is None or await self.includes(exchange, exchange.caller.identity, exchange.name):
            return None
        return self.hidden

    async def hides(self, exchange: Exchange, identity: Identity, repository: RepositoryName, digest: Digest) -> bool:
        """Whether a blob is there for members alone, and this is none."""
        for rule in self._rules:
            if await rule.blob(repository, digest):
                return not await self.includes(exchange, identity, repository)
        return False
