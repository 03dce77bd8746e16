"""What the API speaks of."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from gati_extensions.resolve import ranges
from gati_registry.extension import Model, Paging

Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Constraint = Annotated[str, StringConstraints(max_length=ranges.MAX_LENGTH)]
Strategy = Literal["highest", "lowest", "newest", "most-downloaded", "locked-first", "manual"]


def _checked(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        try:
            ranges.parse(text)
        except ranges.BadRange as error:
            raise ValueError(f"{name[:100]}: {error}") from None
    return value


class EnvironmentChange(Model):
    """Where it is to run; what is left out may be anything."""

    os: Annotated[str, StringConstraints(max_length=64)] | None = None
    arch: Annotated[str, StringConstraints(max_length=64)] | None = None
    env: Annotated[str, StringConstraints(max_length=64)] | None = None
    scope: Annotated[str, StringConstraints(max_length=64)] | None = None
    features: Annotated[list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=100)] = Field(
        default_factory=list
    )


class LockedPackage(Model):
    """A package of a lock. `dependencies` are versions by name."""

    registry: str = ""
    kind: str = ""
    digest: Annotated[str, StringConstraints(max_length=256)]
    integrity: str = ""
    dependencies: dict[str, str] = Field(default_factory=dict)
    approved_at: str | None = None


class Lock(Model):
    """`gati.lock`. Packages by `name@version`."""

    version: Literal[1] = 1
    root: dict[str, Any] = Field(default_factory=dict)
    packages: Annotated[dict[str, LockedPackage], Field(max_length=20_000)] = Field(default_factory=dict)


class ResolveRequest(Model):
    """What is asked for: ranges by name. `dev` ones are resolved too; `overrides` hold wherever the name is wanted."""

    requests: Annotated[dict[Name, Constraint], Field(max_length=10_000)]
    dev: Annotated[dict[Name, Constraint], Field(max_length=10_000)] = Field(default_factory=dict)
    overrides: Annotated[dict[Name, Constraint], Field(max_length=1000)] = Field(default_factory=dict)
    strategy: Strategy = "highest"
    environment: EnvironmentChange = EnvironmentChange()
    lock: Lock | None = None
    advisories: Literal["off", "warn", "refuse"] = "warn"

    _ranges = field_validator("requests", "dev", "overrides")(_checked)


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


class ConflictItem(Model):
    """Why there is no answer. `choices` are given by the strategy `manual`; `missing`: there is no such artifact here
    that the caller may pull."""

    name: str
    lines: list[str]
    choices: list[str]
    missing: bool = False


class Resolution(Model):
    """The whole graph and its lock; or conflicts, and then nothing else."""

    packages: list[Package]
    lock: Lock | None
    conflicts: list[ConflictItem]
    warnings: list[str]


class NamespaceConflict(Model):
    """An artifact whose newest version cannot be had, and why."""

    name: str
    version: str
    lines: list[str]


class Conflicts(Model):
    """Of the newest versions in a namespace: `items` cannot be had at all, `together` tells why the others clash."""

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


class GraphQuery(Model):
    """What to draw, and how."""

    format: Literal["json", "dot", "mermaid"] = "json"
    version: Constraint = "*"


class Graph(Model):
    """Releases and what they want of each other."""

    nodes: list[str]
    edges: list[tuple[str, str]]


class OsvEvent(Model):
    """Where something begins or ends."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class OsvRange(Model):
    """A range of versions."""

    type: Literal["SEMVER", "ECOSYSTEM", "GIT"]
    repo: str | None = None
    events: Annotated[list[OsvEvent], Field(max_length=200)]
    database_specific: dict[str, Any] | None = None


class OsvPackage(Model):
    """What is affected."""

    ecosystem: Annotated[str, StringConstraints(max_length=128)]
    name: Annotated[str, StringConstraints(max_length=255)]
    purl: str | None = None


class OsvAffected(Model):
    """Which versions are."""

    package: OsvPackage | None = None
    severity: list[dict[str, Any]] | None = None
    ranges: Annotated[list[OsvRange], Field(max_length=100)] = Field(default_factory=list)
    versions: Annotated[list[str], Field(max_length=10_000)] = Field(default_factory=list)
    ecosystem_specific: dict[str, Any] | None = None
    database_specific: dict[str, Any] | None = None


class Osv(Model):
    """An OSV record."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    schema_version: str = "1.6.0"
    modified: datetime.datetime | None = None
    published: datetime.datetime | None = None
    withdrawn: datetime.datetime | None = None
    aliases: Annotated[list[str], Field(max_length=100)] = Field(default_factory=list)
    related: Annotated[list[str], Field(max_length=100)] = Field(default_factory=list)
    summary: Annotated[str, StringConstraints(max_length=1024)] = ""
    details: Annotated[str, StringConstraints(max_length=65536)] = ""
    severity: Annotated[list[dict[str, Any]], Field(max_length=10)] = Field(default_factory=list)
    affected: Annotated[list[OsvAffected], Field(min_length=1, max_length=100)]
    references: Annotated[list[dict[str, Any]], Field(max_length=100)] = Field(default_factory=list)
    credits: Annotated[list[dict[str, Any]], Field(max_length=100)] = Field(default_factory=list)
    database_specific: dict[str, Any] | None = None


class AdvisoryItem(Model):
    """An advisory about an artifact."""

    repository: str
    id: str
    state: Literal["published", "submitted", "withdrawn"]
    severity: str
    author: str | None
    changed_at: datetime.datetime
    record: dict[str, Any]


class AdvisoryQuery(Paging):
    """A list of advisories; those that were submitted are for those who maintain the artifact."""

    state: Literal["published", "submitted", "withdrawn"] = "published"


class AdvisoryDecision(Model):
    """What becomes of a submitted advisory."""

    accept: bool
