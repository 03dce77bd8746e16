"""Which type fits which, held against trying values: a type fits another one where all values of it are taken there."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gati_extensions.kinds.gtypes.keys import given_keys, wanted_keys
from gati_extensions.kinds.gtypes.normalising import normalise, scope_of
from gati_extensions.kinds.gtypes.reading import Budget
from gati_extensions.kinds.gtypes.settling import unbranded
from gati_extensions.kinds.gtypes.subtyping import fits
from gati_extensions.kinds.gtypes.tree import (
    Array,
    BadType,
    Boolean,
    Enum,
    GType,
    Name,
    Number,
    Object,
    Simple,
    Text,
    Tuple,
    Union,
)
from tests.extensions.kinds.gtypes import TYPES, T, contracts

OTHER = object()
"""A value of no kind that types know: what `any` may be."""


def check(one: Any, other: Any, **more: Any) -> bool:
    """Of two spellings."""
    return fits(normalise(one), normalise(other), Budget(100_000), **more)


# --- the oracle: values -----------------------------------------------------------------------------------------


def values(found: GType, number: int = 0, depth: int = 3) -> Iterator[Any]:
    """Telling values of a type: those at its bounds, and objects that bring what they declare."""
    node = found.nodes[number]
    if isinstance(node, Simple):
        yield OTHER if node.kind == "any" else (node.kind,)
    elif isinstance(node, Name):
        yield ("name", node.name)
    elif isinstance(node, Text):
        brand, marks = node.brand, (node.patterns, node.formats)
        longest = node.longest if node.longest is not None else 9
        yield from (("text", length, brand, marks) for length in range(node.shortest, longest + 1))
    elif isinstance(node, Number):
        low = node.least if node.least is not None else -100.0
        high = node.most if node.most is not None else 1e22
        yield from (("number", value, node.brand) for value in sorted({low, high}) if low <= value <= high)
    elif isinstance(node, Boolean):
        yield from (("boolean", value, node.brand) for value in (True, False))
    elif isinstance(node, Enum):
        yield from map(json.loads, node.values)
    elif isinstance(node, Union):
        for member in node.members:
            yield from values(found, member, depth)
    elif depth:
        yield from _composite(found, number, depth)


def _composite(found: GType, number: int, depth: int) -> Iterator[Any]:
    node = found.nodes[number]
    if isinstance(node, Tuple):
        parts = [list(itertools.islice(values(found, item, depth - 1), 12)) for item in node.items]
        yield from itertools.islice(itertools.product(*parts), 60) if all(parts) else ()
    elif isinstance(node, Array):
        for size in sorted({node.fewest, node.most if node.most is not None else node.fewest + 2, node.fewest + 1}):
            if node.fewest <= size and (node.most is None or size <= node.most):
                each = list(itertools.islice(values(found, node.items, depth - 1), 12)) if size else [None]
                yield from (tuple([item] * size) for item in each)
    elif isinstance(node, Object):
        needed = [field for field in node.fields if field.required]
        for chosen in ([*node.fields], needed):
            parts = [list(itertools.islice(values(found, field.type, depth - 1), 8)) for field in chosen]
            if all(parts):
                for row in itertools.islice(itertools.product(*parts), 80):
                    yield dict(zip((field.name for field in chosen), row, strict=True))


def takes(found: GType, value: Any, number: int = 0) -> bool:
    """Whether a type takes a value; of an open object, whatever else it brings."""
    node = found.nodes[number]
    if node == Simple("any"):
        return True
    if isinstance(node, Union):
        return any(takes(found, value, member) for member in node.members)
    if isinstance(node, Enum):
        return any(type(one) is type(value) and one == value for one in map(json.loads, node.values))
    if isinstance(value, str | int | float):
        return _takes_plain(node, value)
    if isinstance(node, Object) and isinstance(value, dict):
        fields = {field.name: field for field in node.fields}
        if any(field.required and field.name not in value for field in node.fields):
            return False
        rest = node.rest
        return all(
            takes(found, one, fields[name].type) if name in fields else rest is not None and takes(found, one, rest)
            for name, one in value.items()
        )
    if not isinstance(value, tuple):
        return False
    if isinstance(node, Array | Tuple):
        if (
            value
            and isinstance(value[0], str)
            and value[0] in ("text", "number", "boolean", "name", "null", "undefined")
        ):
            return False
        if isinstance(node, Tuple):
            return len(value) == len(node.items) and all(
                takes(found, v, i) for v, i in zip(value, node.items, strict=True)
            )
        return node.fewest <= len(value) <= (node.most if node.most is not None else 99) and all(
            takes(found, one, node.items) for one in value
        )
    return _takes_marked(node, value)


def _takes_plain(node: Any, value: Any) -> bool:
    if isinstance(node, Text):
        bounded = isinstance(value, str) and node.shortest <= len(value) and len(value) <= (node.longest or 99)
        return bounded and not (node.patterns or node.formats or node.brand)
    if isinstance(node, Number):
        bounded = not isinstance(value, str) and (node.least is None or value >= node.least)
        return bounded and (node.most is None or value <= node.most) and not node.brand
    return False


def _takes_marked(node: Any, value: tuple[Any, ...]) -> bool:
    if isinstance(node, Simple):
        return value == (node.kind,)
    if isinstance(node, Name):
        return value == ("name", node.name)
    if isinstance(node, Text) and value[:1] == ("text",):
        _, length, brand, (patterns, formats) = value
        bounded = node.shortest <= length and (node.longest is None or length <= node.longest)
        marked = set(node.patterns) <= set(patterns) and set(node.formats) <= set(formats)
        return bounded and marked and (not node.brand or node.brand == brand)
    if isinstance(node, Number) and value[:1] == ("number",):
        bounded = (node.least is None or value[1] >= node.least) and (node.most is None or value[1] <= node.most)
        return bounded and (not node.brand or node.brand == value[2])
    if isinstance(node, Boolean) and value[:1] == ("boolean",):
        return not node.brand or node.brand == value[2]
    return False


PAIRS = st.tuples(TYPES, TYPES, st.integers(0, 2**32))


def spelt(one: T, seed: int) -> GType:
    """The type."""
    return normalise(contracts(one, random.Random(seed)))


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_what_fits_is_taken(pair: tuple[T, T, int]) -> None:
    one, other = spelt(pair[0], pair[2]), spelt(pair[1], pair[2])
    for first, second in ((one, other), (other, one), (one, one)):
        if fits(first, second, Budget(100_000)):
            assert all(takes(second, value) for value in itertools.islice(values(first), 400))
            assert given_keys(first) & wanted_keys(second), "the keys would not find it"
            assert fits(unbranded(first, Budget(10_000)), unbranded(second, Budget(10_000)), Budget(100_000))


def _bounded(kind: str, low: str, high: str) -> st.SearchStrategy[T]:
    return st.builds(lambda least, most: T(kind, ((low, least), (high, most))), st.integers(0, 2), st.integers(2, 4))


SIMPLE = st.recursive(
    st.one_of(
        _bounded("string", "minLength", "maxLength"),
        _bounded("number", "min", "max"),
        st.lists(st.sampled_from(["", "a", "bb", 0, 3]), min_size=1, max_size=3, unique_by=json.dumps).map(
            lambda found: T("enum", (("values", tuple(found)),))
        ),
        st.sampled_from([T("boolean"), T("null"), T("any")]),
    ),
    lambda parts: st.one_of(
        st.builds(
            lambda one, other, out, closed: T("object", (), (one, other), ("a", "b"), out, closed),
            parts, parts, st.frozensets(st.sampled_from("ab")), st.booleans(),
        ),
        st.builds(lambda one: T("object", (), (one,), ("a",)), parts),
        st.builds(lambda one, low: T("array", (("minItems", low),), (one,)), parts, st.integers(0, 1)),
        st.lists(parts, max_size=2).map(lambda found: T("tuple", (), tuple(found))),
        parts.filter(lambda one: one.kind != "any").map(lambda one: T("union", (), (one, T("null")))),
    ),
    max_leaves=4,
)  # fmt: skip
"""Types of which a look at the values tells all: no unions but with null."""


@settings(max_examples=200, deadline=None)
@given(SIMPLE, SIMPLE)
def test_what_is_taken_fits(first: T, second: T) -> None:
    one, other = spelt(first, 1), spelt(second, 1)
    for left, right in ((one, other), (other, one), (one, one)):
        found = list(itertools.islice(values(left), 3000))
        assert fits(left, right, Budget(100_000)) == all(takes(right, value) for value in found)


@settings(max_examples=150, deadline=None)
@given(TYPES, st.integers(0, 2**32))
def test_every_type_fits_itself(one: T, seed: int) -> None:
    found = spelt(one, seed)
    assert fits(found, found, Budget(100_000))
    assert given_keys(found) & wanted_keys(found)


def test_by_hand() -> None:
    user, named = {"fields": {"email": "string", "nick": "string"}}, {"fields": {"email": "string"}}
    assert check(user, named)
    assert not check(named, user)
    assert check(named, {"fields": {"email": "string", "nick?": "string"}})
    assert not check(user, {**named, "additionalProperties": False})
    assert not check(user, {**named, "additionalProperties": {"kind": "number"}})
    assert check({"fields": {}, "additionalProperties": {"kind": "number"}}, {"fields": {"x?": "number | string"}})
    assert check("enum[a]", "string")
    assert check("boolean", "enum[true] | enum[false]")
    assert not check("string", {"kind": "string", "pattern": "^a"})
    assert check({"kind": "string", "brand": "UserId"}, "string")
    assert not check("string", {"kind": "string", "brand": "UserId"})
    assert check("string", {"kind": "string", "brand": "UserId"}, brands=False)
    assert check("tuple[string,string]", "string[]")
    assert not check("string[]", "tuple[string]")
    assert check({"kind": "intersection", "types": ["User", "Admin"]}, "Admin")
    assert check("Admin", {"kind": "intersection", "types": ["Admin", "any"]})
    assert not check("User", "Admin")
    assert check("undefined", "undefined")


def test_recursive_ones() -> None:
    wide = scope_of({"L": {"fields": {"value": "enum[a]", "next": "L | null", "more": "any"}}})
    narrow = scope_of({"L": {"fields": {"value": "string", "next": "L | null"}}})
    one, other = normalise("L", scope=wide), normalise("L", scope=narrow)
    assert fits(one, other, Budget(1000))
    assert not fits(other, one, Budget(1000))
    bad = normalise({"fields": {"value": "string", "next": {"fields": {"value": "number", "next": "null"}}}})
    assert not fits(bad, other, Budget(1000))


def test_work_is_bounded() -> None:
    def tangle(size: int) -> GType:
        named: dict[str, Any] = {
            f"D{n}": {"fields": {"a": f"D{(n + 1) % size}", "b": f"D{(n * 7) % size} | null"}} for n in range(size)
        }
        named["D0"]["fields"]["x?"] = "number"
        return normalise("D0", scope=scope_of(named), budget=Budget(10_000_000))

    for budget in (20_000, 10):
        with pytest.raises(BadType, match=r"too large|nested deeper"):
            fits(tangle(97), tangle(89), Budget(budget))
