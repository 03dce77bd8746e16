"""Ranges of versions, as `kinds` reads them."""

from __future__ import annotations

from gati_extensions.kinds.api import BadRange, Comparator, Range, exact
from gati_extensions.kinds.api import parse_range as parse
from gati_extensions.kinds.ranges import MAX_LENGTH

__all__ = ["MAX_LENGTH", "BadRange", "Comparator", "Range", "exact", "parse"]
