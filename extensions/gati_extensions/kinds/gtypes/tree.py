"""The one type tree that all spellings of a GType mean.

A `GType` is a graph of nodes that refer to each other by their numbers, the first one being the type itself: so types
may be recursive, and what is shared is there once. `settling` makes them, always the smallest graph in one order:
equal types are equal objects with equal hashes, however they were written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gati_extensions.kinds.gtypes.canonical import canonical, utf16

DEPTH = 100
"""Levels of a type, as it is written out."""


class BadType(Exception):
    """Something that is no GType: where (a JSON pointer), and what would be right."""

    def __init__(self, pointer: str, problem: str) -> None:
        super().__init__(f"{pointer or '/'}: {problem}")
        self.pointer = pointer
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Simple:
    """`any` admits everything, `null` itself, `undefined` nothing that is sent (a result that is none)."""

    kind: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text. `brand` is a name that makes it another type than its like; the patterns and formats hold all."""

    brand: str = ""
    shortest: int = 0
    longest: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """A number, within bounds that belong to it."""

    brand: str = ""
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Boolean:
    """True or false."""

    brand: str = ""


@dataclass(frozen=True, slots=True)
class Enum:
    """One of some values, each as canonical JSON, in order. Also what others call a literal."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A type that is defined elsewhere."""

    name: str


@dataclass(frozen=True, slots=True)
class Array:
    """Any number of items of one type."""

    items: int
    fewest: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Tuple:
    """So many items, each of its type."""

    items: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object."""

    name: str
    type: int
    required: bool


@dataclass(frozen=True, slots=True)
class Object:
    """An object. `rest` is the type of what else it may hold; None: nothing else."""

    fields: tuple[Field, ...]
    rest: int | None


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types. There are two at least, none of them a union."""

    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Intersection:
    """All of several types at once."""

    members: tuple[int, ...]


Leaf = Simple | Text | Number | Boolean | Enum | Name
Node = Leaf | Array | Tuple | Object | Union | Intersection

ANY, NULL, UNDEFINED = Simple("any"), Simple("null"), Simple("undefined")


def object_of(fields: Iterable[Field], rest: int | None) -> Object:
    """An object, with its fields in canonical order."""
    return Object(tuple(sorted(fields, key=lambda field: utf16(field.name))), rest)


def children(node: Node) -> Sequence[int]:
    """The nodes that a node refers to; of an object, the fields' types and then the rest's."""
    if isinstance(node, Array):
        return (node.items,)
    if isinstance(node, Tuple):
        return node.items
    if isinstance(node, Union | Intersection):
        return node.members
    if isinstance(node, Object):
        found = [field.type for field in node.fields]
        return found if node.rest is None else [*found, node.rest]
    return ()


def with_children(node: Node, found: Sequence[int]) -> Node:
    """The same node, referring to others."""
    if isinstance(node, Array):
        return replace(node, items=found[0])
    if isinstance(node, Tuple):
        return Tuple(tuple(found))
    if isinstance(node, Union):
        return Union(tuple(found))
    if isinstance(node, Intersection):
        return Intersection(tuple(found))
    if isinstance(node, Object):
        fields = tuple(replace(field, type=type_) for field, type_ in zip(node.fields, found, strict=False))
        return Object(fields, None if node.rest is None else found[-1])
    return node


@dataclass(frozen=True)
class GType:
    """A type, as small as it can be written. `nodes[0]` is the type itself."""

    nodes: tuple[Node, ...]

    @cached_property
    def canonical(self) -> str:
        """The canonical JSON, which is itself a spelling of the type."""
        return canonical(self.plain())

    @cached_property
    def hash(self) -> str:
        """What equal types have in common and no others: `gtypeHash`."""
        return f"sha256:{hashlib.sha256(self.canonical.encode()).hexdigest()}"

    def plain(self) -> dict[str, Any]:
        """As JSON, in the contracts' words; what is recursive or there twice is among `definitions`."""
        return _Writing(self.nodes).document()


class _Writing:
    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        used = [0] * len(nodes)
        for node in nodes:
            for child in children(node):
                used[child] += 1
        used[0] += 1
        shared = [number for number, node in enumerate(nodes) if used[number] > 1 and children(node)]
        taken = {node.name for node in nodes if isinstance(node, Name)}
        free = (str(number) for number in range(1, 2 * len(nodes) + 2) if str(number) not in taken)
        self._names = dict(zip(shared, free, strict=False))

    def document(self) -> dict[str, Any]:
        root = self._refer(0, 0)
        definitions = {name: self._node(number, 0) for number, name in self._names.items()}
        return {**root, **({"definitions": definitions} if definitions else {})}

    def _refer(self, number: int, depth: int) -> dict[str, Any]:
        name = self._names.get(number)
        return self._node(number, depth) if name is None else {"$ref": f"#/definitions/{name}"}

    def _node(self, number: int, depth: int) -> dict[str, Any]:
        node = self._nodes[number]
        if depth > DEPTH:
            raise BadType("", f"is nested deeper than {DEPTH} levels")
        if isinstance(node, Array):
            return _written("array", items=self._refer(node.items, depth + 1), minItems=node.fewest or None,
                            maxItems=node.most)  # fmt: skip
        if isinstance(node, Tuple):
            return {"kind": "tuple", "items": [self._refer(item, depth + 1) for item in node.items]}
        if isinstance(node, Union | Intersection):
            kind = "union" if isinstance(node, Union) else "intersection"
            return {"kind": kind, "types": [self._refer(member, depth + 1) for member in node.members]}
        if isinstance(node, Object):
            properties = {field.name: self._refer(field.type, depth + 1) for field in node.fields}
            required = [field.name for field in node.fields if field.required]
            rest: Any = False if node.rest is None else self._refer(node.rest, depth + 1)
            return _written("object", properties=properties, required=required or None,
                            additionalProperties=None if rest == {"kind": "any"} else rest)  # fmt: skip
        return leaf(node)


def leaf(node: Leaf) -> dict[str, Any]:
    """A node that refers to none, as JSON."""
    if isinstance(node, Simple):
        return {"kind": node.kind}
    if isinstance(node, Text):
        return _written("string", brand=node.brand or None, minLength=node.shortest or None, maxLength=node.longest,
                        pattern=_one(node.patterns), format=_one(node.formats))  # fmt: skip
    if isinstance(node, Number):
        return _written("number", brand=node.brand or None, min=node.least, max=node.most)
    if isinstance(node, Boolean):
        return _written("boolean", brand=node.brand or None)
    if isinstance(node, Enum):
        return {"kind": "enum", "values": [json.loads(value) for value in node.values]}
    return {"kind": "ref", "refId": node.name}


def _one(found: tuple[str, ...]) -> Any:
    return list(found) if len(found) > 1 else found[0] if found else None


def _written(kind: str, **facets: Any) -> dict[str, Any]:
    return {"kind": kind, **{name: value for name, value in facets.items() if value is not None}}
