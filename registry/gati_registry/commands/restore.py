"""`gati-registry restore --from PLACE`: a registry out of a backup, into the empty places that the settings name."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gati_registry.commands.context import loaded, print_json
from gati_registry.commands.options import ExitCode
from gati_registry.errors import Unavailable
from gati_registry.settings import Settings, SettingsError

if TYPE_CHECKING:
    from gati_registry.moving.restore import Restored
    from gati_registry.moving.vault import Vault


def run(arguments: argparse.Namespace) -> int:
    """0: all of it is there (or, with `--dry-run`, sound); 1: it is not."""
    settings = loaded(arguments).settings
    moment = None
    if arguments.at is not None:
        try:
            moment = datetime.fromisoformat(arguments.at)
        except ValueError:
            raise SettingsError("--at: expected a time such as 2030-01-31T12:00:00Z") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return asyncio.run(_run(settings, arguments, moment))


async def _run(settings: Settings, arguments: argparse.Namespace, moment: datetime | None) -> int:
    from gati_registry.bootstrap import open_blobs
    from gati_registry.moving.progress import Progress
    from gati_registry.moving.restore import read_all, restore
    from gati_registry.moving.vault import open_vault

    as_json = arguments.output == "json"
    progress = Progress(quiet=as_json)
    vault = await open_vault(
        settings, arguments.source, key_file=arguments.key_file, passphrase_file=arguments.passphrase_file, make=False
    )
    try:
        name = await chosen(vault, arguments.name, moment)
        if arguments.dry_run:
            return report(await read_all(vault, name, progress), "verified", as_json=as_json)
        blobs, _ = open_blobs(settings)
        try:
            await blobs.check()
            return report(await restore(vault, name, settings, blobs, progress), "restored", as_json=as_json)
        finally:
            blobs.close()
    finally:
        vault.close()


async def chosen(vault: Vault, name: str | None, moment: datetime | None) -> str:
    """The backup that is meant.

    Raises:
        Unavailable: there is none such.
    """
    from gati_registry.moving.backup import moment_of

    names = await vault.snapshots()
    fitting = [found for found in names if (name in (None, found)) and (moment is None or moment_of(found) <= moment)]
    if not fitting:
        raise Unavailable("there is no such backup; `gati-registry backup list` shows those there are")
    return fitting[-1]


def report(found: Restored, done: str, *, as_json: bool) -> int:
    """Tell what was done; the exit code."""
    if as_json:
        problems = [{"item": item, "problem": problem} for item, problem in found.problems]
        print_json(
            {
                "name": found.name,
                "taken_at": found.taken_at,
                "blobs": found.blobs,
                "bytes": found.bytes,
                "there": found.there,
                "problems": problems,
            }
        )
    else:
        for item, problem in found.problems:
            print(f"{item}: {problem}")
        there = f", {found.there} were there" if found.there else ""
        print(f"{done} {found.name}: {found.blobs} blobs ({found.bytes} bytes){there}; {len(found.problems)} problems")
    return ExitCode.FAILED if found.problems else ExitCode.DONE
