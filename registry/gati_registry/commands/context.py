"""What several commands share: settings from the command line, results on standard output."""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from gati_registry.settings import Loaded, Settings, load

if TYPE_CHECKING:
    from gati_registry.bootstrap import Registry

T = TypeVar("T")


def loaded(arguments: argparse.Namespace, flags: Mapping[str, object] | None = None) -> Loaded:
    """The settings of this call; logging is set up by them.

    Raises:
        SettingsError: see `settings.load`.
    """
    from gati_registry.loader import sections

    found = load({"data": arguments.data, **(flags or {})}, config=arguments.config, extensions=sections)
    from gati_registry.http.observe.logs import configure
    from gati_registry.http.observe.traces import require

    configure(found.settings.log)
    require(found.settings.telemetry)
    return found


async def with_registry(settings: Settings, work: Callable[[Registry], Awaitable[T]]) -> T:
    """Do something with the backends that the settings name; they are closed after it.

    Raises:
        Unavailable: a backend does not open.
        MigrationError: the database belongs to another version.
    """
    from gati_registry.bootstrap import build

    async with build(settings) as registry:
        return await work(registry)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, default=str))


def print_table(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """Aligned columns with a head line; nothing for no rows."""
    names = list(columns)
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    if len(lines) == 1:
        return
    widths = [max(len(line[index]) for line in lines) for index in range(len(names))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
