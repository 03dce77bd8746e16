"""Settings of the section `[search]`."""

from __future__ import annotations

from pydantic import Field

from gati_registry.extension import Model


class SearchSettings(Model):
    """What is looked at to answer a search."""

    ranked: int = Field(
        2000,
        ge=100,
        le=20_000,
        description="Hits of a search that are ranked and counted: the best known and newest.",
        json_schema_extra={"unit": "hits"},
    )
    readme: bool = Field(True, description="Whether READMEs are searched too.")
    at_once: int = Field(
        8,
        ge=1,
        le=256,
        description="Searches that a worker has under way at once; others wait.",
        json_schema_extra={"unit": "searches"},
    )
