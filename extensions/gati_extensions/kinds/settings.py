"""Settings of the section `[kinds]`."""

from __future__ import annotations

from pydantic import Field

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
    max_overlay: int = Field(
        256 * 1024,
        ge=1024,
        le=4 * 1024 * 1024,
        description="Largest overlay (what can be changed after a push) of one version.",
        json_schema_extra={"unit": "bytes"},
    )
