"""Pipelines: a graph of stages that use models."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, Text, Words, acyclic, facts, references
from gati_extensions.kinds.kind import Facts, Kind


class Stage(Part):
    """One stage: the model it uses and the stages before it."""

    name: Short
    model: Text = ""
    needs: Words = Field(default_factory=list)
    transform: Any = None
    timeout: Text | int | float | None = None
    retries: Annotated[int, Field(ge=0, le=1000)] = 0


class Pipeline(Manifest):
    """The manifest of a pipeline."""

    stages: Annotated[list[Stage], Field(min_length=1, max_length=MOST)]
    input_schema: Any = None
    output_schema: Any = None
    resources: Any = None
    template: bool = False

    @model_validator(mode="after")
    def _graph(self) -> Pipeline:
        names = [stage.name for stage in self.stages]
        known = set(names)
        if len(known) != len(names):
            raise ValueError("two stages have the same name")
        for stage in self.stages:
            if unknown := next((need for need in stage.needs if need not in known), None):
                raise ValueError(f"the stage {stage.name[:60]} needs {unknown[:60]!r}, which is none")
        acyclic({stage.name: stage.needs for stage in self.stages}, "stages")
        return self


def _describe(found: Pipeline) -> Facts:
    models = dict.fromkeys(stage.model for stage in found.stages if stage.model)
    return facts(
        found,
        type="template" if found.template else "pipeline",
        dependencies=references(models, "model"),
        words={"stages": tuple(stage.name for stage in found.stages)},
        numbers={"stages": float(len(found.stages))},
        details={
            "stages": [{"name": stage.name, "needs": list(stage.needs), "model": stage.model} for stage in found.stages]
        },
    )


KIND = Kind.own("pipeline", "Stages of processing and the models that they use.", Pipeline, _describe)
