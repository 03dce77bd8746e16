"""What the API speaks of."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from gati_extensions.namespaces.roles import RoleName, RolePermission
from gati_extensions.namespaces.settings import UNLIMITED, Enforcement, Visibility
from gati_registry.extension import Model, Paging

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$")]
Labels = Annotated[dict[Label, Annotated[str, Field(max_length=256)]], Field(max_length=64)]
PolicyName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=64)]


def moment(milliseconds: int) -> datetime.datetime:
    """A time as the API writes it."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


class NamespaceChange(Model):
    """What is set at a path. Left out is inherited, or empty."""

    visibility: Visibility | None = None
    description: str = Field("", max_length=4096)
    labels: Labels = Field(default_factory=dict)


class Badge(Model):
    """A proof of who publishes here."""

    method: Literal["dns", "github"]
    subject: str
    verified_at: datetime.datetime


class Namespace(Model):
    """A namespace, or a repository seen as one. `visibility_from` is the path that it comes from."""

    path: str
    owner: str | None
    visibility: Visibility
    visibility_from: str
    description: str
    labels: dict[str, str]
    verified: list[Badge]
    renamed_to: str | None = None


class NamespaceItem(Model):
    """A namespace in a list."""

    path: str
    visibility: Visibility | None
    description: str


class MemberChange(Model):
    """The role to give: admin, publisher, maintainer, contributor, reader, or a custom one."""

    role: RoleName


class MemberItem(Model):
    """Somebody's role at a namespace. A team's name is `org/team`."""

    path: str
    kind: Literal["user", "robot", "team"]
    name: str
    role: str
    added_at: datetime.datetime


class RoleChange(Model):
    """A custom role."""

    inherits: list[RoleName] = Field(default_factory=list, max_length=8)
    permissions: list[RolePermission] = Field(default_factory=list, max_length=32)


class RoleItem(RoleChange):
    """A custom role and where it was made."""

    path: str
    name: str


class RoleList(Model):
    """All custom roles usable at a path."""

    items: list[RoleItem]


Limit = Annotated[int, Field(ge=UNLIMITED, le=2**62)]


class QuotaChange(Model):
    """Limits of a namespace; left out: the default, -1: none. Bytes and repositories count at and below it."""

    bytes: Limit | None = None
    artifacts: Limit | None = None
    bandwidth: Limit | None = None
    calls: Limit | None = None


class Measure(Model):
    """How much of a limit is used; a limit of null is none."""

    used: int
    limit: int | None


class Quota(Model):
    """Limits and use. Bandwidth (bytes) and calls are of the calendar month (UTC), and of owned namespaces. Not
    `complete`: of bytes and artifacts some are missing that came while nobody was counted."""

    path: str
    bytes: Measure
    artifacts: Measure
    bandwidth: Measure | None = None
    calls: Measure | None = None
    month: str
    complete: bool = True


class PolicyChange(Model):
    """A policy for the extension that understands its name."""

    enforcement: Enforcement = "enforce"
    body: dict[str, Any] = Field(default_factory=dict)


class PolicyItem(PolicyChange):
    """A policy and the path that it comes from."""

    name: str
    path: str


class PolicyList(Model):
    """All policies that hold at a path."""

    items: list[PolicyItem]


class MemberQuery(Paging):
    """A list of members."""


class VerifyChange(Model):
    """The proof to look for. `subject` is a domain, or an organization at GitHub."""

    method: Literal["dns", "github"]
    subject: str = Field(min_length=1, max_length=253)


class Verification(Model):
    """Where to put which token; `verified_at` once it was found there."""

    path: str
    method: Literal["dns", "github"]
    subject: str
    place: str
    token: str
    verified_at: datetime.datetime | None


class VerificationList(Model):
    """All proofs, asked for and found."""

    items: list[Verification]


class TransferChange(Model):
    """The new path of a repository, or of a namespace with all that is below it."""

    to: str = Field(min_length=1, max_length=255)


class Transferred(Model):
    """What was moved; the old names are still pulled until `redirect_until`."""

    repositories: list[str]
    redirect_until: datetime.datetime


class Draft(Model):
    """A manifest that members alone see."""

    digest: str
    author: str
    pushed_at: datetime.datetime


class Published(Model):
    """Drafts that are public now, an index's manifests with it."""

    digests: list[str]
