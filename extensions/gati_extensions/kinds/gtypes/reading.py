"""Reads a GType in any of its spellings into a raw graph, which `settling` makes small and canonical.

    contracts   {"kind": "string" | "number" | "boolean" | "object" | "array" | "ref" | …, "nullable": …, "brand": …}
    runtime     {"kind": "primitive", "primitiveType": …, "validators": […]}, {"$ref": …}, {"type": …, "definitions": …}
    shorthand   {"name": "LoginRequest", "fields": {"email": "string", "nick?": "string"}}, or a text (`shorthand`)

One reader knows them all, since where two have a word in common it means the same; so they may be mixed. What only
people read (`description`, `metadata`, `message`) is no part of the type, nor is what a program alone can check (the
validator `custom`).

Sources: @gati-framework/contracts 1.2.0, gtype.schema.json; @gati-framework/runtime 2.0.8, gtype/schema and
gtype/validator.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gati_extensions.kinds.gtypes.canonical import canonical
from gati_extensions.kinds.gtypes.shorthand import expand
from gati_extensions.kinds.gtypes.tree import (
    ANY,
    DEPTH,
    NULL,
    UNDEFINED,
    Array,
    BadType,
    Boolean,
    Enum,
    Field,
    Intersection,
    Leaf,
    Name,
    Node,
    Number,
    Object,
    Text,
    Tuple,
    Union,
    object_of,
)

FORMATS = ("email", "url", "uuid")
"""Validators of the runtime that name a form of text."""


@dataclass(slots=True)
class Budget:
    """How much work may still be done; so a hostile type costs no more than a large one."""

    left: int

    def spend(self, steps: int) -> None:
        """Raises `BadType` when there is nothing left."""
        self.left -= steps
        if self.left < 0:
            raise BadType("", "is too large, or its parts refer to each other too often")


@dataclass(frozen=True, slots=True)
class Alias:
    """A node that is another one."""

    target: int


@dataclass(frozen=True, eq=False, slots=True)
class Scope:
    """Where names are looked up: here, then further out. `root` is what `#` means; `places` are the pointers."""

    named: Mapping[str, Any]
    places: Callable[[str], str]
    outer: Scope | None = None
    root: tuple[Any, str] | None = None

    def find(self, name: str) -> Scope | None:
        """The scope that has the name."""
        scope: Scope | None = self
        while scope is not None and name not in scope.named:
            scope = scope.outer
        return scope


@dataclass(slots=True)
class Raw:
    """A graph under construction. `places` tells where a name's node was written."""

    nodes: list[Node | Alias | None] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)
    _leaves: dict[Leaf, int] = field(default_factory=dict)

    def add(self, node: Node | Alias | None) -> int:
        """A node; its number. Nodes that refer to none are there once."""
        if isinstance(node, Array | Tuple | Object | Union | Intersection | Alias) or node is None:
            self.nodes.append(node)
            return len(self.nodes) - 1
        if node not in self._leaves:
            self.nodes.append(node)
            self._leaves[node] = len(self.nodes) - 1
        return self._leaves[node]


def is_type(value: Any) -> bool:
    """Whether it means to be a GType, right or wrong."""
    if not isinstance(value, Mapping):
        return isinstance(value, str)
    return any(word in value for word in ("kind", "$ref", "fields")) or _is_schema(value)


def _is_schema(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("type"), dict) and any(word in value for word in ("definitions", "$schema", "$id"))


class Reader:
    """Reads one type with all that it refers to. What no scope names is a type that is defined elsewhere."""

    def __init__(self, budget: Budget) -> None:
        self.raw = Raw()
        self._budget = budget
        self._named: dict[tuple[int, str], int] = {}
        self._waiting: deque[tuple[int, Any, str, Scope]] = deque()

    def read(self, value: Any, pointer: str, scope: Scope) -> int:
        """The number of its node.

        Raises:
            BadType: it is none.
        """
        root = self._type(value, pointer, replace(scope, root=(value, pointer)), 0)
        while self._waiting:
            number, value, pointer, scope = self._waiting.popleft()
            target = self._type(value, pointer, scope, 0)
            self.raw.nodes[number] = Alias(target)
            self.raw.places.setdefault(target, pointer)
        return root

    # --- one type -----------------------------------------------------------------------------------------------

    def _type(self, value: Any, pointer: str, scope: Scope, depth: int) -> int:
        self._budget.spend(1)
        if depth > DEPTH:
            raise BadType(pointer, f"is nested deeper than {DEPTH} levels")
        if isinstance(value, str):
            value = expand(value, pointer)
        if not isinstance(value, Mapping):
            raise BadType(
                pointer, "must be a GType: an object with `kind`, `$ref` or `fields`, or a text like string[]"
            )
        definitions = value.get("definitions")
        if isinstance(definitions, dict):
            place = pointer
            scope = Scope(definitions, lambda name: f"{place}/definitions/{escaped(name)}", scope, (value, pointer))
        elif definitions is not None:
            raise BadType(f"{pointer}/definitions", "must be an object of GTypes by name")
        if "kind" not in value and _is_schema(value):
            return self._type(value["type"], f"{pointer}/type", scope, depth + 1)
        number = self._base(value, pointer, scope, depth)
        for word, leaf in (("nullable", NULL), ("optional", UNDEFINED)):
            if _flag(value, word, pointer):
                number = self.raw.add(Union((number, self.raw.add(leaf))))
        return number

    def _base(self, value: Mapping[str, Any], pointer: str, scope: Scope, depth: int) -> int:
        if "$ref" in value:
            return self._reference(value, pointer, scope)
        if "kind" not in value:
            if "fields" in value:
                return self._shorthand(value, pointer, scope, depth)
            raise BadType(pointer, "must say its `kind`, e.g. string, number, boolean, object, array, union or ref")
        kind = value["kind"]
        if not isinstance(kind, str) or kind not in _KINDS:
            raise BadType(f"{pointer}/kind", f"must be one of {', '.join(_KINDS)}")
        _text(value, "description", pointer)
        if not isinstance(value.get("metadata", {}), Mapping):
            raise BadType(f"{pointer}/metadata", "must be an object")
        return _KINDS[kind](self, value, pointer, scope, depth)

    # --- names --------------------------------------------------------------------------------------------------

    def _reference(self, value: Mapping[str, Any], pointer: str, scope: Scope) -> int:
        target = value["$ref"]
        if not isinstance(target, str) or not target:
            raise BadType(f"{pointer}/$ref", "must be a text such as #/definitions/User")
        if target == "#":
            root, place = scope.root or ({}, "")
            return self._named_node(scope, "#", root, place, scope)
        for prefix in ("#/definitions/", "#/$defs/"):
            if target.startswith(prefix):
                name = target.removeprefix(prefix).replace("~1", "/").replace("~0", "~")
                if scope.find(name) is None:
                    raise BadType(f"{pointer}/$ref", f"there is no definition {name[:60]!r}")
                return self._name(name, scope)
        return self._name(target, scope)

    def _ref(self, value: Mapping[str, Any], pointer: str, scope: Scope, _: int) -> int:
        name = value.get("refId")
        if not isinstance(name, str):
            raise BadType(f"{pointer}/refId", "must name a type")
        return self._name(name, scope)

    def _name(self, name: str, scope: Scope) -> int:
        found = scope.find(name)
        if found is None:
            return self.raw.add(Name(name))
        return self._named_node(found, name, found.named[name], found.places(name), found)

    def _named_node(self, owner: Scope, name: str, value: Any, pointer: str, scope: Scope) -> int:
        key = (id(owner.named), name)
        number = self._named.get(key)
        if number is None:
            number = self._named[key] = self.raw.add(None)
            self.raw.places[number] = pointer
            self._waiting.append((number, value, pointer, scope))
        return number

    # --- kinds --------------------------------------------------------------------------------------------------

    def _scalar(self, value: Mapping[str, Any], pointer: str, _: Scope, __: int) -> int:
        kind = value["kind"]
        if kind == "primitive":
            kind = value.get("primitiveType")
            if kind not in ("string", "number", "boolean", "null", "undefined"):
                raise BadType(f"{pointer}/primitiveType", "must be string, number, boolean, null or undefined")
        brand = _text(value, "brand", pointer) or ""
        least, most = _number(value, "min", pointer), _number(value, "max", pointer)
        lengths = [_count(value, word, pointer) for word in ("minLength", "maxLength")]
        patterns, formats = _texts(value, "pattern", pointer), _texts(value, "format", pointer)
        if kind == "boolean":
            return self.raw.add(Boolean(brand))
        if kind == "number":
            return self.raw.add(_validated(Number(brand, least, most), value, pointer))
        if kind == "string":
            # The contracts let `min` and `max` of a text mean its length.
            shortest = max(lengths[0] or 0, math.ceil(least or 0), 0)
            bounds = [bound for bound in (lengths[1], None if most is None else math.floor(most)) if bound is not None]
            text = Text(brand, shortest, min(bounds) if bounds else None, patterns, formats)
            return self.raw.add(_validated(text, value, pointer))
        return self.raw.add(NULL if kind == "null" else UNDEFINED)

    def _any(self, *_: Any) -> int:
        return self.raw.add(ANY)

    def _literal(self, value: Mapping[str, Any], pointer: str, _: Scope, __: int) -> int:
        if "value" not in value:
            raise BadType(f"{pointer}/value", "is missing: the text, number or boolean that the literal is")
        return self._values([value["value"]], f"{pointer}/value")

    def _enum(self, value: Mapping[str, Any], pointer: str, _: Scope, __: int) -> int:
        values = value.get("values")
        if not isinstance(values, list) or not values:
            raise BadType(f"{pointer}/values", "must be a list of at least one text or number")
        return self._values(values, f"{pointer}/values")

    def _values(self, values: Sequence[Any], pointer: str) -> int:
        self._budget.spend(len(values))
        for number, one in enumerate(values):
            if not (one is None or isinstance(one, str | int | float)) or not _finite(one):
                raise BadType(f"{pointer}/{number}", "must be a text, number, boolean or null")
        found = {canonical(one) for one in values}
        parts = []
        if "null" in found:
            parts.append(self.raw.add(NULL))
        if {"true", "false"} <= found:
            parts.append(self.raw.add(Boolean()))
            found -= {"true", "false"}
        if found - {"null"}:
            parts.append(self.raw.add(Enum(tuple(sorted(found - {"null"})))))
        return parts[0] if len(parts) == 1 else self.raw.add(Union(tuple(parts)))

    def _array(self, value: Mapping[str, Any], pointer: str, scope: Scope, depth: int) -> int:
        if "items" not in value:
            raise BadType(f"{pointer}/items", "is missing: the type of the items")
        fewest, most = _count(value, "minItems", pointer), _count(value, "maxItems", pointer)
        items = self._type(value["items"], f"{pointer}/items", scope, depth + 1)
        return self.raw.add(Array(items, max(fewest or 0, 0), most))

    def _tuple(self, value: Mapping[str, Any], pointer: str, scope: Scope, depth: int) -> int:
        return self.raw.add(Tuple(tuple(self._listed(value, "items", pointer, scope, depth))))

    def _union(self, value: Mapping[str, Any], pointer: str, scope: Scope, depth: int) -> int:
        members = tuple(self._listed(value, "types", pointer, scope, depth))
        if not members:
            raise BadType(f"{pointer}/types", "must have at least one type")
        return self.raw.add(Union(members) if value["kind"] == "union" else Intersection(members))

    def _listed(self, value: Mapping[str, Any], word: str, pointer: str, scope: Scope, depth: int) -> list[int]:
        found = value.get(word)
        if not isinstance(found, list):
            raise BadType(f"{pointer}/{word}", "must be a list of GTypes")
        return [self._type(one, f"{pointer}/{word}/{at}", scope, depth + 1) for at, one in enumerate(found)]

    def _object(self, value: Mapping[str, Any], pointer: str, scope: Scope, depth: int) -> int:
        properties, required = value.get("properties"), value.get("required", [])
        if not isinstance(properties, Mapping):
            raise BadType(f"{pointer}/properties", "must be an object of GTypes by name")
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise BadType(f"{pointer}/required", "must be a list of names of properties")
        needed = set(required)
        fields = [
            Field(name, self._type(one, f"{pointer}/properties/{escaped(name)}", scope, depth + 1), name in needed)
            for name, one in properties.items()
        ]
        self._budget.spend(len(needed))
        fields += [Field(name, self.raw.add(ANY), True) for name in needed if name not in properties]
        return self.raw.add(object_of(fields, self._rest(value, pointer, scope, depth)))

    def _shorthand(self, value: Mapping[str, Any], pointer: str, scope: Scope, depth: int) -> int:
        """Fields are required; one whose name or type ends with `?` may be left out."""
        found = value["fields"]
        if not isinstance(found, Mapping):
            raise BadType(f"{pointer}/fields", "must be an object of types by name")
        fields: dict[str, Field] = {}
        for written, one in found.items():
            place = f"{pointer}/fields/{escaped(written)}"
            name, optional = written.removesuffix("?"), written.endswith("?")
            if isinstance(one, str) and one.rstrip().endswith("?"):
                one, optional = one.rstrip()[:-1], True
            if name in fields:
                raise BadType(place, f"the field {name[:60]!r} is there twice")
            fields[name] = Field(name, self._type(one, place, scope, depth + 1), not optional)
        return self.raw.add(object_of(fields.values(), self._rest(value, pointer, scope, depth)))

    def _rest(self, value: Mapping[str, Any], pointer: str, scope: Scope, depth: int) -> int | None:
        rest = value.get("additionalProperties", True)
        if isinstance(rest, bool):
            return self.raw.add(ANY) if rest else None
        return self._type(rest, f"{pointer}/additionalProperties", scope, depth + 1)


_KINDS: dict[str, Callable[[Reader, Mapping[str, Any], str, Scope, int], int]] = {
    **dict.fromkeys(("string", "number", "boolean", "null", "undefined", "primitive"), Reader._scalar),
    "object": Reader._object,
    "array": Reader._array,
    "tuple": Reader._tuple,
    "union": Reader._union,
    "intersection": Reader._union,
    "enum": Reader._enum,
    "literal": Reader._literal,
    "ref": Reader._ref,
    "any": Reader._any,
}


def _validated(node: Text | Number, value: Mapping[str, Any], pointer: str) -> Text | Number:
    """Narrowed by the runtime's validators; those that say nothing of such a value are let be, as the runtime does."""
    validators = value.get("validators", [])
    if not isinstance(validators, list):
        raise BadType(f"{pointer}/validators", "must be a list")
    for at, validator in enumerate(validators):
        place = f"{pointer}/validators/{at}"
        what = validator.get("type") if isinstance(validator, Mapping) else None
        if not isinstance(what, str):
            raise BadType(place, "must be an object with a `type` such as minLength, pattern or email")
        if isinstance(node, Number):
            if what in ("min", "max") and (bound := _number(validator, "value", place)) is not None:
                least, most = (bound, None) if what == "min" else (None, bound)
                node = replace(node, least=_tighter(max, node.least, least), most=_tighter(min, node.most, most))
        elif what in FORMATS:
            node = replace(node, formats=tuple(sorted({*node.formats, what})))
        elif what == "pattern":
            node = replace(node, patterns=tuple(sorted({*node.patterns, *_texts(validator, "value", place)})))
        elif what == "minLength":
            node = replace(node, shortest=max(node.shortest, _count(validator, "value", place) or 0))
        elif what == "maxLength":
            node = replace(node, longest=_tighter(min, node.longest, _count(validator, "value", place)))
    return node


def _tighter(choose: Callable[..., Any], one: Any, other: Any) -> Any:
    return choose((bound for bound in (one, other) if bound is not None), default=None)


def _flag(value: Mapping[str, Any], word: str, pointer: str) -> bool:
    found = value.get(word, False)
    if not isinstance(found, bool):
        raise BadType(f"{pointer}/{word}", "must be true or false")
    return found


def _text(value: Mapping[str, Any], word: str, pointer: str) -> str | None:
    found = value.get(word)
    if word in value and not isinstance(found, str):
        raise BadType(f"{pointer}/{word}", "must be a text")
    return found


def _texts(value: Mapping[str, Any], word: str, pointer: str) -> tuple[str, ...]:
    """One text or several, sorted."""
    found = value.get(word, [])
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(one, str) for one in listed):
        raise BadType(f"{pointer}/{word}", "must be a text")
    return tuple(sorted(set(listed)))


def _number(value: Mapping[str, Any], word: str, pointer: str) -> float | None:
    found = value.get(word)
    if word not in value:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not _finite(found):
        raise BadType(f"{pointer}/{word}", "must be a number")
    return float(found)


def _count(value: Mapping[str, Any], word: str, pointer: str) -> int | None:
    found = _number(value, word, pointer)
    if found is not None and found != int(found):
        raise BadType(f"{pointer}/{word}", "must be a whole number")
    return None if found is None else int(found)


def _finite(value: Any) -> bool:
    try:
        return not isinstance(value, int | float) or math.isfinite(value)
    except OverflowError:  # a whole number beyond what JSON's readers hold
        return False


def escaped(name: str) -> str:
    """A part of a JSON pointer. Source: RFC 6901."""
    return name.replace("~", "~0").replace("/", "~1")[:100]
