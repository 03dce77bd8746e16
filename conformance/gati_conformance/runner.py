"""Runs cases against a registry, one after the other, and judges what comes of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gati_conformance.cases import all_cases
from gati_conformance.client import Client
from gati_conformance.config import Config
from gati_conformance.context import Context, Shared
from gati_conformance.entries import entry_statuses
from gati_conformance.model import Case, Failed, Level, Result, Skipped, Status

OFFICIAL_ROOT = "OCI Conformance Test"


@dataclass(frozen=True)
class Run:
    """All results of a run, in the order of the cases."""

    config: Config
    results: tuple[Result, ...]
    started: float  # seconds since the epoch, UTC
    seconds: float

    def count(self, status: Status) -> int:
        """How many cases ended so."""
        return sum(result.status is status for result in self.results)

    @property
    def ran(self) -> int:
        """How many cases reached a verdict on the registry."""
        return self.count(Status.PASS) + self.count(Status.FAIL) + self.count(Status.ERROR)

    @property
    def passed(self) -> bool:
        """At least one case ran, and none failed: a run without cases proves nothing and is no pass."""
        return self.ran > 0 and self.count(Status.FAIL) == 0 and self.count(Status.ERROR) == 0

    @property
    def entries(self) -> dict[str, Status]:
        """The official suite's entries."""
        return entry_statuses(self.results)


def select(
    config: Config, *, only: Sequence[str] = (), level: Level = Level.EXPECTED, official: bool = False
) -> tuple[Case, ...]:
    """The cases to run: up to a level, and those that a pattern or OCI_FILTER_TEST names.

    A pattern (with `*`) matches a whole id, or the beginning of one up to a slash. OCI_FILTER_TEST is the beginning
    of a name in the official report. `official` leaves only cases that decide an entry of the official suite. What a
    selected case needs done before it is selected as well.
    """
    cases = all_cases(config)
    prefix = config.filter_test.removeprefix(OFFICIAL_ROOT).lstrip("/").replace(" ", "-").lower()
    chosen = {
        case.id
        for case in cases
        if level.includes(case.level)
        and (case.entries or not official)
        and case.id.startswith(prefix)
        and (not only or any(_matches(case.id, pattern) for pattern in only))
    }
    by_id = {case.id: case for case in cases}
    queue = list(chosen)
    while queue:
        case = by_id[queue.pop()]
        for needed in (*case.after, *case.needs):
            if needed not in chosen:
                chosen.add(needed)
                queue.append(needed)
    return tuple(case for case in cases if case.id in chosen)


def run(
    config: Config,
    cases: Iterable[Case],
    *,
    report: Callable[[Result], None] | None = None,
) -> Run:
    """Run the cases in order; `report` hears of each result as it comes."""
    started, begin = time.time(), time.monotonic()
    results: list[Result] = []
    shared = Shared()
    client = Client(config)
    try:
        passed: set[str] = set()
        for case in cases:
            result = _run_case(case, config, client, shared, passed)
            if result.status is Status.PASS:
                passed.add(case.id)
            results.append(result)
            if report is not None:
                report(result)
    finally:
        client.close()
    return Run(config, tuple(results), started, time.monotonic() - begin)


def _run_case(case: Case, config: Config, client: Client, shared: Shared, passed: set[str]) -> Result:
    if reason := next(filter(None, map(config.off, case.requires)), ""):
        return Result(case, Status.DISABLED, reason)
    if missing := [needed for needed in case.after if needed not in passed]:
        return Result(case, Status.SKIP, f"{', '.join(missing)} did not pass")
    context = Context(config, client, shared)
    client.exchanges.clear()
    begin = time.monotonic()
    status, reason = Status.PASS, ""
    try:
        case.run(context)
    except Failed as problem:
        status, reason = Status.FAIL, str(problem)
    except Skipped as problem:
        status, reason = Status.SKIP, str(problem)
    except Exception as problem:  # a bug of the suite must not end the run, nor pass
        status, reason = Status.ERROR, f"{type(problem).__name__}: {problem}"
    seconds = time.monotonic() - begin
    kept = () if status is Status.PASS else tuple(client.exchanges)
    if not case.entries:  # the official cases hand content on to each other, and delete it as cases of their own
        context.tidy()
    return Result(case, status, reason or ("" if status is Status.PASS else "no reason given"), seconds, kept)


def _matches(case_id: str, pattern: str) -> bool:
    return fnmatchcase(case_id, pattern) or fnmatchcase(case_id, f"{pattern.rstrip('/')}/*")
