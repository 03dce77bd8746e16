"""The query language:

    query   := all { ("OR" | "|") all }
    all     := { ["AND"] term }
    term    := ("-" | "NOT") term | "(" query ")" | phrase | field ":" value | word
    value   := one { "," one } | ("<" | "<=" | ">" | ">=" | "=") one | one ".." one        one := word | phrase

    kind:model license:mit context:>8000 "speech to text" -word (a OR b)

Every error names the character where the trouble is (`at`, counted from 0) and what to write instead. What is parsed is
bounded: characters, terms, depth. A field that nobody knows is one of a kind that we do not know, or was never meant
as a field (`std:vector`): both are looked for; a near miss of one that we know is an error.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass

from gati_extensions.kinds.api import BadRange, parse_range, parse_version
from gati_extensions.search.expression import (
    EVERYTHING,
    Compare,
    Has,
    Node,
    Not,
    Or,
    Phrase,
    Versions,
    Word,
    Works,
    both,
)
from gati_extensions.search.ranges import PRERELEASE, key_of, spans, wants_prereleases
from gati_extensions.search.words import folded, words

MAX_LENGTH = 1000
MAX_TERMS = 64
MAX_DEPTH = 16
MAX_PHRASE = 16
"""Words of a phrase."""

MAX_CHOICES = 32
"""Values of a field of which one will do."""

SHORTEST_PREFIX = 3
"""Characters of a last word from which on it stands for all that begin so."""

ALIASES = {
    "ns": "namespace", "org": "namespace", "capabilities": "capability", "cap": "capability", "lang": "language",
    "languages": "language", "licence": "license", "licenses": "license", "tags": "tag", "keywords": "keyword",
    "kinds": "kind", "versions": "version", "context": "context_length", "by": "publisher", "is": "state",
    "gati_version": "gati", "quantization": "quantisation",
}  # fmt: skip
"""Other names of fields; `contextLength` is `context_length` as all such are."""

WORDS = frozenset({
    "kind", "namespace", "publisher", "capability", "language", "license", "tag", "keyword", "state", "type", "name",
    "provider", "format", "architecture", "quantisation", "framework", "engine", "modalities", "features", "tasks",
    "platform", "label",
})  # fmt: skip
NUMBERS = frozenset({"stars", "downloads", "context_length", "max_output_tokens", "rows", "size", "parameters"})
TIMES = frozenset({"created", "updated"})
FIELDS = WORDS | NUMBERS | TIMES | {"version", "gati"}

_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_-]+|/[A-Za-z0-9_~-]+)*(?=:)")
_OPERATOR = re.compile(r"[<>]=?|=")
_BARE = re.compile(r'[^\s()"|]+')
_RANGE = re.compile(r'[^\s()"]+')
_ONE = re.compile(r'[^\s()"|,]+')
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_SPAN = re.compile(rf"(?:{_NUMBER.pattern})?\.\.(?:{_NUMBER.pattern})?")
_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")


class QueryError(ValueError):
    """What is wrong (the message, with the remedy), and at which character, counted from 0."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


def parse(text: str) -> Node:
    """The tree of a query; of an empty one everything.

    Raises:
        QueryError: it is none, or beyond the limits.
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"a query has at most {MAX_LENGTH} characters; leave something out", MAX_LENGTH)
    return _Parser(text).whole()


def field_of(name: str) -> str:
    """A field's one name."""
    snake = _HUMP.sub("_", name).lower() if "." not in name else name
    return ALIASES.get(snake, snake)


def term(field: str, value: str, at: int = 0) -> Node:
    """A filter as a query has it after `field:`, for filters that come by themselves.

    Raises:
        QueryError: the value does not fit the field.
    """
    parser = _Parser(value)
    found = parser.value(field_of(field), at=0)
    parser.space()
    if not parser.done:
        raise QueryError(f"{field}: put a value with spaces into quotes", at + parser.position)
    return found


@dataclass(slots=True)
class _Parser:
    text: str
    position: int = 0
    terms: int = 0

    @property
    def done(self) -> bool:
        return self.position >= len(self.text)

    @property
    def next(self) -> str:
        return self.text[self.position : self.position + 1]

    def space(self) -> None:
        while not self.done and self.next.isspace():
            self.position += 1

    def keyword(self, *found: str) -> bool:
        """Whether one of these words comes, as a word by itself; it is taken."""
        for word in found:
            end = self.position + len(word)
            if self.text.startswith(word, self.position) and (end == len(self.text) or self.text[end] in ' \t\n()"|'):
                self.position = end
                return True
        return False

    # --- the grammar -------------------------------------------------------------------------------------------

    def whole(self) -> Node:
        found = self.any_of(0)
        if not self.done:
            raise QueryError("this ) closes nothing; leave it out, or put it into quotes", self.position)
        return found

    def any_of(self, depth: int) -> Node:
        parts = [self.all_of(depth)]
        while True:
            at = self.position
            if not (self.keyword("OR") or self._bar()):
                break
            following = self.all_of(depth)
            if following == EVERYTHING or parts[-1] == EVERYTHING:
                raise QueryError('OR stands between two terms; to search for the word, write "or"', at)
            parts.append(following)
        return parts[0] if len(parts) == 1 else Or(tuple(dict.fromkeys(parts)))

    def _bar(self) -> bool:
        if self.next != "|":
            return False
        self.position += 1
        return True

    def all_of(self, depth: int) -> Node:
        parts: list[Node] = []
        while True:
            self.space()
            while self.keyword("AND"):
                self.space()
            if self.done or self.next in ")|":
                break
            at = self.position
            if self.keyword("OR"):
                self.position = at
                break
            parts.append(self.term(depth))
        return both(*parts)

    def term(self, depth: int) -> Node:
        at = self.position
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise QueryError(f"a query has at most {MAX_TERMS} terms; leave some out", at)
        if depth > MAX_DEPTH:
            raise QueryError(f"parentheses go at most {MAX_DEPTH} deep; write it flatter", at)
        if self.next == "-" or self.keyword("NOT"):
            self.position += self.next == "-"
            self.space()
            if self.done or self.next in ")|":
                raise QueryError("what is to be excluded? Write a term after it, such as -draft", at)
            part = self.term(depth + 1)
            return EVERYTHING if part == EVERYTHING else part.part if isinstance(part, Not) else Not(part)
        if self.next == "(":
            self.position += 1
            inner = self.any_of(depth + 1)
            if self.next != ")":
                raise QueryError("this ( is never closed; write ) where it ends", at)
            self.position += 1
            return inner
        if self.next == '"':
            return _text(self.quoted(), at)
        field = _FIELD.match(self.text, self.position)
        if field is not None:
            return self.field(field[0])
        bare = _BARE.match(self.text, self.position)
        assert bare is not None
        self.position = bare.end()
        return _text(bare[0], at, last=self.done)

    def quoted(self) -> str:
        at = self.position
        end = self.text.find('"', at + 1)
        if end < 0:
            raise QueryError('this quote is never closed; write another " where the phrase ends', at)
        self.position = end + 1
        return self.text[at + 1 : end]

    def field(self, name: str) -> Node:
        at, field = self.position, field_of(name)
        self.position += len(name) + 1
        if field not in FIELDS and "." not in field and (near := _near(field)) is not None:
            raise QueryError(f'there is no field {name}; did you mean {near}? As plain text: "{name}:"', at)
        start = self.position
        if self.done or self.next in " \t\n)|":
            raise QueryError(f'{name}: a value is missing; write {name}:value, or "{name}:" for the text', start)
        if self.next == "(":
            raise QueryError(f"{name}: one of several is written with commas, {name}:a,b", start)
        found = self.value(field, at=start)
        if isinstance(found, Has) and field not in FIELDS and "." not in field:
            text = _text(f"{name} {self.text[start : self.position]}", at)
            return found if text == EVERYTHING else Or((found, text))
        return found

    def value(self, field: str, *, at: int) -> Node:
        """What follows the colon."""
        operator = _OPERATOR.match(self.text, self.position)
        if operator is not None and field not in ("version", "gati"):
            self.position = operator.end()
            start = self.position
            return _compared(field, operator[0], self.one(field), start)
        if field == "version":
            start = self.position
            return _versions(self.quoted() if self.next == '"' else self.bare(field, _RANGE), start)
        choices: list[Node] = []
        while True:
            start = self.position
            choices.append(_one(field, self.one(field), start))
            if len(choices) > MAX_CHOICES:
                raise QueryError(f"{field}: at most {MAX_CHOICES} values at once", start)
            if self.next != ",":
                break
            self.position += 1
        return choices[0] if len(choices) == 1 else Or(tuple(dict.fromkeys(choices)))

    def one(self, field: str) -> str:
        if self.next == '"':
            return self.quoted()
        return self.bare(field, _ONE)

    def bare(self, field: str, form: re.Pattern[str]) -> str:
        found = form.match(self.text, self.position)
        if found is None:
            raise QueryError(f"{field}: a value is missing", self.position)
        self.position = found.end()
        return found[0]


# --- terms --------------------------------------------------------------------------------------------------------


def _text(text: str, at: int, *, last: bool = False) -> Node:
    """Words; several in one text follow each other. The last word of a query may be unfinished."""
    found = words(text)
    if len(found) > MAX_PHRASE:
        raise QueryError(f"a phrase has at most {MAX_PHRASE} words; take it apart", at)
    if not found:
        return EVERYTHING
    if len(found) > 1:
        return Phrase(tuple(found))
    raw = text.casefold()
    prefix = last and len(raw) >= SHORTEST_PREFIX and raw.isalnum() and raw.isascii()
    return Word(found[0], prefix=prefix)


def _one(field: str, text: str, at: int) -> Node:
    if field in TIMES or field in NUMBERS or (field not in WORDS and _SPAN.fullmatch(text)):
        if ".." in text:
            low, _, high = text.partition("..")
            parts = [_compared(field, ">=", low, at)] if low else []
            parts += [_compared(field, "<=", high, at + len(low) + 2)] if high else []
            if not parts:
                raise QueryError(f"{field}: from where to where? Write {field}:1..2", at)
            return both(*parts)
        return _compared(field, "=", text, at)
    if field == "gati":
        version = parse_version(text) or parse_version(f"{text}.0") or parse_version(f"{text}.0.0")
        if version is None:
            raise QueryError("gati: name the version that you run, such as gati:2.1.0", at)
        return Works(key_of(version))
    value = text.strip().lower()
    if not value:
        raise QueryError(f"{field}: a value is missing", at)
    if field == "capability":
        return Has(field, family(value))
    if field == "namespace":
        return Has(field, value.strip("/"))
    if "." in field and _NUMBER.fullmatch(value):
        return Or((Has(field, value), Compare(field, "=", float(value))))
    return Has(field, value)


def family(capability: str) -> str:
    """What a capability is matched by: `db:read`, `db.write` and `database.write` are all `db`."""
    first = re.split(r"[:./]", capability.strip().lower(), maxsplit=1)[0]
    return FAMILIES.get(first, first)


FAMILIES = {
    "database": "db", "databases": "db", "sql": "db", "authentication": "auth", "authorization": "auth",
    "queues": "queue", "messaging": "queue", "caching": "cache", "llm": "ai",
}  # fmt: skip


def _versions(text: str, at: int) -> Node:
    try:
        found = parse_range(text)
    except BadRange as error:
        raise QueryError(f"version: {error}", at) from None
    if not found.alternatives:
        raise QueryError("version: a range such as version:^1.2 is wanted; channels are found by tag:", at)
    node = Versions(spans(found))
    return node if wants_prereleases(found) else both(node, Not(Has("state", PRERELEASE)))


def _compared(field: str, operator: str, text: str, at: int) -> Node:
    if field in TIMES:
        return _moment(field, operator, text, at)
    if field in WORDS:
        raise QueryError(
            f"{field}: holds words, which are neither more nor less; write {field}:value", at - len(operator)
        )
    if _NUMBER.fullmatch(text) is None:
        raise QueryError(f"{field}: a number is wanted, such as {field}:{operator if operator != '=' else ''}8000", at)
    return Compare(field, operator, float(text))


def _moment(field: str, operator: str, text: str, at: int) -> Node:
    """A comparison with a year, a month, a day or a moment; each but the last lasts."""
    bounds = _bounds(text)
    if bounds is None:
        raise QueryError(f"{field}: a date is wanted, such as {field}:>2026-01-31", at)
    start, end = bounds
    forms: dict[str, Callable[[], Node]] = {
        ">": lambda: Compare(field, ">=", end),
        ">=": lambda: Compare(field, ">=", start),
        "<": lambda: Compare(field, "<", start),
        "<=": lambda: Compare(field, "<", end),
        "=": lambda: both(Compare(field, ">=", start), Compare(field, "<", end)),
    }
    return forms[operator]()


def _bounds(text: str) -> tuple[float, float] | None:
    """The first moment, and the first one beyond, in milliseconds UTC."""
    found = _DATE.fullmatch(text)
    try:
        if found is None:
            moment = datetime.datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.UTC)
            milliseconds = moment.timestamp() * 1000
            return milliseconds, milliseconds + 1
        year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
        start = datetime.datetime(year, month, day, tzinfo=datetime.UTC)
        if found[3]:
            end = start + datetime.timedelta(days=1)
        elif found[2]:
            end = start.replace(year=year + month // 12, month=month % 12 + 1)
        else:
            end = start.replace(year=year + 1)
        return start.timestamp() * 1000, end.timestamp() * 1000
    except (ValueError, OverflowError):
        return None


def _near(field: str) -> str | None:
    """A field that somebody may have meant."""
    from gati_extensions.search.spelling import distance

    known = sorted(FIELDS | ALIASES.keys())
    return next((ALIASES.get(one, one) for one in known if len(one) > 3 and distance(field, one, 1) is not None), None)


def mended(node: Node, near: dict[str, list[str]]) -> Node:
    """The tree with other words instead of those that nothing has."""
    if isinstance(node, Word) and near.get(node.text):
        others: list[Node] = [Word(one) for one in near[node.text]]
        return others[0] if len(others) == 1 else Or(tuple(others))
    if isinstance(node, Or):
        return Or(tuple(mended(part, near) for part in node.parts))
    if isinstance(node, Not | Phrase):
        return node
    return both(*(mended(part, near) for part in node.parts)) if hasattr(node, "parts") else node


def whole_of(text: str) -> str:
    """A query of nothing but words, as the name that somebody may have meant."""
    return " ".join(map(folded, words(text))) if ":" not in text and len(text) <= 128 else ""
