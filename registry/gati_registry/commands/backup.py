"""`gati-registry backup --to PLACE`: make a backup beside a serving registry; list, verify and prune them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING

from gati_registry.clock import SystemClock
from gati_registry.commands.context import loaded, print_json, print_table
from gati_registry.commands.options import ExitCode
from gati_registry.errors import Unavailable
from gati_registry.metadata.migrate import MigrationError
from gati_registry.settings import Settings, SettingsError

if TYPE_CHECKING:
    from gati_registry.moving.backup import Backups, Keep, Made
    from gati_registry.moving.vault import Vault

PRUNE_EVERY = 3600.0
"""Seconds between two looks at retention while `--follow` runs."""


def run(arguments: argparse.Namespace) -> int:
    """0: all is well; 1: nothing was made, or something is damaged."""
    settings = loaded(arguments).settings
    if arguments.follow is not None and (arguments.action != "make" or arguments.follow <= 0):
        raise SettingsError("--follow: a time in seconds, for `backup make`")
    return asyncio.run(
        _forever(settings, arguments) if arguments.follow else _run(settings, arguments, asyncio.Event())
    )


async def _forever(settings: Settings, arguments: argparse.Namespace) -> int:
    """Until SIGTERM, whatever is not there for a while: registry, place, or the schema of this version."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    while not ended.is_set():
        try:
            return await _run(settings, arguments, ended)
        except (Unavailable, MigrationError) as error:
            print(f"gati-registry: {error}; it is tried again", file=sys.stderr, flush=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), min(arguments.follow, 10))
    return ExitCode.DONE


async def _run(settings: Settings, arguments: argparse.Namespace, ended: asyncio.Event) -> int:
    from gati_registry.moving.vault import open_vault

    vault = await open_vault(
        settings,
        arguments.to,
        key_file=arguments.key_file,
        passphrase_file=arguments.passphrase_file,
        make=arguments.action == "make",
    )
    try:
        if arguments.action == "list":
            return await _list(vault, as_json=arguments.output == "json")
        if arguments.action == "verify":
            return await _verify(vault, arguments)
        return await _make(settings, vault, arguments, ended)
    finally:
        vault.close()


async def _make(settings: Settings, vault: Vault, arguments: argparse.Namespace, ended: asyncio.Event) -> int:
    from gati_registry.bootstrap import open_blobs, open_keyring
    from gati_registry.moving.backup import TURNS, Backups, Keep
    from gati_registry.moving.holding import holding
    from gati_registry.moving.places import serving_database
    from gati_registry.moving.progress import Progress

    keep = Keep(
        arguments.keep_last,
        arguments.keep_hourly,
        arguments.keep_daily,
        arguments.keep_weekly,
        arguments.keep_monthly,
    )
    quiet, clock = arguments.output == "json" or arguments.follow is not None, SystemClock()
    blobs, _ = open_blobs(settings)
    try:
        async with serving_database(settings) as metadata, holding(metadata, clock, TURNS):
            ring = await open_keyring(settings, metadata, clock)
            backups = Backups(settings, metadata, blobs, vault, clock, Progress(quiet=quiet), ring)
            if arguments.follow is not None:
                return await _follow(backups, keep, arguments.follow, ended)
            made = await backups.make() if arguments.action == "make" else None
            gone = await backups.prune(keep)
    finally:
        blobs.close()
    if arguments.output == "json":
        print_json({"made": _told(made) if made else None, "pruned": gone})
    else:
        for line in (*(_lines(made) if made else ()), *(f"pruned {name}" for name in gone)):
            print(line)
    return ExitCode.FAILED if made and made.damaged else ExitCode.DONE


async def _follow(backups: Backups, keep: Keep, every: float, ended: asyncio.Event) -> int:
    """One backup after the other; a line of JSON for each. What fails is tried again."""
    loop = asyncio.get_running_loop()
    pruned = loop.time()
    while not ended.is_set():
        began = loop.time()
        try:
            print(json.dumps(_told(await backups.make())), flush=True)
            if began - pruned >= PRUNE_EVERY:
                pruned = began
                for name in await backups.prune(keep):
                    print(json.dumps({"pruned": name}), flush=True)
        except Unavailable as error:
            print(f"gati-registry: {error.message}; it is tried again", file=sys.stderr, flush=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), max(began + every - loop.time(), 0))
    return ExitCode.DONE


async def _list(vault: Vault, *, as_json: bool) -> int:
    from gati_registry.moving.backup import moment_of
    from gati_registry.moving.snapshots import Snapshot

    rows = []
    for name in await vault.snapshots():
        found = await Snapshot.load(vault, name)
        rows.append(
            {
                "name": name,
                "taken_at": moment_of(name).isoformat(timespec="seconds"),
                "engine": found.engine,
                "blobs": found.blobs,
                "bytes": found.bytes,
                "damaged": len(found.damaged),
            }
        )
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("name", "taken_at", "engine", "blobs", "bytes", "damaged"))
    return ExitCode.DONE


async def _verify(vault: Vault, arguments: argparse.Namespace) -> int:
    from gati_registry.commands.restore import chosen, report
    from gati_registry.moving.progress import Progress
    from gati_registry.moving.restore import read_all

    as_json = arguments.output == "json"
    name = await chosen(vault, arguments.name, None)
    return report(await read_all(vault, name, Progress(quiet=as_json)), "verified", as_json=as_json)


def _told(made: Made) -> dict[str, object]:
    return {
        "name": made.name,
        "taken_at": made.taken_at,
        "blobs": made.blobs,
        "bytes": made.bytes,
        "new_blobs": made.new_blobs,
        "written": made.written,
        "seconds": round(made.seconds, 3),
        "damaged": [{"digest": digest, "problem": problem} for digest, problem in made.damaged],
    }


def _lines(made: Made) -> list[str]:
    return [
        *(f"damaged, not backed up: {digest}: {problem}" for digest, problem in made.damaged),
        f"{made.name}: {made.blobs} blobs ({made.bytes} bytes) beside the database, {made.new_blobs} of them new; "
        f"{made.written} bytes written in {made.seconds:.1f} s",
    ]
