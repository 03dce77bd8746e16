"""What the extension resolve says and wants to hear. Generated from its OpenAPI; do not edit:

python -m tests.client.generate
"""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import Field

from gati_client.models.base import Model


class AdvisoryDecision(Model):
    """What becomes of a submitted advisory."""

    accept: bool


class AdvisoryItem(Model):
    """An advisory about an artifact."""

    repository: str
    id: str
    state: str
    severity: str
    author: str | None
    changed_at: datetime.datetime
    record: dict[str, Any]


class ConflictItem(Model):
    """Why there is no answer. `choices` are given by the strategy `manual`; `missing`: there is no such
    artifact here that the caller may pull.
    """

    name: str
    lines: list[str]
    choices: list[str]
    missing: bool = False


class Conflicts(Model):
    """Of the newest versions in a namespace: `items` cannot be had at all, `together` tells why the others
    clash.
    """

    items: list[NamespaceConflict]
    together: list[list[str]]
    looked_at: int
    next: str | None = None


class DependentItem(Model):
    """Somebody who wants an artifact."""

    repository: str
    digest: str
    type: str
    constraint: str
    optional: bool


class EnvironmentChange(Model):
    """Where it is to run; what is left out may be anything."""

    os: str | None = None
    arch: str | None = None
    env: str | None = None
    scope: str | None = None
    features: list[str] = Field(default_factory=list)


class Graph(Model):
    """Releases and what they want of each other."""

    nodes: list[str]
    edges: list[tuple[str, str]]


class Lock(Model):
    """`gati.lock`. Packages by `name@version`."""

    version: Literal[1] = 1
    root: dict[str, Any] = Field(default_factory=dict)
    packages: dict[str, LockedPackage] = Field(default_factory=dict)


class LockedPackage(Model):
    """A package of a lock. `dependencies` are versions by name."""

    registry: str = ""
    kind: str = ""
    digest: str
    integrity: str = ""
    dependencies: dict[str, str] = Field(default_factory=dict)
    approved_at: str | None = None


class NamespaceConflict(Model):
    """An artifact whose newest version cannot be had, and why."""

    name: str
    version: str
    lines: list[str]


class Osv(Model):
    """An OSV record."""

    id: str
    schema_version: str = "1.6.0"
    modified: datetime.datetime | None = None
    published: datetime.datetime | None = None
    withdrawn: datetime.datetime | None = None
    aliases: list[str] = Field(default_factory=list)
    related: list[str] = Field(default_factory=list)
    summary: str = ""
    details: str = ""
    severity: list[dict[str, Any]] = Field(default_factory=list)
    affected: list[OsvAffected]
    references: list[dict[str, Any]] = Field(default_factory=list)
    credits: list[dict[str, Any]] = Field(default_factory=list)
    database_specific: dict[str, Any] | None = None


class OsvAffected(Model):
    """Which versions are."""

    package: OsvPackage | None = None
    severity: list[dict[str, Any]] | None = None
    ranges: list[OsvRange] = Field(default_factory=list)
    versions: list[str] = Field(default_factory=list)
    ecosystem_specific: dict[str, Any] | None = None
    database_specific: dict[str, Any] | None = None


class OsvEvent(Model):
    """Where something begins or ends."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class OsvPackage(Model):
    """What is affected."""

    ecosystem: str
    name: str
    purl: str | None = None


class OsvRange(Model):
    """A range of versions."""

    type: Literal["SEMVER", "ECOSYSTEM", "GIT"]
    repo: str | None = None
    events: list[OsvEvent]
    database_specific: dict[str, Any] | None = None


class Package(Model):
    """A release that was chosen. `wanted_by` are `name@version`, or empty for the request."""

    name: str
    version: str
    digest: str
    kind: str
    state: str
    gati: str
    dependencies: dict[str, str]
    wanted_by: list[str]


class Resolution(Model):
    """The whole graph and its lock; or conflicts, and then nothing else."""

    packages: list[Package]
    lock: Lock | None
    conflicts: list[ConflictItem]
    warnings: list[str]


class ResolveRequest(Model):
    """What is asked for: ranges by name. `dev` ones are resolved too; `overrides` hold wherever the name is
    wanted.
    """

    requests: dict[str, str]
    dev: dict[str, str] = Field(default_factory=dict)
    overrides: dict[str, str] = Field(default_factory=dict)
    strategy: Literal["highest", "lowest", "newest", "most-downloaded", "locked-first", "manual"] = "highest"
    environment: EnvironmentChange | None = None
    lock: Lock | None = None
    advisories: Literal["off", "warn", "refuse"] = "warn"
