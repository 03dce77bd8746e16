"""Who asks for what: the question that is decided before a handler runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """What a request does to its resource; the words are the token's scope actions."""

    PING = "ping"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CATALOG = "catalog"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class Access:
    """One action on one repository, or on the registry where `repository` is None."""

    action: Action
    repository: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking; `name` is None for an anonymous caller."""

    name: str | None = None
    admin: bool = False


ANONYMOUS = Identity()


class Decision(Enum):
    """The answer to an `Access`."""

    ALLOW = "allow"
    CHALLENGE = "challenge"  # 401: credentials could change the answer
    DENY = "deny"
