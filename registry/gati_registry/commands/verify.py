"""`gati-registry verify`: read everything that is stored; report and set aside what is damaged; delete nothing."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict

from gati_registry.bootstrap import Registry
from gati_registry.commands.context import loaded, print_json, print_table, with_registry
from gati_registry.commands.options import ExitCode
from gati_registry.service.verify import Findings
from gati_registry.settings import SettingsError


def run(arguments: argparse.Namespace) -> int:
    """0: all is well, or was mended; 1: something is damaged."""
    settings = loaded(arguments).settings
    if arguments.repair != bool(arguments.sources):
        raise SettingsError("--repair: goes with --from, the place to take sound bytes from; give both or neither")
    findings = asyncio.run(with_registry(settings, lambda registry: _verify(registry, arguments)))
    rows = [asdict(damage) for damage in findings.damaged]
    if arguments.output == "json":
        print_json(
            {
                "blobs": findings.blobs,
                "manifests": findings.manifests,
                "bytes": findings.bytes,
                "damaged": rows,
            }
        )
    else:
        for row in rows:
            row["repository"] = row["repository"] or "-"
            row["mended"] = "yes" if row["mended"] else "no"
        print_table(rows, ("kind", "digest", "repository", "problem", *(["mended"] if arguments.repair else [])))
        mended = f", {sum(damage.mended for damage in findings.damaged)} of them mended" if arguments.repair else ""
        figures = f"{findings.blobs} blobs, {findings.manifests} manifests, {findings.bytes} bytes"
        print(f"{figures}; {len(rows)} damaged{mended}")
    return ExitCode.DONE if all(damage.mended for damage in findings.damaged) else ExitCode.FAILED


async def _verify(registry: Registry, arguments: argparse.Namespace) -> Findings:
    last = 0

    def progress(findings: Findings) -> None:
        nonlocal last
        # For people who watch; a program reads standard output.
        if sys.stderr.isatty() and findings.bytes - last > 1 << 30:
            last = findings.bytes
            print(f"{findings.bytes >> 30} GiB read, {len(findings.damaged)} damaged", file=sys.stderr)

    if not arguments.repair:
        return await registry.verifier.run(progress)
    from gati_registry.moving.spares import open_spare

    async with AsyncExitStack() as stack:
        spares = [
            await open_spare(
                registry.settings,
                url,
                stack,
                key_file=arguments.key_file,
                passphrase_file=arguments.passphrase_file,
                credentials_file=arguments.credentials_file,
                ring=registry.ring,
            )
            for url in arguments.sources
        ]
        return await registry.verifier.run(progress, spares)
