"""`api.Catalogue`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from gati_extensions.kinds import downloads, semver, store
from gati_extensions.kinds.api import (
    Dependency,
    Described,
    Facts,
    Kinds,
    Release,
    Releases,
    Signed,
    Value,
    Watcher,
)
from gati_extensions.kinds.lines import Lines
from gati_extensions.kinds.understanding import checked
from gati_extensions.namespaces.api import Namespaces
from gati_registry.extension import Transaction, Visible

KEPT = 4096
"""Characters of facts up to which a release made of them is kept."""


class Catalog:
    """Answers from the tables of `kinds`."""

    def __init__(self, kinds: Kinds, namespaces: Namespaces, lines: Lines) -> None:
        self.kinds = kinds
        self._namespaces = namespaces
        self._lines = lines

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
    ) -> Sequence[Described]:
        """As the Protocol has it."""
        return await self.described(
            tx, [line.name for line in await store.within(tx, path, kind, after, limit, visible)]
        )

    def checked(self, kind: str, media_type: str, data: bytes) -> Facts:
        """As the Protocol has it."""
        found = self.kinds.get(kind)
        assert found is not None
        return checked(found, media_type, data)[0]

    def watch(self, watcher: Watcher) -> None:
        """As the Protocol has it."""
        self._lines.watch(watcher)

    async def described(self, tx: Transaction, names: Sequence[str]) -> Sequence[Described]:
        """As the Protocol has it."""
        counted = await downloads.totals(tx, names)
        return [
            _described(line, found, tags, [Value(*value) for value in values], counted.get(line.name, 0))
            for line, found, tags, values in await store.described(tx, names)
        ]

    async def signed(self, tx: Transaction, names: Sequence[str]) -> Sequence[Signed]:
        """As the Protocol has it."""
        return [Signed(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in await store.signed(tx, names)]

    async def names(self, tx: Transaction, path: str, after: str, limit: int) -> Sequence[str]:
        """As the Protocol has it."""
        return await store.names(tx, path, after, limit)

    async def indexed_fields(self, tx: Transaction, after: str, limit: int) -> Sequence[tuple[str, str, str]]:
        """As the Protocol has it."""
        return [
            (schema["id"], field["path"], field["index"])
            for schema in await store.schemas_after(tx, after, limit)
            for field in schema["indexed_fields"]
        ]

    async def downloads(self, tx: Transaction, names: Sequence[str]) -> Mapping[str, int]:
        """As the Protocol has it."""
        return await downloads.totals(tx, names)

    async def downloads_of_versions(
        self, tx: Transaction, names: Sequence[str], since: int
    ) -> Mapping[tuple[str, str], int]:
        """As the Protocol has it."""
        return await downloads.of_versions(tx, names, downloads.day_of(since))

    async def downloaded_since(self, tx: Transaction, time: int, after: str, limit: int) -> Sequence[tuple[int, str]]:
        """As the Protocol has it."""
        return await downloads.since(tx, time, after, limit)

    async def downloads_by_day(
        self, tx: Transaction, repository: str, since: str, after: tuple[str, str], limit: int
    ) -> Sequence[tuple[str, str, int]]:
        """As the Protocol has it."""
        return await downloads.days(tx, repository, since, after, limit)


def _described(
    line: store.Listed, found: store.Tagged, tags: Sequence[str], values: Sequence[Value], pulls: int
) -> Described:
    return Described(
        line.name, line.kind, line.latest, line.digest, found.standing.state, found.artifact.facts,
        found.standing.overlay, tuple(tags), tuple(values), line.stars, pulls, line.created_at, line.updated_at,
    )  # fmt: skip


def _release(row: tuple[Any, ...]) -> Release | None:
    return _kept(row) if len(row[5]) <= KEPT else _made(row)


def _made(row: tuple[Any, ...]) -> Release | None:
    version = semver.parse(row[1])
    if version is None:
        return None
    facts = json.loads(row[5])
    deprecated, yanked, archived = row[7], row[8], row[9]
    state = "archived" if archived else "yanked" if yanked else "deprecated" if deprecated else "published"
    reason = json.loads(yanked or deprecated or "{}").get("reason", "")
    wanted = tuple(Dependency(**one) for one in facts.get("dependencies", ()))
    return Release(row[0], row[1], version, row[2], row[4], state, str(reason), facts.get("gati", ""), row[6], wanted)


_kept = lru_cache(maxsize=8192)(_made)
"""What many want is asked for again and again, and a row says all that there is to know."""
