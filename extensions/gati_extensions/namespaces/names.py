"""Names that could be mistaken for others."""

from __future__ import annotations

from collections.abc import Iterable

_LOOKS = str.maketrans("01i345789", "olleastbg", "-")
"""Characters that look like others."""

SHORT = 4
"""Names up to this many characters are one edit from very many others: only their looks count."""


def resembled(name: str, known: Iterable[str]) -> str | None:
    """The known name that this one could be mistaken for; None also where it is that name."""
    names = list(known)
    if name in names:
        return None
    looks = _looks(name)
    for other in names:
        if _looks(other) == looks:
            return other
        if min(len(name), len(other)) > SHORT and one_edit(name, other):
            return other
    return None


def one_edit(one: str, other: str) -> bool:
    """Whether one character was added, left out, changed, or two neighbours swapped."""
    if abs(len(one) - len(other)) > 1 or one == other:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    left, right = one[start:], other[start:]
    if len(left) == len(right):
        return left[1:] == right[1:] or (left[:2] == right[:2][::-1] and left[2:] == right[2:])
    return left[1:] == right or left == right[1:]


def _looks(name: str) -> str:
    return name.replace("rn", "m").replace("vv", "w").translate(_LOOKS)
