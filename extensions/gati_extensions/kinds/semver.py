"""Versions as tags write them: a tag cannot hold `+`, so build metadata follows `_`.

Source: Semantic Versioning 2.0.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"(?:0|[1-9][0-9]{0,17})"
_WORD = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_FORM = re.compile(
    rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_WORD}(?:\.{_WORD})*))?(?:[+_]([0-9A-Za-z-]+(?:[.][0-9A-Za-z-]+)*))?"
)
MAX_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Version:
    """A version. Its order is that of `key`, bytewise; build metadata come last, so that each version has one place."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()
    build: str = ""

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        if self.prerelease:
            text += "-" + ".".join(self.prerelease)
        return f"{text}+{self.build}" if self.build else text

    @property
    def tag(self) -> str:
        """As a tag."""
        return str(self).replace("+", "_")

    @property
    def key(self) -> str:
        """A text whose bytewise order is the precedence of versions.

        Numbers are preceded by their length. A release sorts after its prereleases (`~` after everything else), a
        numeric identifier before an alphanumeric one (`0` before `1`), and fewer identifiers before more (a space).
        """
        numbers = "".join(_sortable(number) for number in (self.major, self.minor, self.patch))
        if not self.prerelease:
            return f"{numbers}~ {self.build}"
        words = [f"0{_sortable(int(word))}" if word.isdigit() else f"1{word}" for word in self.prerelease]
        return f"{numbers}-{'!'.join(words)}  {self.build}"


def parse(text: str) -> Version | None:
    """The version that a tag or a text names; None if it is none."""
    found = _FORM.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None:
        return None
    major, minor, patch, prerelease, build = found.groups()
    return Version(int(major), int(minor), int(patch), tuple(prerelease.split(".")) if prerelease else (), build or "")


def _sortable(number: int) -> str:
    digits = str(number)
    return f"{len(digits):02d}{digits}."
