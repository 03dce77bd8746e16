"""Choosing one release of each artifact, by resolvelib: backtracking over what `problem` describes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep, Resolver

from gati_extensions.kinds.api import Release
from gati_extensions.resolve.explaining import circle, explain, too_deep
from gati_extensions.resolve.problem import ROOT, Problem, Solution, Want, label

MAX_TRIES = 20
"""Better releases of requests that are tried once there is an answer."""

MAX_DROPPED = 20
"""Optional dependencies that are given up one after the other."""


def solve(problem: Problem) -> Solution:
    """The best releases by the strategy, or why there are none. What is optional and stands in the way is left out."""
    left_out: list[str] = []
    dropped: set[tuple[str, str]] = set()
    while True:
        provider = _Provider(problem, dropped)
        try:
            result = Resolver(provider, _Silent()).resolve(provider.roots(), max_rounds=problem.max_steps)
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
        packages = dict(result.mapping)
        found = circle(problem, packages, dropped)
        if found is not None:
            return Solution({}, (found,))
        packages = _improved(problem, dropped, packages)
        return Solution(dict(sorted(packages.items())), left_out=tuple(left_out))


def _improved(problem: Problem, dropped: set[tuple[str, str]], packages: dict[str, Release]) -> dict[str, Release]:
    """The same with the best release of each request that there is room for, the first request first.

    resolvelib may have given one up for the sake of something that was brought along: it moves what was chosen where
    another choice is left, and only goes back where none is.
    """
    fixed: dict[str, str] = {}
    tries = 0
    for name in dict.fromkeys(want.name for want in problem.wants if want.name in packages):
        own = [want for want in problem.wants if want.name == name]
        for release in _Provider(problem, dropped).candidates(name, own):
            if release.tag == packages[name].tag or tries >= MAX_TRIES:
                break
            tries += 1
            provider = _Provider(problem, dropped, {**fixed, name: release.tag})
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


class _Provider(AbstractProvider[Want, Release, str]):
    """`fixed` are tags that some names must have."""

    def __init__(self, problem: Problem, dropped: set[tuple[str, str]], fixed: Mapping[str, str] | None = None) -> None:
        self._problem = problem
        self._dropped = dropped
        self._fixed = fixed or {}
        self._seen: dict[str, set[Want]] = {}

    def roots(self) -> list[Want]:
        return [self._overridden(want) for want in self._problem.wants if self._kept(want)]

    def _kept(self, want: Want) -> bool:
        return (want.parent, want.name) not in self._dropped

    def _overridden(self, want: Want) -> Want:
        other = self._problem.overrides.get(want.name)
        return replace(want, range=other) if other is not None else want

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
        wants = [info.requirement for info in information[identifier]]
        ranges = [want.range for want in wants]
        asked = any(want.parent == ROOT for want in wants)
        exact = any(one.digest or one.channel or _is_exact(one) for one in ranges)
        return (not exact, not asked, not causes, len(self._releases(identifier)), identifier)

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
        found = [
            release
            for release in self._releases(name)
            if only in (None, release.tag) and all(self._fits(self._overridden(want), release) for want in wants)
        ]
        return self._ordered(name, found)

    def is_satisfied_by(self, requirement: Want, candidate: Release) -> bool:
        return self._fixed.get(candidate.repository, candidate.tag) == candidate.tag and self._fits(
            requirement, candidate
        )

    def get_dependencies(self, candidate: Release) -> Iterable[Want]:
        return [self._overridden(want) for want in self._problem.wanted.get(label(candidate), ()) if self._kept(want)]

    # --- rules --------------------------------------------------------------------------------------------------

    def _releases(self, name: str) -> Sequence[Release]:
        found = self._problem.available.get(name)
        return found.releases if found is not None else ()

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

    def _ordered(self, name: str, found: list[Release]) -> list[Release]:
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


def _is_exact(found: Any) -> bool:
    return len(found.alternatives) == 1 and len(found.alternatives[0]) == 1 and found.alternatives[0][0].operator == "="
