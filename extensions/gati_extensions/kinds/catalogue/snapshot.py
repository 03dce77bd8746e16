"""Snapshots of an environment: all that is installed, at which version. Never the values of its variables."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, Text, Words, facts, repository
from gati_extensions.kinds.kind import Dependency, Facts, Kind


class Installed(Part):
    """One artifact, at a version or digest."""

    name: Short
    version: Text = ""
    digest: Text = ""


Many = Annotated[list[Installed], Field(max_length=10 * MOST)]


class Snapshot(Manifest):
    """The manifest of a snapshot."""

    modules: Many = Field(default_factory=list)
    plugins: Many = Field(default_factory=list)
    agents: Many = Field(default_factory=list)
    models: Many = Field(default_factory=list)
    cli_version: Text = ""
    environment: Words = Field(default_factory=list)
    lock: Any = None

    @field_validator("environment", mode="before")
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        if isinstance(value, dict):
            raise ValueError("holds the names of environment variables, in a list; their values stay where they are")
        if isinstance(value, list) and any(isinstance(name, str) and "=" in name for name in value):
            raise ValueError("holds the names of environment variables alone, without `=` and value")
        return value


def _describe(found: Snapshot) -> Facts:
    wanted = [
        Dependency(repository(entry.name), entry.digest or entry.version or "*", kind=kind)
        for kind, entries in (
            ("module", found.modules),
            ("plugin", found.plugins),
            ("agent", found.agents),
            ("model", found.models),
        )
        for entry in entries
    ]
    return facts(
        found, dependencies=wanted, words={"environment": tuple(found.environment)},
        details={"cli_version": found.cli_version},
    )  # fmt: skip


KIND = Kind.own(
    "snapshot", "An environment as it was: everything installed, by version and digest.", Snapshot, _describe
)
