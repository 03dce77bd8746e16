"""From a request to an answer: filters, misspellings, cursors, what is shown of a hit."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gati_extensions.kinds.api import Catalogue
from gati_extensions.namespaces.api import Namespaces, root
from gati_extensions.search import language
from gati_extensions.search.expression import Node, Or, Phrase, Word, both, loosened, sought
from gati_extensions.search.gathering import moment
from gati_extensions.search.model import (
    FacetValue,
    Highlight,
    Publisher,
    SearchItem,
    SearchPage,
    SearchQuery,
    Suggestion,
    Suggestions,
)
from gati_extensions.search.ports import Document, Found, Hit, Query, Reach, SearchIndex
from gati_extensions.search.settings import SearchSettings
from gati_extensions.search.words import spans, words
from gati_registry.errors import Code, RegistryError
from gati_registry.extension import Identity, Kernel, Visible

FILTERS = (
    "kind", "namespace", "publisher", "capability", "language", "license", "tag", "keyword", "state", "gati", "version",
    "created", "updated", "stars", "downloads", "context_length",
)  # fmt: skip

MENDED = 3
"""Words that a misspelt one may have been."""

MOST_MENDED = 4
"""Words of a query that are looked up so."""


class Searching:
    """Answers searches."""

    def __init__(
        self, kernel: Kernel, index: SearchIndex, settings: SearchSettings, catalogue: Catalogue, namespaces: Namespaces
    ) -> None:
        self._kernel = kernel
        self.index = index
        self._settings = settings
        self._catalogue = catalogue
        self._namespaces = namespaces
        self._turns: asyncio.Semaphore | None = None

    async def search(self, identity: Identity, asked: SearchQuery) -> SearchPage:
        """A page.

        Raises:
            RegistryError: INVALID, with the place of the error; UNAVAILABLE, there is no index yet.
        """
        expression = filtered(asked, parsed(asked.q))
        visible = await self._kernel.access.visible(identity)
        query = Query(
            expression,
            visible,
            reach_of(visible),
            asked.sort,
            asked.limit,
            _after(asked),
            language.whole_of(asked.q),
            asked.facets,
            self._settings.ranked,
            asked.ranking or ("fused" if self._settings.semantic else "lexical"),
        )
        async with self._turn():
            found, corrected, relaxed = await self._found(query)
            return await self._page(asked, found, corrected, relaxed=relaxed)

    async def _found(self, query: Query) -> tuple[Found, Mapping[str, list[str]], bool]:
        """Hits of all words; where there are none of words that resemble them; where there are none of some of them.
        What was looked for instead, and whether these hits may lack words."""
        found = await self.index.search(query)
        if found.total and found.worded:
            return found, {}, False
        near: dict[str, list[str]] = {}
        for one in [word for word in sought(query.expression) if isinstance(word, Word)][:MOST_MENDED]:
            likely = await self.index.near(one.text, MENDED)
            if likely and list(likely) != [one.text]:
                near[one.text] = list(likely)
        if near:
            mended = language.mended(query.expression, near)
            query = replace(query, expression=mended, whole=_mended(query.whole, near))
            found = await self.index.search(query)
        if not (found.total and found.worded) and (some := loosened(query.expression)) is not None:
            loose = await self.index.search(replace(query, expression=some, loose=True))
            if loose.total and loose.worded:
                return loose, _told(near, loose), True
        return found, _told(near, found), False

    async def _page(
        self, asked: SearchQuery, found: Found, corrected: Mapping[str, list[str]], *, relaxed: bool
    ) -> SearchPage:
        roots = sorted({root(hit.document.name) for hit in found.hits})
        verified = await self._kernel.database.scan(lambda tx: self._namespaces.verified(tx, roots))
        wanted = sought(parsed(asked.q))
        marks = [*wanted, *(Word(one) for likely in corrected.values() for one in likely)]
        ranked = asked.sort == "relevance" and bool(wanted)
        return SearchPage(
            items=[_item(hit, marks, root(hit.document.name) in verified, ranked=ranked) for hit in found.hits],
            next=_cursor(asked, found.hits[-1]) if found.more and found.hits else None,
            total=found.total,
            total_exact=found.exact,
            facets={
                field: [FacetValue(value=value, count=count) for value, count in values.items()]
                for field, values in found.facets.items()
            },
            ranking=found.ranking,  # type: ignore[arg-type]
            corrected=dict(corrected),
            relaxed=relaxed,
        )

    async def suggest(self, identity: Identity, text: str, limit: int) -> Suggestions:
        """Artifacts whose name or title goes on like a text."""
        found = words(text)[-8:]
        if not found:
            return Suggestions(items=[])
        # As it is typed: an `s` at the end is the beginning of something, not a plural.
        typed = text.casefold().split()[-1]
        last = typed if typed.isascii() and typed.isalnum() else found[-1]
        visible = await self._kernel.access.visible(identity)
        async with self._turn():
            documents = await self.index.suggest(" ".join([*found[:-1], last]), limit, visible, reach_of(visible))
        marks: list[Word | Phrase] = [*(Word(word) for word in found[:-1]), Word(last, prefix=True)]
        return Suggestions(
            items=[
                Suggestion(
                    repository=document.name, kind=document.kind, title=document.title,
                    ranges=marked(document.name, marks),
                )
                for document in documents
            ]
        )  # fmt: skip

    def _turn(self) -> asyncio.Semaphore:
        if self._turns is None:
            self._turns = asyncio.Semaphore(self._settings.at_once)
        return self._turns


def _told(near: Mapping[str, list[str]], found: Found) -> dict[str, list[str]]:
    """Only what is in the hits: other words may be of artifacts that the caller may not see."""
    there = {word for hit in found.hits for word in _words_of(hit.document)} if near else set()
    return {word: seen for word, likely in near.items() if (seen := [one for one in likely if one in there])}


def _mended(whole: str, near: Mapping[str, list[str]]) -> str:
    return " ".join(near.get(word, [word])[0] for word in whole.split())


def reach_of(visible: Visible) -> Reach | None:
    """The same, as far as it is known."""
    return Reach(visible.levels, visible.paths) if visible.levels is not None else None


# --- what is asked ------------------------------------------------------------------------------------------------


def parsed(text: str) -> Node:
    """A query's tree.

    Raises:
        RegistryError: INVALID, with the character.
    """
    try:
        return language.parse(text)
    except language.QueryError as error:
        raise RegistryError(
            Code.INVALID,
            f"q: {error.message} (character {error.at})",
            detail=[{"field": "/q", "problem": error.message, "at": error.at}],
        ) from None


def filtered(asked: SearchQuery, expression: Node) -> Node:
    """The tree with the filters that came beside it.

    Raises:
        RegistryError: INVALID, with the filter.
    """
    parts = [expression]
    for name in FILTERS:
        values: Sequence[str] = getattr(asked, name)
        if values:
            found = [_filter(name, value) for value in values]
            parts.append(found[0] if len(found) == 1 else Or(tuple(dict.fromkeys(found))))
    for text in asked.field:
        name, colon, value = text.partition(":")
        if not colon or not name or not value:
            raise _refused("field", "write a field and a value, field=name:value", 0)
        parts.append(_filter(name, value, "field"))
    return both(*parts)


def _filter(name: str, value: str, parameter: str = "") -> Node:
    spaced = " " in value and '"' not in value
    try:
        return language.term(name, f'"{value}"' if spaced else value)
    except language.QueryError as error:
        raise _refused(parameter or name, error.message, max(error.at - spaced, 0)) from None


def _refused(parameter: str, message: str, at: int) -> RegistryError:
    return RegistryError(
        Code.INVALID, f"{parameter}: {message}", detail=[{"field": f"/{parameter}", "problem": message, "at": at}]
    )


# --- cursors ------------------------------------------------------------------------------------------------------


def _fingerprint(asked: SearchQuery) -> str:
    """What a cursor belongs to: the same question in the same order."""
    question = asked.model_dump_json(exclude={"cursor", "limit", "facets"})
    return hashlib.blake2b(question.encode(), digest_size=8).hexdigest()


def _cursor(asked: SearchQuery, last: Hit) -> str:
    text = json.dumps([_fingerprint(asked), *last.key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _after(asked: SearchQuery) -> tuple[float | str, str] | None:
    """The place where the page before ended. A cursor is no secret: it holds a place in an order, and nothing more.

    Raises:
        RegistryError: it is none, or of another question.
    """
    if not asked.cursor:
        return None
    try:
        data = base64.urlsafe_b64decode(asked.cursor + "=" * (-len(asked.cursor) % 4))
        fingerprint, value, name = json.loads(data)
        fits = isinstance(value, str) if asked.sort == "name" else isinstance(value, int | float)
        good = fits and isinstance(name, str) and len(name) <= 255 and "\0" not in f"{name}{value}"
        if not good or (not isinstance(value, str) and not math.isfinite(value)) or fingerprint != _fingerprint(asked):
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise RegistryError(Code.INVALID, "cursor: take `next` of the page before, for the same question") from None
    bounded = value if isinstance(value, str) else max(min(value, 2.0**62), -(2.0**62))
    return (bounded if isinstance(bounded, str) or asked.sort == "relevance" else int(bounded)), name


# --- what is shown ------------------------------------------------------------------------------------------------


def _item(hit: Hit, marks: Sequence[Word | Phrase], verified: bool, *, ranked: bool) -> SearchItem:
    found = hit.document
    return SearchItem(
        repository=found.name,
        kind=found.kind,
        name=found.name.rpartition("/")[2],
        title=found.title,
        version=found.version,
        description=found.description,
        digest=found.digest,
        keywords=list(found.keywords),
        license=found.license,
        downloads=found.downloads,
        stars=found.stars,
        publisher=Publisher(name=found.publisher, verified=verified),
        state=next(iter(found.words.get("state", ())), "published"),
        created=moment(found.created_at),
        updated=moment(found.updated_at),
        score=round(float(hit.key[0]), 4) if ranked else None,
        highlights=_highlights(found, marks),
    )


def _highlights(found: Document, marks: Sequence[Word | Phrase]) -> list[Highlight]:
    texts = {"name": found.name, "title": found.title, "description": found.description,
             "keywords": ", ".join(found.keywords)}  # fmt: skip
    out = []
    for field, text in texts.items():
        if text and (ranges := marked(text, marks)):
            out.append(Highlight(field=field, text=text, ranges=ranges))  # type: ignore[arg-type]
    return out


def marked(text: str, marks: Sequence[Word | Phrase]) -> list[tuple[int, int]]:
    """Where a text has the words that were looked for, by characters."""
    if not marks:
        return []
    plain = {one.text for one in marks if isinstance(one, Word)}
    begun = tuple(one.text for one in marks if isinstance(one, Word) and one.prefix)
    phrases = [one.words for one in marks if isinstance(one, Phrase)]
    found = list(spans(text))
    ranges = [
        (start, end) for word, start, end in found
        if word in plain or (begun and (word.startswith(begun) or text[start:end].casefold().startswith(begun)))
    ]  # fmt: skip
    for phrase in phrases:
        for place in range(len(found) - len(phrase) + 1):
            some = found[place : place + len(phrase)]
            if tuple(word for word, _, _ in some) == phrase:
                ranges.append((some[0][1], some[-1][2]))
    return sorted(set(ranges))


def _words_of(document: Document) -> set[str]:
    return set(words(" ".join((document.name, document.title, document.description, *document.keywords))))
