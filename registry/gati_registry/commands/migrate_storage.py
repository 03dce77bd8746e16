"""`gati-registry migrate-storage --to URL…`: the same registry with another database, another blob store, or both.

The source stays as it is, but for a lease while blobs are copied. Blobs may be copied while the registry serves;
tables only while nobody writes. So a big registry is moved by calling this twice: once while it serves, for nearly all
of the time, and once more after it was stopped.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from gati_registry.clock import SystemClock
from gati_registry.commands.context import loaded, print_json
from gati_registry.commands.options import ExitCode
from gati_registry.settings import Settings, SettingsError


def run(arguments: argparse.Namespace) -> int:
    """0: moved; 1: not all of it, for the reason that is told."""
    from gati_registry.moving.places import elsewhere

    settings = loaded(arguments).settings
    target = elsewhere(settings, arguments.to)
    as_json = arguments.output == "json"
    report = asyncio.run(_move(settings, target, quiet=as_json))
    if as_json:
        print_json(report)
    else:
        for line in _lines(report):
            print(line)
    return ExitCode.DONE if report["moved"] else ExitCode.FAILED


async def _move(settings: Settings, target: Settings, *, quiet: bool) -> dict[str, Any]:
    from gati_registry.bootstrap import open_blobs, open_keyring
    from gati_registry.domain.gc import HOLD
    from gati_registry.moving.blobs import copy_blobs
    from gati_registry.moving.database import copy_tables
    from gati_registry.moving.holding import holding
    from gati_registry.moving.places import in_use, reader, serving_database, steps, writer
    from gati_registry.moving.progress import Progress

    progress = Progress(quiet=quiet)
    report: dict[str, Any] = {"moved": True, "next": {}}
    user = await in_use(settings)
    if target.blobs_url != settings.blobs_url:
        _different(settings, target)
        source, _ = open_blobs(settings)
        into, _ = open_blobs(target)
        try:
            await into.check()
            async with serving_database(settings) as metadata, holding(metadata, SystemClock(), HOLD):
                ring = await open_keyring(settings, metadata, SystemClock())
                copied = await copy_blobs(metadata, source, into, progress, ring)
        finally:
            into.close()
            source.close()
        report["blobs"] = {"copied": copied.blobs, "bytes": copied.bytes, "there": copied.there}
        report["damaged"] = [{"digest": digest, "problem": problem} for digest, problem in copied.damaged]
        report["moved"] = not copied.damaged
        report["next"]["GATI_BLOBS_URL"] = target.blobs_url
    user = user or await in_use(settings)
    if user is not None:
        return report | {"moved": False, "serving": user}
    if report["moved"] and target.metadata_url != settings.metadata_url:
        rows = await reader(settings, still=True)
        try:
            made = await writer(target)
            try:
                moved = await copy_tables(
                    rows, made, steps("postgresql" if target.shared_metadata else "sqlite"), progress
                )
            finally:
                await made.close()
        finally:
            await rows.close()
        report["database"] = {"tables": moved.tables, "rows": moved.rows}
        report["next"]["GATI_METADATA_URL"] = "as given by --to"  # which may hold a password
    return report


def _different(settings: Settings, target: Settings) -> None:
    same = settings.bucket == target.bucket if target.bucket else settings.blobs_path == target.blobs_path
    if same and (settings.bucket is None) == (target.bucket is None):
        raise SettingsError("--to: the blobs are there already")


def _lines(report: dict[str, Any]) -> list[str]:
    lines = []
    if blobs := report.get("blobs"):
        lines.append(f"{blobs['copied']} blobs copied ({blobs['bytes']} bytes), {blobs['there']} were there")
    lines += [f"damaged, not copied: {found['digest']}: {found['problem']}" for found in report.get("damaged", [])]
    if database := report.get("database"):
        lines.append(f"{database['rows']} rows of {database['tables']} tables copied and compared")
    if report.get("damaged"):
        lines.append("mend them first (gati-registry verify --repair), then call this again")
    elif serving := report.get("serving"):
        lines.append(f"not finished, for a registry serves ({serving}): stop it and call this again")
    else:
        settings = " and ".join(f"{name} ({value})" for name, value in report["next"].items())
        lines.append(f"moved; start the registry with {settings}. The source is unchanged.")
    return lines
