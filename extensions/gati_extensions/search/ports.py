"""What this extension needs of an index, whatever holds it.

The truth is what `kinds` stores; an index is made of it and can be made again at any time. One index serves while
another is built beside it: `begin` makes an empty one, `put` with `building` fills it, `switch` lets it serve. What
changes meanwhile is put into both.

An index that lives in the registry's database filters by `Query.visible` in SQL. One that lives elsewhere narrows by
`Query.reach` and asks the database which of its candidates are visible (`kinds.api.Catalogue.existing`) before it
counts anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gati_extensions.search.expression import EVERYTHING, Node
from gati_registry.extension import Visible

FACETS = ("kind", "namespace", "capability", "language", "license")
"""Fields of words whose values are counted."""

SORTS = ("relevance", "downloads", "stars", "updated", "created", "name")
"""Names go up, all else goes down; artifacts that are equal go by their names."""


@dataclass(frozen=True, slots=True)
class Document:
    """An artifact as it is searched: a repository with its latest version. Times are milliseconds, UTC.

    `words` are fields of words (`expression`), each value in lower case: with those of `FACETS`, also `publisher`,
    `tag`, `state`, `type`, words of the kind, and `<schema>.<path>` of custom metadata. `namespace` holds every
    namespace above the repository, the root first. `numbers` are fields of numbers beside stars, downloads and times.
    `text` is further text that is found (custom fields that are searched in full), with the weight of the description.
    `level` is the visibility when this was indexed: it narrows, and decides nothing.
    """

    name: str
    kind: str
    version: str
    digest: str
    version_key: str = ""
    title: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()
    text: str = ""
    readme: str = ""
    license: str = ""
    publisher: str = ""
    level: str = "private"
    stars: int = 0
    downloads: int = 0
    created_at: int = 0
    updated_at: int = 0
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    gati_spans: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """Where all that a caller may see lies, and perhaps more: at these levels, or at and below these paths."""

    levels: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """One page of a search.

    `after` is `Hit.key` of the last hit of the page before. `reach` is None where it is not known: then nothing is
    narrowed. `whole` is the query's words in one, for artifacts that are called exactly that. With `facets` the counts
    of `FACETS` are wanted. `ranked` is how many hits are looked at to rank and to count: the best-known and newest.
    `ranking` (lexical, semantic, fused) is wanted where it goes by relevance; an index of words answers by those.
    `raw`: as the index has it, with what is gone from the registry since. `loose`: of the words one of which is wanted,
    those that very many artifacts have may be left out.
    """

    expression: Node = EVERYTHING
    visible: Visible = field(default_factory=Visible)
    reach: Reach | None = None
    sort: str = "relevance"
    limit: int = 20
    after: tuple[float | str, str] | None = None
    whole: str = ""
    facets: bool = True
    ranked: int = 1000
    ranking: str = "lexical"
    raw: bool = False
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """An artifact that was found. `key` is its place in the order: the sorted value (for relevance the score), name."""

    document: Document
    key: tuple[float | str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A page. `total` counts all pages' hits; not `exact`, there are at least so many, and `facets` count those alone.

    `facets` are counts by field and value, only of what the caller may see. `ranking` is lexical, semantic or fused.
    `worded`: words found something; if not, one may be misspelt.
    """

    hits: Sequence[Hit]
    more: bool
    total: int
    exact: bool
    facets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ranking: str = "lexical"
    worded: bool = True


class SearchIndex(Protocol):
    """An index of all artifacts. Documents come without their readme in hits."""

    async def put(
        self, documents: Sequence[Document], gone: Sequence[str], *, building: bool = False, revision: int = 0
    ) -> None:
        """Keep documents instead of earlier ones of the same names, forget others; again changes nothing. They outlast
        a crash, and are found at once or, in an index outside of the database, within a second.

        Without `building` in every index that there is; with it only in the one that is being built, where what is
        there already is newer and stays.

        `revision` was taken before the documents were read (`store.queue.turn`): an index outside of the database lets
        no lower one replace a higher one, whenever it comes. 0: it takes what comes.
        """

    async def search(self, query: Query) -> Found:
        """A page of hits.

        Raises:
            RegistryError: UNAVAILABLE, the index does not answer.
        """

    async def suggest(self, prefix: str, limit: int, visible: Visible, reach: Reach | None) -> Sequence[Document]:
        """Artifacts with a name or title in which a word begins with the last word of `prefix`, after the others.

        `prefix` is folded words with spaces between them. The best known first.
        """

    async def near(self, word: str, limit: int) -> Sequence[str]:
        """Indexed words that a word could be a misspelling of, the likeliest first; itself alone where it is indexed.

        They may come from artifacts that the caller may not see: they are looked for, never shown.
        """

    async def built(self) -> bool:
        """Whether there is an index that serves."""

    async def begin(self) -> None:
        """Make an empty index beside the one that serves, or empty the one that was being built."""

    async def switch(self) -> None:
        """Let the index that was being built serve, and drop the other one."""
