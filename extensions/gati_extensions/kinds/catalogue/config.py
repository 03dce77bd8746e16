"""Configurations: named values that others are set up with."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gati_extensions.kinds.fields import Manifest, Text, Words, facts, references
from gati_extensions.kinds.kind import Facts, Kind


class Config(Manifest):
    """The manifest of a configuration."""

    format: Text = ""
    json_schema: Any = None
    applies_to: Words = Field(default_factory=list)


def _describe(found: Config) -> Facts:
    return facts(found, type=found.format, dependencies=references(found.applies_to, ""))


KIND = Kind.own("config", "Values that others are set up with.", Config, _describe)
