"""Bodies of this extension's endpoints."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gati_registry.extension import Model, Paging

Value = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
Values = Annotated[list[Value], Field(max_length=16)]


class SearchQuery(Model):
    """What is looked for: words and filters in the query language (`q`), or filters by themselves. All must hold; of
    several values of one filter one will do."""

    q: str = Field("", max_length=1000, pattern=r"^[^\x00]*$", description="The query.")
    sort: Literal["relevance", "downloads", "stars", "updated", "created", "name"] = "relevance"
    limit: int = Field(20, ge=1, le=100, description="Most items in the answer.")
    cursor: str = Field("", max_length=2048, pattern=r"^[^\x00]*$", description="`next` of the page before.")
    ranking: Literal["lexical", "semantic", "fused"] | None = Field(
        None,
        description="By words, by meaning, or both; the answer says which it was. Absent: both, where the registry "
        "searches by meaning.",
    )
    facets: bool = Field(True, description="Whether values of kind, namespace and the like are counted.")
    kind: Values = Field(default_factory=list)
    namespace: Values = Field(default_factory=list, description="At and below it.")
    publisher: Values = Field(default_factory=list)
    capability: Values = Field(default_factory=list, description="By family: `db:read` and `database.write` are `db`.")
    language: Values = Field(default_factory=list)
    license: Values = Field(default_factory=list)
    tag: Values = Field(default_factory=list)
    keyword: Values = Field(default_factory=list)
    state: Values = Field(default_factory=list)
    gati: Values = Field(default_factory=list, description="A Gati version that the artifact works with.")
    version: Values = Field(default_factory=list, description="A range that the latest version lies in.")
    created: Values = Field(default_factory=list, description="A day, `>2026-01-31`, or `2026-01..2026-03`.")
    updated: Values = Field(default_factory=list)
    stars: Values = Field(default_factory=list, description="A number, `>10`, or `10..20`; so are the following.")
    downloads: Values = Field(default_factory=list)
    context_length: Values = Field(default_factory=list, alias="contextLength")
    field: Annotated[list[Value], Field(max_length=16)] = Field(
        default_factory=list, description="Any other field, also of a registered schema: `field=acme.tier:gold`."
    )


class Publisher(Model):
    """Who publishes; `verified`: has proved to be who the name says."""

    name: str
    verified: bool


class Highlight(Model):
    """A text of an item with the places that fit the query: [start, end) by characters of `text`, which is plain."""

    field: Literal["name", "title", "description", "keywords"]
    text: str
    ranges: list[tuple[int, int]]


class SearchItem(Model):
    """An artifact that was found, with its latest version."""

    repository: str
    kind: str
    name: str
    title: str
    version: str
    description: str
    digest: str
    keywords: list[str]
    license: str
    downloads: int
    stars: int
    publisher: Publisher
    state: str
    created: datetime.datetime
    updated: datetime.datetime
    score: float | None
    highlights: list[Highlight]


class FacetValue(Model):
    """How many of the counted hits have a value."""

    value: str
    count: int


class SearchPage(Model):
    """A page of hits.

    `total` is how many there are; with `total_exact` false there are at least so many, and `facets` count those alone.
    `corrected` are words of the query that nothing has, with those that were looked for instead. With `relaxed` nothing
    has all words of the query, and these have some of them.
    """

    items: list[SearchItem]
    next: str | None
    total: int
    total_exact: bool
    facets: dict[str, list[FacetValue]]
    ranking: Literal["lexical", "semantic", "fused"]
    corrected: dict[str, list[str]]
    relaxed: bool


class SuggestQuery(Model):
    """What was typed so far."""

    q: str = Field(min_length=1, max_length=128, pattern=r"^[^\x00]*$")
    limit: int = Field(10, ge=1, le=20)


class Suggestion(Model):
    """An artifact whose name or title goes on like that; `ranges` are the places in `repository`."""

    repository: str
    kind: str
    title: str
    ranges: list[tuple[int, int]]


class Suggestions(Model):
    """The best known first."""

    items: list[Suggestion]


class DownloadsQuery(Paging):
    """From which day on."""

    since: datetime.date | None = Field(None, description="A day, UTC; absent: all.")


class DownloadItem(Model):
    """How often a version was downloaded on a day: each client once an hour."""

    day: datetime.date
    version: str
    count: int


class DownloadsPage(Model):
    """Downloads by day and version, in that order; `total` is of all days and versions."""

    items: list[DownloadItem]
    next: str | None
    total: int
