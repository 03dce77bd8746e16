"""Ranges of versions as spans of keys, which a database compares."""

from __future__ import annotations

from gati_extensions.kinds.api import Range, Version

PRERELEASE = "prerelease"
"""The word of the field `state` of an artifact whose latest version is one."""

_AFTER = "\x01"
"""Behind a key: what sorts directly after it."""

LOWEST, BEYOND = "", "~"
"""Keys begin with a digit."""


def key_of(version: Version) -> str:
    """A version's key without build metadata, which do not count."""
    return Version(version.major, version.minor, version.patch, version.prerelease).key


def spans(found: Range) -> tuple[tuple[str, str], ...]:
    """(low, high): keys from low on and below high, in their order and apart from each other."""
    raw = []
    for alternative in found.alternatives:
        low, high = LOWEST, BEYOND
        for comparator in alternative:
            key = key_of(comparator.version)
            if comparator.operator in (">=", "="):
                low = max(low, key)
            if comparator.operator == ">":
                low = max(low, key + _AFTER)
            if comparator.operator == "<":
                high = min(high, key)
            if comparator.operator in ("<=", "="):
                high = min(high, key + _AFTER)
        if low < high:
            raw.append((low, high))
    joined: list[tuple[str, str]] = []
    for low, high in sorted(raw):
        if joined and low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def wants_prereleases(found: Range) -> bool:
    """Whether a comparator names one (but for the lowest, which bounds)."""
    return any(
        comparator.version.prerelease not in ((), ("0",))
        for alternative in found.alternatives
        for comparator in alternative
    )
