"""What the extension namespaces says and wants to hear. Generated from its OpenAPI; do not edit:

python -m tests.client.generate
"""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import Field

from gati_client.models.base import Condition, Model


class Badge(Model):
    """A proof of who publishes here."""

    method: str
    subject: str
    verified_at: datetime.datetime


class Draft(Model):
    """A manifest that members alone see."""

    digest: str
    author: str
    pushed_at: datetime.datetime


class Measure(Model):
    """How much of a limit is used; a limit of null is none."""

    used: int
    limit: int | None


class MemberChange(Model):
    """The role to give: admin, publisher, maintainer, contributor, reader, or a custom one."""

    role: str


class MemberItem(Model):
    """Somebody's role at a namespace. A team's name is `org/team`."""

    path: str
    kind: str
    name: str
    role: str
    added_at: datetime.datetime


class Namespace(Model):
    """A namespace, or a repository seen as one. `visibility_from` is the path that it comes from."""

    path: str
    owner: str | None
    visibility: str
    visibility_from: str
    description: str
    labels: dict[str, str]
    verified: list[Badge]
    renamed_to: str | None = None


class NamespaceChange(Model):
    """What is set at a path. Left out is inherited, or empty."""

    visibility: Literal["public", "internal", "private"] | None = None
    description: str = ""
    labels: dict[str, str] = Field(default_factory=dict)


class NamespaceItem(Model):
    """A namespace in a list."""

    path: str
    visibility: str | None
    description: str


class PolicyChange(Model):
    """A policy for the extension that understands its name."""

    enforcement: Literal["off", "audit", "warn", "enforce"] = "enforce"
    body: dict[str, Any] = Field(default_factory=dict)


class PolicyItem(Model):
    """A policy and the path that it comes from."""

    enforcement: str = "enforce"
    body: dict[str, Any] = Field(default_factory=dict)
    name: str
    path: str


class PolicyList(Model):
    """All policies that hold at a path."""

    items: list[PolicyItem]


class Published(Model):
    """Drafts that are public now, an index's manifests with it."""

    digests: list[str]


class Quota(Model):
    """Limits and use. Bandwidth (bytes) and calls are of the calendar month (UTC), and of owned namespaces. Not
    `complete`: of bytes and artifacts some are missing that came while nobody was counted.
    """

    path: str
    bytes: Measure
    artifacts: Measure
    bandwidth: Measure | None = None
    calls: Measure | None = None
    month: str
    complete: bool = True


class QuotaChange(Model):
    """Limits of a namespace; left out: the default, -1: none. Bytes and repositories count at and below it."""

    bytes: int | None = None
    artifacts: int | None = None
    bandwidth: int | None = None
    calls: int | None = None


class RoleChange(Model):
    """A custom role."""

    inherits: list[str] = Field(default_factory=list)
    permissions: list[RolePermission] = Field(default_factory=list)


class RoleItem(Model):
    """A custom role and where it was made."""

    inherits: list[str] = Field(default_factory=list)
    permissions: list[RolePermission] = Field(default_factory=list)
    path: str
    name: str


class RoleList(Model):
    """All custom roles usable at a path."""

    items: list[RoleItem]


class RolePermission(Model):
    """What a custom role adds to the roles that it inherits from, or takes away."""

    effect: Literal["allow", "deny"] = "allow"
    actions: list[Literal["pull", "draft", "push", "maintain", "publish", "delete", "administer"]]
    conditions: list[Condition] = Field(default_factory=list)


class TransferChange(Model):
    """The new path of a repository, or of a namespace with all that is below it."""

    to: str


class Transferred(Model):
    """What was moved; the old names are still pulled until `redirect_until`."""

    repositories: list[str]
    redirect_until: datetime.datetime


class Verification(Model):
    """Where to put which token; `verified_at` once it was found there."""

    path: str
    method: str
    subject: str
    place: str
    token: str
    verified_at: datetime.datetime | None


class VerificationList(Model):
    """All proofs, asked for and found."""

    items: list[Verification]


class VerifyChange(Model):
    """The proof to look for. `subject` is a domain, or an organization at GitHub."""

    method: Literal["dns", "github"]
    subject: str
