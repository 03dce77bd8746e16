"""`api.Catalogue`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from gati_extensions.kinds import semver, store
from gati_extensions.kinds.api import Dependency, Entry, Facts, Kinds, Release, Releases
from gati_extensions.kinds.understanding import checked
from gati_extensions.namespaces.api import Namespaces
from gati_registry.extension import Transaction, Visible


class Catalog:
    """Answers from the tables of `kinds`."""

    def __init__(self, kinds: Kinds, namespaces: Namespaces) -> None:
        self.kinds = kinds
        self._namespaces = namespaces

    async def existing(self, tx: Transaction, names: Sequence[str], visible: Visible) -> Sequence[str]:
        """As the Protocol has it."""
        return await store.existing(tx, names, visible)

    async def releases(self, tx: Transaction, names: Sequence[str], limit: int) -> Sequence[Releases]:
        """As the Protocol has it."""
        found: dict[str, list[Release]] = defaultdict(list)
        channels: dict[str, dict[str, str]] = defaultdict(dict)
        drafts = await self._namespaces.drafts_among(tx, names)
        for row in await store.release_rows(tx, names):
            repository, tag, digest, key, unpublished = row[0], row[1], row[2], row[3], row[10]
            if (repository, digest) in drafts:
                continue
            if key is None:
                channels[repository][tag] = digest
            elif unpublished is None and len(found[repository]) < limit and (release := _release(row)) is not None:
                found[repository].append(release)
        return [
            Releases(name, tuple(found[name]), channels[name]) for name in names if name in found or name in channels
        ]

    async def entries(
        self, tx: Transaction, path: str, kind: str | None, after: str, limit: int, visible: Visible
    ) -> Sequence[Entry]:
        """As the Protocol has it."""
        found = []
        for line in await store.within(tx, path, kind, after, limit, visible):
            artifact = await store.artifact(tx, line.name, line.digest)
            facts = artifact.facts if artifact is not None else {}
            found.append(
                Entry(line.name, line.kind, line.latest, line.digest, line.title, line.description, line.stars, facts,
                      line.created_at, line.updated_at)
            )  # fmt: skip
        return found

    def checked(self, kind: str, media_type: str, data: bytes) -> Facts:
        """As the Protocol has it."""
        found = self.kinds.get(kind)
        assert found is not None
        return checked(found, media_type, data)


def _release(row: tuple[Any, ...]) -> Release | None:
    version = semver.parse(row[1])
    if version is None:
        return None
    facts = json.loads(row[5])
    deprecated, yanked, archived = row[7], row[8], row[9]
    state = "archived" if archived else "yanked" if yanked else "deprecated" if deprecated else "published"
    reason = json.loads(yanked or deprecated or "{}").get("reason", "")
    wanted = tuple(Dependency(**one) for one in facts.get("dependencies", ()))
    return Release(row[0], row[1], version, row[2], row[4], state, str(reason), facts.get("gati", ""), row[6], wanted)
