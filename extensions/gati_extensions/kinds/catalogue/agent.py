"""AI agents: a recipe, the models it uses, the graph of its skills."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, Text, Words, acyclic, facts, references
from gati_extensions.kinds.kind import Facts, Kind


class SkillGraph(Part):
    """Skills and which of them needs which others."""

    skills: Annotated[list[Short | dict[str, Any]], Field(max_length=MOST)] = Field(default_factory=list)
    dependencies: Annotated[dict[Short, Words], Field(max_length=MOST)] = Field(default_factory=dict)

    def names(self) -> list[str]:
        """All skills."""
        return [skill if isinstance(skill, str) else str(skill.get("name", "")) for skill in self.skills]

    @model_validator(mode="after")
    def _known(self) -> SkillGraph:
        known = set(self.names())
        for skill, needs in self.dependencies.items():
            for name in (skill, *needs):
                if name not in known:
                    raise ValueError(f"the skill {name[:60]!r} is not among `skills`")
        acyclic(self.dependencies, "skills")
        return self


class Permissions(Part):
    """What it may use at most."""

    max_memory: Text | int | None = None
    max_cpu: Text | int | float | None = None
    allowed_domains: Words = Field(default_factory=list)


class Agent(Manifest):
    """The manifest of an agent."""

    runtime: Literal["js", "wasm", "container"]
    wasm_file: Text = ""
    entry: Text = ""
    model_references: Words = Field(default_factory=list)
    module_references: Words = Field(default_factory=list)
    skill_graph: SkillGraph = SkillGraph()
    permissions: Permissions = Permissions()


def _describe(found: Agent) -> Facts:
    return facts(
        found,
        type=found.runtime,
        dependencies=[*references(found.model_references, "model"), *references(found.module_references, "module")],
        words={"skills": tuple(found.skill_graph.names()), "allowed_domains": tuple(found.permissions.allowed_domains)},
        details={
            "permissions": found.permissions.model_dump(exclude_none=True),
            "skill_dependencies": dict(found.skill_graph.dependencies),
        },
    )


KIND = Kind.own("agent", "An AI agent: recipe, models, skills and permissions.", Agent, _describe)
