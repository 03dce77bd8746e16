"""`gati-registry gc`: one collection now, beside whatever serves; or what it would do; or take back what it marked."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict

from gati_registry.bootstrap import Registry
from gati_registry.commands.context import loaded, print_json, print_table, with_registry
from gati_registry.commands.options import ExitCode


def run(arguments: argparse.Namespace) -> int:
    """0 when it ran to its end."""
    settings = loaded(arguments).settings
    work = _plan if arguments.dry_run else _undo if arguments.undo else _collect
    asyncio.run(with_registry(settings, lambda registry: work(registry, as_json=arguments.output == "json")))
    return ExitCode.DONE


async def _plan(registry: Registry, *, as_json: bool) -> None:
    rows = [asdict(candidate) async for candidate in registry.collector.plan()]
    total = sum(row["size"] for row in rows)
    if as_json:
        print_json({"candidates": rows, "bytes": total})
        return
    for row in rows:
        row["repository"] = row["repository"] or "-"
    print_table(rows, ("step", "repository", "subject", "size", "reason"))
    print(f"{len(rows)} items, {total} bytes; nothing was changed")


async def _collect(registry: Registry, *, as_json: bool) -> None:
    report = asdict(await registry.collector.run())
    if as_json:
        print_json(report)
        return
    for name, number in report.items():
        print(f"{name.replace('_', ' ')}: {number}")


async def _undo(registry: Registry, *, as_json: bool) -> None:
    revived = await registry.collector.undo()
    if as_json:
        print_json({"revived": revived})
    else:
        print(f"brought back: {revived}")
