"""Datasets: what models are trained with and tested on."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, Text, Words, facts
from gati_extensions.kinds.kind import Facts, Kind


class Split(Part):
    """A part of it: train, test, validation."""

    name: Short
    rows: Annotated[int, Field(ge=0, le=2**53)] | None = None
    files: Words = Field(default_factory=list)


class Dataset(Manifest):
    """The manifest of a dataset."""

    format: Text = ""
    rows: Annotated[int, Field(ge=0, le=2**53)] | None = None
    splits: Annotated[list[Split], Field(max_length=MOST)] = Field(default_factory=list)
    fields: Annotated[dict[Short, Any], Field(max_length=MOST)] = Field(default_factory=dict)
    tasks: Words = Field(default_factory=list)
    modalities: Words = Field(default_factory=list)


def _describe(found: Dataset) -> Facts:
    counted = [split.rows for split in found.splits if split.rows is not None]
    rows = found.rows if found.rows is not None else sum(counted) if counted else None
    return facts(
        found, type=found.format,
        words={"tasks": tuple(found.tasks), "modalities": tuple(found.modalities)},
        numbers={"rows": float(rows)} if rows is not None else {},
        details={"splits": [split.model_dump() for split in found.splits], "fields": list(found.fields)},
    )  # fmt: skip


KIND = Kind.own("dataset", "What models are trained with and tested on.", Dataset, _describe)
