"""What this extension needs from the outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Resolver(Protocol):
    """The domain name system."""

    async def texts(self, domain: str) -> Sequence[str]:
        """The TXT records of a domain; none where it has none.

        Raises:
            Lookup: no usable answer.
        """


class Fetcher(Protocol):
    """Files on the web."""

    async def fetch(self, url: str, limit: int) -> bytes | None:
        """A file of at most `limit` bytes; None where there is none.

        Raises:
            Lookup: no usable answer, or the URL leads somewhere it must not.
        """
