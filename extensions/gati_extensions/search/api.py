"""What extensions that use `search` get. `kernel.apis["search"]` is a `Search`."""

from __future__ import annotations

from typing import Protocol

from gati_extensions.search.model import SearchItem, SearchPage, SearchQuery
from gati_registry.extension import Identity

__all__ = ["Search", "SearchItem", "SearchPage", "SearchQuery"]


class Search(Protocol):
    """Finding artifacts."""

    async def search(self, identity: Identity, asked: SearchQuery) -> SearchPage:
        """What the endpoint `search` answers to this caller.

        Raises:
            RegistryError: INVALID, with the place of the error; UNAVAILABLE, there is no index yet.
        """
