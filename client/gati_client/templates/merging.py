"""Three-way merge of lines, as diff3 does it.

    base    what the old template gave
    ours    what the user made of it
    theirs  what the new template gives

Where only one side changed a stretch of the base, its version is taken; where both did the same, that; where they
differ, both stand between the marks that git and editors know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

OURS, MIDDLE, THEIRS = "<<<<<<<", "=======", ">>>>>>>"


@dataclass(frozen=True, slots=True)
class Merged:
    """The text, and how many conflicts are marked in it."""

    text: str
    conflicts: int


def merge(base: str, ours: str, theirs: str, *, ours_name: str = "yours", theirs_name: str = "template") -> Merged:
    """Merge what the template changed into what the user has."""
    b, o, t = (text.splitlines(keepends=True) for text in (base, ours, theirs))
    newline = "\r\n" if any(line.endswith("\r\n") for line in o) else "\n"
    lines: list[str] = []
    conflicts = 0
    for part in _parts(b, o, t):
        if isinstance(part, list):
            lines += part
            continue
        mine, other = part
        conflicts += 1
        lines += [f"{OURS} {ours_name}{newline}", *_ended(mine, newline), f"{MIDDLE}{newline}"]
        lines += [*_ended(other, newline), f"{THEIRS} {theirs_name}{newline}"]
    return Merged("".join(lines), conflicts)


def _ended(lines: Sequence[str], newline: str) -> list[str]:
    """A file's last line may lack its end; a mark must stand on a line of its own."""
    return [line if line.endswith(("\n", "\r")) else line + newline for line in lines]


def _parts(base: list[str], ours: list[str], theirs: list[str]) -> Iterator[list[str] | tuple[list[str], list[str]]]:
    """Stretches that are decided, and (ours, theirs) where they are not."""
    mine, other = _changes(base, ours), _changes(base, theirs)
    at = 0  # in the base; all before it is told
    while mine or other:
        first = mine[0] if mine and (not other or mine[0][:2] <= other[0][:2]) else other[0]
        start, end = first[0], first[1]
        taken: tuple[list[_Change], list[_Change]] = ([], [])
        grown = True
        while grown:  # all changes of either side that touch the stretch, which they may make longer
            grown = False
            for changes, found in zip((mine, other), taken, strict=True):
                while changes and _touches(changes[0], start, end):
                    change = changes.pop(0)
                    found.append(change)
                    end = max(end, change[1])
                    grown = True
        yield base[at:start]
        a, b = (_applied(base, start, end, found) for found in taken)
        if not taken[1] or a == b:
            yield a
        elif not taken[0]:
            yield b
        else:
            yield a, b
        at = end
    yield base[at:]


_Change = tuple[int, int, list[str]]
"""base[start:end] is replaced by the lines."""


def _changes(base: list[str], changed: list[str]) -> list[_Change]:
    matcher = SequenceMatcher(None, base, changed, autojunk=False)
    return [(i, j, changed[k:m]) for what, i, j, k, m in matcher.get_opcodes() if what != "equal"]


def _touches(change: _Change, start: int, end: int) -> bool:
    """Neighbours touch too: of two changes side by side nobody knows whether they go together."""
    return change[0] <= end and change[1] >= start


def _applied(base: list[str], start: int, end: int, changes: Sequence[_Change]) -> list[str]:
    lines: list[str] = []
    at = start
    for first, last, replaced in changes:
        lines += base[at:first] + replaced
        at = last
    return lines + base[at:end]
