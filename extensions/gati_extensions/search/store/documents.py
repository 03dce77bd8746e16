"""Documents as rows, and rows as documents."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from gati_extensions.search import words
from gati_extensions.search.ports import FACETS, Document

TOLD = tuple(field for field in FACETS if field != "namespace")
"""Fields of which a row has all values; of namespaces it has the first one."""

SHOWN = 30
"""Values of a field that an answer counts."""

MAX_README = 16_384
"""Characters of a readme that are searched."""

TIER_BITS = 40
"""Bits of an id within its tier."""

_TIER = 1 << TIER_BITS
_SPACED = dict.fromkeys(range(32), " ")
_FIELDS = tuple(field.name for field in dataclasses.fields(Document) if field.name not in ("readme", "text"))


def tier(document: Document) -> int:
    """How well known an artifact is: the power of two of its downloads, a star counting as ten; at most 20."""
    return min(int(math.log2(1 + document.downloads + 10 * document.stars)), 20)


def tier_range(number: int) -> tuple[int, int]:
    """The lowest id of a tier, and the first one beyond."""
    return number * _TIER, (number + 1) * _TIER


def tier_of(document_id: int) -> int:
    """The tier of an id."""
    return document_id // _TIER


def base(name: str) -> str:
    """The last part of a repository's name as a search for exactly that writes it."""
    return " ".join(words.words(name.rpartition("/")[2]))


def encoded(document: Document) -> str:
    """What is shown and compared, as JSON."""
    found = {name: value for name in _FIELDS if (value := getattr(document, name)) not in ("", (), {}, 0)}
    return json.dumps(found, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def decoded(text: str) -> Document:
    """The document without its readme and further text."""
    found: dict[str, Any] = json.loads(text)
    found["keywords"] = tuple(found.get("keywords", ()))
    found["gati_spans"] = tuple((low, high) for low, high in found.get("gati_spans", ()))
    found["words"] = {name: tuple(values) for name, values in found.get("words", {}).items()}
    return Document(**found)


def facets(document: Document) -> str:
    """The values that are counted, a line each, between line feeds; and the visibility, which is not counted."""
    lines = [of_level(document.level)]
    for field in FACETS:
        values = document.words.get(field, ())
        lines += [facet(field, value) for value in (values[:1] if field == "namespace" else values)]
    return "".join(lines).replace("\n\n", "\n")


def of_level(level: str) -> str:
    """The line of a visibility."""
    return f"\n{len(FACETS)} {level}\n"


def facet(field: str, value: str) -> str:
    """One of these lines."""
    return f"\n{FACETS.index(field)} {value.translate(_SPACED).strip()}\n"


def counted(rows: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """Counts by field and value, the most frequent first."""
    found: dict[str, dict[str, int]] = {field: {} for field in FACETS}
    lines = Counter("".join(rows).split("\n"))
    lines.pop("", None)
    items = sorted(lines.items())
    items.sort(key=itemgetter(1), reverse=True)  # keeps the order of equal ones
    for line, number in items:
        field, _, value = line.partition(" ")
        if int(field) == len(FACETS):
            continue
        values = found[FACETS[int(field)]]
        if len(values) < SHOWN:
            values[value] = number
    return found


def texts(document: Document) -> tuple[list[str], ...]:
    """The words of name, title, keywords, description (with further text) and readme."""
    return (
        words.words(document.name.replace("/", " ")),
        words.words(document.title),
        words.words(" ".join(document.keywords)),
        words.words(f"{document.description} {document.text}"),
        words.words(document.readme[:MAX_README]),
    )


def vocabulary(document: Document) -> set[str]:
    """The words that a misspelling is mended to: of all but the readme and further text."""
    return {
        word
        for word in words.words(
            " ".join((document.name, document.title, " ".join(document.keywords), document.description))
        )
        if 3 <= len(word) <= 32 and not word.isdigit()
    }
