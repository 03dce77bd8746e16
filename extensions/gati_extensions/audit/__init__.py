"""Who did what: every write, every refusal and every administrative act, in an append-only log.

    operation ──projection──▶ audit_inbox ──sequencer──▶ entries, segments │ tiles ──▶ checkpoints
    pull, refusal ──observer──▶ ↑                          rows, erasable   │ hashes, for ever

The log is a Merkle tree (RFC 9162); checkpoints are signed notes (C2SP). See `record` for what an entry is, `segments`
for reads, `persons` for how somebody is forgotten without breaking a proof.
"""

from __future__ import annotations

import argparse
from typing import Any

from gati_extensions.audit.settings import AuditSettings
from gati_registry.extension import Command, Contribution, Extension, Kernel

PERMISSIONS = {
    "audit.read": "Read and export the whole audit log.",
    "audit.read-namespace": "Read the entries of a namespace; addresses and user agents are left out.",
    "audit.check": "Get checkpoints, keys and consistency proofs, which tell of nobody.",
    "audit.persons": "Export or erase what the log holds of a person.",
}


def _contribute(kernel: Kernel, settings: Any) -> Contribution:
    from gati_extensions.audit.assembly import contribution

    return contribution(kernel, settings)


async def _run(kernel: Kernel, arguments: argparse.Namespace) -> int:
    from gati_extensions.audit.verify import command

    return await command(kernel, arguments)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["verify"], help="recompute the whole log and compare")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="a checkpoint that was kept elsewhere: the log must agree with it"
    )


extension = Extension(
    name="audit",
    summary="Append-only log of who did what, with proofs",
    contribute=_contribute,
    settings=AuditSettings,
    permissions=PERMISSIONS,
    requires=("identity",),
    migrations="gati_extensions.audit.migrations",
    commands=(Command("audit", "verify the audit log", _run, _arguments),),
)
