"""Byte ranges of requests: `Range` of downloads, `Content-Range` of upload chunks.

Sources: RFC 9110 section 14; distribution-spec end-5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_RANGES = 64
"""More parts than this in one request are answered with the whole (RFC 9110 section 14.2 allows ignoring them)."""

_SPEC = re.compile(r"([0-9]{0,19})-([0-9]{0,19})")
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?([0-9]{1,19})-([0-9]{1,19})(?:/(?:[0-9]{1,19}|\*))?")


class RangeNotSatisfiable(Exception):
    """No part of the requested range lies within the content."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def parse_range(header: str, size: int) -> list[ByteRange] | None:
    """The parts of a `Range` header within content of `size` bytes, cut at its end, in the order asked.

    None means: answer with the whole (another unit, a malformed header, too many or wasteful parts).

    Raises:
        RangeNotSatisfiable: a well-formed header, or one whose end precedes its start, that meets nothing.
    """
    unit, _, specs = header.partition("=")
    if unit.strip().lower() != "bytes" or not specs:
        return None
    parts: list[ByteRange] = []
    texts = specs.split(",")
    if len(texts) > MAX_RANGES:
        return None
    for text in texts:
        match = _SPEC.fullmatch(text.strip())
        if match is None or match.group() == "-":
            return None
        low, high = match.groups()
        if not low:
            length = min(int(high), size)
            if length:
                parts.append(ByteRange(size - length, size - 1))
        elif int(low) < size and (not high or int(low) <= int(high)):
            parts.append(ByteRange(int(low), min(int(high), size - 1) if high else size - 1))
    if not parts:
        raise RangeNotSatisfiable
    if len(parts) > 1 and sum(part.length for part in parts) > size:
        return None  # overlapping parts would send more than the whole
    return parts


def parse_content_range(header: str) -> ByteRange | None:
    """The chunk's range of a PATCH or PUT; None if malformed.

    The specification's form is `<first>-<last>`; clients also send HTTP's own `bytes first-last/total`.
    """
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None or int(match[1]) > int(match[2]):
        return None
    return ByteRange(int(match[1]), int(match[2]))
