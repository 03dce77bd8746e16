"""Ranges of versions, as `kinds` reads them."""

from __future__ import annotations

from gati_extensions.kinds.api import MAX_RANGE as MAX_LENGTH
from gati_extensions.kinds.api import BadRange, Comparator, Range, exact
from gati_extensions.kinds.api import parse_range as parse

__all__ = ["MAX_LENGTH", "BadRange", "Comparator", "Range", "exact", "parse"]
