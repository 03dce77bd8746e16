"""Roles: which permissions they stand for.

permission   allows
pull         read, private content too
draft        push new versions, as drafts
push         push new versions, published
maintain     overlay, deprecate, yank, archive, move channels
publish      publish drafts
delete       delete
administer   the namespace, its members and policies
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from gati_extensions.namespaces.conditions import Condition
from gati_registry.extension import Action, Model

Word = Literal["pull", "draft", "push", "maintain", "publish", "delete", "administer"]

WORDS: frozenset[str] = frozenset({"pull", "draft", "push", "maintain", "publish", "delete", "administer"})

BUILT_IN: Mapping[str, frozenset[str]] = {
    "admin": WORDS,
    "publisher": WORDS - {"administer"},
    "maintainer": frozenset({"pull", "draft", "maintain"}),
    "contributor": frozenset({"pull", "draft"}),
    "reader": frozenset({"pull"}),
}

ALIASES = {"owner": "admin", "write": "publisher", "user": "reader", "read": "reader"}

NEEDED: Mapping[Action, frozenset[str]] = {
    Action.PULL: frozenset({"pull"}),
    Action.PUSH: frozenset({"push", "draft"}),
    Action.DELETE: frozenset({"delete"}),
    Action.MAINTAIN: frozenset({"maintain"}),
    Action.PUBLISH: frozenset({"publish"}),
    Action.ADMINISTER: frozenset({"administer"}),
}
"""Any of these permissions allows the action in a namespace."""

RoleName = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]


class RolePermission(Model):
    """What a custom role adds to the roles that it inherits from, or takes away."""

    effect: Literal["allow", "deny"] = "allow"
    actions: list[Word] = Field(min_length=1, max_length=len(WORDS))
    conditions: list[Condition] = Field(default_factory=list, max_length=16)


def canonical(name: str) -> str:
    """A role's name, its usual other names resolved."""
    return ALIASES.get(name, name)
