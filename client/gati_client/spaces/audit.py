"""The audit log: entries, checkpoints, proofs."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator

from gati_client.models import CheckpointAnswer, ConsistencyProof, Entry, InclusionProof, KeysAnswer
from gati_client.spaces.base import Space, namespace_path


class Audit(Space):
    """`client.audit`."""

    needs = "audit"

    def entries(
        self,
        *,
        namespace: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        category: str | None = None,
        resource: str | None = None,
        decision: str | None = None,
        since: datetime.datetime | None = None,
        until: datetime.datetime | None = None,
    ) -> AsyncIterator[Entry]:
        """What was done or refused; with `namespace`, at and below it, for its administrators."""
        path = "/v2/_ext/audit/entries"
        if namespace:
            path = f"/v2/_ext/audit/namespaces/{namespace_path(namespace)}/entries"
        query = {
            "actor": actor,
            "action": action,
            "category": category,
            "resource": resource,
            "decision": decision,
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
        }
        return self._items(Entry, path, query)

    async def checkpoint(self) -> CheckpointAnswer:
        """The newest signed state of the whole log."""
        return await self._get(CheckpointAnswer, "/v2/_ext/audit/checkpoint")

    async def keys(self) -> KeysAnswer:
        """Public keys of checkpoints."""
        return await self._get(KeysAnswer, "/v2/_ext/audit/keys")

    async def inclusion(self, entry: int, size: int) -> InclusionProof:
        """That an entry is in the log of that size."""
        return await self._get(InclusionProof, "/v2/_ext/audit/proof/inclusion", {"entry": entry, "size": size})

    async def consistency(self, first: int, second: int) -> ConsistencyProof:
        """That the log of the second size has that of the first as its beginning."""
        return await self._get(ConsistencyProof, "/v2/_ext/audit/proof/consistency", {"first": first, "second": second})
