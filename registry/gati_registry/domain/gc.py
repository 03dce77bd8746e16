"""Garbage collection's rules: what is garbage, when, and why.

A blob's life in one repository (its link) and in the store (its bytes):

    linked ──referenced by a manifest here──────────────────────────> kept as long as the manifest is
      │ └──no manifest refers to it: pending since its last use
      │      (upload, duplicate upload, mount, HEAD, deletion of the last manifest that held it)
      │ pending longer than `grace`
    condemned (soft delete: still served; any use or `gc --undo` revives it)
      │ condemned longer than `undo`
    unlinked ──no link in any repository──> claimed: the row goes, the stored name goes to the trash
                                              │ in the trash longer than `readers`
                                            unlinked from the disk

The roots are all manifest rows, tagged or not. A stored name is never used twice, so a late unlink cannot hit bytes
that were pushed again meanwhile. Every step checks its condition again inside its own transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Step = Literal["condemn", "unlink", "claim", "remove", "expire", "stray"]

HOLD = "blobs:hold"
"""The lease under which nobody removes a blob's bytes: whoever copies what a snapshot of the database names has it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Waiting times in milliseconds."""

    grace: int
    undo: int
    readers: int
    uploads: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that a run would act on now, and why."""

    step: Step
    repository: str | None
    subject: str
    size: int
    reason: str


@dataclass(slots=True)
class Report:
    """What a run did: counts of steps, and bytes that left the store."""

    condemned: int = 0
    revived: int = 0
    unlinked: int = 0
    claimed: int = 0
    removed: int = 0
    freed_bytes: int = 0
    expired_uploads: int = 0
    stray_files: int = 0
    empty_repositories: int = 0
