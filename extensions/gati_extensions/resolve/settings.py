"""Settings of the section `[resolve]`."""

from __future__ import annotations

from pydantic import Field
from pydantic.config import JsonDict

from gati_registry.extension import Model

_ARTIFACTS: JsonDict = {"unit": "artifacts"}


class ResolveSettings(Model):
    """Resolution of dependencies: how large a graph may be."""

    max_requests: int = Field(
        1000, ge=1, le=10_000, description="Most requests of one resolution.", json_schema_extra=_ARTIFACTS
    )
    max_artifacts: int = Field(
        2000, ge=1, le=20_000, description="Most artifacts that one resolution looks at.", json_schema_extra=_ARTIFACTS
    )
    max_releases: int = Field(
        50_000,
        ge=1,
        le=500_000,
        description="Most releases of them that one resolution looks at.",
        json_schema_extra={"unit": "releases"},
    )
    max_steps: int = Field(
        50_000,
        ge=100,
        le=1_000_000,
        description="Steps after which a resolution is given up.",
        json_schema_extra={"unit": "steps"},
    )
    at_once: int = Field(
        2,
        ge=1,
        le=64,
        description="Resolutions that a worker computes at once.",
        json_schema_extra={"unit": "resolutions"},
    )
