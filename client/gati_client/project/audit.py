"""Advisories against a lock: OSV records, as the registry keeps them for each artifact.

Source: ossf.github.io/osv-schema, "affected[].ranges[].events" and "Evaluation".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gati_client.errors import NotFound
from gati_client.project.lock import Lock
from gati_client.project.ranges import Version

if TYPE_CHECKING:
    from gati_client.client import Client

AT_ONCE = 8
_FIRST = Version((0, 0, 0), ("0",))


@dataclass(frozen=True, slots=True)
class Affected:
    """A locked package that an advisory is about. `fixed` are versions in which it is mended."""

    key: str
    id: str
    severity: str
    summary: str
    fixed: tuple[str, ...]


async def audit(client: Client, lock: Lock) -> list[Affected]:
    """All that is known against what a lock holds, in the lock's order."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(key: str) -> list[Affected]:
        repository, _, version = key.rpartition("@")
        out = []
        async with turn:
            try:
                async for item in client.advisories.list(repository, state="published"):
                    if affects(item.record, version):
                        summary = str(item.record.get("summary", ""))
                        out.append(Affected(key, item.id, item.severity, summary, fixes(item.record)))
            except NotFound:
                pass  # it is gone from the registry, and what was known of it
        return out

    found = await asyncio.gather(*(one(key) for key in sorted(lock.packages)))
    return [affected for several in found for affected in several]


def affects(record: Mapping[str, Any], version: str) -> bool:
    """Whether an advisory is about a version."""
    own = Version.parse(version)
    for entry in record.get("affected", ()):
        if version in entry.get("versions", ()):
            return True
        ranges = [one for one in entry.get("ranges", ()) if one.get("type") in ("SEMVER", "ECOSYSTEM")]
        if own is not None and any(_within(one.get("events", ()), own) for one in ranges):
            return True
    return False


def fixes(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The versions in which it is mended."""
    events = [
        event
        for entry in record.get("affected", ())
        for one in entry.get("ranges", ())
        for event in one.get("events", ())
    ]
    return tuple(dict.fromkeys(event["fixed"] for event in events if event.get("fixed")))


def _within(events: Any, version: Version) -> bool:
    """Events in order of versions: what is introduced lasts until it is fixed, or past the last one affected."""
    points = []
    for event in events:
        for what in ("introduced", "fixed", "last_affected"):
            text = event.get(what)
            at = _FIRST if text == "0" else Version.parse(text or "")
            if at is not None:
                points.append((at, what))
    inside = False
    for at, what in sorted(points):
        if what == "introduced" and not version < at:
            inside = True
        elif (what == "fixed" and not version < at) or (what == "last_affected" and at < version):
            inside = False
    return inside
