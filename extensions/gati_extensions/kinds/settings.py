"""Settings of the section `[kinds]`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from gati_registry.extension import Model


class KindsSettings(Model):
    """What artifacts are, and what is kept of them."""

    max_config: int = Field(
        1024 * 1024,
        ge=4096,
        le=16 * 1024 * 1024,
        description="Largest config of an artifact that is read.",
        json_schema_extra={"unit": "bytes"},
    )
    count_robots: bool = Field(False, description="Whether pulls by robots count as downloads.")
    robot_agents: list[Annotated[str, StringConstraints(min_length=3, max_length=64)]] = Field(
        ["bot", "crawl", "spider", "trivy", "renovate", "dependabot"],
        max_length=64,
        description="Parts of the user agents of robots, beside accounts of robots.",
    )
    max_overlay: int = Field(
        256 * 1024,
        ge=1024,
        le=4 * 1024 * 1024,
        description="Largest overlay (what can be changed after a push) of one version.",
        json_schema_extra={"unit": "bytes"},
    )
