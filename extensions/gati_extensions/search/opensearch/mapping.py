"""A document as OpenSearch keeps it.

Words are folded here, as for every other index (`words`), so that OpenSearch only splits at spaces: a node needs no
plugin, and the same texts are found. Fields whose names others choose (custom schemas, kinds) are values of one field,
for a mapping does not bear thousands of names.

    name, title, keywords, description, more, readme   folded words; .prefix of the first four: beginnings of words
    any        the words of those four, for misspellings
    called     what an artifact is called exactly
    has        field=value of all fields of words          counted  those of `FACETS`, a line each (`facets`)
    numbers    nested {field, value}                       gati           nested {low, high}
    within     every path at or above it                   level          see `ports.Reach`
    document   what hits show; all that is kept beside what is indexed
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from gati_extensions.search.ports import FACETS, Document
from gati_extensions.search.words import words

FORMAT = 2
"""Of what an index holds; one of another format is built anew."""

REFRESH = "300ms"
"""What was put is found after so long: within a second of the push, its way through the outbox included."""

LONGEST_PREFIX = 20
"""Characters of a word's beginning that are indexed; of a longer one as many are compared."""

DESCRIBED = 20_000
"""Characters of a text that are indexed."""

LONGEST_VALUE = 8000
"""Characters of a value that is found; Lucene takes 32,766 bytes."""

_OWN = {"stars": "stars", "downloads": "downloads", "created": "created_at", "updated": "updated_at"}
"""Numbers with fields of their own, and where a document has them."""

MAX_FACET = 20
"""Values of one field of one artifact that are counted."""

VALUES = 50
"""Values of a facet that are told, the commonest first."""

_COUNTED = {"namespace": 1}
"""Of the namespaces above an artifact the one that is owned."""

_NOT_SHOWN = frozenset({"text", "readme"})


def settings() -> dict[str, Any]:
    """Settings of a new index; while it is built nobody sees it, so nothing is refreshed."""
    return {
        "index": {
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            "refresh_interval": "-1",
            "mapping": {"nested_objects": {"limit": 10_000}},
        },
        "analysis": {
            "filter": {"beginnings": {"type": "edge_ngram", "min_gram": 1, "max_gram": LONGEST_PREFIX}},
            "analyzer": {
                "folded": {"type": "custom", "tokenizer": "whitespace", "filter": []},
                "beginnings": {"type": "custom", "tokenizer": "whitespace", "filter": ["beginnings", "unique"]},
            },
        },
    }


def mapping() -> dict[str, Any]:
    """The mapping of an index. What it does not name is refused."""
    folded: dict[str, Any] = {"type": "text", "analyzer": "folded"}
    beginnings = {"type": "text", "analyzer": "beginnings", "search_analyzer": "folded", "norms": False}
    both = {**folded, "copy_to": "any", "fields": {"prefix": {**beginnings, "index_options": "docs"}}}
    keyword = {"type": "keyword", "ignore_above": LONGEST_VALUE}
    number = {"type": "double"}
    return {
        "dynamic": "strict",
        # What is sent anew is sent whole: the rest would double what a node stores, reads and merges.
        "_source": {"includes": ["document"]},
        "properties": {
            "repository": keyword,
            "name": both,
            "title": both,
            "keywords": both,
            "description": both,
            "more": folded,
            "readme": folded,
            "any": {"type": "text", "analyzer": "folded", "norms": False},
            "called": keyword,
            "has": keyword,
            "counted": {"type": "keyword", "index": False, "ignore_above": LONGEST_VALUE},
            "numbers": {"type": "nested", "properties": {"field": keyword, "value": number}},
            "gati": {"type": "nested", "properties": {"low": keyword, "high": keyword}},
            "version_key": keyword,
            "within": keyword,
            "level": keyword,
            "popularity": {"type": "rank_feature"},
            "known": {"type": "long"},
            **{name: {"type": "long"} for name in _OWN},
            "document": {"type": "object", "enabled": False},
        },
    }


def own_number(field: str) -> bool:
    """Whether a number has a field of its own."""
    return field in _OWN


def stored(document: Document) -> dict[str, Any]:
    """A document as it is sent."""
    parts = document.name.split("/")
    name, title = _folded(document.name), _folded(document.title)
    known = document.downloads + 10 * document.stars
    return {
        "repository": document.name,
        "name": name,
        "title": title,
        "keywords": _folded(" ".join(document.keywords)),
        "description": _folded(document.description),
        "more": _folded(document.text),
        "readme": _folded(document.readme),
        "called": sorted({name, _folded(parts[-1]), title} - {""}),
        "has": sorted(f"{field}={value}" for field, values in document.words.items() for value in values),
        "counted": facets(document),
        "numbers": [{"field": name, "value": value} for name, value in document.numbers.items()],
        "gati": [{"low": low, "high": high} for low, high in document.gati_spans],
        "version_key": document.version_key,
        "within": ["/".join(parts[:end]) for end in range(1, len(parts) + 1)],
        "level": document.level,
        "popularity": 1 + known,
        "known": known,
        **{name: getattr(document, attribute) for name, attribute in _OWN.items()},
        "document": {
            field.name: _plain(getattr(document, field.name))
            for field in dataclasses.fields(document)
            if field.name not in _NOT_SHOWN
        },
    }


def shown(source: Mapping[str, Any]) -> Document:
    """A document of what `stored` sent; without its readme and further text."""
    found = dict(source["document"])
    found["keywords"] = tuple(found["keywords"])
    found["words"] = {field: tuple(values) for field, values in found["words"].items()}
    found["gati_spans"] = tuple((low, high) for low, high in found["gati_spans"])
    return Document(**found)


def facets(document: Document) -> str:
    """The values that are counted, a line each: the place of its field in `FACETS` and the value."""
    lines: list[str] = []
    room = LONGEST_VALUE
    for number, field in enumerate(FACETS):
        for value in document.words.get(field, ())[: _COUNTED.get(field, MAX_FACET)]:
            line = f"{number} {value.replace(chr(10), ' ')}"
            room -= len(line) + 1
            if room >= 0:
                lines.append(line)
    return "\n".join(lines)


def counts(found: Iterable[str]) -> dict[str, dict[str, int]]:
    """How many of those documents have each value, the commonest first; of as many with the same, by their names."""
    lines = Counter(line for text in found for line in text.split("\n"))
    lines.pop("", None)
    counted: dict[str, dict[str, int]] = {field: {} for field in FACETS}
    for line, number in sorted(lines.items(), key=lambda item: (-item[1], item[0])):
        field, _, value = line.partition(" ")
        values = counted[FACETS[int(field)]]
        if len(values) < VALUES:
            values[value] = number
    return counted


def _folded(text: str) -> str:
    return " ".join(words(text[:DESCRIBED]))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value
