"""Paging of lists: `n` and `last`, and the `Link` to the next page.

Source: distribution-spec end-8; RFC 8288.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from gati_registry.errors import Code, RegistryError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list in its order; `more` tells whether others follow."""

    items: Sequence[T]
    more: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """Which page is wanted: at most `limit` items after `last`."""

    limit: int
    last: str = ""

    @classmethod
    def parse(cls, n: str | None, last: str | None, *, maximum: int) -> Cursor:
        """Read the query's `n` and `last`; `n` beyond `maximum` is cut to it, as a `Link` leads on.

        Raises:
            RegistryError: UNSUPPORTED with status 400 for an `n` that is no number.
        """
        limit = maximum
        if n is not None and n != "":
            if not n.isascii() or not n.isdigit():
                raise RegistryError(
                    Code.UNSUPPORTED,
                    "query parameter n must be a whole number, 0 or more",
                    status=400,
                    detail={"n": n[:50]},
                )
            limit = min(int(n.lstrip("0")[:18] or 0), maximum)
        return cls(limit, last or "")


def link(path: str, **parameters: str | int) -> str:
    """A `Link` header's value that leads to the next page."""
    return f'<{path}?{urlencode(parameters)}>; rel="next"'
