"""The shorthand of artifact manifests: `string`, `enum[positive,negative]`, `User[]`, `string | null`.

    type   := part { "|" part }
    part   := atom { "[]" }
    atom   := NAME | "enum[" VALUE { "," VALUE } "]" | "tuple[" type { "," type } "]" | "array[" type "]"
            | "(" type ")" | a quoted text
    VALUE  := a JSON text, number, true, false or null; or a bare word, which is a text

What is no word of the language is the name of another type. `expand` writes it in the contracts' spelling.
"""

from __future__ import annotations

import json
import re
from typing import Any

from gati_extensions.kinds.gtypes.tree import BadType

LONGEST = 4096
"""Characters of one text."""
DEEPEST = 32
"""Brackets within brackets."""

SIMPLE = {name: {"kind": name} for name in ("string", "number", "boolean", "null", "any", "undefined")}
WORDS: dict[str, dict[str, Any]] = {
    **SIMPLE,
    "bool": SIMPLE["boolean"],
    "unknown": SIMPLE["any"],
    "void": SIMPLE["undefined"],
    "email": {"kind": "string", "format": "email"},
    "url": {"kind": "string", "format": "url"},
    "uuid": {"kind": "string", "format": "uuid"},
    "object": {"kind": "object", "properties": {}},
}
"""What a word means; any other is the name of a type."""

_TOKEN = re.compile(r'\s*(?:([A-Za-z_$@][\w$@./:-]*)|("(?:[^"\\]|\\.)*")|([\[\]()|,]))')
_BARE = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([^\s,\[\]"|][^,\[\]"|]*))')


def expand(text: str, pointer: str) -> dict[str, Any]:
    """A type in shorthand, as the contracts spell it.

    Raises:
        BadType: it is none; the message names the character.
    """
    if len(text) > LONGEST:
        raise BadType(pointer, f"has at most {LONGEST} characters")
    return _Reading(text, pointer).whole()


class _Reading:
    def __init__(self, text: str, pointer: str) -> None:
        self._text = text
        self._pointer = pointer
        self._at = 0

    def whole(self) -> dict[str, Any]:
        found = self._type(0)
        if self._text[self._at :].strip():
            raise self._bad("the type ends before this")
        return found

    def _type(self, depth: int) -> dict[str, Any]:
        if depth > DEEPEST:
            raise self._bad(f"has at most {DEEPEST} brackets within each other")
        parts = [self._part(depth)]
        while self._skip("|"):
            parts.append(self._part(depth))
        return parts[0] if len(parts) == 1 else {"kind": "union", "types": parts}

    def _part(self, depth: int) -> dict[str, Any]:
        found = self._atom(depth)
        levels = 0
        while self._skip("["):
            levels += 1
            if not self._skip("]") or depth + levels > DEEPEST:
                raise self._bad("write [] behind the type of an array's items")
            found = {"kind": "array", "items": found}
        return found

    def _atom(self, depth: int) -> dict[str, Any]:
        match = _TOKEN.match(self._text, self._at)
        if match is None or (match[3] and match[3] != "("):
            raise self._bad("a type stands here, e.g. string, number[], enum[a,b] or the name of another type")
        self._at = match.end()
        if match[2]:
            return {"kind": "literal", "value": self._quoted(match[2])}
        if match[3]:
            found = self._type(depth + 1)
            self._close(")")
            return found
        word = match[1]
        if word in ("enum", "tuple", "array") and self._skip("["):
            return self._bracketed(word, depth)
        return WORDS.get(word) or {"kind": "ref", "refId": word}

    def _bracketed(self, word: str, depth: int) -> dict[str, Any]:
        if word == "enum":
            values = [self._value()]
            while self._skip(","):
                values.append(self._value())
            self._close("]")
            return {"kind": "enum", "values": values}
        if word == "tuple" and self._skip("]"):
            return {"kind": "tuple", "items": []}
        items = [self._type(depth + 1)]
        while word == "tuple" and self._skip(","):
            items.append(self._type(depth + 1))
        self._close("]")
        return {"kind": "tuple", "items": items} if word == "tuple" else {"kind": "array", "items": items[0]}

    def _value(self) -> Any:
        match = _BARE.match(self._text, self._at)
        if match is None:
            raise self._bad("a value stands here")
        self._at = match.end()
        if match[1]:
            return self._quoted(match[1])
        word = match[2].strip()
        if re.fullmatch(r"true|false|null|-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?", word, re.ASCII):
            return json.loads(word)
        return word

    def _quoted(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise self._bad("is no JSON text") from None

    def _skip(self, sign: str) -> bool:
        rest = self._text[self._at :].lstrip() if self._at < len(self._text) else ""
        if not rest.startswith(sign):
            return False
        self._at = len(self._text) - len(rest) + len(sign)
        return True

    def _close(self, sign: str) -> None:
        if not self._skip(sign):
            raise self._bad(f"{sign} is missing here")

    def _bad(self, problem: str) -> BadType:
        return BadType(self._pointer, f"character {self._at + 1} of {self._text[:60]!r}: {problem}")
