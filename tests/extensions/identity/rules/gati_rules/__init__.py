"""An extension of the tests: simple rules of who may do what, so that identity is tried by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gati_extensions.identity.api import Accounts
from gati_registry.domain.access import EVERYTHING
from gati_registry.extension import (
    Access,
    Action,
    Contribution,
    Database,
    Decision,
    Extension,
    Identity,
    Kernel,
    Request,
    Visible,
)

FREE = frozenset({Action.PING, Action.CATALOG, Action.SIGN_IN})


class Rules:
    """`extension.Authorizer`: one's own namespace and one's organizations'; `library` is for all to read."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self._database = database
        self._accounts = accounts

    async def decide(self, identity: Identity, access: Access) -> Decision:
        if identity.admin or access.action is Action.PUBLIC:
            return Decision.ALLOW
        refusal = Decision.CHALLENGE if identity.name is None else Decision.HIDE
        if access.repository is None:
            return Decision.ALLOW if identity.name is not None and access.action in FREE else refusal
        root, _, rest = access.repository.partition("/")
        owner = rest.partition("/")[0]
        allowed = root == "library" and access.action is Action.PULL
        allowed = allowed or (root == "users" and owner == identity.name)
        if root == "orgs" and identity.id is not None:
            account_id = identity.id
            found = await self._database.read(lambda tx: self._accounts.memberships(tx, account_id))
            allowed = owner in {membership.org for membership in found}
        return Decision.ALLOW if allowed else refusal

    async def visible(self, identity: Identity) -> Visible:
        return EVERYTHING

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        words = [f'Bearer realm="{request.origin}/token"', f'service="{request.header(b"host")}"']
        for access in accesses:
            if access.repository is not None:
                actions = "pull" if access.action is Action.PULL else f"pull,{access.action.value}"
                words.append(f'scope="repository:{access.repository}:{actions}"')
        return ",".join(words)


def contribute(kernel: Kernel, settings: Any) -> Contribution:
    return Contribution(authorizer=Rules(kernel.database, kernel.apis["identity"]))


extension = Extension("rules", "Simple rules.", contribute, requires=["identity"])
