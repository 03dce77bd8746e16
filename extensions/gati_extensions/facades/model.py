"""What the façades speak of. Fields of `spec.yaml` keep their names there.

Source: SpecRegistry design, sections 2.2, 3.2 and 5.3.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from gati_extensions.facades.signatures import Status
from gati_extensions.resolve.api import ResolveRequest
from gati_registry.extension import Model, Paging

Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Ranges = Annotated[dict[Name, Annotated[str, StringConstraints(max_length=2048)]], Field(max_length=1000)]


class PackageQuery(Paging):
    """A list of packages."""

    framework: Annotated[str, StringConstraints(max_length=64)] = ""


class SearchQuery(PackageQuery):
    """What to look for."""

    q: Annotated[str, StringConstraints(max_length=1024)] = ""


class PackageItem(Model):
    """A package in a list; `version` is its newest one."""

    name: str
    version: str
    framework: str
    description: str
    keywords: list[str]
    license: str
    author: str
    stars: int
    downloads: int
    updated: datetime.datetime


class VersionItem(Model):
    """A version in a package."""

    version: str
    state: str
    reason: str
    digest: str
    published: datetime.datetime


class Package(PackageItem):
    """A package with its versions, the highest first, and what its channels name."""

    repository: str
    homepage: str
    source: str
    versions: list[VersionItem]
    channels: dict[str, str]


class Vulnerability(Model):
    """An advisory about a version."""

    id: str
    severity: str
    summary: str
    affected_versions: list[str]
    fix_version: str | None


class ScanResults(Model):
    """What is known of a version's security."""

    status: Literal["clean", "warning"]
    vulnerabilities: list[Vulnerability]


class Dist(Model):
    """How to get a version: `repository` and `digest` are those of the OCI artifact, the rest is about the tarball."""

    repository: str
    digest: str
    tarball: str | None
    tarball_digest: str | None
    integrity: str | None
    size: int | None


class PackageVersion(Model):
    """A version: all sections of its `spec.yaml`, and what the registry knows of it."""

    name: str
    version: str
    framework: Any = None
    description: Any = None
    dependencies: Any = None
    dev_dependencies: Any = Field(None, alias="devDependencies")
    specifications: Any = None
    tests: Any = None
    documentation: Any = None
    tools: Any = None
    keywords: Any = None
    license: Any = None
    author: Any = None
    repository: Any = None
    homepage: Any = None
    state: str
    published: datetime.datetime
    dist: Dist
    scan_results: ScanResults


class Published(Model):
    """What a publication made. `state` is draft where others have to publish it; `signature` names what was kept."""

    package: str
    state: str
    dist: Dist
    signature: str | None
    scan_results: ScanResults
    warnings: list[str]


class DependencyRequest(Model):
    """The sections of a `spec.yaml`, and how to choose."""

    dependencies: Ranges = Field(default_factory=dict)
    dev_dependencies: Ranges = Field(default_factory=dict, alias="devDependencies")
    overrides: Ranges = Field(default_factory=dict)
    strategy: Annotated[str, StringConstraints(max_length=32)] = "highest"
    lockfile: dict[str, Any] | None = None

    def request(self) -> ResolveRequest:
        """As `resolve` takes it. Raises ValidationError."""
        return ResolveRequest.model_validate(
            {
                "requests": self.dependencies,
                "dev": self.dev_dependencies,
                "overrides": self.overrides,
                "strategy": self.strategy,
                "lock": self.lockfile,
            }
        )


class Resolved(Model):
    """A package that was chosen."""

    name: str
    version: str
    digest: str
    dependencies: dict[str, str]


class Resolution(Model):
    """The graph and its lock."""

    resolved: list[Resolved]
    graph: list[tuple[str, str]]
    lockfile: dict[str, Any]
    warnings: list[str]


class Integrity(Model):
    """Whether these are the bytes that were published."""

    status: Literal["match", "mismatch", "unpublished"]
    expected: str | None
    found: str


class Signature(Model):
    """What became of the signature, and why."""

    status: Status
    reason: str


class Verification(Model):
    """`verified`: these are the published bytes, and the named key signed them."""

    package: str
    verified: bool
    integrity: Integrity
    signature: Signature
    scan_results: ScanResults


class MlldModule(Model):
    """A module of a user's registry. Source: mlld developer guide, "Registry Format"; `revision` as in "LockFile"."""

    gist: str
    revision: str | None = None
    description: str
    tags: list[str]
    created: str


class MlldRegistry(Model):
    """`registry.json`."""

    version: Literal["1.0.0"] = "1.0.0"
    updated: str
    author: str
    modules: dict[str, MlldModule]


class MlldAdvisory(Model):
    """An advisory. Source: mlld developer guide, "Advisory Format"."""

    id: str
    created: str
    severity: Literal["high", "medium", "low"]
    affects: list[str]
    gists: list[str]
    type: str
    description: str
    recommendation: str


class MlldAdvisories(Model):
    """`advisories.json`."""

    version: Literal["1.0.0"] = "1.0.0"
    author: str
    advisories: list[MlldAdvisory]
