"""One resolution from the request to its answer, in a caller's name: for this extension's routes and for others.

gather (one snapshot of the database) ──▶ Problem ──solve (in a thread)──▶ packages, lock, warnings; or conflicts
"""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from gati_extensions.kinds.api import Catalogue, Dependency, Release, canonical_name
from gati_extensions.resolve import advisories, ranges, store
from gati_extensions.resolve.api import Known
from gati_extensions.resolve.explaining import circles
from gati_extensions.resolve.gathering import Gathered, Gathering, Limits
from gati_extensions.resolve.model import (
    ConflictItem,
    Graph,
    Lock,
    LockedPackage,
    Package,
    Resolution,
    ResolveRequest,
)
from gati_extensions.resolve.problem import ROOT, Conflict, Environment, Pinned, Problem, Solution, label
from gati_extensions.resolve.settings import ResolveSettings
from gati_extensions.resolve.store import Advisory
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Identity, Kernel, Transaction

POPULAR_DAYS = 90
"""Days whose downloads count for the strategy `most-downloaded`: what was popular once is not what people use."""

_NONE = Solution({})


@dataclass(frozen=True, slots=True)
class Solved:
    """A resolution before it is put into words: what there was to choose from, and what was chosen."""

    gathered: Gathered
    known: Sequence[Advisory] = ()
    popularity: Mapping[str, int] = field(default_factory=dict)
    solution: Solution = _NONE


class Resolver:
    """`api.Resolving`. `turns` bounds how many resolutions are computed at once."""

    def __init__(self, kernel: Kernel, settings: ResolveSettings, catalogue: Catalogue) -> None:
        self._kernel = kernel
        self._settings = settings
        self._catalogue = catalogue
        self._turns: asyncio.Semaphore | None = None

    async def resolve(self, identity: Identity, origin: str, asked: ResolveRequest) -> Resolution:
        """As the Protocol has it."""
        if len(asked.requests) + len(asked.dev) > self._settings.max_requests:
            raise RegistryError(Code.INVALID, f"at most {self._settings.max_requests} requests at once")
        solved = await self._solve(identity, origin, asked)
        gathered, solution = solved.gathered, solved.solution
        if solution.conflicts:
            return Resolution(packages=[], lock=None, warnings=[], conflicts=[_item(one) for one in solution.conflicts])
        packages = _packages(gathered, solution.packages)
        return Resolution(
            packages=packages,
            lock=_lock(origin, asked, packages),
            conflicts=[],
            warnings=_warnings(gathered, solution, solved.known if asked.advisories == "warn" else ()),
        )

    async def graph(self, identity: Identity, origin: str, repository: str, version: str) -> Graph:
        """What a version needs.

        Raises:
            RegistryError: CONFLICT, it has no answer.
        """
        request = ResolveRequest(requests={repository: version}, advisories="off")
        solved = await self._solve(identity, origin, request)
        if solved.solution.conflicts:
            raise RegistryError(Code.CONFLICT, "; ".join(solved.solution.conflicts[0].lines)[:1000])
        packages = _packages(solved.gathered, solved.solution.packages)
        return Graph(
            nodes=[f"{package.name}@{package.version}" for package in packages],
            edges=[
                (f"{package.name}@{package.version}", f"{name}@{version}")
                for package in packages
                for name, version in package.dependencies.items()
            ],
        )

    async def among(
        self, identity: Identity, origin: str, wanted: Mapping[str, str]
    ) -> tuple[Mapping[str, Conflict], tuple[Conflict, ...]]:
        """Of artifacts at these versions: those that cannot be had at all; and why the others do not go together."""
        found = await self._gather(identity, origin, ResolveRequest(requests=dict(wanted), advisories="off"))
        problem = self._problem(found.gathered)

        # All of them together cost no more steps than a few resolutions.
        steps = max(100, 4 * self._settings.max_steps // max(1, len(problem.wants)))

        def judge() -> tuple[dict[str, Conflict], tuple[Conflict, ...]]:
            alone: dict[str, Conflict] = {}
            for want in problem.wants:
                conflicts = _solved(replace(problem, wants=[want], max_steps=steps)).conflicts
                if conflicts:
                    alone[want.name] = conflicts[0]
            good = [want for want in problem.wants if want.name not in alone]
            return alone, _solved(replace(problem, wants=good)).conflicts

        async with self._turn():
            return await asyncio.to_thread(judge)

    async def advisories(self, tx: Transaction, repositories: Sequence[str]) -> Sequence[Known]:
        """As the Protocol has it."""
        return [
            Known(one.repository, one.id, one.severity, one.body, one.changed_at)
            for one in await store.published(tx, repositories)
        ]

    # --- inside -------------------------------------------------------------------------------------------------

    def _turn(self) -> asyncio.Semaphore:
        """A place to compute in; made within the loop that uses it."""
        if self._turns is None:
            self._turns = asyncio.Semaphore(self._settings.at_once)
        return self._turns

    async def _gather(self, identity: Identity, origin: str, asked: ResolveRequest) -> Solved:
        settings, own = self._settings, asked.environment
        visible = await self._kernel.access.visible(identity)
        environment = Environment(own.os, own.arch, own.env, frozenset(own.features), own.scope)
        me = f"users/{identity.name}" if identity.name is not None and identity.kind == "user" else None
        requests = [Dependency(canonical_name(name), text) for name, text in {**asked.dev, **asked.requests}.items()]
        here = frozenset(urlsplit(url).netloc for url in (origin, self._kernel.public_url) if url)

        async def work(tx: Transaction) -> Solved:
            limits = Limits(settings.max_artifacts, settings.max_releases)
            gathering = Gathering(self._catalogue, visible, environment, _overrides(asked), limits, me, here)
            gathered = await gathering.run(tx, requests)
            known = await store.published(tx, list(gathered.available)) if asked.advisories != "off" else ()
            popular = await self._popularity(tx, gathered) if asked.strategy == "most-downloaded" else {}
            return Solved(gathered, known, popular)

        return await self._kernel.database.scan(work)

    async def _solve(self, identity: Identity, origin: str, asked: ResolveRequest) -> Solved:
        found = await self._gather(identity, origin, asked)
        problem = replace(
            self._problem(found.gathered),
            strategy="highest" if asked.strategy == "manual" else asked.strategy,
            locked=_locked(asked.lock),
            overrides=_overrides(asked),
            refused=_refused(found.gathered, found.known) if asked.advisories == "refuse" else {},
            popularity=found.popularity,
        )
        if asked.strategy == "manual" and (open_ := _choices(problem)):
            return replace(found, solution=Solution({}, open_))
        async with self._turn():
            # Imported in the thread, and only where somebody resolves.
            return replace(found, solution=await asyncio.to_thread(_solved, problem))

    async def _popularity(self, tx: Transaction, gathered: Gathered) -> Mapping[str, int]:
        """Downloads of each release in the last days."""
        since = self._kernel.clock.now() - POPULAR_DAYS * 86_400_000
        counted = await self._catalogue.downloads_of_versions(tx, list(gathered.available), since)
        return {
            label(release): counted[key]
            for found in gathered.available.values()
            for release in found.releases
            if (key := (release.repository, release.tag)) in counted
        }

    def _problem(self, gathered: Gathered) -> Problem:
        return Problem(gathered.wants, gathered.available, gathered.wanted, max_steps=self._settings.max_steps)


def _overrides(asked: ResolveRequest) -> Mapping[str, ranges.Range]:
    return {canonical_name(name): ranges.parse(text) for name, text in asked.overrides.items()}


def _item(found: Conflict) -> ConflictItem:
    return ConflictItem(name=found.name, lines=list(found.lines), choices=list(found.choices), missing=found.missing)


def _solved(problem: Problem) -> Solution:
    from gati_extensions.resolve.solving import solve

    return solve(problem)


def _choices(problem: Problem) -> tuple[Conflict, ...]:
    """Requests that leave a choice: the strategy `manual` stops and asks."""
    out = []
    for want in problem.wants:
        available = problem.available.get(want.name)
        found = [
            str(release.version) for release in (available.releases if available is not None else ())
            if want.range.admits(release.version) and release.state != "yanked"
        ]  # fmt: skip
        if len(found) > 1:
            out.append(Conflict(want.name, (f"{want.name} {want.range}: choose one",), tuple(found[:100])))
    return tuple(out)


def _locked(lock: Lock | None) -> Mapping[str, Pinned]:
    out = {}
    for name, package in (lock.packages if lock is not None else {}).items():
        repository, _, version = name.rpartition("@")
        out[repository] = Pinned(repository, version, package.digest)
    return out


def _refused(gathered: Gathered, known: Sequence[Advisory]) -> Mapping[str, str]:
    out = {}
    for advisory in known:
        for release in gathered.available[advisory.repository].releases:
            if advisories.affects(advisory.body, release.version):
                out[label(release)] = f"advisory {advisory.id}"
    return out


def _packages(gathered: Gathered, chosen: Mapping[str, Release]) -> list[Package]:
    wanted_by: dict[str, set[str]] = defaultdict(set)
    for want in gathered.wants:
        wanted_by[want.name].add(ROOT)
    dependencies: dict[str, dict[str, str]] = {}
    for name, release in chosen.items():
        needs = [want.name for want in gathered.wanted.get(label(release), ()) if want.name in chosen]
        dependencies[name] = {need: str(chosen[need].version) for need in sorted(set(needs))}
        for need in needs:
            wanted_by[need].add(label(release))
    return [
        Package(
            name=name, version=str(release.version), digest=release.digest, kind=release.kind, state=release.state,
            gati=release.gati, dependencies=dependencies[name], wanted_by=sorted(wanted_by[name]),
        )
        for name, release in chosen.items()
    ]  # fmt: skip


def _lock(origin: str, asked: ResolveRequest, packages: Sequence[Package]) -> Lock:
    root = {"dependencies": dict(sorted(asked.requests.items())), "devDependencies": dict(sorted(asked.dev.items()))}
    approved = asked.lock.packages if asked.lock is not None else {}
    locked = {}
    for package in packages:
        name = f"{package.name}@{package.version}"
        before = approved.get(name)
        same = before is not None and before.digest == package.digest
        locked[name] = LockedPackage(
            registry=origin, kind=package.kind, digest=package.digest, integrity=_integrity(package.digest),
            dependencies=package.dependencies,
            approved_at=before.approved_at if before is not None and same else None,
        )  # fmt: skip
    return Lock(root=root, packages=dict(sorted(locked.items())))


def _integrity(digest: str) -> str:
    """The digest as W3C's Subresource Integrity writes it."""
    algorithm, _, text = digest.partition(":")
    return f"{algorithm}-{base64.b64encode(bytes.fromhex(text)).decode()}"


def _warnings(gathered: Gathered, solution: Solution, known: Sequence[Advisory]) -> list[str]:
    out = [f"left out: {text}" for text in solution.left_out]
    out += [
        f"left out: {text}"
        for release in solution.packages.values()
        for text in gathered.elsewhere.get(label(release), ())
    ]
    out += [
        f"{label(release)} is {release.state}{f': {release.reason}' if release.reason else ''}"[:500]
        for release in solution.packages.values()
        if release.state != "published"
    ]
    for advisory in known:
        chosen = solution.packages.get(advisory.repository)
        if chosen is not None and advisories.affects(advisory.body, chosen.version):
            summary = str(advisory.body.get("summary", ""))[:200]
            out.append(f"{label(chosen)} is affected by {advisory.id} ({advisory.severity}): {summary}")
    problem = Problem(gathered.wants, gathered.available, gathered.wanted)
    around = circles(problem, solution.packages, set(), strict=False)
    return out + ["a circle through optional or peer dependencies: " + " → ".join([*path, path[0]]) for path in around]
