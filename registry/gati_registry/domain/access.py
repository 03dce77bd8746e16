"""Who asks for what: the question that is decided before a handler runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol


class Action(Enum):
    """What a request does to its resource; of the first four the words are the token's scope actions."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CATALOG = "catalog"
    PING = "ping"  # a request to the registry as such; answered 401 while credentials could matter
    PUBLIC = "public"  # for everyone: logging in, documentation
    SIGN_IN = "sign-in"  # for every caller with a name, about that caller's own things
    MAINTAIN = "maintain"  # change the overlay, deprecate, yank, archive, move channels
    PUBLISH = "publish"  # make a draft public
    ADMINISTER = "administer"  # a namespace's members, policies, quotas
    OPERATE = "operate"  # the server itself: its administrators alone


class Circumstances(Protocol):
    """What surrounds a request, for rules with conditions."""

    @property
    def address(self) -> str:
        """The client's address."""

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""


@dataclass(frozen=True, slots=True)
class Access:
    """One action on one repository or namespace, or on the registry where `repository` is None.

    With `member` only what is given to the caller counts, not what is open to everybody. `request` is the request that
    asks, if there is one.
    """

    action: Action
    repository: str | None = None
    member: bool = False
    request: Circumstances | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a credential may at most be used for: some actions at or below a path ("" is everywhere).

    With `exact`, at the path alone.
    """

    actions: frozenset[Action]
    path: str = ""
    exact: bool = False

    def covers(self, access: Access) -> bool:
        """Whether the access lies within the grant."""
        if access.action not in self.actions:
            return False
        if self.exact:
            return access.repository == self.path
        return not self.path or (access.repository is not None and is_within(access.repository, self.path))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking, and with what.

    `name` is None for an anonymous caller. `id` is the identity extension's number of the account, `kind` what sort of
    account it is. `method` says how the caller proved it (password, api-key, oauth2, mtls, trusted-publisher, session,
    token), `credential` names the credential without telling it. `grants` bound what the credential may be used for:
    None means for all that its owner may. `verified_at` is when the proof was given (milliseconds). `reach`, of a token
    of the token service alone, is how far another one could reach that is asked for in the same way.
    """

    name: str | None = None
    admin: bool = False
    id: int | None = None
    kind: str = "anonymous"
    method: str = ""
    credential: str | None = None
    grants: tuple[Grant, ...] | None = None
    verified_at: int = 0
    reach: tuple[Grant, ...] | None = None

    @property
    def owner(self) -> Identity:
        """The same caller with all that another token could reach."""
        return self if self.reach is None else replace(self, grants=self.reach)

    def bounded(self, access: Access) -> bool:
        """Whether the credential's own bounds leave room for the access; says nothing of the owner's rights."""
        if self.grants is None or access.action is Action.PUBLIC:
            return True
        return any(grant.covers(access) for grant in self.grants)


ANONYMOUS = Identity()

UNBOUNDED = (Grant(frozenset(Action)),)
"""Bounds that leave room for everything."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A request's author, as hooks and the audit log see it. `began` is when, by the monotonic clock; 0: unknown."""

    identity: Identity = ANONYMOUS
    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    began: float = 0.0


NOBODY = Caller()
"""The registry itself: jobs and commands."""


class Decision(Enum):
    """The answer to an `Access`."""

    ALLOW = "allow"
    CHALLENGE = "challenge"  # 401: credentials could change the answer
    DENY = "deny"
    HIDE = "hide"  # 404: as if the repository were not there


@dataclass(frozen=True, slots=True)
class Visible:
    """Which repositories a caller may see, as a condition that SQL can filter by.

    `condition` is SQL with `{column}` where the name of the repository's column goes, and `:name` parameters, all of
    which begin with `visible_`. Where it asks for a repository's visibility it has `{level}`, for which `level` is the
    SQL: who keeps it beside has a shorter way.

    `listed`, where there is any, are SELECTs of names in their order, each of those after `:after` and at most
    `:limit`: together they give every repository that the caller may possibly see (and perhaps others), from an index.
    A list of repositories then need not look at all of them for one who sees few.

    `levels` and `paths` say the same to who keeps an index of another kind: all that the caller may possibly see has
    one of these visibilities, or lies at or below one of these paths. None: nobody knows.
    """

    condition: str = "1 = 1"
    values: tuple[tuple[str, object], ...] = ()
    listed: tuple[str, ...] = ()
    levels: tuple[str, ...] | None = None
    paths: tuple[str, ...] = ()
    level: str = ""

    def where(self, column: str, level: str = "") -> tuple[str, dict[str, object]]:
        """The condition on a column, and its parameters; `level` instead of its own, with `{level}` for that one."""
        level = level.replace("{level}", self.level) if level and self.level else self.level
        return self.condition.replace("{level}", level).replace("{column}", column), dict(self.values)


EVERYTHING = Visible()
NOTHING = Visible("1 = 0")


def is_within(path: str, ancestor: str) -> bool:
    """Whether a path of a tree of names is `ancestor` or lies below it."""
    return path == ancestor or path.startswith(ancestor + "/")
