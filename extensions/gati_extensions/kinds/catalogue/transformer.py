"""Transformers: they carry data from one version of an artifact to its neighbour."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, facts, repository
from gati_extensions.kinds.kind import Dependency, Facts, Kind


class Changes(Part):
    """Fields that come, go, or are called otherwise."""

    added: Annotated[list[Short] | dict[Short, Any], Field(max_length=MOST)] = Field(default_factory=list)
    removed: Annotated[list[Short] | dict[Short, Any], Field(max_length=MOST)] = Field(default_factory=list)
    renamed: Annotated[dict[Short, Short], Field(max_length=MOST)] = Field(default_factory=dict)


class Transformation(Part):
    """One step: what it is applied to, and what changes."""

    type: Short
    changes: Changes


class Transformer(Manifest):
    """The manifest of a transformer."""

    from_artifact: Short
    from_version: Short
    to_version: Short
    transformations: Annotated[list[Transformation], Field(min_length=1, max_length=MOST)]


def _describe(found: Transformer) -> Facts:
    source = repository(found.from_artifact)
    return facts(
        found,
        dependencies=[Dependency(source, found.from_version), Dependency(source, found.to_version)],
        words={"from_artifact": (source,), "from_version": (found.from_version,), "to_version": (found.to_version,)},
        details={"transformations": len(found.transformations)},
    )


KIND = Kind.own("transformer", "Carries data from one version of an artifact to another.", Transformer, _describe)
