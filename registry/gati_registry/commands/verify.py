"""`gati-registry verify`: read everything that is stored; report and set aside what is damaged; delete nothing."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict

from gati_registry.bootstrap import Registry
from gati_registry.commands.context import loaded, print_json, print_table, with_registry
from gati_registry.commands.options import ExitCode
from gati_registry.service.verify import Findings


def run(arguments: argparse.Namespace) -> int:
    """0: all is well; 1: something is damaged."""
    settings = loaded(arguments).settings
    findings = asyncio.run(with_registry(settings, _verify))
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
        print_table(rows, ("kind", "digest", "repository", "problem"))
        print(f"{findings.blobs} blobs, {findings.manifests} manifests, {findings.bytes} bytes; {len(rows)} damaged")
    return ExitCode.FAILED if rows else ExitCode.DONE


async def _verify(registry: Registry) -> Findings:
    last = 0

    def progress(findings: Findings) -> None:
        nonlocal last
        # For people who watch; a program reads standard output.
        if sys.stderr.isatty() and findings.bytes - last > 1 << 30:
            last = findings.bytes
            print(f"{findings.bytes >> 30} GiB read, {len(findings.damaged)} damaged", file=sys.stderr)

    return await registry.verifier.run(progress)
