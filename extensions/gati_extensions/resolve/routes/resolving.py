"""Resolving: the whole graph and its lock in one request; who uses an artifact; a version's graph."""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence

from gati_extensions.kinds.api import Dependency, Release, canonical_name
from gati_extensions.resolve import advisories, ranges, store
from gati_extensions.resolve.explaining import circles
from gati_extensions.resolve.gathering import Gathered, Gathering, Limits
from gati_extensions.resolve.model import (
    ConflictItem,
    DependentItem,
    Graph,
    GraphQuery,
    Lock,
    LockedPackage,
    Package,
    Resolution,
    ResolveRequest,
)
from gati_extensions.resolve.problem import ROOT, Conflict, Environment, Pinned, Problem, Solution, label
from gati_extensions.resolve.routes.doors import Doors, repository_of
from gati_extensions.resolve.store import Advisory, Dependent
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Answer, Call, Page, Paging, Permission, Route, Transaction

RESOLVE = Permission("resolve.resolve", Action.CATALOG)
DEPENDENTS = Permission("resolve.dependents", Action.PULL)

MAX_BODY = 4 * 1024 * 1024


def registry_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/_ext/resolve`."""
    own = _Resolving(doors)
    return [
        Route("POST", "", RESOLVE, own.resolve, "Choose releases that fit together, with their lock.",
              body=ResolveRequest, answer=Resolution, max_body=MAX_BODY),
    ]  # fmt: skip


def repository_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/<repository>/_ext/resolve/`."""
    own = _Resolving(doors)
    return [
        Route("GET", "dependents", DEPENDENTS, own.dependents, "Who wants this artifact.", query=Paging,
              answer=Page[DependentItem]),
        Route("GET", "graph", DEPENDENTS, own.graph, "What a version needs, as JSON, DOT or Mermaid.",
              query=GraphQuery, answer=Graph),
    ]  # fmt: skip


class _Resolving:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def resolve(self, call: Call) -> Resolution:
        asked: ResolveRequest = call.body
        if len(asked.requests) + len(asked.dev) > self._doors.settings.max_requests:
            raise RegistryError(Code.INVALID, f"at most {self._doors.settings.max_requests} requests at once")
        gathered, known, solution = await self._solve(call, asked)
        if solution.conflicts:
            return Resolution(
                packages=[], lock=None, warnings=[],
                conflicts=[
                    ConflictItem(name=one.name, lines=list(one.lines), choices=list(one.choices))
                    for one in solution.conflicts
                ],
            )  # fmt: skip
        packages = _packages(gathered, solution.packages)
        return Resolution(
            packages=packages,
            lock=_lock(call, asked, packages),
            conflicts=[],
            warnings=_warnings(gathered, solution, known if asked.advisories == "warn" else ()),
        )

    async def graph(self, call: Call) -> Graph | Answer:
        asked: GraphQuery = call.query
        repository = repository_of(call)
        try:
            ranges.parse(asked.version)
        except ranges.BadRange as error:
            raise RegistryError(Code.INVALID, f"version: {error}") from None
        request = ResolveRequest(requests={repository: asked.version}, advisories="off")
        gathered, _, solution = await self._solve(call, request)
        if solution.conflicts:
            raise RegistryError(Code.CONFLICT, "; ".join(solution.conflicts[0].lines)[:1000])
        packages = _packages(gathered, solution.packages)
        nodes = [f"{package.name}@{package.version}" for package in packages]
        edges = [
            (f"{package.name}@{package.version}", f"{name}@{version}")
            for package in packages
            for name, version in package.dependencies.items()
        ]
        if asked.format == "json":
            return Graph(nodes=nodes, edges=edges)
        if asked.format == "dot":
            lines = ["digraph dependencies {", *(f'  "{node}";' for node in nodes),
                     *(f'  "{one}" -> "{other}";' for one, other in edges), "}"]  # fmt: skip
            return Answer(200, ("\n".join(lines) + "\n").encode(), media_type="text/vnd.graphviz")
        number = {node: f"n{position}" for position, node in enumerate(nodes)}
        lines = ["graph TD", *(f'  {number[node]}["{node}"]' for node in nodes),
                 *(f"  {number[one]} --> {number[other]}" for one, other in edges)]  # fmt: skip
        return Answer(200, ("\n".join(lines) + "\n").encode(), media_type="text/vnd.mermaid")

    async def dependents(self, call: Call) -> Page[DependentItem]:
        asked: Paging = call.query
        repository = repository_of(call)
        after = tuple(asked.cursor.split(" ")) if asked.cursor else ("", "", "")
        if len(after) != 3:
            raise RegistryError(Code.INVALID, "cursor: take `next` of the page before")
        visible = await self._doors.kernel.access.visible(call.identity)

        async def work(tx: Transaction) -> tuple[Sequence[Dependent], frozenset[tuple[str, str]]]:
            names = _spellings(repository)
            found = await store.dependents(tx, names, (after[0], after[1], after[2]), asked.limit + 1, visible)
            return found, await self._doors.namespaces.drafts_among(tx, sorted({one.repository for one in found}))

        found, drafts = await self._doors.kernel.database.scan(work)
        # A page may be short, since drafts are for members of their namespaces, where they are listed.
        items = [_dependent(one) for one in found[: asked.limit] if (one.repository, one.digest) not in drafts]
        more = found[asked.limit - 1] if len(found) > asked.limit else None
        return Page[DependentItem](
            items=items, next=f"{more.repository} {more.digest} {more.type}" if more is not None else None
        )

    # --- inside -------------------------------------------------------------------------------------------------

    async def _solve(self, call: Call, asked: ResolveRequest) -> tuple[Gathered, Sequence[Advisory], Solution]:
        settings, kernel = self._doors.settings, self._doors.kernel
        visible = await kernel.access.visible(call.identity)
        own = asked.environment
        environment = Environment(own.os, own.arch, own.env, frozenset(own.features))
        overrides = {canonical_name(name): ranges.parse(text) for name, text in asked.overrides.items()}
        me = f"users/{call.identity.name}" if call.identity.name is not None and call.identity.kind == "user" else None
        requests = [Dependency(canonical_name(name), text) for name, text in {**asked.dev, **asked.requests}.items()]

        async def work(tx: Transaction) -> tuple[Gathered, Sequence[Advisory]]:
            gathering = Gathering(
                self._doors.catalogue, visible, environment, overrides,
                Limits(settings.max_artifacts, settings.max_releases), me,
            )  # fmt: skip
            gathered = await gathering.run(tx, requests)
            known = await store.published(tx, list(gathered.available)) if asked.advisories != "off" else ()
            return gathered, known

        gathered, known = await kernel.database.scan(work)
        problem = Problem(
            gathered.wants,
            gathered.available,
            gathered.wanted,
            "highest" if asked.strategy == "manual" else asked.strategy,
            _locked(asked.lock),
            overrides,
            _refused(gathered, known) if asked.advisories == "refuse" else {},
            settings.max_steps,
        )
        if asked.strategy == "manual" and (open_ := _choices(problem)):
            return gathered, known, Solution({}, open_)
        async with self._doors.turn():
            # Imported in the thread, and only where somebody resolves.
            solution = await asyncio.to_thread(_solved, problem)
        return gathered, known, solution


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


def _lock(call: Call, asked: ResolveRequest, packages: Sequence[Package]) -> Lock:
    root = {"dependencies": dict(sorted(asked.requests.items())), "devDependencies": dict(sorted(asked.dev.items()))}
    approved = asked.lock.packages if asked.lock is not None else {}
    locked = {}
    for package in packages:
        name = f"{package.name}@{package.version}"
        before = approved.get(name)
        same = before is not None and before.digest == package.digest
        locked[name] = LockedPackage(
            registry=call.origin, kind=package.kind, digest=package.digest, integrity=_integrity(package.digest),
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


def _spellings(repository: str) -> list[str]:
    """The names that others may have written for it."""
    top, _, rest = repository.partition("/")
    if top == "library":
        return [repository, rest]
    return [repository, rest] if top in ("orgs", "users") and "/" in rest else [repository]


def _dependent(found: Dependent) -> DependentItem:
    return DependentItem(
        repository=found.repository, digest=found.digest, type=found.type, constraint=found.wanted,
        optional=found.optional,
    )  # fmt: skip
