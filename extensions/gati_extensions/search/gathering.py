"""Documents: what `kinds` and `namespaces` know of artifacts, as it is searched."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gati_extensions.kinds.api import BadRange, Catalogue, Described, parse_range, parse_version
from gati_extensions.namespaces.api import Namespaces, line, owner, root
from gati_extensions.search.language import family
from gati_extensions.search.ports import Document
from gati_extensions.search.ranges import PRERELEASE, key_of, spans
from gati_registry.extension import Transaction

MOST = 50
"""Values of a field that are searched."""

MAX_VALUE = 200
"""Characters of a value that count."""

MAX_DESCRIPTION = 4_096
MAX_README = 65_536
HIDDEN = frozenset({"unpublished"})
"""States of a latest version that lists do not show."""


class Gathering:
    """Reads documents within a snapshot."""

    def __init__(self, catalogue: Catalogue, namespaces: Namespaces, *, readme: bool) -> None:
        self._catalogue = catalogue
        self._namespaces = namespaces
        self._readme = readme
        self._fulltext: frozenset[tuple[str, str]] = frozenset()

    async def documents(self, tx: Transaction, names: Sequence[str]) -> list[Document]:
        """Those of the names that are artifacts in lists."""
        found = []
        fulltext = await self._fields(tx)
        for described in await self._catalogue.described(tx, names):
            if described.state not in HIDDEN:
                level, _ = await self._namespaces.visibility(tx, described.name)
                found.append(self._document(described, level, fulltext))
        return found

    async def _fields(self, tx: Transaction) -> frozenset[tuple[str, str]]:
        """Fields of custom metadata that are searched in full."""
        return frozenset(
            (schema, path) for schema, path, index in await self._catalogue.indexed_fields(tx, "", 1000)
            if index == "fulltext"
        )  # fmt: skip

    def _document(self, found: Described, level: str, fulltext: frozenset[tuple[str, str]]) -> Document:
        facts, overlay = found.facts, found.overlay
        version = parse_version(found.latest)
        keywords = [*_texts(overlay.get("keywords", facts.get("keywords")))]
        numbers = {
            _field(name): float(number) for name, number in facts.get("numbers", {}).items()
            if isinstance(number, int | float)
        }  # fmt: skip
        words: dict[str, list[str]] = {
            _field(name): list(_texts(values)) for name, values in facts.get("words", {}).items()
        }
        text: list[str] = []
        for value in found.values:
            name = f"{value.schema}{value.path.replace('/', '.')}"
            words.setdefault(name, []).append(value.word)
            if value.number is not None:
                numbers[name] = value.number
            if (value.schema, value.path) in fulltext:
                text.append(value.word)
        capabilities = [*_texts(facts.get("capabilities"))]
        words |= {
            "kind": [found.kind],
            "name": [found.name, found.name.rpartition("/")[2]],
            "namespace": _above(found.name),
            "publisher": [publisher(found.name)],
            "capability": [*map(family, capabilities), *capabilities],
            "language": [*_texts(facts.get("languages"))],
            "license": [*_texts([facts.get("license")])],
            "keyword": keywords,
            "tag": [*found.tags, *(str(version) for _ in range(1) if version is not None)],
            "state": [found.state, *([PRERELEASE] if version is not None and version.prerelease else [])],
            "type": [*_texts([facts.get("type")])],
            "platform": [*_texts(facts.get("platforms"))],
            "label": [f"{key}={value}" for key, value in _pairs(overlay.get("labels"))],
        }
        return Document(
            name=found.name,
            kind=found.kind,
            version=str(version) if version is not None else found.latest,
            digest=found.digest,
            version_key=key_of(version) if version is not None else "",
            title=str(facts.get("title") or "")[:256],
            description=str(overlay.get("description", facts.get("description")) or "")[:MAX_DESCRIPTION],
            keywords=tuple(keywords[:MOST]),
            text=" ".join(text)[:MAX_DESCRIPTION],
            readme=str(overlay.get("readme") or "")[:MAX_README] if self._readme else "",
            license=str(facts.get("license") or "")[:MAX_VALUE],
            publisher=publisher(found.name),
            level=level,
            stars=found.stars,
            downloads=found.downloads,
            created_at=found.created_at,
            updated_at=found.updated_at,
            words={
                name: kept for name, values in words.items()
                if (kept := tuple(dict.fromkeys(value.strip().lower()[:MAX_VALUE] for value in values if value))[:MOST])
            },
            numbers=dict(list(numbers.items())[:MOST]),
            gati_spans=_gati(str(facts.get("gati") or "")),
        )  # fmt: skip


def publisher(name: str) -> str:
    """Who publishes: the account that owns the namespace, else the namespace's first part."""
    owning = owner(name)
    return owning[1] if owning is not None else name.partition("/")[0]


def _above(name: str) -> list[str]:
    """The namespaces above a repository, the one that is owned first."""
    return [path for path in line(name) if path != name] or [root(name)]


def _field(name: str) -> str:
    from gati_extensions.search.language import field_of

    return field_of(name)


def _texts(values: Any) -> Iterable[str]:
    if isinstance(values, str):
        values = [values]
    return [value for value in values if isinstance(value, str)] if isinstance(values, list | tuple) else []


def _pairs(values: Any) -> Iterable[tuple[str, str]]:
    return values.items() if isinstance(values, Mapping) else ()


def _gati(text: str) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    try:
        return spans(parse_range(text))
    except BadRange:
        return ()


def moment(milliseconds: int) -> datetime.datetime:
    """A time as the API writes it."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
