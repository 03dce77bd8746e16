"""The one decision point."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from gati_extensions.access.capability import CapabilityIdentity
from gati_extensions.access.recent import Recent
from gati_extensions.access.rules import Question, Trace, judge
from gati_extensions.identity.api import Accounts
from gati_extensions.namespaces.api import Namespaces, Rule, Situation, Standing, hold, root
from gati_registry.domain.access import EVERYTHING, NOTHING, Access, Action, Decision, Identity, Visible
from gati_registry.errors import RegistryError
from gati_registry.extension import Kernel, Request
from gati_registry.values.reference import RepositoryName

REMEMBERED = 20_000
"""Standings and decisions that are kept."""

LONGEST = 1000
"""Milliseconds for which a decision holds at most: names expire without a change."""

MOST_LISTED = 200
"""Paths that a list looks below one by one; SQLite unites at most 500 SELECTs."""

_OF_LEVEL = (
    "SELECT name FROM namespaces_repository WHERE visibility = :visible_list_level# AND name > :after"
    " ORDER BY name LIMIT :limit"
)
_AT = "SELECT name FROM repository WHERE name = :visible_list_at# AND name > :after"
_BELOW = (
    "SELECT name FROM repository WHERE name > :visible_list_low# AND name < :visible_list_high# AND name > :after"
    " ORDER BY name LIMIT :limit"
)

_SCOPE = {Action.PULL: "pull", Action.PUSH: "pull,push", Action.DELETE: "delete"}

# Of visibility: a derived table, so that no column of the asker's statement can be mistaken for one of ours.
_SEEN = (
    "(SELECT seen.visible_level FROM (SELECT name AS visible_name, visibility AS visible_level"
    " FROM namespaces_repository) AS seen WHERE seen.visible_name = {column})"
)


class AccessAuthorizer:
    """`extension.Authorizer`. What somebody is at a path is kept until any rule or account changes."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._namespaces: Namespaces = kernel.apis["namespaces"]
        self._accounts: Accounts = kernel.apis["identity"]
        self._standings: OrderedDict[tuple[int | None, str | None, str], Standing] = OrderedDict()
        self._stamp: tuple[str, str] | None = None
        self._decisions: OrderedDict[tuple[int, Action, str | None, bool], tuple[Identity, bytes, int, Decision]] = (
            OrderedDict()
        )
        self._exists: Recent[str, bool] = Recent(kernel.database, REMEMBERED)

    async def decide(self, identity: Identity, access: Access) -> Decision:
        revision = self._kernel.database.revision()
        if revision is None:
            return await self.judged(identity, access, None)
        # Authenticators give the same object for the same credential: comparing it costs nothing.
        key = (id(identity), access.action, access.repository, access.member)
        kept = self._decisions.get(key)
        if kept is not None and kept[0] is identity and kept[1] == revision and self._kernel.clock.now() < kept[2]:
            return kept[3]
        decision = await self.judged(identity, access, None)
        if not await self._conditional(identity, access):
            until = self._kernel.clock.now() + LONGEST
            self._decisions[key] = (identity, revision, until, decision)
            if len(self._decisions) > REMEMBERED:
                self._decisions.popitem(last=False)
        return decision

    def steady(self, identity: Identity, access: Access) -> bool:
        """`ports.Steady`: what is kept depends on nothing else."""
        kept = self._decisions.get((id(identity), access.action, access.repository, access.member))
        return kept is not None and kept[0] is identity

    async def _conditional(self, identity: Identity, access: Access) -> bool:
        """Whether the next request may be decided on in another way, with nothing changed in the database."""
        if isinstance(identity, CapabilityIdentity):
            return True
        if access.repository is None or identity.admin:
            return False
        path = access.repository
        if access.action is Action.PULL:
            path = await self._namespaces.current(path)
        return (await self.standing(identity, path)).conditional

    async def judged(self, identity: Identity, access: Access, trace: Trace | None) -> Decision:
        """The decision; with a trace, how it came about."""
        now = self._kernel.clock.now()
        path = access.repository
        if path is None or (identity.admin and not isinstance(identity, CapabilityIdentity)):
            return self._bounded(identity, Question(identity, access, Situation(now, access.request)), trace)
        if access.action is Action.PULL:
            path = await self._namespaces.current(path)
        standing = await self.standing(identity, path)
        exists = standing.visibility == "private" or await self._is_there(path)
        situation = Situation(now, access.request)
        if standing.conditional or isinstance(identity, CapabilityIdentity):
            state = {
                "visibility": standing.visibility,
                "repository": path,
                "namespace": root(path),
                "action": access.action.value,
            }
            situation = Situation(now, access.request, state)
        question = Question(identity, access, situation, standing, exists)
        return self._bounded(identity, question, trace)

    def _bounded(self, identity: Identity, question: Question, trace: Trace | None) -> Decision:
        if isinstance(identity, CapabilityIdentity) and question.access.action is not Action.PUBLIC:
            for number, layer in enumerate(identity.layers):
                if not layer.covers(question.access, question.situation):
                    if trace is not None:
                        what = "capability" if number == 0 else f"delegation {number} of the capability"
                        trace.add("bounds", "deny", f"the {what} does not cover it, or its conditions do not hold")
                    return Decision.CHALLENGE
        return judge(question, trace)

    async def standing(self, identity: Identity, path: str) -> Standing:
        """What the identity is at a path."""
        stamp = (await self._namespaces.revision(), await self._accounts.revision())
        if stamp != self._stamp:
            self._standings.clear()
            self._stamp = stamp
        key = (identity.id, identity.name, path)
        kept = self._standings.get(key)
        if kept is None:
            kept = await self._kernel.database.read(lambda tx: self._namespaces.standing(tx, identity, path))
            # Read after its stamp: a change in between makes it younger than the stamp says, never older.
            if self._stamp == stamp:
                self._standings[key] = kept
                if len(self._standings) > REMEMBERED:
                    self._standings.popitem(last=False)
        return kept

    async def _is_there(self, path: str) -> bool:
        found = await self._exists.get(
            path, lambda: self._kernel.database.read(lambda tx: self._namespaces.exists(tx, path))
        )
        if not found:  # what was just pushed is there at once
            self._exists.drop(path)
        return found

    # --- lists --------------------------------------------------------------------------------------------------

    async def visible(self, identity: Identity) -> Visible:
        found = await self._owner_visible(identity)
        if not isinstance(identity, CapabilityIdentity):
            return found
        # The first block's bounds are seen to elsewhere, as every credential's; the later ones narrow it further.
        # What a condition asks of a request or a repository is not known here: such a grant shows nothing in lists.
        situation = Situation(self._kernel.clock.now())
        condition, values = found.condition, dict(found.values)
        for number, layer in enumerate(identity.layers):
            paths = sorted({
                grant.path for grant, conditions in layer.caps
                if Action.PULL in grant.actions and hold(conditions, situation)
            })  # fmt: skip
            if "" in paths:
                continue
            if not paths:
                return NOTHING
            ranges, named = _ranges(paths, f"layer{number}_")
            condition, values = f"({condition}) AND {ranges}", values | named
        return replace(found, condition=condition, values=tuple(values.items()))

    async def _owner_visible(self, identity: Identity) -> Visible:
        if identity.admin:
            return EVERYTHING
        levels = ("public",) if identity.name is None else ("public", "internal")
        rules = await self._kernel.database.read(lambda tx: self._namespaces.reach(tx, identity))
        situation = Situation(self._kernel.clock.now())
        allowed = [rule for rule in rules if rule.effect == "allow" and _pulls(rule)]
        given = {rule.path for rule in allowed if hold(rule.conditions, situation)}
        taken = {r.path for r in rules if r.effect == "deny" and _pulls(r)}
        values: dict[str, object] = {f"visible_level_{n}": level for n, level in enumerate(levels)}
        condition = f"{{level}} IN ({', '.join(f':{name}' for name in values)})"
        if given:
            ranges, named = _ranges(sorted(given), "in")
            condition, values = f"({condition} OR {ranges})", values | named
        if taken:
            ranges, named = _ranges(sorted(taken), "out")
            condition, values = f"{condition} AND NOT {ranges}", values | named
        paths = {rule.path for rule in allowed}
        listed, named = _listed(levels, paths)
        narrow = len(paths) <= MOST_LISTED
        return Visible(
            condition, tuple((values | named).items()), listed, levels if narrow else None,
            tuple(sorted(paths)) if narrow else (), _SEEN,
        )  # fmt: skip

    # --- challenge ----------------------------------------------------------------------------------------------

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        origin = request.origin
        parts = [f'Bearer realm="{origin}/token"', f'service="{urlsplit(origin).netloc}"']
        scopes = [scope for access in accesses if (scope := _scope(access)) is not None]
        if scopes:
            parts.append(f'scope="{" ".join(dict.fromkeys(scopes))}"')
        if (request.header(b"authorization") or "").lower().startswith("bearer "):
            parts.append('error="insufficient_scope"')
        return ",".join(parts)


def _scope(access: Access) -> str | None:
    if access.action is Action.CATALOG:
        return "registry:catalog:*"
    if access.repository is None:
        return None
    try:
        name = RepositoryName.parse(access.repository)
    except RegistryError:  # of an extension's route; what stands there must not get into a header
        return None
    return f"repository:{name}:{_SCOPE.get(access.action, '*')}"


def _listed(levels: Sequence[str], paths: set[str]) -> tuple[tuple[str, ...], dict[str, object]]:
    """`Visible.listed`: by level, and what lies at and below these paths, whatever the conditions are. Nothing where
    these are too many: then all repositories are gone through."""
    if len(paths) > MOST_LISTED:
        return (), {}
    listed: list[str] = []
    values: dict[str, object] = {}
    for number, level in enumerate(levels):
        values[f"visible_list_level{number}"] = level
        listed.append(_OF_LEVEL.replace("#", str(number)))
    for number, path in enumerate(sorted(paths)):
        at, low, high = (f"visible_list_{what}{number}" for what in ("at", "low", "high"))
        values |= {at: path, low: f"{path}/", high: f"{path}0"}
        listed += [_AT.replace("#", str(number)), _BELOW.replace("#", str(number))]
    return tuple(listed), values


def _pulls(rule: Rule) -> bool:
    return "pull" in rule.permissions


def _ranges(paths: Sequence[str], kind: str) -> tuple[str, dict[str, object]]:
    """A condition that holds at and below these paths; a range, as indexes serve it ("0" follows "/")."""
    parts: list[str] = []
    values: dict[str, object] = {}
    for number, path in enumerate(paths):
        at, low, high = (f"visible_{kind}_{what}{number}" for what in ("at", "low", "high"))
        parts.append(f"{{column}} = :{at} OR ({{column}} > :{low} AND {{column}} < :{high})")
        values |= {at: path, low: f"{path}/", high: f"{path}0"}
    return f"({' OR '.join(parts)})", values
