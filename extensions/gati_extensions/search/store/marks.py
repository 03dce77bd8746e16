"""Filters as words of the full text: an artifact that has a word in a field bears a mark for it.

A mark is a text that no query's word can be: its first character is of no script. Numbers and times bear marks of
their magnitude or month, which narrow a comparison before it is made.
"""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Iterator
from functools import lru_cache

from gati_extensions.search.expression import Compare
from gati_extensions.search.ports import Document

SIGN = "\ue000"
ALL = SIGN + "0"
"""Every artifact bears it."""

NONE = SIGN + "1"
"""None does."""

NAMED, TITLED = "\ue001", "\ue002"
"""Before a word of the name, or of title or keywords: where very many artifacts have a word, these come first."""

TIMES = frozenset({"created", "updated"})
MOST_MONTHS = 240
_LOWEST, _HIGHEST = -4, 20


@lru_cache(maxsize=65536)
def mark(field: str, value: str) -> str:
    """The mark of a word in a field."""
    digest = hashlib.blake2b(f"{field}\0{value}".encode(), digest_size=8).digest()
    return f"{SIGN}{int.from_bytes(digest)}"


def magnitude(number: float) -> int:
    """The power of four below it, from -4 to 20; what is smaller (or negative) or greater belongs to these."""
    if not number > 4.0**_LOWEST:
        return _LOWEST
    return min((math.frexp(min(number, 2.0**64))[1] - 1) // 2, _HIGHEST)


def of_number(field: str, number: float) -> str:
    """The mark of a number's magnitude."""
    return mark(f"{field}#", str(magnitude(number)))


def of_time(field: str, milliseconds: float) -> str:
    """The mark of a month."""
    return mark(f"{field}#", _month(milliseconds))


def _month(milliseconds: float) -> str:
    bounded = min(max(milliseconds, 0), 4_102_444_800_000)  # of 1970 to 2099
    return datetime.datetime.fromtimestamp(bounded / 1000, datetime.UTC).strftime("%Y-%m")


def of_document(document: Document) -> Iterator[str]:
    """All marks of an artifact."""
    yield ALL
    for field, values in document.words.items():
        for value in values:
            yield mark(field, value)
    yield mark("level", document.level)
    for field, number in numbers_of(document).items():
        yield of_number(field, number)
    yield of_time("created", document.created_at)
    yield of_time("updated", document.updated_at)


def numbers_of(document: Document) -> dict[str, float]:
    """All numbers but times."""
    return {**document.numbers, "stars": float(document.stars), "downloads": float(document.downloads)}


def narrowing(node: Compare, now: float) -> list[str] | None:
    """Marks of which everything that fits a comparison bears one; None where they would be too many."""
    if node.field in TIMES:
        low = node.number if node.operator in (">", ">=", "=") else None
        high = node.number if node.operator in ("<", "<=", "=") else now + 86_400_000
        if low is None:
            return None
        first, last = (_ordinal(value) for value in (low, high))
        if last - first > MOST_MONTHS:
            return None
        return [
            mark(f"{node.field}#", f"{number // 12:04d}-{number % 12 + 1:02d}") for number in range(first, last + 1)
        ]
    own = magnitude(node.number)
    buckets = {
        "=": range(own, own + 1), "<": range(_LOWEST, own + 1), "<=": range(_LOWEST, own + 1),
        ">": range(own, _HIGHEST + 1), ">=": range(own, _HIGHEST + 1),
    }[node.operator]  # fmt: skip
    return [mark(f"{node.field}#", str(number)) for number in buckets]


def _ordinal(milliseconds: float) -> int:
    year, month = _month(milliseconds).split("-")
    return int(year) * 12 + int(month) - 1
