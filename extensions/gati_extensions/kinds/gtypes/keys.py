"""Keys by which types are looked up: if one type fits another, they have a key in common.

`given_keys` are those of a type that is handed over: all that it brings. `wanted_keys` are those of a type that takes:
few, and such as not many bring. So whoever asks with either finds all that could match, and little else; `fits`
decides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from gati_extensions.kinds.gtypes.tree import (
    Array,
    Boolean,
    Enum,
    GType,
    Intersection,
    Name,
    Node,
    Number,
    Object,
    Simple,
    Text,
    Tuple,
    Union,
)

ANY = "any"
EMPTY = "empty"
DEEPEST = 3
"""Arrays within arrays that keys tell apart."""
LONGEST = 64
"""Characters of a key; of longer ones the hash is kept."""


def given_keys(found: GType) -> frozenset[str]:
    """Keys of a type that is handed over."""
    return frozenset(map(_short, _Keys(found.nodes).given(0)))


def wanted_keys(found: GType) -> frozenset[str]:
    """Keys of a type that takes."""
    return frozenset(map(_short, _Keys(found.nodes).wanted(0)))


class _Keys:
    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._within: list[int] = []

    def given(self, number: int, depth: int = 0) -> set[str]:
        node = self._nodes[number]
        if isinstance(node, Union):  # all members are taken, so any of them tells
            return self._through(number, self.given, [self._telling(node)], depth)
        if isinstance(node, Intersection):
            return {ANY} | self._through(number, self.given, node.members, depth)
        if isinstance(node, Object):
            return {ANY, "object", *(f".{field.name}" for field in node.fields if field.required)}
        if isinstance(node, Array):
            return {ANY} | self._items(self.given, node.items, depth)
        if isinstance(node, Tuple):
            below = self._items(self.given, node.items[0], depth) if node.items else {EMPTY}
            return {ANY, f"tuple{len(node.items)}"} | below
        if isinstance(node, Enum):
            return {ANY, f"={node.values[0]}", _scalar(json.loads(node.values[0]))}
        return {ANY, _name(node)} | ({"=true"} if isinstance(node, Boolean) else set())

    def wanted(self, number: int, depth: int = 0) -> set[str]:
        node = self._nodes[number]
        if isinstance(node, Union):
            return self._through(number, self.wanted, node.members, depth)
        if isinstance(node, Intersection):  # all members take it, so any of them tells
            return self._through(number, self.wanted, [self._telling(node)], depth)
        if isinstance(node, Object):
            needed = [field.name for field in node.fields if field.required]
            # Long names are rarer.
            return {f".{max(needed, key=lambda name: (len(name), name))}"} if needed else {"object"}
        if isinstance(node, Array):
            return {EMPTY} | self._items(self.wanted, node.items, depth)
        if isinstance(node, Tuple):
            return {f"tuple{len(node.items)}"}
        if isinstance(node, Enum):
            return {f"={value}" for value in node.values}
        return {_name(node)}

    def _items(self, keys: Callable[[int, int], set[str]], number: int, depth: int) -> set[str]:
        return {"[]"} if depth == DEEPEST else {f"[]{key}" for key in keys(number, depth + 1)}

    def _through(
        self, number: int, keys: Callable[[int, int], set[str]], members: Sequence[int], depth: int
    ) -> set[str]:
        """Of members; a union that stands within itself adds nothing there."""
        if number in self._within:
            return set()
        self._within.append(number)
        found = set[str]().union(*(keys(member, depth) for member in members))
        self._within.pop()
        return found

    def _telling(self, node: Union | Intersection) -> int:
        """The member of which there are the fewest likes."""

        def rank(number: int) -> int:
            member = self._nodes[number]
            if isinstance(member, Object):
                return 3 if any(field.required for field in member.fields) else 1
            return 2 if isinstance(member, Enum | Name | Array | Tuple) else 0

        return max(node.members, key=rank)


def _scalar(value: object) -> str:
    return "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"


def _name(node: Node) -> str:
    if isinstance(node, Simple):
        return node.kind
    if isinstance(node, Name):
        return f"name:{node.name}"
    return "string" if isinstance(node, Text) else "number" if isinstance(node, Number) else "boolean"


def _short(key: str) -> str:
    return key if len(key) <= LONGEST else f"#{hashlib.sha256(key.encode()).hexdigest()[:32]}"
