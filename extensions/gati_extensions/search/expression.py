"""What a query asks for, as a tree: what `language.parse` makes of a text and what indexes answer.

Fields by which artifacts are found:

    words    kind, namespace, publisher, capability, language, license, tag, keyword, state, and any word of a kind or
             of a registered schema: lower-case texts that are equal or not (`Document.words`)
    numbers  stars, downloads, created, updated (milliseconds), and numbers of a kind or schema, such as context_length
    version  `Document.version_key` within spans of keys
    gati     a version that lies in the range of Gati versions that an artifact works with
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Everything:
    """All artifacts."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text, as `words.folded` writes it. With `prefix`, also those that begin with it."""

    text: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow each other."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """An artifact that has this word in a field of words; `value` is in lower case."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Compare:
    """A number in a field: `operator` is <, <=, =, >= or >."""

    field: str
    operator: str
    number: float


@dataclass(frozen=True, slots=True)
class Versions:
    """The latest version's key lies in one of these spans: low (included) to high (excluded)."""

    spans: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Works:
    """The artifact works with the Gati version of this key: one of `Document.gati_spans` holds it."""

    key: str


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of them, or more."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Those that are not so."""

    part: Node


Node = Everything | Word | Phrase | Has | Compare | Versions | Works | And | Or | Not

EVERYTHING = Everything()


def both(*parts: Node) -> Node:
    """All of the parts, without needless levels."""
    flat: list[Node] = []
    for part in parts:
        if isinstance(part, And):
            flat += part.parts
        elif not isinstance(part, Everything):
            flat.append(part)
    unique = tuple(dict.fromkeys(flat))
    return EVERYTHING if not unique else unique[0] if len(unique) == 1 else And(unique)


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, And | Or):
            waiting += reversed(one.parts)
        elif isinstance(one, Not):
            waiting.append(one.part)


def sought(node: Node) -> tuple[Word | Phrase, ...]:
    """The words and phrases that are looked for, not those that are excluded; in their order."""
    if isinstance(node, Word | Phrase):
        return (node,)
    if isinstance(node, And | Or):
        return tuple(dict.fromkeys(word for part in node.parts for word in sought(part)))
    return ()


def wordless(node: Node) -> Node:
    """The node without the words and phrases that are looked for: all that an artifact has to be otherwise."""
    if isinstance(node, Word | Phrase):
        return EVERYTHING
    if isinstance(node, And):
        return both(*map(wordless, node.parts))
    if isinstance(node, Or):
        parts = tuple(map(wordless, node.parts))
        return EVERYTHING if EVERYTHING in parts else Or(parts)
    return node


def loosened(node: Node) -> Node | None:
    """The node with one of its words where it wants all of them; what else it asks for stays. None: there are not
    several words."""
    words: list[Word] = []
    others: list[Node] = []
    for part in node.parts if isinstance(node, And) else (node,):
        found = part.parts if isinstance(part, Or) else (part,)
        if all(isinstance(one, Word) for one in found):
            words += [Word(one.text) for one in found if isinstance(one, Word)]
        else:
            others.append(part)
    unique = tuple(dict.fromkeys(words))
    return both(Or(unique), *others) if len(unique) > 1 else None
