"""What the extension search says and wants to hear. Generated from its OpenAPI; do not edit:

python -m tests.client.generate
"""

from __future__ import annotations

import datetime
from typing import Any

from pydantic import Field

from gati_client.models.base import Model


class DownloadItem(Model):
    """How often a version was downloaded on a day: each client once an hour."""

    day: str
    version: str
    count: int


class DownloadsPage(Model):
    """Downloads by day and version, in that order; `total` is of all days and versions."""

    items: list[DownloadItem]
    next: str | None
    total: int


class FacetValue(Model):
    """How many of the counted hits have a value."""

    value: str
    count: int


class Highlight(Model):
    """A text of an item with the places that fit the query: [start, end) by characters of `text`, which is
    plain.
    """

    field: str
    text: str
    ranges: list[tuple[int, int]]


class MethodHit(Model):
    """A method; the name "" is the artifact as a whole. `match`: exact, equal but for brands, or it fits."""

    repository: str
    kind: str
    version: str
    digest: str
    method: str
    match: str
    takes: dict[str, Any] | None
    gives: dict[str, Any] | None


class Publisher(Model):
    """Who publishes; `verified`: has proved to be who the name says."""

    name: str
    verified: bool


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


class SearchPage(Model):
    """A page of hits. `total` is how many there are; with `total_exact` false there are at least so many, and
    `facets` count those alone. `corrected` are words of the query that nothing has, with those that were looked
    for instead. With `relaxed` nothing has all words of the query, and these have some of them.
    """

    items: list[SearchItem]
    next: str | None
    total: int
    total_exact: bool
    facets: dict[str, list[FacetValue]]
    ranking: str
    corrected: dict[str, list[str]]
    relaxed: bool


class Suggestion(Model):
    """An artifact whose name or title goes on like that; `ranges` are the places in `repository`."""

    repository: str
    kind: str
    title: str
    ranges: list[tuple[int, int]]


class Suggestions(Model):
    """The best known first."""

    items: list[Suggestion]


class TypesPage(Model):
    """A page. Not `complete`: there were more candidates than are looked at; ask for something narrower."""

    items: list[MethodHit]
    next: str | None
    complete: bool


class TypesQuery(Model):
    """What a method shall take, and what it shall give: GTypes in any spelling. A list is several arguments."""

    takes: Any = None
    gives: Any = None
    definitions: dict[str, Any] = Field(default_factory=dict)
    kind: str | None = None
    limit: int = 20
    cursor: str = ""
