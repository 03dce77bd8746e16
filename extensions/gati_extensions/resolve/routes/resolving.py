"""Resolving: the whole graph and its lock in one request; who uses an artifact; a version's graph."""

from __future__ import annotations

from collections.abc import Sequence

from gati_extensions.kinds.api import parse_version
from gati_extensions.resolve import ranges, store
from gati_extensions.resolve.model import (
    Conflicts,
    DependentItem,
    Graph,
    GraphQuery,
    NamespaceConflict,
    Resolution,
    ResolveRequest,
)
from gati_extensions.resolve.routes.doors import Doors, repository_of
from gati_extensions.resolve.store import Dependent
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Answer, Call, Page, Paging, Permission, Route, Transaction

RESOLVE = Permission("resolve.resolve", Action.CATALOG)
DEPENDENTS = Permission("resolve.dependents", Action.PULL)

MAX_BODY = 4 * 1024 * 1024

MOST_TOGETHER = 200
"""Artifacts of a namespace that are held against each other at once."""


def registry_routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/_ext/resolve`."""
    own = _Resolving(doors)
    return [
        Route("POST", "", RESOLVE, own.resolve, "Choose releases that fit together, with their lock.",
              body=ResolveRequest, answer=Resolution, max_body=MAX_BODY),
        Route("GET", "conflicts/{path:path}", RESOLVE, own.conflicts,
              "Which newest versions of a namespace cannot be had, alone or together.", query=Paging,
              answer=Conflicts),
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
        return await self._doors.resolver.resolve(call.identity, call.origin, call.body)

    async def conflicts(self, call: Call) -> Conflicts:
        asked: Paging = call.query
        path = call.parameters["path"].strip("/")
        visible = await self._doors.kernel.access.visible(call.identity)
        limit = min(asked.limit, MOST_TOGETHER)
        found = await self._doors.kernel.database.scan(
            lambda tx: self._doors.catalogue.entries(tx, path, None, asked.cursor, limit + 1, visible)
        )
        wanted = {one.name: one.digest for one in found[:limit] if parse_version(one.latest) is not None}
        alone, together = await self._doors.resolver.among(call.identity, call.origin, wanted)
        versions = {one.name: one.latest for one in found}
        return Conflicts(
            items=[NamespaceConflict(name=name, version=versions[name], lines=list(conflict.lines))
                   for name, conflict in alone.items()],
            together=[list(conflict.lines) for conflict in together],
            looked_at=len(wanted),
            next=found[limit - 1].name if len(found) > limit else None,
        )  # fmt: skip

    async def graph(self, call: Call) -> Graph | Answer:
        asked: GraphQuery = call.query
        try:
            ranges.parse(asked.version)
        except ranges.BadRange as error:
            raise RegistryError(Code.INVALID, f"version: {error}") from None
        found = await self._doors.resolver.graph(call.identity, call.origin, repository_of(call), asked.version)
        nodes, edges = found.nodes, found.edges
        if asked.format == "json":
            return found
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
