"""Settings of the section `[search]`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gati_registry.extension import Model


class SearchSettings(Model):
    """What is looked at to answer a search."""

    ranked: int = Field(
        1000,
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
    semantic: bool = Field(
        False,
        description="Search by meaning too (extra `semantic`): some 200 MB for each worker that is asked, and 0.65 GB "
        "for each million of artifacts.",
    )
    opensearch_user: str = Field("", description="Account in OpenSearch (`search_url`).")
    opensearch_password_file: Path | None = Field(None, description="File whose first line is its password.")
    opensearch_ca_file: Path | None = Field(
        None, description="Certificates that sign OpenSearch's own. Absent: those that come with the client."
    )
    opensearch_prefix: str = Field(
        "gati-search", pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$", description="What its indices' names begin with."
    )
    opensearch_timeout: float = Field(
        5.0, gt=0, le=300, description="How long OpenSearch may take to answer.", json_schema_extra={"unit": "seconds"}
    )
