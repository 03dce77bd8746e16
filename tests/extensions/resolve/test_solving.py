"""Choosing releases, held against trying everything."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gati_extensions.kinds.api import Dependency, Release, Releases, parse_version
from gati_extensions.resolve.problem import ROOT, Pinned, Problem, Solution, Want, label
from gati_extensions.resolve.ranges import BadRange, Range, parse
from gati_extensions.resolve.solving import solve

Graph = Mapping[str, Mapping[str, Mapping[str, str]]]
"""By artifact, by version: ranges by name. A name that ends with `?` is optional, with `^` a peer."""


def release(name: str, version: str, *, state: str = "published", time: int = 0) -> Release:
    """A release; its digest follows from name and version."""
    parsed = parse_version(version)
    assert parsed is not None
    return Release(name, version, parsed, f"sha256:{name}@{version}", "library", state, "", "", time, ())


def _range(text: str) -> Range:
    """As it is gathered: what is no range admits nothing."""
    try:
        return parse(text)
    except BadRange:
        return Range(text)


def want(name: str, text: str, parent: str) -> Want:
    """What a graph's entry means."""
    optional, peer = name.endswith("?"), name.endswith("^")
    return Want(name.rstrip("?^"), _range(text), parent, "peer" if peer else "runtime", optional)


def problem(
    graph: Graph,
    requests: Mapping[str, str],
    *,
    states: Mapping[str, str] | None = None,
    times: Mapping[str, int] | None = None,
    **more: object,
) -> Problem:
    """A resolution over a small graph; `states` and `times` by `name@version`."""
    available, wanted = {}, {}
    for name, versions in graph.items():
        releases = [
            release(
                name,
                version,
                state=(states or {}).get(f"{name}@{version}", "published"),
                time=(times or {}).get(f"{name}@{version}", 0),
            )
            for version in versions
        ]
        releases.sort(key=lambda one: one.version.key, reverse=True)
        available[name] = Releases(name, tuple(releases), {"latest": releases[0].digest} if releases else {})
        for version, needs in versions.items():
            wanted[f"{name}@{version}"] = [want(need, text, f"{name}@{version}") for need, text in needs.items()]
    wants = [want(name, text, ROOT) for name, text in requests.items()]
    return Problem(wants, available, wanted, **more)  # type: ignore[arg-type]


def chosen(solution: Solution) -> dict[str, str]:
    """Versions by name."""
    assert not solution.conflicts, solution.conflicts
    return {name: str(found.version) for name, found in solution.packages.items()}


def brute_force(graph: Graph, requests: Mapping[str, str]) -> list[dict[str, str]]:
    """Every complete choice of versions that satisfies everybody, without superfluous artifacts."""
    names = sorted(graph)
    found = []
    for versions in itertools.product(*[[None, *graph[name]] for name in names]):
        choice = {name: version for name, version in zip(names, versions, strict=True) if version is not None}
        if _valid(graph, requests, choice):
            found.append(choice)
    return found


def _valid(graph: Graph, requests: Mapping[str, str], choice: Mapping[str, str]) -> bool:
    reached, waiting = set(), list(requests.items())
    while waiting:
        name, text = waiting.pop()
        version = parse_version(choice.get(name, ""))
        if version is None or not parse(text).admits(version):
            return False
        if name not in reached:
            reached.add(name)
            waiting += graph[name][choice[name]].items()
    return reached == set(choice)


def _acyclic(graph: Graph, choice: Mapping[str, str]) -> bool:
    left = {name: set(graph[name][version]) for name, version in choice.items()}
    while ready := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in ready:
            del left[name]
    return not left


NAMES = ["a", "b", "c", "d", "e"]
VERSIONS = ["1.0.0", "1.1.0", "2.0.0"]
RANGES = ["*", "^1.0.0", "^2.0.0", "~1.0.0", "<2.0.0", ">=1.1.0", "1.0.0 || 2.0.0", "3.0.0"]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, dict[str, str]]:
    """A graph in which artifacts want later ones alone (no circles), and requests."""
    graph: dict[str, dict[str, dict[str, str]]] = {}
    for number, name in enumerate(NAMES):
        versions = draw(st.lists(st.sampled_from(VERSIONS), unique=True, min_size=1))
        later = NAMES[number + 1 :]
        graph[name] = {
            version: draw(st.dictionaries(st.sampled_from(later), st.sampled_from(RANGES), max_size=2)) if later else {}
            for version in versions
        }
    return graph, draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(RANGES), min_size=1, max_size=3))


MARKS = [f"{name}@{version}" for name in NAMES for version in VERSIONS]
STRATEGIES = ["highest", "lowest", "newest", "most-downloaded"]


@settings(max_examples=300, deadline=None)
@given(graphs(), st.sampled_from(STRATEGIES), st.dictionaries(st.sampled_from(MARKS), st.integers(0, 5)))
def test_the_verdict_is_that_of_trying_everything(
    case: tuple[Graph, dict[str, str]], strategy: str, numbers: dict[str, int]
) -> None:
    graph, requests = case
    everything = brute_force(graph, requests)
    solution = solve(problem(graph, requests, strategy=strategy, times=numbers, popularity=numbers))
    if not everything:
        assert solution.conflicts
        assert 0 < len(solution.conflicts[0].lines) <= 6
        return
    found = chosen(solution)
    assert found in everything

    # No other answer is better for one request without being worse for another.
    def key(choice: Mapping[str, str], name: str) -> tuple[int, str]:
        version = parse_version(choice[name])
        assert version is not None
        number = numbers.get(f"{name}@{version}", 0) if strategy in ("newest", "most-downloaded") else 0
        return number, version.key

    for other in everything:
        better = [key(other, name) > key(found, name) for name in requests]
        worse = [key(other, name) < key(found, name) for name in requests]
        if strategy == "lowest":
            better, worse = worse, better
        assert not any(better) or any(worse), (found, other)


def test_what_is_brought_along_does_not_cost_a_request_its_best() -> None:
    graph: Graph = {
        "a": {"1.0.0": {"d": "*"}},
        "d": {"1.0.0": {}, "1.1.0": {"e": "~1.0.0"}},
        "e": {"1.0.0": {}, "1.1.0": {}},
    }
    assert chosen(solve(problem(graph, {"a": "*", "e": "*"}))) == {"a": "1.0.0", "d": "1.0.0", "e": "1.1.0"}


def test_the_most_downloaded_release_that_suits_is_taken() -> None:
    graph: Graph = {"a": {"1.0.0": {}, "1.1.0": {}, "2.0.0": {}}}
    popularity = {"a@1.0.0": 7, "a@1.1.0": 7, "a@2.0.0": 3}
    for wanted, version in (("*", "1.1.0"), ("~1.0.0", "1.0.0"), (">=2", "2.0.0"), ("<1.1.0", "1.0.0")):
        found = solve(problem(graph, {"a": wanted}, strategy="most-downloaded", popularity=popularity))
        assert chosen(found) == {"a": version}


def test_the_lock_is_kept_by_locked_first() -> None:
    graph: Graph = {"a": {"1.0.0": {}, "1.1.0": {}, "2.0.0": {}}}
    locked = {"a": Pinned("a", "1.0.0", "sha256:a@1.0.0")}
    assert chosen(solve(problem(graph, {"a": "^1.0.0"}, strategy="locked-first", locked=locked))) == {"a": "1.0.0"}
    assert chosen(solve(problem(graph, {"a": "^1.0.0"}, locked=locked))) == {"a": "1.1.0"}
    assert chosen(solve(problem(graph, {"a": "^2.0.0"}, strategy="locked-first", locked=locked))) == {"a": "2.0.0"}


def test_yanked_releases_are_for_locks_and_digests() -> None:
    graph: Graph = {"a": {"1.0.0": {}, "1.1.0": {}}}
    states = {"a@1.1.0": "yanked"}
    assert chosen(solve(problem(graph, {"a": "^1.0.0"}, states=states))) == {"a": "1.0.0"}
    locked = {"a": Pinned("a", "1.1.0", "sha256:a@1.1.0")}
    assert chosen(solve(problem(graph, {"a": "^1.0.0"}, states=states, locked=locked))) == {"a": "1.1.0"}
    conflict = solve(problem(graph, {"a": "1.1.0"}, states=states)).conflicts[0]
    assert "yanked" in conflict.lines[-1]


def test_deprecated_releases_come_last() -> None:
    graph: Graph = {"a": {"1.0.0": {}, "1.1.0": {}}}
    assert chosen(solve(problem(graph, {"a": "^1"}, states={"a@1.1.0": "deprecated"}))) == {"a": "1.0.0"}
    assert chosen(solve(problem(graph, {"a": "^1.1"}, states={"a@1.1.0": "deprecated"}))) == {"a": "1.1.0"}


def test_channels_name_one_release() -> None:
    graph: Graph = {"a": {"1.0.0": {}, "2.0.0": {}}}
    assert chosen(solve(problem(graph, {"a": "latest"}))) == {"a": "2.0.0"}
    assert solve(problem(graph, {"a": "stable"})).conflicts[0].lines[0] == "a has no channel stable"


def test_overrides_hold_everywhere() -> None:
    graph: Graph = {"a": {"1.0.0": {"b": "^1.0.0"}}, "b": {"1.0.0": {}, "2.0.0": {}}}
    found = solve(problem(graph, {"a": "*"}, overrides={"b": parse("2.0.0")}))
    assert chosen(found) == {"a": "1.0.0", "b": "2.0.0"}


def test_what_is_optional_is_left_out_where_it_stands_in_the_way() -> None:
    graph: Graph = {"a": {"1.0.0": {"b?": "^1.0.0", "c": "*"}}, "b": {"1.0.0": {"c": "^2.0.0"}}, "c": {"1.0.0": {}}}
    found = solve(problem(graph, {"a": "*"}))
    assert chosen(found) == {"a": "1.0.0", "c": "1.0.0"}
    assert "b (^1.0.0), optional for a@1.0.0" in found.left_out[0]
    assert chosen(solve(problem({"a": {"1.0.0": {"z?": "*"}}}, {"a": "*"}))) == {"a": "1.0.0"}


def test_a_circle_is_an_error_with_its_path() -> None:
    graph: Graph = {"a": {"1.0.0": {"b": "*"}}, "b": {"1.0.0": {"c": "*"}}, "c": {"1.0.0": {"a": "*"}}}
    conflict = solve(problem(graph, {"a": "*"})).conflicts[0]
    assert conflict.lines[0].endswith("a → b → c → a")
    peers: Graph = {"a": {"1.0.0": {"b": "*"}}, "b": {"1.0.0": {"a^": "*"}}}
    assert chosen(solve(problem(peers, {"a": "*"}))) == {"a": "1.0.0", "b": "1.0.0"}


Case = tuple[Graph, Mapping[str, str], Sequence[str]]


def _crowd(count: int) -> Case:
    """So many that each want another version of one thing."""
    graph: dict[str, dict[str, dict[str, str]]] = {f"p{one}": {"1.0.0": {"x": f"{one}.0.0"}} for one in range(count)}
    graph["x"] = {f"{one}.0.0": {} for one in range(count)}
    return graph, {f"p{one}": "*" for one in range(count)}, ["suits everybody"]


def _stack(count: int) -> Case:
    """So many versions to choose from, none of which can have what it wants."""
    tries = {f"1.{minor}.0": {"x": "^2"} for minor in range(count)}
    return {"a": {"1.0.0": {"b": "^1"}}, "b": tries, "x": {"1.0.0": {}}}, {"a": "*"}, ["x", "^2"]


CONFLICTS: list[Case] = [
    ({}, {"x": "*"}, ["there is no artifact x"]),
    ({"x": {}}, {"x": "*"}, ["no version"]),
    ({"x": {"1.0.0": {}}}, {"x": "^2"}, ["no version of x is in ^2", "1.0.0"]),
    ({"x": {"1.0.0-rc.1": {}}}, {"x": "^1"}, ["1.0.0-rc.1"]),
    ({"a": {"1.0.0": {"x": "^2"}}, "x": {"1.0.0": {}}}, {"a": "*"}, ["a@1.0.0 wants ^2"]),
    ({"a": {"1.0.0": {"x": "*"}}}, {"a": "*"}, ["no artifact x", "a@1.0.0"]),
    ({"a": {"1.0.0": {"x": "^1"}}, "b": {"1.0.0": {"x": "^2"}}, "x": {"1.0.0": {}, "2.0.0": {}}}, {"a": "*", "b": "*"},
     ["a@1.0.0 wants ^1", "b@1.0.0 wants ^2", "overrides"]),
    ({"a": {"1.0.0": {"x": "^1"}}, "x": {"1.0.0": {}, "2.0.0": {}}}, {"a": "*", "x": "^2"},
     ["the request wants ^2", "a@1.0.0 wants ^1"]),
    ({"a": {"1.0.0": {"b": "*"}}, "b": {"1.0.0": {"c": "*"}}, "c": {"1.0.0": {"x": "^9"}}, "x": {"1.0.0": {}}},
     {"a": "*"}, ["a@1.0.0 → b@1.0.0 → c@1.0.0 wants ^9"]),
    ({"a": {"1.0.0": {"b": "*"}}, "b": {"1.0.0": {"a": "*"}}}, {"a": "*"}, ["circle", "a → b → a"]),
    ({"a": {"1.0.0": {"a": "*"}}}, {"a": "*"}, ["circle", "a → a"]),
    # A channel that is not there, and one that names another version than somebody wants.
    ({"x": {"1.0.0": {}}}, {"x": "stable"}, ["x has no channel stable"]),
    ({"a": {"1.0.0": {"x": "latest"}}, "x": {"1.0.0": {}, "2.0.0": {}}}, {"a": "*", "x": "^1"},
     ["a@1.0.0 wants latest", "the request wants ^1"]),
    # A digest that no release has.
    ({"x": {"1.0.0": {}}}, {"x": "sha256:" + "0" * 64}, ["wants sha256:0000", "1.0.0"]),
    # Prereleases are not taken by those who do not name them.
    ({"a": {"1.0.0": {"x": ">=2"}}, "x": {"1.0.0": {}, "2.0.0-beta.1": {}}},
     {"a": "*"}, ["a@1.0.0 wants >=2", "2.0.0-beta.1"]),
    # A diamond: two paths of two steps end at ranges that share nothing.
    ({"app": {"1.0.0": {"l": "*", "r": "*"}}, "l": {"1.0.0": {"x": "~1.1"}}, "r": {"1.0.0": {"x": "~1.2"}},
      "x": {"1.1.0": {}, "1.2.0": {}}}, {"app": "*"},
     ["app@1.0.0 → l@1.0.0 wants ~1.1", "app@1.0.0 → r@1.0.0 wants ~1.2"]),
    # Exact versions against each other.
    ({"a": {"1.0.0": {"x": "1.0.0"}}, "b": {"1.0.0": {"x": "1.0.1"}}, "x": {"1.0.0": {}, "1.0.1": {}}},
     {"a": "*", "b": "*"}, ["a@1.0.0 wants 1.0.0", "b@1.0.0 wants 1.0.1"]),
    # A bound from above and one from below.
    ({"a": {"1.0.0": {"x": "<2"}}, "b": {"1.0.0": {"x": ">=2"}}, "x": {"1.9.0": {}, "2.0.0": {}}}, {"a": "*", "b": "*"},
     ["a@1.0.0 wants <2", "b@1.0.0 wants >=2"]),
    # A gap between alternatives.
    ({"a": {"1.0.0": {"x": "^1 || ^3"}}, "x": {"2.0.0": {}, "2.1.0": {}}}, {"a": "*"}, ["^1 || ^3", "2.1.0"]),
    # Nothing was published but what is too old, too new, or of major 0.
    ({"a": {"1.0.0": {"x": "^5"}}, "x": {"4.9.9": {}}}, {"a": "*"}, ["^5", "4.9.9"]),
    ({"a": {"1.0.0": {"x": "^5"}}, "x": {"6.0.0": {}}}, {"a": "*"}, ["^5", "6.0.0"]),
    ({"a": {"1.0.0": {"x": "^0.2"}}, "x": {"0.1.0": {}, "0.3.0": {}}}, {"a": "*"}, ["^0.2", "0.3.0, 0.1.0"]),
    # Both versions of what is asked for end in the same wall.
    ({"a": {"1.0.0": {"x": "^7"}, "2.0.0": {"x": "^8"}}, "x": {"1.0.0": {}}}, {"a": "*"}, ["no version of x"]),
    # A peer that nobody can bring.
    ({"a": {"1.0.0": {"x^": "^2"}}, "x": {"1.0.0": {}}}, {"a": "*"}, ["a@1.0.0 wants ^2"]),
    # What is wanted deep down clashes with the request itself.
    ({"a": {"1.0.0": {"b": "*"}}, "b": {"1.0.0": {"c": "*"}}, "c": {"1.0.0": {"x": "^1"}}, "x": {"1.0.0": {},
     "2.0.0": {}}},
     {"a": "*", "x": "2.0.0"}, ["the request wants 2.0.0", "c@1.0.0 wants ^1"]),
    # Something deep down is not here at all.
    ({"a": {"1.0.0": {"b": "*"}}, "b": {"1.0.0": {"gone": "^1"}}},
     {"a": "*"}, ["no artifact gone", "a@1.0.0 → b@1.0.0"]),
    # A range that is none, as somebody once pushed it.
    ({"a": {"1.0.0": {"x": "1 - "}}, "x": {"1.0.0": {}}}, {"a": "*"}, ["x", "1.0.0"]),
    # Circles of three, and one that begins behind a way in.
    ({"a": {"1.0.0": {"b": "*"}}, "b": {"1.0.0": {"c": "*"}}, "c": {"1.0.0": {"a": "*"}}},
     {"a": "*"}, ["a → b → c → a"]),
    ({"in": {"1.0.0": {"a": "*"}}, "a": {"1.0.0": {"b": "*"}}, "b": {"1.0.0": {"a": "*"}}}, {"in": "*"}, ["a → b → a"]),
    # Three that want three things of one.
    ({"a": {"1.0.0": {"x": "^1"}}, "b": {"1.0.0": {"x": "^2"}}, "c": {"1.0.0": {"x": "^3"}},
      "x": {"1.0.0": {}, "2.0.0": {}, "3.0.0": {}}},
     {"a": "*", "b": "*", "c": "*"}, ["suits everybody", "there are 3.0.0"]),
    # And two that are large.
    _crowd(11),
    _stack(9),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CONFLICTS)))
def test_conflicts_are_told_in_at_most_six_lines(number: int) -> None:
    graph, requests, expected = CONFLICTS[number]
    solution = solve(problem(graph, requests))
    assert not solution.packages
    lines = solution.conflicts[0].lines
    assert len(lines) <= 6
    assert lines[-1].startswith("help: ") or "no version" in lines[0]
    text = "\n".join(lines)
    for part in expected:
        assert part in text, text


def test_there_are_thirty_of_them() -> None:
    assert len(CONFLICTS) >= 30


def test_it_ends_where_there_is_too_much_to_try() -> None:
    graph = {
        f"n{number}": {f"{major}.0.0": {f"n{number + 1}": "*", "x": f"{major + 100}.0.0"} for major in range(1, 9)}
        for number in range(12)
    } | {"n12": {"1.0.0": {}}, "x": {"1.0.0": {}}}
    solution = solve(problem(graph, {"n0": "*"}, max_steps=200))
    assert solution.conflicts


def test_dependencies_are_plain_data() -> None:
    assert Dependency("a", "*").type == "runtime"
    assert label(release("a", "1.0.0")) == "a@1.0.0"
