"""Releases that fit together without a search: first choices, followed until nothing changes.

Nearly all graphs come to an end so, and each artifact is looked at a few times; resolvelib looks at all that is chosen
in each of its rounds.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Protocol

from gati_extensions.kinds.api import Release
from gati_extensions.resolve.problem import ROOT, Want

MAX_VISITS = 20
"""Times that an artifact is looked at on average before this gives up."""


class Choices(Protocol):
    """What there is to choose from, as resolvelib asks for it too."""

    def roots(self) -> list[Want]:
        """What is asked for."""

    def candidates(self, name: str, wants: Sequence[Want]) -> list[Release]:
        """Releases that suit all of these wants, the first choice first."""

    def is_satisfied_by(self, requirement: Want, candidate: Release) -> bool:
        """Whether a release suits a want."""

    def get_dependencies(self, candidate: Release) -> Iterable[Want]:
        """What a release wants."""


class Settling:
    """One attempt."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._wants: dict[str, dict[str, list[Want]]] = defaultdict(dict)  # by name, then by the name of who wants it
        self._chosen: dict[str, Release] = {}
        self._passed: dict[str, set[str]] = defaultdict(set)  # tags that gave way
        self._waiting: deque[str] = deque()

    def settle(self) -> dict[str, Release] | None:
        """The answer: each release suits all who want it, and none but wanted ones are there.

        Where nothing suits all, those give way that have another release which would not be in the way. None where
        there are none such, or it does not end.
        """
        for want in self._choices.roots():
            self._wants[want.name].setdefault(ROOT, []).append(want)
            self._waiting.append(want.name)
        visits = 0
        while self._waiting:
            name, visits = self._waiting.popleft(), visits + 1
            if visits > MAX_VISITS * (len(self._wants) + 1):
                return None
            wanted = self._wants[name]
            after = next(self._suiting(name), None) if wanted else None
            if wanted and after is None:
                giving = self._in_the_way(name)
                if not giving:
                    return None
                for parent in giving:
                    self._passed[parent].add(self._chosen[parent].tag)
                self._waiting.extendleft((name, *giving))
            else:
                self._choose(name, after)
        return self._chosen if self._reached() == self._chosen.keys() else None

    def _choose(self, name: str, release: Release | None) -> None:
        before = self._chosen.pop(name, None)
        if release is not None:
            self._chosen[name] = release
        if release is before:
            return
        for want in self._choices.get_dependencies(before) if before is not None else ():
            self._wants[want.name].pop(name, None)
            self._waiting.append(want.name)
        for want in self._choices.get_dependencies(release) if release is not None else ():
            self._wants[want.name].setdefault(name, []).append(want)
            self._waiting.append(want.name)

    def _suiting(self, name: str) -> Iterator[Release]:
        """What suits all who want it now."""
        found = self._choices.candidates(name, list(chain.from_iterable(self._wants[name].values())))
        return (release for release in found if release.tag not in self._passed[name])

    def _in_the_way(self, name: str) -> list[str] | None:
        """Of those who want it, the fewest that could give way to one release; None if none could."""
        least: list[str] | None = None
        for release in self._choices.candidates(name, ()):
            if release.tag in self._passed[name]:
                continue
            against = [
                parent
                for parent, own in self._wants[name].items()
                if not all(self._choices.is_satisfied_by(want, release) for want in own)
            ]
            if least is not None and len(against) >= len(least):
                continue
            if all(self._gives_way(parent, release) for parent in against):
                least = against
        return least

    def _gives_way(self, parent: str, release: Release) -> bool:
        """Whether another release of an artifact would let this one be chosen."""
        return parent != ROOT and any(
            all(
                self._choices.is_satisfied_by(want, release)
                for want in self._choices.get_dependencies(other)
                if want.name == release.repository
            )
            for other in self._suiting(parent)
            if other is not self._chosen[parent]
        )

    def _reached(self) -> set[str]:
        """What is wanted, from the requests on: artifacts that only want each other are not."""
        reached, left = set[str](), [want.name for want in self._choices.roots()]
        while left:
            name = left.pop()
            if name not in reached:
                reached.add(name)
                left += [want.name for want in self._choices.get_dependencies(self._chosen[name])]
        return reached
