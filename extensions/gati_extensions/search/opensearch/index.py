"""`ports.SearchIndex` in OpenSearch.

Two aliases say which index serves and which is being built; whoever writes goes by them, so that all processes agree at
once. A document carries its revision as an external version: what comes late changes nothing.

    search ──1──▶ OpenSearch: names in their order with what facets count of them, at most `ranked` at a time
           ──2──▶ database: which of them the caller may see, now; exactly those are counted
           ──3──▶ OpenSearch: the documents of the page

An index lags and knows no conditions of roles, so it is never asked what a caller may see: it only leaves out what
certainly nobody of that reach sees.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gati_extensions.search.opensearch.asking import Asked, asked, beginning, order
from gati_extensions.search.opensearch.mapping import FORMAT, REFRESH, counts, mapping, settings, shown, stored
from gati_extensions.search.opensearch.server import Server, answering, log
from gati_extensions.search.ports import Document, Found, Hit, Query, Reach
from gati_extensions.search.spelling import nearest
from gati_registry.errors import Unavailable
from gati_registry.extension import Visible

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch

Existing = Callable[[Sequence[str], Visible], Awaitable[Sequence[str]]]
"""Asks the database which artifacts are there and visible to a caller."""

LOOKED = 50
"""Words of which the likeliest that a misspelt one was meant to be are chosen."""

KNOWN = 50
"""Times as many artifacts as are ranked, the best known: a search that finds enough among those ranks them alone. So a
word of every fifth artifact costs no more than one of every fiftieth."""

BELIEVED = 60.0
"""Seconds for which it is believed how well known those are."""

_STEPS = [1 << power for power in range(40)]

SENT = 500
"""Documents of one request; their texts are bounded, so it stays within some megabytes."""


class _Candidate(NamedTuple):
    """What OpenSearch found: a name, its place in the order, and what facets count of it."""

    name: str
    place: list[Any]
    counted: str


class OpenSearchIndex:
    """The index; `prefix` begins the names of its aliases. To be closed."""

    def __init__(self, server: Server, existing: Existing, *, prefix: str = "gati-search") -> None:
        self._server = server
        self._existing = existing
        self._serving = prefix
        self._building = f"{prefix}-building"
        self._own = f"{prefix}-v{FORMAT}-"
        self._client: AsyncOpenSearch | None = None
        self._known: tuple[float, list[tuple[int, int]]] = (0.0, [])

    @property
    def client(self) -> AsyncOpenSearch:
        """Made when it is first needed: the library takes memory, and its connections belong to one event loop."""
        if self._client is None:
            self._client = self._server.client()
        return self._client

    async def close(self) -> None:
        """End all connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    # --- what is in it --------------------------------------------------------------------------------------------

    async def put(
        self, documents: Sequence[Document], gone: Sequence[str], *, building: bool = False, revision: int = 0
    ) -> None:
        for alias in (self._building,) if building else (self._serving, self._building):
            for start in range(0, len(documents), SENT):
                await self._send(alias, _puts(documents[start : start + SENT], building, revision))
            # A deletion that bears a version would make what it names: it goes to an index that is there.
            for index in await self._there(alias) if gone else ():
                for start in range(0, len(gone), SENT):
                    await self._send(alias, _deletions(gone[start : start + SENT], index, revision))

    async def _there(self, alias: str) -> list[str]:
        with answering():
            return await self._behind(alias)

    async def _send(self, alias: str, lines: Iterator[dict[str, Any]]) -> None:
        """What OpenSearch has answered for is on its disk. It is found after the next refresh, which is not waited for:
        what comes next would come so much later."""
        params = {"require_alias": "true"}
        with answering():
            answer = await self.client.bulk(index=alias, body=list(lines), params=params, timeout=30)
        for item in answer["items"] if answer["errors"] else ():
            ((_, said),) = item.items()
            status = said["status"]
            if status < 400 or status in (404, 409):  # no such index or document; or a newer one is there
                continue
            if status == 429 or status >= 500:
                raise Unavailable("the search index does not take documents; retry later")
            # It would be refused again and again, and hold up all others.
            log.error("search: OpenSearch refuses %s: %s", said["_id"], said.get("error", {}).get("reason"))

    # --- asking -------------------------------------------------------------------------------------------------

    async def search(self, query: Query) -> Found:
        with answering():
            first, least = await self._first(query)
            seen = await self._visible(first, query)
            page = [one for one in seen if query.after is None or _follows(one, query)]
            if len(first) == query.ranked and len(page) <= query.limit:
                async for more in self._beyond(query, first[-1], least):
                    page += more
                    if len(page) > query.limit:
                        break
            documents = await self._documents([one.name for one in page[: query.limit]])
        facets = counts(one.counted for one in seen) if query.facets else {}
        hits = [
            Hit(documents[one.name], (one.place[0], one.name)) for one in page[: query.limit] if one.name in documents
        ]
        return Found(hits, len(page) > query.limit, len(seen), len(first) < query.ranked, facets)

    async def _first(self, query: Query) -> tuple[list[_Candidate], int]:
        """Those that are counted, and how well known all of them are. 0: they were looked for among all."""
        if query.sort == "relevance" and (least := await self._least(KNOWN * query.ranked)):
            found = await self._candidates(asked(query, least, alone=True), query)
            if len(found) == query.ranked:
                return found, least
        return await self._candidates(asked(query), query), 0

    async def _least(self, number: int) -> int:
        """How well known the best known are, about so many or more; 0: there are not so many that are known at all."""
        until, found = self._known
        if time.monotonic() >= until:
            ranges = {"field": "known", "ranges": [{"from": step} for step in _STEPS]}
            body = {"size": 0, "track_total_hits": False, "aggs": {"known": {"range": ranges}}}
            answer = await self._ask(body, "aggregations.known.buckets")
            buckets = answer["aggregations"]["known"]["buckets"]
            found = [(int(bucket["from"]), bucket["doc_count"]) for bucket in buckets]
            self._known = time.monotonic() + BELIEVED, found
        return max((step for step, count in found if count >= number), default=0)

    async def _candidates(self, wanted: Asked, query: Query, after: list[Any] | None = None) -> list[_Candidate]:
        # Nothing is read but what is kept by columns: the order has the name in it.
        body: dict[str, Any] = {
            "query": wanted,
            "sort": order(query.sort),
            "size": query.ranked,
            "stored_fields": "_none_",
            "track_total_hits": False,
        }
        told = "hits.hits.sort"
        if query.facets and after is None:
            body["docvalue_fields"] = ["counted"]
            told += ",hits.hits.fields"
        if after is not None:
            body["search_after"] = after
        answer = await self._ask(body, told)
        return [
            _Candidate(hit["sort"][-1], hit["sort"], *hit["fields"]["counted"] if "fields" in hit else ("",))
            for hit in answer.get("hits", {}).get("hits", ())
        ]

    async def _beyond(self, query: Query, last: _Candidate, least: int) -> AsyncIterator[list[_Candidate]]:
        """Visible candidates after those that are counted."""
        after = last.place
        if query.after is not None and not _follows(last, query):  # the page before ended behind it
            after = [query.after[1]] if query.sort == "name" else list(query.after)
        while True:
            found = await self._candidates(asked(query, least), query, after)
            yield await self._visible(found, query)
            if len(found) < query.ranked:
                return
            after = found[-1].place

    async def _visible(self, found: list[_Candidate], query: Query) -> list[_Candidate]:
        if query.raw or not found:
            return found
        names = frozenset(await self._existing([one.name for one in found], query.visible))
        return [one for one in found if one.name in names]

    async def _documents(self, names: Sequence[str]) -> Mapping[str, Document]:
        """Documents by name; without those that went a moment ago."""
        if not names:
            return {}
        answer = await self.client.mget(
            index=self._serving,
            body={"ids": list(names)},
            params={"realtime": "false", "filter_path": "docs._id,docs._source"},
        )
        return {one["_id"]: shown(one["_source"]) for one in answer["docs"] if "_source" in one}

    async def suggest(self, prefix: str, limit: int, visible: Visible, reach: Reach | None) -> Sequence[Document]:
        texts = prefix.split()
        if not texts:
            return []
        looked = limit * 10
        body = {
            "query": beginning(texts, reach),
            "sort": [{"known": "desc"}, {"repository": "asc"}],
            "size": looked,
            "stored_fields": "_none_",
            "track_total_hits": False,
        }
        found: list[str] = []
        with answering():
            while len(found) < limit:
                answer = await self._ask(body, "hits.hits.sort")
                hits = answer.get("hits", {}).get("hits", ())
                names = [hit["sort"][-1] for hit in hits]
                seen = frozenset(await self._existing(names, visible)) if names else frozenset()
                found += [name for name in names if name in seen]
                if len(hits) < looked:
                    break
                body["search_after"] = hits[-1]["sort"]
            documents = await self._documents(found[:limit])
        return [documents[name] for name in found[:limit] if name in documents]

    async def near(self, word: str, limit: int) -> Sequence[str]:
        term = {"field": "any", "size": LOOKED, "suggest_mode": "always", "min_word_length": 3, "prefix_length": 0}
        body = {
            "query": {"term": {"any": word}},
            "size": 0,
            "terminate_after": 1,
            "suggest": {"near": {"text": word, "term": term}},
        }
        with answering():
            answer = await self._ask(body, "hits.total.value,suggest.near.options.text")
        if answer["hits"]["total"]["value"]:
            return [word]
        entries = answer.get("suggest", {}).get("near", ())
        return nearest(word, [option["text"] for entry in entries for option in entry.get("options", ())], limit)

    async def _ask(self, body: Mapping[str, Any], wanted: str) -> dict[str, Any]:
        params = {"filter_path": wanted, "allow_partial_search_results": "false"}
        answer: dict[str, Any] = await self.client.search(index=self._serving, body=dict(body), params=params)
        return answer

    # --- built beside what serves ---------------------------------------------------------------------------------

    async def built(self) -> bool:
        return any(name.startswith(self._own) for name in await self._there(self._serving))

    async def begin(self) -> None:
        name = f"{self._own}{secrets.token_hex(8)}"
        with answering():
            earlier = await self._behind(self._building)
            await self.client.indices.create(index=name, body={"settings": settings(), "mappings": mapping()})
            actions: list[dict[str, Any]] = [{"add": {"index": name, "alias": self._building}}]
            await self._move([*({"remove_index": {"index": index}} for index in earlier), *actions])

    async def switch(self) -> None:
        with answering():
            new, old = await asyncio.gather(self._behind(self._building), self._behind(self._serving))
            if not new:
                return
            for name in new:
                await self.client.indices.put_settings(
                    index=name, body={"index": {"refresh_interval": REFRESH}}, timeout=30
                )
                await self.client.indices.refresh(index=name, timeout=60)
            actions: list[dict[str, Any]] = [{"add": {"index": name, "alias": self._serving}} for name in new]
            actions += [{"remove": {"index": name, "alias": self._building}} for name in new]
            await self._move([*actions, *({"remove_index": {"index": name}} for name in old)])

    async def _behind(self, alias: str) -> list[str]:
        """The indices that an alias names."""
        found = await self.client.indices.get_alias(name=alias, params={"ignore": 404})
        return [] if "error" in found else list(found)

    async def _move(self, actions: list[dict[str, Any]]) -> None:
        await self.client.indices.update_aliases(body={"actions": actions}, timeout=30)


def _follows(one: _Candidate, query: Query) -> bool:
    """Whether a candidate comes after the page before."""
    assert query.after is not None
    value, name = query.after
    if query.sort == "name":
        return one.name > name
    # All other orders go down; of equal ones, names go up.
    return bool(one.place[0] < value or (one.place[0] == value and one.name > name))


def _puts(documents: Sequence[Document], building: bool, revision: int) -> Iterator[dict[str, Any]]:
    for document in documents:
        yield {"create" if building and not revision else "index": {"_id": document.name, **_version(revision)}}
        yield stored(document)


def _deletions(names: Sequence[str], index: str, revision: int) -> Iterator[dict[str, Any]]:
    for name in names:
        yield {"delete": {"_index": index, "_id": name, **_version(revision)}}


def _version(revision: int) -> dict[str, Any]:
    return {"version": revision, "version_type": "external_gte"} if revision else {}
