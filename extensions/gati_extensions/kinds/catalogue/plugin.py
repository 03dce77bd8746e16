"""Plugins: they add capabilities to Gati itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gati_extensions.kinds.fields import (
    Dependencies,
    Manifest,
    Part,
    Short,
    Text,
    Words,
    dependencies,
    facts,
    references,
)
from gati_extensions.kinds.kind import Facts, Kind

PluginType = Literal["brand", "middleware", "resolver", "db-adapter", "auth", "other"]


class Config(Part):
    """What is loaded, and as what."""

    type: PluginType
    entry: Short


class Plugin(Manifest):
    """The manifest of a plugin."""

    config: Config
    required_modules: Words | Dependencies = Field(default_factory=list)
    permissions: Words = Field(default_factory=list)
    signature: Text = ""


def _describe(found: Plugin) -> Facts:
    modules = found.required_modules
    wanted = dependencies(modules, kind="module") if isinstance(modules, dict) else references(modules, "module")
    return facts(
        found,
        type=found.config.type,
        dependencies=wanted,
        words={"permissions": tuple(found.permissions)},
        details={"entry": found.config.entry},
    )


KIND = Kind.own("plugin", "Adds capabilities to Gati: brands, middleware, resolvers, adapters.", Plugin, _describe)
