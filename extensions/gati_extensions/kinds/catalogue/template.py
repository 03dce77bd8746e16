"""Templates: from which projects are begun."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, Text, Words, facts, references
from gati_extensions.kinds.kind import Facts, Kind

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Variable(Part):
    """A value that is asked for."""

    name: Short
    description: Text = ""
    type: Literal["string", "integer", "number", "boolean", "choice", "list", "secret"] = "string"
    required: bool = False
    options: Annotated[list[Any], Field(max_length=MOST)] = Field(default_factory=list)
    default: Any = None
    pattern: Text = ""
    min: float | None = None
    max: float | None = None

    @field_validator("name")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if _IDENTIFIER.fullmatch(value) is None:
            raise ValueError("must be letters, digits and underscores, and not begin with a digit")
        return value

    @model_validator(mode="after")
    def _options(self) -> Variable:
        if self.type == "choice" and not self.options:
            raise ValueError("a choice needs `options`")
        several = self.type == "list" and isinstance(self.default, list)
        chosen = self.default if several else [self.default]
        if self.options and self.default is not None and any(value not in self.options for value in chosen):
            raise ValueError("the default must be one of `options`")
        return self


class Template(Manifest):
    """The manifest of a template."""

    template_type: Literal["app", "module", "plugin", "infrastructure"]
    engine: Literal["jinja2", "handlebars", "eta", "ejs"] = "jinja2"
    framework: Text = ""
    language: Text = ""
    includes_modules: Words = Field(default_factory=list)
    variables: Annotated[list[Variable], Field(max_length=MOST)] = Field(default_factory=list)
    files: Annotated[list[Short | dict[str, Any]], Field(max_length=100_000)] = Field(default_factory=list)
    hooks: Annotated[dict[Short, Any], Field(max_length=20)] = Field(default_factory=dict)

    @field_validator("variables")
    @classmethod
    def _distinct(cls, value: list[Variable]) -> list[Variable]:
        names = [variable.name for variable in value]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the variable {twice} is there twice")
        return value


def _describe(found: Template) -> Facts:
    return facts(
        found,
        type=found.template_type,
        languages=tuple(dict.fromkeys([*([found.language] if found.language else []), *found.languages])),
        dependencies=references(found.includes_modules, "module"),
        words={"engine": (found.engine,), "framework": (found.framework,) if found.framework else ()},
        numbers={"files": float(len(found.files))} if found.files else {},
        details={"variables": [variable.model_dump(exclude_none=True) for variable in found.variables]},
    )


KIND = Kind.own("template", "Where a project begins: files with variables.", Template, _describe)
