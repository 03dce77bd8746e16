"""Why a resolution has no answer: who wants what, through which path, and what would help. At most six lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gati_extensions.kinds.api import Release
from gati_extensions.resolve.problem import ROOT, Conflict, Problem, Want, label

MOST_LINES = 6
_SHOWN = 5


def explain(problem: Problem, causes: Sequence[Want], paths: Mapping[str, Sequence[str]]) -> Conflict:
    """Of an impossible resolution; `causes` are wants that cannot all be had, `paths` how their parents came in."""
    name = causes[0].name
    wants = list(dict.fromkeys(want for want in causes if want.name == name))
    found = problem.available.get(name)
    lines = [_headline(problem, name, wants)]
    for want in sorted(wants, key=lambda one: (one.parent != ROOT, one.parent))[: MOST_LINES - 3]:
        path = paths.get(want.parent, ())
        who = " → ".join(path[-4:]) if path else "the request"
        lines.append(f"  {who} wants {want.range}")
    if len(wants) > MOST_LINES - 3:
        lines.append(f"  and {len(wants) - MOST_LINES + 3} more want other ranges")
    if found is None:
        lines.append("help: check the name, or whether you may pull it")
        return Conflict(name, tuple(lines[:MOST_LINES]), missing=True)
    lines.append(_available(problem, name, found.releases))
    lines.append(_help(problem, name, wants, found.releases))
    return Conflict(name, tuple(lines[:MOST_LINES]))


def _headline(problem: Problem, name: str, wants: Sequence[Want]) -> str:
    found = problem.available.get(name)
    if found is None:
        return f"there is no artifact {name} here that you may pull"
    if not found.releases:
        return f"{name} has no version that could be taken"
    if len(wants) == 1:
        channel = wants[0].range.channel
        if channel:
            return (
                f"the channel {channel} of {name} names no version"
                if channel in found.channels
                else f"{name} has no channel {channel}"
            )
        return f"no version of {name} is in {wants[0].range}"
    return f"no version of {name} suits everybody who wants it"


def _available(problem: Problem, name: str, releases: Sequence[Release]) -> str:
    shown = []
    for release in releases[:_SHOWN]:
        why = problem.refused.get(label(release)) or (release.state if release.state != "published" else "")
        shown.append(f"{release.version}{f' ({why})' if why else ''}")
    more = f" and {len(releases) - _SHOWN} more" if len(releases) > _SHOWN else ""
    return f"  there are {', '.join(shown)}{more}" if shown else f"  there is no version of {name}"


def _help(problem: Problem, name: str, wants: Sequence[Want], releases: Sequence[Release]) -> str:
    refused = [release for release in releases if _suits(problem, wants, release) and label(release) in problem.refused]
    if refused:
        return f"help: {label(refused[0])} would suit but is refused: {problem.refused[label(refused[0])]}"
    yanked = [release for release in releases if _suits(problem, wants, release) and release.state == "yanked"]
    if yanked:
        why = yanked[0].reason or "no reason given"
        return f"help: {label(yanked[0])} would suit but was yanked ({why}); ask for its digest"
    best, suited = None, 0
    for release in releases:
        count = sum(1 for want in wants if _suits(problem, [want], release))
        if count > suited and release.state != "yanked" and label(release) not in problem.refused:
            best, suited = release, count
    if best is None:
        newest = releases[0].version if releases else "?"
        return f"help: ask for a range that holds a version there is, such as {newest}"
    against = next((want for want in wants if not _suits(problem, [want], best)), None)
    if against is None:
        return (
            f"help: {best.version} suits all of these, but not what it wants itself; ask for another version of {name}"
        )
    who = against.parent or "the request"
    return f'help: {who} keeps {best.version} out; change it, or set overrides {{"{name}": "{best.version}"}}'


def _suits(problem: Problem, wants: Sequence[Want], release: Release) -> bool:
    for want in wants:
        if want.range.digest or want.range.channel:
            found = problem.available[release.repository]
            if release.digest != (want.range.digest or found.channels.get(want.range.channel)):
                return False
        elif not want.range.admits(release.version):
            return False
    return True


def too_deep(steps: int) -> Conflict:
    """It took too long."""
    return Conflict(
        "", (f"no answer within {steps} steps", "help: narrow the ranges, or begin from a lock"),
    )  # fmt: skip


def circle(problem: Problem, packages: Mapping[str, Release], dropped: set[tuple[str, str]]) -> Conflict | None:
    """A circle of runtime dependencies, with its path; circles through optional or peer ones are let be."""
    for path in circles(problem, packages, dropped, strict=True):
        line = " → ".join([*path, path[0]])
        return Conflict(
            path[0],
            (f"these need each other in a circle: {line}", "help: make one of these dependencies optional or peer"),
        )
    return None


def circles(
    problem: Problem, packages: Mapping[str, Release], dropped: set[tuple[str, str]], *, strict: bool
) -> Sequence[Sequence[str]]:
    """Circles among the chosen releases: with `strict` those of runtime dependencies alone, else all."""
    edges: dict[str, list[str]] = {}
    for name, release in packages.items():
        edges[name] = [
            want.name
            for want in problem.wanted.get(label(release), ())
            if want.name in packages and (want.parent, want.name) not in dropped
            and (not strict or (want.type != "peer" and not want.optional))
        ]  # fmt: skip
    found: list[Sequence[str]] = []
    state: dict[str, int] = {}
    for start in sorted(edges):
        if start in state:
            continue
        path, stack = [start], [iter(edges[start])]
        state[start] = 1
        while stack:
            following = next(stack[-1], None)
            if following is None:
                stack.pop()
                state[path.pop()] = 2
            elif state.get(following) == 1:
                found.append(path[path.index(following) :])
                if strict or len(found) >= _SHOWN:
                    return found
            elif following not in state:
                state[following] = 1
                path.append(following)
                stack.append(iter(edges[following]))
    return found
