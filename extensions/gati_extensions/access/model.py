"""What the API speaks of."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field

from gati_extensions.namespaces.api import Condition
from gati_registry.extension import Model

ActionWord = Literal[
    "pull", "push", "delete", "catalog", "maintain", "publish", "administer", "operate", "ping", "sign-in"
]
CapWord = Literal["pull", "push", "delete", "maintain", "publish", "administer"]


def moment(milliseconds: int) -> datetime.datetime:
    """A time as the API writes it."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


class Explain(Model):
    """A question: may I (or, for administrators, may `account`) do `action` on `repository`?"""

    action: ActionWord
    repository: str | None = Field(None, max_length=255)
    account: str | None = Field(None, max_length=255)


class StepItem(Model):
    """One rule that was asked."""

    rule: str
    outcome: Literal["allow", "deny", "pass"]
    reason: str


class Explanation(Model):
    """The decision and how it came about."""

    decision: Literal["allow", "challenge", "deny", "hide"]
    account: str | None
    action: ActionWord
    repository: str | None
    steps: list[StepItem]


class CapItem(Model):
    """Some actions at and below a path, under conditions."""

    actions: list[CapWord] = Field(min_length=1, max_length=6)
    path: str = Field(min_length=1, max_length=255)
    conditions: list[Condition] = Field(default_factory=list, max_length=16)


Caps = Annotated[list[CapItem], Field(min_length=1, max_length=32)]


class CapabilityChange(Model):
    """A capability to issue. `expires_in` and `not_before_in` are seconds from now."""

    cap: Caps
    expires_in: int = Field(3600, ge=1)
    not_before_in: int = Field(0, ge=0)
    delegable: bool = False
    max_delegation_depth: int = Field(0, ge=0, le=16)
    note: str = Field("", max_length=256)


class Delegation(CapabilityChange):
    """A narrower capability to make of one that can be delegated."""

    token: str = Field(min_length=1, max_length=16 * 1024)


class Revocation(Model):
    """A capability to end, by who holds it; the one it was delegated from stays."""

    token: str = Field(min_length=1, max_length=16 * 1024)


class CapabilityToken(Model):
    """A capability; the token is shown this once."""

    token: str
    jti: str
    expires_at: datetime.datetime
    delegations_left: int


class CapabilityItem(Model):
    """A capability that was issued."""

    jti: str
    note: str
    cap: list[CapItem]
    issued_at: datetime.datetime
    expires_at: datetime.datetime
    revoked: bool
