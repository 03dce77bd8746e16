"""The query language: what it means, what it refuses and where, and that nothing breaks it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from gati_extensions.search import language
from gati_extensions.search.expression import (
    EVERYTHING,
    And,
    Compare,
    Has,
    Node,
    Not,
    Or,
    Phrase,
    Word,
    walk,
)
from gati_extensions.search.language import QueryError, parse
from gati_extensions.search.store.compiling import Compiler, Dialect
from gati_extensions.search.store.fts5 import Fts5
from gati_extensions.search.store.tsvector import TsVector
from gati_extensions.search.words import folded, spans, words


def test_the_example() -> None:
    found = parse('kind:model license:mit context:>8000 "speech to text" -word (a OR b)')
    assert found == And(
        (
            Has("kind", "model"),
            Has("license", "mit"),
            Compare("context_length", ">", 8000.0),
            Phrase(("speech", "to", "text")),
            Not(Word("word")),
            Or((Word("a"), Word("b"))),
        )
    )


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("", EVERYTHING),
        ("   ", EVERYTHING),
        ("?!", EVERYTHING),
        ("one", Word("one", prefix=True)),
        ("one ", Word("one")),
        ('"one"', Word("one")),
        ("on", Word("on")),
        ("one two", And((Word("one"), Word("two", prefix=True)))),
        ("one AND two ", And((Word("one"), Word("two")))),
        ("one or two ", And((Word("one"), Word("or"), Word("two")))),
        ("a b OR c ", Or((And((Word("a"), Word("b"))), Word("c")))),
        ("a|b ", Or((Word("a"), Word("b")))),
        ("NOT a ", Not(Word("a"))),
        ("--a ", Word("a")),
        ("-(a b)", Not(And((Word("a"), Word("b"))))),
        ("node.js ", Phrase(("node", "js"))),
        ("@acme/x ", Phrase(("acme", "x"))),
        ("Modèles ", Word("modele")),
        ("kind:Model,agent", Or((Has("kind", "model"), Has("kind", "agent")))),
        ('license:"BSD 3"', Has("license", "bsd 3")),
        ("contextLength:8192", Compare("context_length", "=", 8192.0)),
        ("stars:1..5", And((Compare("stars", ">=", 1.0), Compare("stars", "<=", 5.0)))),
        ("capability:database.write", Has("capability", "db")),
        ("acme.tier:gold", Has("acme.tier", "gold")),
        ("acme.size:>=10", Compare("acme.size", ">=", 10.0)),
        ("created:2026", And((Compare("created", ">=", 1767225600000.0), Compare("created", "<", 1798761600000.0)))),
        ("created:>2026-01-31", Compare("created", ">=", 1769904000000.0)),
        ("std:vector ", Or((Has("std", "vector"), Phrase(("std", "vector"))))),
    ],
)
def test_what_it_means(text: str, node: Node) -> None:
    assert parse(text) == node


@pytest.mark.parametrize(
    ("text", "at", "told"),
    [
        ('one "two', 4, "never closed"),
        ("(one", 0, "never closed"),
        ("one) two", 3, "closes nothing"),
        ("one OR ", 4, "between two terms"),
        ("OR one", 0, "between two terms"),
        ("one -", 4, "excluded"),
        ("knd:model", 0, "did you mean kind"),
        ("x kind: model", 7, "a value is missing"),
        ("context:>many", 9, "a number"),
        ("created:soon", 8, "a date"),
        ("created:2026-13", 8, "a date"),
        ("kind:>model", 5, "holds words"),
        ("version:nonsense!", 8, "range"),
        ("version:latest", 8, "channels"),
        ("gati:next", 5, "gati:2.1.0"),
        ("kind:(a OR b)", 5, "commas"),
        ("stars:..", 6, "from where"),
        ("a " * 65, 128, "at most 64 terms"),
        ("(" * 20 + "a", 17, "deep"),
        ("x" * 1001, 1000, "at most 1000"),
        (".".join("abcdefghijklmnopqr"), 0, "at most 16 words"),
        ("kind:" + ",".join(map(str, range(40))), 91, "at most 32"),
    ],
)
def test_errors_tell_where_and_what_to_do(text: str, at: int, told: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert (caught.value.at, told in caught.value.message) == (at, True), caught.value.message


PIECES = some.sampled_from(
    ["a", "kind:", "model", '"', "(", ")", "-", "NOT", "OR", "AND", "|", " ", ",", "..", ">", "<=", "=", ":", "stars:",
     "context:>8000", "created:2026-01", "version:^1", "gati:1.2.3", "x.y:", "'", "\\", "*", "&", "!", "\ue000", "語",
     "ß", "\u0301", "\U0001f600", "1e9", "-5"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(some.one_of(some.text(max_size=60), some.lists(PIECES, max_size=25).map("".join)))
def test_anything_is_a_query_or_an_error_with_a_place(text: str) -> None:
    node = _parsed(text)
    if isinstance(node, QueryError):
        assert 0 <= node.at <= len(text)
        assert node.message
        return
    for one in walk(node):
        if isinstance(one, Word):
            assert one.text == folded(one.text) or one.prefix or one.text.isalnum()
    unfinished = {one.text: (one.text, "model") for one in walk(node) if isinstance(one, Word) and one.prefix}
    dialects: tuple[Dialect, ...] = (Fts5(), TsVector())
    for dialect, completions, by_rows in itertools.product(dialects, ({}, unfinished), (False, True)):
        compiled = Compiler(dialect, 1, 1_800_000_000_000, completions, by_rows=by_rows).compile(node)
        assert compiled.match


def _parsed(text: str) -> Node | QueryError:
    try:
        return parse(text)
    except QueryError as error:
        return error


TERMS = some.recursive(
    some.sampled_from(["a", "b", "c", "kind:model", '"a b"', "stars:>3"]),
    lambda inner: some.one_of(
        inner.map(lambda x: f"-({x})"),
        some.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " ".join(parts) + ")"),
        some.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " OR ".join(parts) + ")"),
    ),
    max_leaves=8,
)


def _holds(node: Node, true: frozenset[Node]) -> bool:
    if isinstance(node, And):
        return all(_holds(part, true) for part in node.parts)
    if isinstance(node, Or):
        return any(_holds(part, true) for part in node.parts)
    if isinstance(node, Not):
        return not _holds(node.part, true)
    return node == EVERYTHING or node in true


@settings(max_examples=150, deadline=None)
@given(TERMS, TERMS, some.sets(some.sampled_from(["a", "b", "c", "kind:model", '"a b"', "stars:>3"])))
def test_parentheses_and_words_between_mean_what_logic_says(one: str, other: str, given_: set[str]) -> None:
    true = frozenset(parse(f"{text} ") for text in given_)
    first, second, joined, either, negated = (
        _parsed(text) for text in (f"{one} ", f"{other} ", f"{one} {other} ", f"{one} OR {other} ", f"-{one} ")
    )
    for found in (first, second, joined, either, negated):
        if isinstance(found, QueryError):
            assert "deep" in found.message
            return
    assert not isinstance(first, QueryError)
    assert not isinstance(second, QueryError)
    assert not isinstance(joined, QueryError)
    assert not isinstance(either, QueryError)
    assert not isinstance(negated, QueryError)
    assert _holds(joined, true) == (_holds(first, true) and _holds(second, true))
    assert _holds(either, true) == (_holds(first, true) or _holds(second, true))
    assert _holds(negated, true) == (not _holds(first, true))


@settings(max_examples=300, deadline=None)
@given(some.text(max_size=80))
def test_words_are_folded_once_for_all(text: str) -> None:
    for word, start, end in spans(text):
        assert word
        assert 0 <= start < end <= len(text)
        if word.isascii():
            assert word == word.lower()
    assert words(text) == [word for word, _, _ in spans(text)]


def test_bombs_are_read_or_refused() -> None:
    for bomb in (
        "(" * 1000,
        "-" * 1000,
        '"' * 999,
        "a OR " * 200,
        ":" * 1000,
        "kind:" * 200,
        "((((a) OR b) c) OR " * 60,
        "version:" + "||".join(["1"] * 400),
        "a" * 1000,
        "\u0301" * 1000,
        "語" * 1000,
    ):
        for text in (bomb, bomb[:1000]):
            _parsed(text)


def test_a_name_is_asked_for_by_words_alone() -> None:
    assert language.whole_of("Speech-To-Text") == "speech to text"
    assert language.whole_of("kind:model x") == ""
