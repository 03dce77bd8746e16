"""Specifications (`spec.yaml`): TLA+, Alloy, Z, SCXML, OpenAPI, Pact and others."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, Text, Words, facts
from gati_extensions.kinds.kind import Facts, Kind


class Specifications(Part):
    """The main file and those that it uses."""

    main: Short
    modules: Words = Field(default_factory=list)


class Documentation(Part):
    """Files to read."""

    readme: Text = ""
    examples: Text = ""


class Spec(Manifest):
    """The manifest of a specification."""

    framework: Short
    specifications: Specifications
    tests: Words = Field(default_factory=list)
    documentation: Documentation = Documentation()
    tools: Annotated[dict[Short, Any], Field(max_length=MOST)] = Field(default_factory=dict)


def _describe(found: Spec) -> Facts:
    return facts(
        found,
        type=found.framework.lower(),
        words={"framework": (found.framework.lower(),), "tools": tuple(found.tools)},
        numbers={"tests": float(len(found.tests))},
        details={"specifications": found.specifications.model_dump(), "tests": list(found.tests)},
    )


KIND = Kind.own("spec", "A formal specification and its conformance tests.", Spec, _describe)
