"""Choosing one release of each artifact: by first choices where they fit together, else by resolvelib, backtracking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver

from gati_extensions.kinds.api import Release
from gati_extensions.resolve.explaining import circle, explain, too_deep
from gati_extensions.resolve.problem import ROOT, Problem, Solution, Want, label
from gati_extensions.resolve.ranges import Range
from gati_extensions.resolve.settling import Settling

MAX_TRIES = 20
"""Better releases of requests that are tried once there is an answer."""

MAX_DROPPED = 20
"""Optional dependencies that are given up one after the other."""


def solve(problem: Problem) -> Solution:
    """The best releases by the strategy, or why there are none. What is optional and stands in the way is left out."""
    tables = _Tables(problem)
    left_out: list[str] = []
    dropped: set[tuple[str, str]] = set()
    while True:
        provider = _Provider(problem, tables, dropped)
        try:
            packages = Settling(provider).settle()
            if packages is None:
                result = Resolver(provider, _Silent()).resolve(provider.roots(), max_rounds=problem.max_steps)
                packages = dict(result.mapping)
        except ResolutionTooDeep:
            return Solution({}, (too_deep(problem.max_steps),))
        except ResolutionImpossible as error:
            causes = [cause.requirement for cause in error.causes]
            optional = next(
                (want for want in provider.optional(causes) if (want.parent, want.name) not in dropped), None
            )
            if optional is None or len(dropped) >= MAX_DROPPED:
                return Solution({}, (explain(problem, causes, provider.paths(causes)),))
            dropped.add((optional.parent, optional.name))
            left_out.append(f"{optional.name} ({optional.range}), optional for {optional.parent or 'the request'}")
            continue
        found = circle(problem, packages, dropped)
        if found is not None:
            return Solution({}, (found,))
        packages = _improved(problem, tables, dropped, packages)
        return Solution(dict(sorted(packages.items())), left_out=tuple(left_out))


def _improved(
    problem: Problem, tables: _Tables, dropped: set[tuple[str, str]], packages: dict[str, Release]
) -> dict[str, Release]:
    """The same with the best release of each request that there is room for, the first request first.

    resolvelib may have given one up for the sake of something that was brought along: it moves what was chosen where
    another choice is left, and only goes back where none is.
    """
    fixed: dict[str, str] = {}
    tries = 0
    for name in dict.fromkeys(want.name for want in problem.wants if want.name in packages):
        own = [want for want in problem.wants if want.name == name]
        for release in _Provider(problem, tables, dropped).candidates(name, own):
            if release.tag == packages[name].tag or tries >= MAX_TRIES:
                break
            tries += 1
            provider = _Provider(problem, tables, dropped, {**fixed, name: release.tag})
            try:
                found = Resolver(provider, _Silent()).resolve(
                    provider.roots(), max_rounds=max(100, problem.max_steps // MAX_TRIES)
                )
            except (ResolutionImpossible, ResolutionTooDeep):
                continue
            if circle(problem, found.mapping, dropped) is None:
                packages = dict(found.mapping)
                break
        fixed[name] = packages[name].tag
    return packages


class _Silent(BaseReporter[Want, Release, str]):
    """Says nothing."""


class _Tables:
    """What follows from a problem alone, found once: resolvelib asks for the same again and again."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._ordered: dict[str, list[Release]] = {}
        self._suiting: dict[tuple[str, str], frozenset[str]] = {}
        self._wants: dict[str, list[Want]] = {}
        self._exact: dict[str, bool] = {}

    def ordered(self, name: str) -> list[Release]:
        """All releases, the strategy's first choice first."""
        found = self._ordered.get(name)
        if found is None:
            available = self._problem.available.get(name)
            found = self._ordered[name] = self._sorted(name, list(available.releases) if available is not None else [])
        return found

    def suiting(self, want: Want) -> frozenset[str]:
        """Tags of the releases that a want admits."""
        key = (want.name, want.range.text)
        found = self._suiting.get(key)
        if found is None:
            tags = (release.tag for release in self.ordered(want.name) if self._fits(want, release))
            found = self._suiting[key] = frozenset(tags)
        return found

    def exact(self, range_: Range) -> bool:
        """Whether it leaves one release alone."""
        found = self._exact.get(range_.text)
        if found is None:
            found = self._exact[range_.text] = bool(range_.digest or range_.channel or _is_exact(range_))
        return found

    def wants(self, release: Release) -> list[Want]:
        """What a release wants, overridden where that is asked for."""
        name = label(release)
        found = self._wants.get(name)
        if found is None:
            found = self._wants[name] = [self.override(want) for want in self._problem.wanted.get(name, ())]
        return found

    def override(self, want: Want) -> Want:
        """The want, or what is to hold instead."""
        other = self._problem.overrides.get(want.name)
        return replace(want, range=other) if other is not None else want

    def _fits(self, want: Want, release: Release) -> bool:
        locked = self._problem.locked.get(want.name)
        held = locked is not None and locked.digest == release.digest
        if label(release) in self._problem.refused:
            return False
        # What is yanked is for those who hold it in a lock, or name its digest.
        if release.state == "yanked" and not held and want.range.digest != release.digest:
            return False
        if want.range.digest:
            return release.digest == want.range.digest
        if want.range.channel:
            return self._problem.available[want.name].channels.get(want.range.channel) == release.digest
        return want.range.admits(release.version)

    def _sorted(self, name: str, found: list[Release]) -> list[Release]:
        """In the order of the strategy; deprecated ones behind all others."""
        strategy = self._problem.strategy
        if strategy == "newest":
            found.sort(key=lambda release: (release.time, release.version.key), reverse=True)
        elif strategy == "lowest":
            found.sort(key=lambda release: release.version.key)
        else:
            found.sort(key=lambda release: release.version.key, reverse=True)
            found.sort(key=lambda release: bool(release.version.prerelease))
        if strategy == "most-downloaded":  # of as many, the highest
            found.sort(key=lambda release: -self._problem.popularity.get(label(release), 0))
        found.sort(key=lambda release: release.state in ("deprecated", "archived"))
        locked = self._problem.locked.get(name)
        if locked is not None and strategy == "locked-first":
            found.sort(key=lambda release: release.digest != locked.digest)
        return found


class _Provider(AbstractProvider[Want, Release, str]):
    """`fixed` are tags that some names must have."""

    def __init__(
        self, problem: Problem, tables: _Tables, dropped: set[tuple[str, str]], fixed: Mapping[str, str] | None = None
    ) -> None:
        self._problem = problem
        self._tables = tables
        self._dropped = dropped
        self._fixed = fixed or {}
        self._seen: dict[str, set[Want]] = {}

    def roots(self) -> list[Want]:
        return [self._tables.override(want) for want in self._problem.wants if self._kept(want)]

    def _kept(self, want: Want) -> bool:
        return (want.parent, want.name) not in self._dropped

    # --- resolvelib ---------------------------------------------------------------------------------------------

    def identify(self, requirement_or_candidate: Want | Release) -> str:
        found = requirement_or_candidate
        return found.name if isinstance(found, Want) else found.repository

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Release],
        candidates: Mapping[str, Iterator[Release]],
        information: Mapping[str, Iterator[Any]],
        backtrack_causes: Sequence[Any],
    ) -> Any:
        """What leaves no choice, then what is asked for: nothing that it brings along may cost a request its best. Then
        what stands in the way, then what leaves the least choice.
        """
        causes = any(
            cause.requirement.name == identifier or (cause.parent and cause.parent.repository == identifier)
            for cause in backtrack_causes
        )
        exact = asked = False
        for info in information[identifier]:  # of every name that is open, in every round: no more than needed
            asked = asked or info.requirement.parent == ROOT
            exact = exact or self._tables.exact(info.requirement.range)
        return (not exact, not asked, not causes, len(self._tables.ordered(identifier)), identifier)

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Want]],
        incompatibilities: Mapping[str, Iterator[Release]],
    ) -> Iterable[Release]:
        wants = list(requirements[identifier])
        self._seen.setdefault(identifier, set()).update(wants)
        bad = {release.tag for release in incompatibilities[identifier]}
        return [release for release in self.candidates(identifier, wants) if release.tag not in bad]

    def candidates(self, name: str, wants: Sequence[Want]) -> list[Release]:
        """Releases that suit all of these wants, the strategy's first choice first."""
        only = self._fixed.get(name)
        suiting = [self._tables.suiting(self._tables.override(want)) for want in wants]
        return [
            release
            for release in self._tables.ordered(name)
            if only in (None, release.tag) and all(release.tag in tags for tags in suiting)
        ]

    def is_satisfied_by(self, requirement: Want, candidate: Release) -> bool:
        return candidate.tag in self._tables.suiting(requirement)

    def get_dependencies(self, candidate: Release) -> Iterable[Want]:
        return [want for want in self._tables.wants(candidate) if self._kept(want)]

    # --- for explanations ---------------------------------------------------------------------------------------

    def optional(self, causes: Sequence[Want]) -> Iterator[Want]:
        """Optional wants that lead to what conflicts: they themselves, or what they brought in."""
        seen: set[str] = set()
        waiting = list(causes)
        while waiting:
            want = waiting.pop(0)
            if want.optional:
                yield want
            parent = want.parent.rpartition("@")[0]
            if parent and parent not in seen:
                seen.add(parent)
                waiting += sorted(self._seen.get(parent, ()), key=lambda one: (one.parent, str(one.range)))

    def paths(self, causes: Sequence[Want]) -> dict[str, list[str]]:
        """How each parent of a cause came to be wanted: from the request down."""
        out: dict[str, list[str]] = {}
        for cause in causes:
            path, seen = [cause.parent], {cause.parent}
            while path[0] != ROOT:
                name = path[0].rpartition("@")[0]
                above = sorted(
                    (want.parent for want in self._seen.get(name, ()) if want.parent not in seen),
                    key=lambda one: (one != ROOT, one),
                )
                if not above:
                    break
                path.insert(0, above[0])
                seen.add(above[0])
            out[cause.parent] = [step for step in path if step != ROOT]
        return out


def _is_exact(found: Range) -> bool:
    return len(found.alternatives) == 1 and len(found.alternatives[0]) == 1 and found.alternatives[0][0].operator == "="
