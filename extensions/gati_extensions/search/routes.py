"""The endpoints."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from gati_extensions.kinds.api import Catalogue
from gati_extensions.search.model import (
    DownloadItem,
    DownloadsPage,
    DownloadsQuery,
    SearchPage,
    SearchQuery,
    Suggestions,
    SuggestQuery,
)
from gati_extensions.search.query import Searching
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Action, Call, Kernel, Permission, Route, Transaction

SEARCH = Permission("search.search", Action.PUBLIC)
DOWNLOADS = Permission("search.downloads", Action.PULL)


def registry_routes(searching: Searching) -> Sequence[Route]:
    """Below `/v2/_ext/search/`."""

    async def search(call: Call) -> SearchPage:
        return await searching.search(call.identity, call.query)

    async def suggest(call: Call) -> Suggestions:
        return await searching.suggest(call.identity, call.query.q, call.query.limit)

    return [
        Route("GET", "", SEARCH, search, "Search in what you may pull.", query=SearchQuery, answer=SearchPage),
        Route("GET", "suggest", SEARCH, suggest, "Artifacts whose name goes on like that.", query=SuggestQuery,
              answer=Suggestions),
    ]  # fmt: skip


def repository_routes(kernel: Kernel, catalogue: Catalogue) -> Sequence[Route]:
    """Below `/v2/<repository>/_ext/search/`."""

    async def downloads(call: Call) -> DownloadsPage:
        asked: DownloadsQuery = call.query
        repository = call.repository
        assert repository is not None
        day, _, version = asked.cursor.partition(" ")
        if asked.cursor and not _is_day(day):
            raise RegistryError(Code.INVALID, "cursor: take `next` of the page before")
        since = asked.since.isoformat() if asked.since is not None else ""

        async def work(tx: Transaction) -> DownloadsPage:
            found = await catalogue.downloads_by_day(tx, repository, since, (day, version), asked.limit + 1)
            total = await catalogue.downloads(tx, [repository])
            items = [
                DownloadItem(day=datetime.date.fromisoformat(on), version=version, count=count)
                for on, version, count in found[: asked.limit]
            ]
            more = f"{items[-1].day} {items[-1].version}" if len(found) > asked.limit else None
            return DownloadsPage(items=items, next=more, total=total.get(repository, 0))

        return await kernel.database.scan(work)

    return [
        Route("GET", "downloads", DOWNLOADS, downloads, "Downloads of each version by day.", query=DownloadsQuery,
              answer=DownloadsPage),
    ]  # fmt: skip


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
