"""What the extension access says and wants to hear. Generated from its OpenAPI; do not edit:

python -m tests.client.generate
"""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import Field

from gati_client.models.base import Condition, Model


class CapItem(Model):
    """Some actions at and below a path, under conditions."""

    actions: list[Literal["pull", "push", "delete", "maintain", "publish", "administer"]]
    path: str
    conditions: list[Condition] = Field(default_factory=list)


class CapabilityChange(Model):
    """A capability to issue. `expires_in` and `not_before_in` are seconds from now."""

    cap: list[CapItem]
    expires_in: int = 3600
    not_before_in: int = 0
    delegable: bool = False
    max_delegation_depth: int = 0
    note: str = ""


class CapabilityItem(Model):
    """A capability that was issued."""

    jti: str
    note: str
    cap: list[CapItem]
    issued_at: datetime.datetime
    expires_at: datetime.datetime
    revoked: bool


class CapabilityToken(Model):
    """A capability; the token is shown this once."""

    token: str
    jti: str
    expires_at: datetime.datetime
    delegations_left: int


class Delegation(Model):
    """A narrower capability to make of one that can be delegated."""

    cap: list[CapItem]
    expires_in: int = 3600
    not_before_in: int = 0
    delegable: bool = False
    max_delegation_depth: int = 0
    note: str = ""
    token: str


class Explain(Model):
    """A question: may I (or, for administrators, may `account`) do `action` on `repository`?"""

    action: Literal[
        "pull", "push", "delete", "catalog", "maintain", "publish", "administer", "operate", "ping", "sign-in"
    ]
    repository: str | None = None
    account: str | None = None


class Explanation(Model):
    """The decision and how it came about."""

    decision: str
    account: str | None
    action: str
    repository: str | None
    steps: list[StepItem]


class Revocation(Model):
    """A capability to end, by who holds it; the one it was delegated from stays."""

    token: str


class StepItem(Model):
    """One rule that was asked."""

    rule: str
    outcome: str
    reason: str
