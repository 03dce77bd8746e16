"""What somebody is at a path: roles of the path and all its ancestors added up, and the nearest visibility."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gati_extensions.identity.api import Account, Accounts, Belonging
from gati_extensions.namespaces import drafts, store
from gati_extensions.namespaces.aliases import Aliases
from gati_extensions.namespaces.api import Policy, Roles, Rule, Standing, Watcher
from gati_extensions.namespaces.conditions import Condition
from gati_extensions.namespaces.counter import Counter
from gati_extensions.namespaces.roles import BUILT_IN
from gati_extensions.namespaces.settings import NamespacesSettings
from gati_extensions.namespaces.store import CustomRole, Member
from gati_extensions.namespaces.tree import FIXED, line, owner, root
from gati_registry.extension import Identity, Kernel, Transaction
from gati_registry.values.reference import RepositoryName


class Tree:
    """`api.Namespaces`."""

    def __init__(self, kernel: Kernel, accounts: Accounts, settings: NamespacesSettings) -> None:
        database = kernel.database
        self.rules = Counter(database, "rules")
        self.aliases = Aliases(database, kernel.clock, self.rules)
        self._database = database
        self._accounts = accounts
        self._settings = settings
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        self._watchers.append(watcher)

    async def turned_out(self, tx: Transaction, path: str) -> None:
        """A repository's visibility is another one than was kept."""
        for watcher in self._watchers:
            await watcher(tx, path)

    async def current(self, path: str) -> str:
        return await self.aliases(RepositoryName(path))

    async def revision(self) -> str:
        return str(await self.rules.get())

    async def standing(self, tx: Transaction, identity: Identity, path: str) -> Standing:
        roles, base = await self.roles(tx, identity, path), root(path)
        visibility, at = await self.visibility(tx, path)
        of_root = visibility if at == base or path == base else (await self.visibility(tx, base))[0]
        return Standing(roles.rules, visibility, at, of_root)

    async def roles(self, tx: Transaction, identity: Identity, path: str) -> Roles:
        """The part of a standing that is the identity's own."""
        who = await self._belonging(tx, identity)
        if who is None:
            return Roles(())
        rules = self._owning(who, path)
        for member in await store.memberships(tx, who.account.id, _numbers(who), line(path)):
            rules += await self._of_member(tx, member)
        return Roles(tuple(rules))

    async def reach(self, tx: Transaction, identity: Identity) -> Sequence[Rule]:
        who = await self._belonging(tx, identity)
        if who is None:
            return ()
        account = who.account
        found: list[Rule] = []
        for member in await store.memberships(tx, account.id, _numbers(who), None):
            found += await self._of_member(tx, member)
        owned = [f"{top}/{account.name}" for top in ("users", "local")] if account.kind == "user" else []
        for path in [*owned, *(f"orgs/{membership.org}" for membership in who.memberships)]:
            found += self._owning(who, path)
        return found

    async def exists(self, tx: Transaction, path: str) -> bool:
        # What is only drafts is for members, who are not asked this: to others it is not there.
        if path in FIXED or await drafts.any_published(tx, path):
            return True
        if await store.node(tx, path) is not None:
            return True
        owning = owner(path)
        return owning is not None and root(path) == path and await self._owner_exists(tx, *owning)

    async def policy(self, path: str, name: str) -> Policy | None:
        return await self._database.read(lambda tx: self.policy_in(tx, path, name))

    async def policy_in(self, tx: Transaction, path: str, name: str) -> Policy | None:
        found = await store.policies(tx, line(path))
        return next((Policy(n, p, enforcement, body) for p, n, enforcement, body in found if n == name), None)

    def draft(self, repository: str, digest: str) -> str:
        return drafts.MANIFESTS.format(repository=repository, digest=digest)

    def drafted(self, repository: str) -> str:
        return drafts.NUMBER.format(repository=repository)

    async def drafts(self, tx: Transaction, repository: str) -> frozenset[str]:
        return frozenset(digest for _, digest in await store.drafts_among(tx, [repository]))

    async def drafts_among(self, tx: Transaction, repositories: Sequence[str]) -> frozenset[tuple[str, str]]:
        return await store.drafts_among(tx, repositories)

    async def labels(self, path: str) -> Mapping[str, str]:
        nodes = await self._database.read(lambda tx: store.nodes(tx, line(path)))
        return {key: value for node in nodes for key, value in node.labels.items()}

    async def account(self, tx: Transaction, identity: Identity) -> Account | None:
        """The identity's account, if it has an active one."""
        if identity.id is not None:
            account = await self._accounts.get(tx, identity.id)
        elif identity.name is not None:
            account = await self._accounts.find(tx, identity.name)
        else:
            return None
        return account if account is not None and account.active else None

    async def visibility(self, tx: Transaction, path: str) -> tuple[str, str]:
        """The visibility of a path, and the namespace that it comes from."""
        for node in reversed(await store.nodes(tx, line(path))):
            if node.visibility is not None:
                return node.visibility, node.path
        return await self._default(tx, path), root(path)

    async def verified(self, tx: Transaction, paths: Sequence[str]) -> frozenset[str]:
        return await store.verified_among(tx, paths)

    # --- inside -------------------------------------------------------------------------------------------------

    async def _default(self, tx: Transaction, path: str) -> str:
        top = path.partition("/")[0]
        if top in FIXED:
            return "public"
        owning = owner(path)
        # A namespace whose owner is not there looks like one that is private.
        if owning is None or not await self._owner_exists(tx, *owning):
            return "private"
        if top == "local":
            return "internal"
        return self._settings.users_visibility if top == "users" else self._settings.orgs_visibility

    async def _owner_exists(self, tx: Transaction, kind: str, name: str) -> bool:
        account = await self._accounts.find(tx, name)
        return account is not None and account.kind == kind and account.active

    async def _belonging(self, tx: Transaction, identity: Identity) -> Belonging | None:
        """The identity's account, if it has an active one, and what it belongs to."""
        key = identity.name if identity.id is None else identity.id
        found = await self._accounts.belonging(tx, key) if key is not None else None
        return found if found is not None and found.account.active else None

    def _owning(self, who: Belonging, path: str) -> list[Rule]:
        """What follows from who owns the path's root."""
        owning, account = owner(path), who.account
        if owning is None:
            return []
        kind, name = owning
        if account.kind == kind == "org":  # it acts itself where nobody does: builds that an owner trusts
            return [Rule(root(path), "admin", "owner", "allow", BUILT_IN["admin"])] if account.name == name else []
        if kind == "user":
            if account.kind != "user" or account.name != name:
                return []
            return [Rule(root(path), "admin", "owner", "allow", BUILT_IN["admin"])]
        for membership in who.memberships:
            if membership.org == name:
                role = "admin" if membership.role == "owner" else self._settings.org_member_role
                return [Rule(root(path), role, f"{membership.role} of {name}", "allow", BUILT_IN[role])]
        return []

    async def _of_member(self, tx: Transaction, member: Member) -> list[Rule]:
        via = f"team {member.name}" if member.kind == "team" else "member"
        if member.role in BUILT_IN:
            return [Rule(member.path, member.role, via, "allow", BUILT_IN[member.role])]
        return expand(member, via, await store.roles(tx, line(member.path)))


def _numbers(who: Belonging) -> list[int]:
    return [team.id for team in who.teams]


def expand(member: Member, via: str, custom: Iterable[CustomRole]) -> list[Rule]:
    """The rules that a custom role stands for; of two of one name the one nearest to the member's path."""
    known: dict[str, CustomRole] = {}
    for one in custom:
        known.setdefault(one.name, one)
    rules: list[Rule] = []
    seen: set[str] = set()
    waiting = [member.role]
    while waiting:  # ends: there are only so many roles, and each counts once
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in BUILT_IN:
            rules.append(Rule(member.path, member.role, via, "allow", BUILT_IN[name]))
        elif (role := known.get(name)) is not None:
            waiting += role.inherits
            rules += [
                Rule(
                    member.path,
                    member.role,
                    via,
                    str(permission["effect"]),
                    frozenset(permission["actions"]),
                    tuple(Condition.model_validate(condition) for condition in permission["conditions"]),
                )
                for permission in role.permissions
            ]
    return rules
