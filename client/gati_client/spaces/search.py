"""Search among what the caller may pull."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from gati_client.models import DownloadItem, SearchPage, Suggestion, Suggestions, TypesPage, TypesQuery
from gati_client.spaces.base import Space, repository_path

_PATH = "/v2/_ext/search"


class Search(Space):
    """`client.search`."""

    needs = "search"

    async def find(
        self,
        query: str = "",
        *,
        sort: str = "relevance",
        limit: int = 20,
        cursor: str = "",
        facets: bool = True,
        filters: Mapping[str, str | Sequence[str]] | None = None,
    ) -> SearchPage:
        """A page of hits.

        Args:
            query: words and filters in the query language, such as `database kind:module downloads:>100`.
            sort: relevance, downloads, stars, updated, created or name.
            cursor: `next` of the page before.
            facets: whether values of kind, namespace and the like are counted.
            filters: by name (`kind`, `namespace`, `license`, …); of several values one will do.
        """
        asked: dict[str, str | int | bool | Sequence[str] | None] = {
            "q": query or None,
            "sort": sort,
            "limit": limit,
            "cursor": cursor or None,
            "facets": facets,
            **(filters or {}),
        }
        return await self._get(SearchPage, _PATH, asked)

    async def suggest(self, beginning: str, *, limit: int = 10) -> list[Suggestion]:
        """Artifacts whose name or title goes on like that, the best known first."""
        return (await self._get(Suggestions, f"{_PATH}/suggest", {"q": beginning, "limit": limit})).items

    async def types(self, query: TypesQuery) -> TypesPage:
        """Methods that take X and give Y, the exact ones first; of the latest versions."""
        return await self._send("POST", f"{_PATH}/types", TypesPage, query)

    def downloads(self, repository: str, *, since: str | None = None) -> AsyncIterator[DownloadItem]:
        """Downloads of each version by day; `since` is a day such as `2026-01-31`."""
        return self._items(DownloadItem, repository_path(repository, "search/downloads"), {"since": since})
