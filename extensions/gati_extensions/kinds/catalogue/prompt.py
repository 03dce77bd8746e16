"""Prompts: texts for models, with variables."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gati_extensions.kinds.fields import MOST, Manifest, Part, Short, Text, Words, facts, references
from gati_extensions.kinds.kind import Facts, Kind


class Message(Part):
    """One message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Annotated[str, Field(max_length=1_000_000)]


class Prompt(Manifest):
    """The manifest of a prompt."""

    template: Annotated[str, Field(max_length=1_000_000)] = ""
    messages: Annotated[list[Message], Field(max_length=MOST)] = Field(default_factory=list)
    variables: Annotated[list[Short | dict[str, Any]], Field(max_length=MOST)] = Field(default_factory=list)
    models: Words = Field(default_factory=list)
    format: Text = ""


def _describe(found: Prompt) -> Facts:
    names = tuple(entry if isinstance(entry, str) else str(entry.get("name", "")) for entry in found.variables)
    return facts(
        found, type="chat" if found.messages else "text", dependencies=references(found.models, "model"),
        words={"variables": names}, details={"messages": len(found.messages)},
    )  # fmt: skip


KIND = Kind.own("prompt", "A text for models, with variables.", Prompt, _describe)
