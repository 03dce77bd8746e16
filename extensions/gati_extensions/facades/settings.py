"""Settings of the section `[facades]`."""

from __future__ import annotations

from pydantic import Field

from gati_registry.extension import Model


class FacadesSettings(Model):
    """Others' forms of publishing and reading."""

    max_package: int = Field(
        16 * 1024 * 1024,
        ge=64 * 1024,
        le=256 * 1024 * 1024,
        description="Largest package that is published or verified through a façade; it is held in memory meanwhile.",
        json_schema_extra={"unit": "bytes"},
    )
    patience: float = Field(
        60,
        gt=0,
        le=3600,
        description="Longest time that a package may take to arrive.",
        json_schema_extra={"unit": "seconds"},
    )
    at_once: int = Field(
        4,
        ge=1,
        le=64,
        description="Packages that a worker takes in at once; others wait.",
        json_schema_extra={"unit": "packages"},
    )
