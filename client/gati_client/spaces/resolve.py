"""Which releases fit together, and who uses what."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gati_client.models import Conflicts, DependentItem, Graph, Resolution, ResolveRequest
from gati_client.spaces.base import Space, namespace_path, part, repository_path


class Resolve(Space):
    """`client.resolve`."""

    needs = "resolve"

    async def solve(self, request: ResolveRequest) -> Resolution:
        """Choose releases for ranges; an answer with `conflicts` has nothing else."""
        return await self._send("POST", "/v2/_ext/resolve", Resolution, request)

    def dependents(self, repository: str) -> AsyncIterator[DependentItem]:
        """Who wants this artifact."""
        return self._items(DependentItem, repository_path(repository, "resolve/dependents"))

    async def conflicts(self, namespace: str, *, cursor: str = "") -> Conflicts:
        """Which newest versions of a namespace cannot be had, alone or together; a page, as far as was looked."""
        path = f"/v2/_ext/resolve/conflicts/{namespace_path(namespace)}"
        return await self._get(Conflicts, path, {"cursor": cursor or None})

    async def graph(self, repository: str, version: str = "*") -> Graph:
        """Releases and what they want of each other."""
        return await self._get(Graph, repository_path(repository, "resolve/graph"), {"version": version})

    async def drawing(self, repository: str, version: str = "*", *, language: str = "mermaid") -> str:
        """The same as a drawing in `mermaid` or `dot`."""
        path = repository_path(repository, f"resolve/graph?format={part(language)}")
        answer = await self._ask("GET", f"{path}&version={part(version)}")
        return answer.body.decode(errors="replace")
