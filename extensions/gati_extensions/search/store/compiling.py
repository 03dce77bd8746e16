"""A query's tree as what a database answers: an expression of the full text, and conditions on rows beside it.

What is made of words and marks alone goes into the full text. All else is a condition, and narrows the full text by the
marks of its magnitude where that can be.

Filters that very many artifacts fit can be asked of the rows that words have found instead: a full text goes through
all that bear a mark, which takes longer than to look at a few thousand rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gati_extensions.search.expression import (
    And,
    Compare,
    Everything,
    Has,
    Node,
    Not,
    Or,
    Phrase,
    Versions,
    Word,
    Works,
    walk,
)
from gati_extensions.search.ports import Reach
from gati_extensions.search.store import documents, marks

_COLUMNS = {"created": "d.created_at", "updated": "d.updated_at", "stars": "d.stars", "downloads": "d.downloads"}


class Dialect(Protocol):
    """How an engine's full text writes things."""

    def word(self, text: str, *, prefix: bool) -> str:
        """A word, or those that begin so."""

    def phrase(self, words: Sequence[str]) -> str:
        """Words that follow each other."""

    def mark(self, text: str) -> str:
        """A mark."""

    def all_of(self, parts: Sequence[str]) -> str:
        """All of them."""

    def one_of(self, parts: Sequence[str]) -> str:
        """One of them."""

    def without(self, part: str, excluded: str) -> str:
        """The first and not the second."""

    def holds(self, slot: int, parameter: str) -> str:
        """A condition on the row `d`: its text fits the expression in a parameter."""

    def contains(self, column: str, parameter: str) -> str:
        """A condition: a column's text has that of a parameter in it."""


@dataclass(slots=True)
class Compiled:
    """`match` is the expression, `ranked` the part that words are ranked by ("" where there are none), `conditions` are
    on the document `d`. `words` are those that every hit has, each with the others that would do as well."""

    match: str
    ranked: str
    conditions: list[str]
    values: dict[str, Any] = field(default_factory=dict)
    words: tuple[tuple[Word, ...], ...] = ()


class Compiler:
    """Compiles one tree, for the tables of a slot.

    `completions` are the words that stand for an unfinished one; one that is not there stands for all that begin so.
    With `by_rows`, filters that rows tell are conditions.
    """

    def __init__(
        self,
        dialect: Dialect,
        slot: int,
        now: float,
        completions: Mapping[str, Sequence[str]],
        *,
        by_rows: bool = False,
    ) -> None:
        self._dialect = dialect
        self._slot = slot
        self._now = now
        self._completions = completions
        self._by_rows = by_rows
        self._values: dict[str, Any] = {}

    def compile(self, node: Node) -> Compiled:
        """The tree in the engine's words."""
        parts = node.parts if isinstance(node, And) else (node,)
        texts: list[str] = []
        ranked: list[str] = []
        excluded: list[str] = []
        conditions: list[str] = []
        for part in parts:
            if isinstance(part, Everything):
                continue
            if self._by_rows and told_by_rows(part):
                conditions.append(self._condition(part))
            elif isinstance(part, Not) and _of_text(part.part):
                excluded.append(self._text(part.part))
            elif _of_text(part):
                text = self._text(part)
                texts.append(text)
                if any(isinstance(one, Word | Phrase) for one in walk(part)):
                    ranked.append(text)
            else:
                conditions.append(self._condition(part))
                if isinstance(part, Compare) and (narrow := marks.narrowing(part, self._now)) is not None:
                    texts.append(self._dialect.one_of([self._dialect.mark(one) for one in narrow or [marks.NONE]]))
        match = self._dialect.all_of(texts or [self._dialect.mark(marks.ALL)])
        for text in excluded:
            match = self._dialect.without(match, text)
        words = [self._alternatives(one) for part in parts for one in _words(part)]
        return Compiled(
            match, self._dialect.all_of(ranked) if ranked else "", conditions, self._values, tuple(dict.fromkeys(words))
        )

    def _text(self, node: Node) -> str:
        dialect = self._dialect
        if isinstance(node, Word):
            return dialect.one_of([dialect.word(one.text, prefix=one.prefix) for one in self._alternatives(node)])
        if isinstance(node, Phrase):
            return dialect.phrase(node.words)
        if isinstance(node, Has):
            return dialect.mark(marks.mark(node.field, node.value))
        if isinstance(node, Everything):
            return dialect.mark(marks.ALL)
        if isinstance(node, Not):
            return dialect.without(dialect.mark(marks.ALL), self._text(node.part))
        assert isinstance(node, And | Or)
        combine: Callable[[Sequence[str]], str] = dialect.all_of if isinstance(node, And) else dialect.one_of
        return combine([self._text(part) for part in node.parts])

    def _alternatives(self, word: Word) -> tuple[Word, ...]:
        found = self._completions.get(word.text, ()) if word.prefix else ()
        return tuple(Word(text) for text in found) or (word,)

    def _condition(self, node: Node) -> str:
        if self._by_rows and isinstance(node, Has):
            return self._dialect.contains("d.facets", self._value("h", documents.facet(node.field, node.value)))
        if _of_text(node) and not (self._by_rows and told_by_rows(node)):
            return self._dialect.holds(self._slot, self._value("m", self._text(node)))
        if isinstance(node, Not):
            return f"NOT ({self._condition(node.part)})"
        if isinstance(node, And | Or):
            word = " AND " if isinstance(node, And) else " OR "
            return f"({word.join(self._condition(part) for part in node.parts)})"
        if isinstance(node, Compare):
            number = self._value("n", float(node.number))
            if node.field in _COLUMNS:
                return f"{_COLUMNS[node.field]} {node.operator} :{number}"
            name = self._value("f", node.field)
            return (
                f"EXISTS (SELECT 1 FROM search_index_number{self._slot} AS x WHERE x.document = d.id"
                f" AND x.field = :{name} AND x.number {node.operator} :{number})"
            )
        if isinstance(node, Works):
            key = self._value("k", node.key)
            return (
                f"EXISTS (SELECT 1 FROM search_index_gati{self._slot} AS x WHERE x.document = d.id AND x.low <= :{key}"
                f" AND x.high > :{key})"
            )
        assert isinstance(node, Versions)
        spans = [
            f"(d.version_key >= :{self._value('k', low)} AND d.version_key < :{self._value('k', high)})"
            for low, high in node.spans
        ]
        return f"({' OR '.join(spans) or '1 = 0'})"

    def _value(self, kind: str, value: Any) -> str:
        name = f"q{kind}{len(self._values)}"
        self._values[name] = value
        return name


def _words(node: Node) -> Sequence[Word]:
    if isinstance(node, Word):
        return [node]
    return [Word(word) for word in node.words] if isinstance(node, Phrase) else []


def told_by_rows(node: Node) -> bool:
    """Whether a document's row says it."""
    return all(
        isinstance(one, And | Or | Not) or (isinstance(one, Has) and one.field in documents.TOLD) for one in walk(node)
    )


def _of_text(node: Node) -> bool:
    """Whether the full text alone tells."""
    return not any(isinstance(one, Compare | Versions | Works) for one in walk(node))


def within(dialect: Dialect, reach: Reach) -> str:
    """An expression that all which lies within a reach fits."""
    found = [marks.mark("level", level) for level in reach.levels]
    found += [marks.mark(field, path) for path in reach.paths for field in ("namespace", "name")]
    return dialect.one_of([dialect.mark(one) for one in found]) if found else ""
