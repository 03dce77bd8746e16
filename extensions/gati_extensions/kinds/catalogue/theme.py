"""Themes: colours, fonts and pictures."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gati_extensions.kinds.fields import MOST, Manifest, Short, Text, facts
from gati_extensions.kinds.kind import Facts, Kind


class Theme(Manifest):
    """The manifest of a theme."""

    target: Text = ""
    mode: Literal["light", "dark", "both"] = "both"
    tokens: Annotated[dict[Short, Any], Field(max_length=10 * MOST)] = Field(default_factory=dict)


def _describe(found: Theme) -> Facts:
    return facts(found, type=found.mode, words={"target": (found.target,) if found.target else ()})


KIND = Kind.own("theme", "How things look: colours, fonts, pictures.", Theme, _describe)
