"""Advisories as OSV records: which versions they are about, and how bad it is.

Source: ossf.github.io/osv-schema 1.6, "affected[].ranges[].events field" and "evaluation".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gati_extensions.kinds.api import Version, parse_version

SEVERITIES = ("low", "medium", "high", "critical")


def affects(record: Mapping[str, Any], version: Version) -> bool:
    """Whether a version is affected."""
    for affected in record.get("affected") or ():
        if str(version) in (affected.get("versions") or ()) or version.tag in (affected.get("versions") or ()):
            return True
        for found in affected.get("ranges") or ():
            if found.get("type") == "SEMVER" and _within(found.get("events") or (), version):
                return True
    return False


def _within(events: Any, version: Version) -> bool:
    """By the events in the order of their versions: the last one that is not after the version decides."""
    marks: list[tuple[str, int, bool]] = []
    for event in events:
        for name, value in event.items():
            parsed = Version(0, 0, 0, ("0",)) if value == "0" else parse_version(str(value))
            if parsed is None:
                continue
            if name == "introduced":
                marks.append((parsed.key, 0, True))
            elif name == "fixed":
                marks.append((parsed.key, 0, False))
            elif name == "last_affected":
                marks.append((parsed.key, 1, False))
    inside = False
    for key, after, state in sorted(marks):
        if key < version.key or (key == version.key and not after):
            inside = state
    return inside


def severity(record: Mapping[str, Any]) -> str:
    """The word that the record's database gives, else unknown."""
    specific = record.get("database_specific")
    word = str(specific.get("severity", "")).lower() if isinstance(specific, Mapping) else ""
    word = {"moderate": "medium"}.get(word, word)
    return word if word in SEVERITIES else "unknown"
