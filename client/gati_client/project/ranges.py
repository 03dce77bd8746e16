"""Semantic versions and npm's ranges, as far as a client has to judge them itself: whether a lock fits what is asked
for, whether a package fits the Gati that is here, which versions an advisory is about. Choosing is the resolver's.

Source: Semantic Versioning 2.0.0; github.com/npm/node-semver, "Ranges".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

MAX_LENGTH = 2048
_FORM = re.compile(
    r"[v=]?(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:[+_][0-9A-Za-z.-]+)?",
    re.ASCII,
)
_PARTIAL = re.compile(
    r"v?(\d{1,18}|[xX*])(?:\.(\d{1,18}|[xX*])(?:\.(\d{1,18}|[xX*])(?:-([0-9A-Za-z.-]+))?(?:[+_][0-9A-Za-z.-]+)?)?)?",
    re.ASCII,
)
_CHANNEL = re.compile(r"(?![vV]\d)[A-Za-z_][A-Za-z0-9._-]{0,127}|sha(256|512):[0-9a-f]+", re.ASCII)
"""A tag that begins as no version does, or a digest."""
_HYPHEN = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")
_TOKEN = re.compile(r"\s*(\^|~>?|>=|<=|>|<|=)?\s*([^\s<>=^~|]+)")


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A version without its build metadata, ordered by precedence."""

    release: tuple[int, int, int]
    prerelease: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """None if it is none."""
        found = _FORM.fullmatch(text.strip()) if len(text) <= MAX_LENGTH else None
        if found is None:
            return None
        return cls((int(found[1]), int(found[2]), int(found[3])), tuple(found[4].split(".")) if found[4] else ())

    def _key(self) -> tuple[tuple[int, int, int], bool, list[tuple[int, int, str]]]:
        words = [(0, int(word), "") if word.isdigit() else (1, 0, word) for word in self.prerelease]
        return self.release, not self.prerelease, words

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def __str__(self) -> str:
        text = ".".join(map(str, self.release))
        return f"{text}-{'.'.join(self.prerelease)}" if self.prerelease else text


Bounds = list[tuple[str, Version]]


def admits(text: str, version: str) -> bool | None:
    """Whether a range holds a version; None where it is no range but a channel or a digest, which only a registry
    can judge, or where the version is none."""
    own = Version.parse(version)
    alternatives = parse(text)
    if own is None or alternatives is None:
        return None
    return any(_within(bounds, own) for bounds in alternatives)


def understood(text: str) -> bool:
    """Whether it is a range, a channel or a digest, and no slip of the pen."""
    return parse(text) is not None or _CHANNEL.fullmatch(text.strip()) is not None


def parse(text: str) -> list[Bounds] | None:
    """Alternatives of bounds that must all hold; None if it is no range."""
    if len(text) > MAX_LENGTH or ":" in text:
        return None
    out = []
    for part in text.split("||"):
        bounds = _alternative(part)
        if bounds is None:
            return None
        out.append(bounds)
    return out


def _holds(sign: str, version: Version, bound: Version) -> bool:
    if version == bound:
        return sign in ("=", "<=", ">=")
    return sign in (("<", "<=") if version < bound else (">", ">="))


def _within(bounds: Bounds, version: Version) -> bool:
    if not all(_holds(sign, version, bound) for sign, bound in bounds):
        return False
    # A prerelease is wanted only by who names one of the same release.
    return not version.prerelease or any(bound.prerelease and bound.release == version.release for _, bound in bounds)


def _alternative(text: str) -> Bounds | None:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen is not None:
        low, high = _comparator(">=", hyphen[1]), _comparator("<=", hyphen[2])
        return None if low is None or high is None else low + high
    found: Bounds = []
    text, position = text.strip(), 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        more = _comparator(token[1] or "", token[2]) if token else None
        if token is None or more is None:
            return None
        found += more
        position = token.end()
    return found or [(">=", Version((0, 0, 0)))]


_LOWEST = ("0",)
"""Of a bound that leaves prereleases out too: `<2.0.0-0`."""


def _comparator(sign: str, text: str) -> Bounds | None:
    found = _PARTIAL.fullmatch(text)
    if found is None:
        return None
    given = [int(part) if part and part not in "xX*" else None for part in found.groups()[:3]]
    major, minor, patch = given
    if major is None:
        return [("<", Version((0, 0, 0), _LOWEST))] if sign in ("<", ">") else [(">=", Version((0, 0, 0)))]
    minor_, patch_ = minor or 0, (patch or 0) if minor is not None else 0
    whole = minor is not None and patch is not None
    low = Version((major, minor_, patch_), tuple(found[4].split(".")) if found[4] and whole else ())
    next_minor = (major + 1, 0, 0) if minor is None else (major, minor_ + 1, 0)
    if sign == "^":
        return [(">=", low), ("<", Version(_caret_end(major, minor, patch), _LOWEST))]
    if sign in ("~", "~>"):
        return [(">=", low), ("<", Version(next_minor, _LOWEST))]
    if whole:
        return [(sign or "=", low)]
    if sign in ("", "="):
        return [(">=", low), ("<", Version(next_minor, _LOWEST))]
    return {
        ">": [(">=", Version(next_minor))], "<=": [("<", Version(next_minor, _LOWEST))],
        "<": [("<", Version(low.release, _LOWEST))], ">=": [(">=", low)],
    }[sign]  # fmt: skip


def _caret_end(major: int, minor: int | None, patch: int | None) -> tuple[int, int, int]:
    """The first release that may break: the leftmost number that is not 0 goes up."""
    if major or minor is None:
        return major + 1, 0, 0
    if minor or patch is None:
        return 0, minor + 1, 0
    return 0, 0, patch + 1
