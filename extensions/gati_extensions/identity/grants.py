"""What the words of keys and tokens allow.

| key's scope | actions |
|---|---|
| read | pull, catalog |
| publish | what read has; push, maintain, publish |
| delete | what read has; delete |
| admin | all of these, and administer |
| operate | what admin has; the server itself, for its administrators |

A token's scope is `repository:<name>:pull,push,delete,*` or `registry:catalog:*` (distribution's token specification).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gati_registry.errors import RegistryError
from gati_registry.extension import Action, Grant
from gati_registry.values.reference import RepositoryName

ALWAYS = frozenset({Action.PING, Action.SIGN_IN})
READ = frozenset({Action.PULL, Action.CATALOG})
PUBLISH = READ | {Action.PUSH, Action.MAINTAIN, Action.PUBLISH}
DELETE = READ | {Action.DELETE}
ADMIN = PUBLISH | DELETE | {Action.ADMINISTER}
OPERATE = ADMIN | {Action.OPERATE}

SCOPES = {"read": READ, "publish": PUBLISH, "delete": DELETE, "admin": ADMIN, "operate": OPERATE}
SPELLINGS = {
    "registry:read": "read",
    "registry:write": "publish",
    "registry:delete": "delete",
    "registry:admin": "admin",
}

MOST_SCOPES, MOST_ACTIONS = 100, 16
"""What one token may ask for; more is not looked at."""

_PATH = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")


def scope_word(word: str) -> str:
    """The scope that a word means.

    Raises:
        ValueError: none.
    """
    found = SPELLINGS.get(word, word)
    if found not in SCOPES:
        raise ValueError(f"must be one of {', '.join(SCOPES)}")
    return found


def checked_path(path: str) -> str:
    """A namespace or repository that a key is bound to; '' is everywhere.

    Raises:
        ValueError: it is malformed.
    """
    if path and not _PATH.fullmatch(path):
        raise ValueError("must be a namespace or repository such as orgs/acme, or empty for everywhere")
    return path


def of_key(scopes: Iterable[str], path: str) -> tuple[Grant, ...]:
    """The bounds of a key."""
    actions = frozenset[Action]().union(*(SCOPES[scope] for scope in scopes))
    return (Grant(ALWAYS), Grant(actions, path))


def is_full(grants: tuple[Grant, ...] | None) -> bool:
    """Whether a credential may do everything that its owner does with accounts and credentials."""
    return grants is None or any(not grant.path and Action.ADMINISTER in grant.actions for grant in grants)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One scope of a token request."""

    type: str
    name: str
    actions: tuple[str, ...]


def parse(values: Sequence[str]) -> list[Wanted]:
    """The scopes of a token request; what means nothing to us is left out, as a subset is no error."""
    merged: dict[tuple[str, str], dict[str, None]] = {}
    for text in [part for value in values for part in value.split()][:MOST_SCOPES]:
        # A name may hold a ':port', actions never hold a ':'.
        kind, _, rest = text.partition(":")
        name, colon, actions = rest.rpartition(":")
        kind = kind.partition("(")[0]  # repository(plugin):…
        if not colon or kind not in ("repository", "registry"):
            continue
        if kind == "repository":
            try:
                name = RepositoryName.parse(name)
            except RegistryError:
                continue
        asked = merged.setdefault((kind, name), {})
        for action in actions.split(",")[:MOST_ACTIONS]:
            asked[action] = None
    return [Wanted(kind, name, tuple(actions)) for (kind, name), actions in merged.items()]


_OF_TOKEN = {
    "pull": frozenset({Action.PULL}),
    "push": frozenset({Action.PUSH, Action.MAINTAIN, Action.PUBLISH}),
    "delete": frozenset({Action.DELETE}),
    "*": ADMIN,
}


def of_token(access: Iterable[Any]) -> tuple[Grant, ...]:
    """The bounds that a token's `access` claim sets. Every token may say that it is one."""
    grants = []
    for entry in access:
        if entry["type"] == "registry" and entry["name"] == "catalog":
            grants.append(Grant(frozenset({Action.CATALOG})))
        elif entry["type"] == "repository":
            actions = frozenset[Action]().union(*(_OF_TOKEN[action] for action in entry["actions"]))
            grants.append(Grant(actions, entry["name"], exact=True))
    return (*grants, Grant(frozenset({Action.PING})))
