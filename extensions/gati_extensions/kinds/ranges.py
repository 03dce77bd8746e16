"""Ranges of versions as npm writes them: exact, `^1.2`, `~1.2`, `1.x`, `>=1 <2`, `1.0 - 2.0`, `||`; also digests and
channels, which name one release.

A prerelease is in a range only where a comparator of the same alternative names a prerelease of the same
major.minor.patch: who asks for `^1.0.0` does not get `2.0.0-alpha`, nor `1.1.0-alpha`.

Source: github.com/npm/node-semver, "Ranges" and "Prerelease Tags".
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from gati_extensions.kinds.semver import Version
from gati_extensions.kinds.semver import parse as parse_version
from gati_registry.values.digest import Digest
from gati_registry.values.reference import Tag

MAX_LENGTH = 2048
MAX_ALTERNATIVES = 64
MAX_COMPARATORS = 64
"""Of one alternative."""


_HOLDS: Mapping[str, Callable[[str, str], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}


class BadRange(ValueError):
    """The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Comparator:
    """A bound: `operator` is <, <=, >, >= or =."""

    operator: str
    version: Version

    def admits(self, key: str) -> bool:
        """Whether a version of this key (without build metadata) is within the bound."""
        return _HOLDS[self.operator](key, _key(self.version))

    def __str__(self) -> str:
        return f"{'' if self.operator == '=' else self.operator}{self.version}"


@dataclass(frozen=True, slots=True)
class Range:
    """What is asked for: alternatives of comparators that must all hold; or one release, by digest or channel."""

    text: str
    alternatives: tuple[tuple[Comparator, ...], ...] = ()
    digest: str = ""
    channel: str = ""

    def __hash__(self) -> int:
        return hash(self.text)  # the rest is made of it; resolutions look ranges up very often

    def admits(self, version: Version) -> bool:
        """Whether a version is in the range. Build metadata do not count."""
        key = _key(version)
        return any(
            all(comparator.admits(key) for comparator in alternative) and _prerelease_wanted(alternative, version)
            for alternative in self.alternatives
        )

    def __str__(self) -> str:
        return self.text


def _prerelease_wanted(alternative: tuple[Comparator, ...], version: Version) -> bool:
    if not version.prerelease:
        return True
    release = (version.major, version.minor, version.patch)
    return any(
        comparator.version.prerelease
        and (comparator.version.major, comparator.version.minor, comparator.version.patch) == release
        for comparator in alternative
    )


@lru_cache(maxsize=16384)
def _key(version: Version) -> str:
    return Version(version.major, version.minor, version.patch, version.prerelease).key


_PARTIAL = re.compile(
    r"v?(?P<major>[0-9]{1,18}|[xX*])(?:\.(?P<minor>[0-9]{1,18}|[xX*])(?:\.(?P<patch>[0-9]{1,18}|[xX*])"
    r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:[+_][0-9A-Za-z.-]+)?)?)?"
)
_HYPHEN = re.compile(r"\s*(\S+)\s+-\s+(\S+)\s*")
_TOKEN = re.compile(r"(\^|~>?|>=|<=|>|<|=)?\s*([^\s<>=^~|]+)")


@lru_cache(maxsize=16384)  # the same few ranges come again and again
def parse(text: str) -> Range:
    """A range as somebody wrote it.

    Raises:
        BadRange: it is none, or too long.
    """
    if len(text) > MAX_LENGTH:
        raise BadRange(f"a range has at most {MAX_LENGTH} characters")
    stripped = text.strip()
    if ":" in stripped:
        return Range(stripped, digest=_digest(stripped))
    parts = stripped.split("||")
    if len(parts) > MAX_ALTERNATIVES:
        raise BadRange(f"a range has at most {MAX_ALTERNATIVES} alternatives")
    if len(parts) == 1 and _is_channel(stripped):
        return Range(stripped, channel=stripped)
    return Range(stripped or "*", tuple(_alternative(part) for part in parts))


def _digest(text: str) -> str:
    try:
        return Digest.parse(text)
    except Exception:
        raise BadRange(f"{text[:80]!r} is neither a range nor a digest") from None


def _is_channel(text: str) -> bool:
    """A word that begins no version: `latest`, `stable`."""
    if not text or text[0].isdigit() or text in ("*", "x", "X") or (not text[0].isalpha() and text[0] != "_"):
        return False
    if text[0] in "vV" and text[1:2].isdigit():
        return False
    try:
        Tag.parse(text)
    except Exception:
        raise BadRange(f"{text[:80]!r} is neither a range nor a channel") from None
    return True


def _alternative(text: str) -> tuple[Comparator, ...]:
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen is not None:
        return (*_at_least(hyphen[1]), *_at_most(hyphen[2]))
    found: list[Comparator] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        token = _TOKEN.match(text, position)
        if token is None:
            raise BadRange(f"{text.strip()[:80]!r} is no range at character {position + 1}")
        found += _comparators(token[1] or "", token[2])
        if len(found) > MAX_COMPARATORS:
            raise BadRange(f"an alternative has at most {MAX_COMPARATORS} comparators")
        position = token.end()
    return tuple(found) or (Comparator(">=", Version(0, 0, 0)),)


def _partial(text: str) -> tuple[int | None, int | None, int | None, tuple[str, ...]]:
    """Major, minor, patch as far as they are given, and the prerelease."""
    found = _PARTIAL.fullmatch(text)
    if found is None:
        raise BadRange(f"{text[:80]!r} is no version; write one like 1.2.3, 1.2 or 1.x")
    numbers = [
        None if found[name] in (None, "x", "X", "*") else int(found[name]) for name in ("major", "minor", "patch")
    ]
    major, minor, patch = numbers
    if major is None:
        minor = None
    if minor is None:
        patch = None
    prerelease = tuple(found["pre"].split(".")) if found["pre"] and patch is not None else ()
    if any(word.isdigit() and len(word) > 1 and word[0] == "0" for word in prerelease):
        raise BadRange(f"{text[:80]!r} is no version: a number of its prerelease begins with 0")
    return major, minor, patch, prerelease


_LOWEST = ("0",)
"""Of a bound that excludes prereleases too: `<2.0.0-0`."""


def _comparators(operator: str, text: str) -> tuple[Comparator, ...]:
    major, minor, patch, prerelease = _partial(text)
    if major is None:
        if operator in ("<", ">"):
            return (Comparator("<", Version(0, 0, 0, _LOWEST)),)  # nothing
        return (Comparator(">=", Version(0, 0, 0)),)
    low = Version(major, minor or 0, patch or 0, prerelease)
    if operator == "^":
        return (Comparator(">=", low), Comparator("<", _caret_end(major, minor, patch)))
    if operator in ("~", "~>"):
        end = Version(major + 1, 0, 0, _LOWEST) if minor is None else Version(major, minor + 1, 0, _LOWEST)
        return (Comparator(">=", low), Comparator("<", end))
    whole = patch is not None
    after = Version(major + 1, 0, 0) if minor is None else Version(major, minor + 1, 0)
    end = Version(after.major, after.minor, 0, _LOWEST)
    if operator in ("", "="):
        return (Comparator("=", low),) if whole else (Comparator(">=", low), Comparator("<", end))
    if operator == ">":
        return (Comparator(">", low),) if whole else (Comparator(">=", after),)
    if operator == "<=":
        return (Comparator("<=", low),) if whole else (Comparator("<", end),)
    if operator == "<":
        return (Comparator("<", low if whole else Version(low.major, low.minor, 0, _LOWEST)),)
    return (Comparator(">=", low),)


def _caret_end(major: int, minor: int | None, patch: int | None) -> Version:
    """The first version that may break: the leftmost number that is not 0 goes up."""
    if major or minor is None:
        return Version(major + 1, 0, 0, _LOWEST)
    if minor or patch is None:
        return Version(0, minor + 1, 0, _LOWEST)
    return Version(0, 0, patch + 1, _LOWEST)


def _at_least(text: str) -> tuple[Comparator, ...]:
    return _comparators(">=", text)


def _at_most(text: str) -> tuple[Comparator, ...]:
    return _comparators("<=", text)


def exact(text: str) -> Version | None:
    """The version, where a range is one alone."""
    return parse_version(text.strip().removeprefix("="))
