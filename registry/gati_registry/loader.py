"""Finds extensions by their entry points, checks their declarations against each other and puts what they contribute
together. Ours come the same way as anybody's."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel

from gati_registry.extension import GROUP, Contribution, Core, Database, Decide, Extension, Kernel
from gati_registry.http.extensions import RESERVED, Routes
from gati_registry.metadata import migrate
from gati_registry.ports import Clock
from gati_registry.settings import Settings, SettingsError

_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}")


@cache
def installed() -> Mapping[str, EntryPoint]:
    """Entry points of all installed extensions, by name; as they were when this process first asked: it reads the
    metadata of all distributions, and a start needs it several times.

    Raises:
        SettingsError: two distributions bring the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        if entry.name in found and found[entry.name].value != entry.value:
            raise SettingsError(f"extensions: two distributions bring {entry.name}; uninstall one of them")
        found[entry.name] = entry
    return found


def declared(wanted: Sequence[str] | None) -> list[Extension]:
    """The enabled extensions, each after those that it requires.

    Args:
        wanted: names to enable; None: all that are installed.

    Raises:
        SettingsError: one is missing, broken, or requires what is not enabled.
    """
    available = installed()
    names = sorted(available) if wanted is None else list(dict.fromkeys(wanted))
    for name in names:
        if name not in available:
            raise SettingsError(
                f"extensions: {name} is not installed; `gati-registry extension list` shows what is, or remove it"
            )
    extensions = {name: _load(available[name]) for name in names}
    graph = {}
    for name, extension in extensions.items():
        for required in extension.requires:
            if required not in extensions:
                raise SettingsError(f"extensions: {name} requires {required}; enable both or neither")
        graph[name] = sorted({*extension.requires, *(used for used in extension.uses if used in extensions)})
    try:
        return [extensions[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise SettingsError(f"extensions: {' requires '.join(error.args[1])}; one of them must not") from None


def sections(wanted: Sequence[str] | None) -> dict[str, type[BaseModel]]:
    """The models of the enabled extensions' sections in the settings."""
    return {found.name: found.settings for found in declared(wanted) if found.settings is not None}


def migrations(extensions: Iterable[Extension], engine: str) -> list[migrate.Migration]:
    """Of the core, then of each extension."""
    found = migrate.load(engine)
    for extension in extensions:
        if extension.migrations is not None:
            found += migrate.load(engine, package=extension.migrations, owner=extension.name)
    return found


def _load(entry: EntryPoint) -> Extension:
    try:
        found = entry.load()
    except Exception as error:
        raise SettingsError(
            f"extensions: {entry.name} cannot be loaded ({type(error).__name__}: {error}); mend or disable it"
        ) from error
    if not isinstance(found, Extension) or found.name != entry.name or not _NAME.fullmatch(found.name):
        raise SettingsError(f"extensions: {entry.value} does not declare an extension called {entry.name}")
    if found.name in RESERVED or found.name in Settings.model_fields:
        raise SettingsError(f"extensions: the name {found.name} is reserved")
    return found


@dataclass(frozen=True, slots=True)
class Loaded:
    """The enabled extensions with what each contributed, in the order of their requirements."""

    parts: Sequence[tuple[Extension, Contribution]]
    kernels: Mapping[str, Kernel]

    def all(self, field: str) -> list[Any]:
        """One field of all contributions, one after the other."""
        return [item for _, contribution in self.parts for item in getattr(contribution, field)]

    def closing(self) -> list[Callable[[], Awaitable[None]]]:
        """What is to be done at the end, the last one's first."""
        return [contribution.close for _, contribution in reversed(self.parts) if contribution.close is not None]

    def routes(self) -> list[tuple[str, str, Routes]]:
        """(name, summary, routes) of each extension."""
        return [
            (
                extension.name,
                extension.summary,
                Routes(
                    extension.name,
                    contribution.registry_routes,
                    contribution.repository_routes,
                    contribution.root_routes,
                ),
            )
            for extension, contribution in self.parts
        ]


def contribute(
    extensions: Iterable[Extension],
    settings: Settings,
    *,
    database: Database,
    core: Core,
    access: Decide,
    clock: Clock,
) -> Loaded:
    """Call every extension's `contribute`.

    Raises:
        SettingsError: a contribution does not fit its declaration, or two extensions want the same thing.
    """
    parts: list[tuple[Extension, Contribution]] = []
    kernels: dict[str, Kernel] = {}
    apis: dict[str, Any] = {}
    for extension in extensions:
        section = _section(settings, extension)
        kernel = kernels[extension.name] = Kernel(
            database=database,
            core=core,
            access=access,
            clock=clock,
            log=logging.getLogger(f"gati.extension.{extension.name}"),
            open=settings.open,
            apis={name: apis[name] for name in (*extension.requires, *extension.uses) if name in apis},
            public_url=settings.public_url,
            settings=section,
            folder=None if settings.shared_metadata else settings.data,
            search_url=settings.search_url,
        )
        try:
            contribution = extension.contribute(kernel, section)
        except ValueError as error:
            raise SettingsError(f"{extension.name}: {error}") from error
        _check(extension, contribution)
        apis[extension.name] = contribution.api
        parts.append((extension, contribution))
    authorizers = [extension.name for extension, contribution in parts if contribution.authorizer is not None]
    if len(authorizers) > 1:
        raise SettingsError(f"extensions: {' and '.join(authorizers)} both decide who may do what; disable one")
    return Loaded(parts, kernels)


def _section(settings: Settings, extension: Extension) -> BaseModel | None:
    """The extension's section; its defaults where the settings were not loaded but made."""
    found = settings.extension(extension.name)
    return extension.settings.model_validate({}) if found is None and extension.settings is not None else found


def _check(extension: Extension, contribution: Contribution) -> None:
    routes = (*contribution.registry_routes, *contribution.repository_routes, *contribution.root_routes)
    for route in routes:
        if route.permission.name not in extension.permissions:
            raise SettingsError(
                f"extensions: {extension.name} does not declare the permission {route.permission.name} of {route.path}"
            )
    for route in contribution.root_routes:
        if not route.path.startswith("/") or route.path.startswith("/v2"):
            raise SettingsError(f"extensions: {extension.name} may not have the root route {route.path}")
    for reaction in contribution.reactions:
        if not reaction.name.startswith(f"{extension.name}."):
            raise SettingsError(f"extensions: {extension.name} calls a reaction {reaction.name}; begin with its name")
