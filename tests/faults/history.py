"""What clients were told of a tag, and whether one registry could have told it.

A tag here has one writer, which moves it to 1, 2, 3, … one after the other, whatever comes of each; readers look at the
same time. Such a register is linearizable if, and only if, every look finds

- nothing older than the newest move that was acknowledged, and the newest look that had ended, before it began;
- nothing newer than the newest move that was begun before it ended.

A move that was answered by 503, or not at all, may have happened or not.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Move:
    """The writer's request to move the tag to `value`; times by one clock that never jumps."""

    value: int
    began: float
    ended: float
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class Look:
    """An answer to a reader; 0 where there was no such tag."""

    value: int
    began: float
    ended: float


@dataclass(slots=True)
class Register:
    """One tag's history. Added to by many threads, checked when they have ended."""

    name: str
    moves: list[Move] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, entry: Move | Look) -> None:
        """Remember an answer."""
        with self._lock:
            if isinstance(entry, Move):
                self.moves.append(entry)
            else:
                self.looks.append(entry)

    @property
    def acknowledged(self) -> int:
        """The newest move that was."""
        return max((move.value for move in self.moves if move.acknowledged), default=0)

    def problems(self) -> list[str]:
        """Looks that no one registry could have answered so."""
        known = _Rising(
            [(move.ended, move.value) for move in self.moves if move.acknowledged]
            + [(look.ended, look.value) for look in self.looks]
        )
        begun = _Rising((move.began, move.value) for move in self.moves)
        found = []
        for look in self.looks:
            if look.value < (least := known.before(look.began)):
                found.append(f"{self.name}: read {look.value} where {least} was known: {look}")
            if look.value > (most := begun.until(look.ended)):
                found.append(f"{self.name}: read {look.value} where nobody had written beyond {most}: {look}")
        return found


class _Rising:
    """The highest value at each moment of some that come one after the other."""

    def __init__(self, entries: Iterable[tuple[float, int]]) -> None:
        ordered = sorted(entries)
        self._times = [time for time, _ in ordered]
        self._highest = [0, *accumulate((value for _, value in ordered), max)]

    def before(self, moment: float) -> int:
        return self._highest[bisect_left(self._times, moment)]

    def until(self, moment: float) -> int:
        return self._highest[bisect_right(self._times, moment)]
