"""Drafts of a repository."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence

from gati_extensions.namespaces import drafts
from gati_extensions.namespaces.model import Draft, Published, moment
from gati_extensions.namespaces.routes.doors import Doors, missing
from gati_registry.errors import RegistryError
from gati_registry.extension import Action, Call, Change, Operation, Page, Paging, Permission, Route, Transaction
from gati_registry.values.digest import Digest

READ = Permission("namespaces.drafts", Action.PUSH)
PUBLISH = Permission("namespaces.publish", Action.PUBLISH)

MOST = 10_000
"""Manifests that are published with one index."""


def routes(doors: Doors) -> Sequence[Route]:
    """Below `/v2/<repository>/_ext/namespaces/`."""
    own = _Drafts(doors)
    return [
        Route("GET", "drafts", READ, own.page, "Drafts of this repository.", query=Paging, answer=Page[Draft]),
        Route("POST", "drafts/{digest}/publish", PUBLISH, own.publish, "Make a draft public, with all that it lists.",
              answer=Published),
    ]  # fmt: skip


class _Drafts:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def page(self, call: Call) -> Page[Draft]:
        repository, query = call.repository, call.query
        assert repository is not None
        assert isinstance(query, Paging)
        found = await self._doors.read(lambda tx: drafts.page(tx, repository, query.cursor, query.limit + 1))
        items = [Draft(digest=row[0], author=row[1], pushed_at=moment(row[2])) for row in found[: query.limit]]
        return Page[Draft](items=items, next=items[-1].digest if len(found) > query.limit else None)

    async def publish(self, call: Call) -> Published:
        repository, digest = call.repository, Digest.parse(call.parameters["digest"])
        assert repository is not None
        now = self._doors.kernel.clock.now()

        async def work(tx: Transaction) -> list[str]:
            repository_id = await tx.repositories.find(repository)
            if repository_id is None or not await drafts.is_draft(tx, repository, digest):
                raise missing("draft")
            published = []
            waiting, seen = [digest], {digest}
            while waiting:
                one = waiting.pop()
                if await drafts.drop(tx, repository, one):
                    published.append(one)
                for child in _listed(await tx.manifests.data(repository, one)):
                    if child not in seen and len(seen) < MOST:
                        seen.add(child)
                        waiting.append(child)
            await self._doors.kernel.core.emit(
                tx,
                Change(
                    Operation.STATE_CHANGE, repository, repository_id, call.caller, now, digest=digest,
                    detail={
                        "subject": "namespaces.draft", "action": "publish", "id": digest,
                        "before": {"state": "draft"}, "after": {"state": "published"},
                    },
                ),
            )  # fmt: skip
            return sorted(published)

        return Published(digests=await self._doors.write(work))


def _listed(data: bytes | None) -> list[Digest]:
    """Digests of the manifests that an index lists."""
    if data is None:
        return []
    entries = json.loads(data).get("manifests") or []
    found = []
    for entry in entries:
        with contextlib.suppress(RegistryError):  # of an algorithm that is not stored here
            found.append(Digest.parse(entry["digest"]))
    return found
