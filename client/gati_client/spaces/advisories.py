"""Advisories about artifacts, as OSV records."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gati_client.models import AdvisoryDecision, AdvisoryItem, Osv
from gati_client.spaces.base import Space, part, repository_path


class Advisories(Space):
    """`client.advisories`."""

    needs = "resolve"

    def list(self, repository: str, *, state: str | None = None) -> AsyncIterator[AdvisoryItem]:
        """Those about a repository."""
        return self._items(AdvisoryItem, repository_path(repository, "resolve/advisories"), {"state": state})

    async def get(self, repository: str, advisory_id: str) -> AdvisoryItem:
        """One of them."""
        return await self._get(AdvisoryItem, _path(repository, advisory_id))

    async def submit(self, repository: str, record: Osv) -> AdvisoryItem:
        """Tell of a problem; what third parties tell waits for who maintains the artifact."""
        return await self._send("POST", repository_path(repository, "resolve/advisories"), AdvisoryItem, record)

    async def put(self, repository: str, advisory_id: str, record: Osv) -> AdvisoryItem:
        """Publish or replace one."""
        return await self._send("PUT", _path(repository, advisory_id), AdvisoryItem, record)

    async def decide(self, repository: str, advisory_id: str, decision: AdvisoryDecision) -> AdvisoryItem:
        """Accept or decline what somebody told."""
        return await self._send("POST", f"{_path(repository, advisory_id)}/decision", AdvisoryItem, decision)

    async def withdraw(self, repository: str, advisory_id: str) -> AdvisoryItem:
        """It holds no longer."""
        return await self._send("DELETE", _path(repository, advisory_id), AdvisoryItem)


def _path(repository: str, advisory_id: str) -> str:
    return repository_path(repository, f"resolve/advisories/{part(advisory_id)}")
