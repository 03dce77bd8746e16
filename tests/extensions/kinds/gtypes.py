"""Random types, and how each of the three spellings writes them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class T:
    """A type before it is spelt: its kind, facets, and parts."""

    kind: str
    facets: tuple[tuple[str, Any], ...] = ()
    parts: tuple[T, ...] = ()
    names: tuple[str, ...] = ()
    optional: frozenset[str] = field(default_factory=frozenset)
    closed: bool = False


NAMES = st.sampled_from(["id", "name", "email", "a b", "ümlaut", "x/y~z", "😀", "\ue000"])
REFERENCES = ("First", "Second", "Third")
WORDS = st.sampled_from(["a", "b", "positive", "not so", "1", "true"])

STRINGS = st.builds(
    lambda brand, low, high, pattern, form: T(
        "string",
        tuple((name, value) for name, value in (("brand", brand), ("minLength", low), ("maxLength", high),
              ("pattern", pattern), ("format", form)) if value is not None),
    ),
    st.sampled_from([None, None, "UserId"]), st.sampled_from([None, None, 1, 2]), st.sampled_from([None, None, 3, 4]),
    st.sampled_from([None, None, "^a+$"]), st.sampled_from([None, None, "email"]),
)  # fmt: skip
NUMBERS = st.builds(
    lambda brand, low, high: T(
        "number", tuple((n, v) for n, v in (("brand", brand), ("min", low), ("max", high)) if v is not None)
    ),
    st.sampled_from([None, None, "Cents"]), st.sampled_from([None, None, 0, 0.5]), st.sampled_from([None, 1, 1e21]),
)  # fmt: skip
LEAVES = st.one_of(
    STRINGS,
    NUMBERS,
    st.sampled_from([T("boolean"), T("null"), T("any")]),
    st.lists(st.one_of(WORDS, st.integers(-2, 9)), min_size=1, max_size=4, unique_by=json.dumps).map(
        lambda values: T("enum", (("values", tuple(values)),))
    ),
)
BRANCHES = (*REFERENCES, "Elsewhere")


def _objects(parts: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    def build(fields: dict[str, T], optional: list[bool], closed: bool) -> T:
        names = tuple(fields)
        left_out = frozenset(name for name, out in zip(names, optional, strict=False) if out)
        return T("object", (), tuple(fields.values()), names, left_out, closed)

    return st.builds(
        build, st.dictionaries(NAMES, parts, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4), st.booleans()
    )


def _composites(parts: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    return st.one_of(
        _objects(parts),
        st.builds(
            lambda item, low, high: T(
                "array", tuple((n, v) for n, v in (("minItems", low), ("maxItems", high)) if v is not None), (item,)
            ),
            parts, st.sampled_from([None, 1]), st.sampled_from([None, 2]),
        ),
        st.lists(parts, max_size=3).map(lambda found: T("tuple", (), tuple(found))),
        st.lists(parts, min_size=1, max_size=3).map(lambda found: T("union", (), tuple(found))),
    )  # fmt: skip


CLOSED = st.recursive(LEAVES, _composites, max_leaves=8)
"""Types that refer to no others."""

TYPES = st.recursive(
    st.one_of(LEAVES, st.sampled_from([T("ref", (("refId", name),)) for name in BRANCHES])), _composites, max_leaves=8
)
"""Types that may refer to `REFERENCES`, and to one that is defined nowhere."""

DEFINITIONS = st.fixed_dictionaries({name: _objects(TYPES) for name in REFERENCES})
"""Objects, so that no name means itself and nothing else."""


def shuffled(found: list[Any], chance: random.Random) -> list[Any]:
    """In another order."""
    return chance.sample(found, len(found))


def contracts(one: T, chance: random.Random) -> Any:
    """As `@gati-framework/contracts` has it."""
    return _object(one, chance, contracts, primitive=lambda kind, facets: {"kind": kind, **facets})


def runtime(one: T, chance: random.Random) -> Any:
    """As `@gati-framework/runtime` has it: primitives, validators, literals, `$ref`."""

    def primitive(kind: str, facets: dict[str, Any]) -> dict[str, Any]:
        validators = [
            {"type": name if name != "format" else value, **({} if name == "format" else {"value": value})}
            for name, value in facets.items()
            if name != "brand"
        ]
        brand = {"brand": facets["brand"]} if "brand" in facets else {}
        more = {"validators": shuffled(validators, chance)} if validators else {}
        return {"kind": "primitive", "primitiveType": kind, **brand, **more, "description": "for people"}

    if one.kind == "ref":
        name = dict(one.facets)["refId"]
        return {"$ref": f"#/definitions/{name}" if name in REFERENCES else name}
    if one.kind == "enum":
        values = [{"kind": "literal", "value": value} for value in dict(one.facets)["values"]]
        return values[0] if len(values) == 1 else {"kind": "union", "types": shuffled(values, chance)}
    if one.kind == "union" and any(part.kind == "null" for part in one.parts) and len(one.parts) > 1:
        rest = tuple(part for part in one.parts if part.kind != "null")
        if rest:
            inner = runtime(T("union", (), rest), chance)
            return {"kind": "union", "types": [inner], "nullable": True}
    return _object(one, chance, runtime, primitive=primitive)


def shorthand(one: T, chance: random.Random) -> Any:
    """As artifact manifests have it: texts and `fields`; where these have no words for it, as the contracts do."""
    if one.kind == "object":
        fields = {}
        for name, part in shuffled(list(zip(one.names, one.parts, strict=True)), chance):
            spelt = shorthand(part, chance)
            if name not in one.optional:
                fields[name] = spelt
            elif isinstance(spelt, str) and chance.random() < 0.5:
                fields[name] = f"{spelt}?"
            else:
                fields[f"{name}?"] = spelt
        return {"name": "Any name", "fields": fields, **({"additionalProperties": False} if one.closed else {})}
    return _words(one, chance) or _object(one, chance, shorthand, lambda kind, facets: {"kind": kind, **facets})


def _words(one: T, chance: random.Random) -> str | None:
    facets = dict(one.facets)
    parts = [_words(part, chance) for part in one.parts]
    if None in parts:
        return None
    texts = [part for part in parts if part is not None]
    if one.kind == "ref":
        return str(facets["refId"])
    if one.kind == "enum":
        return f"enum[{', '.join(_bare(value) for value in shuffled(list(facets['values']), chance))}]"
    if one.kind == "union":
        return f"({' | '.join(shuffled(texts, chance))})"
    if one.kind == "tuple":
        return f"tuple[{','.join(texts)}]"
    if facets or one.kind == "object":
        return None
    return chance.choice([f"({texts[0]})[]", f"array[ {texts[0]} ]"]) if one.kind == "array" else one.kind


def _bare(value: Any) -> str:
    text = str(value)
    return json.dumps(value) if isinstance(value, str) and text in ("1", "true") else text


def _object(
    one: T, chance: random.Random, spell: Callable[[T, random.Random], Any], primitive: Callable[..., Any]
) -> Any:
    facets = dict(one.facets)
    if one.kind in ("string", "number", "boolean"):
        return primitive(one.kind, facets)
    if one.kind == "object":
        pairs = shuffled(list(zip(one.names, one.parts, strict=True)), chance)
        needed = [name for name in one.names if name not in one.optional]
        return {
            "kind": "object",
            "properties": {name: spell(part, chance) for name, part in pairs},
            **({"required": shuffled(needed, chance)} if needed else {}),
            **({"additionalProperties": False} if one.closed else {}),
        }
    if one.kind == "array":
        return {"kind": "array", "items": spell(one.parts[0], chance), **facets}
    if one.kind == "tuple":
        return {"kind": "tuple", "items": [spell(part, chance) for part in one.parts]}
    if one.kind == "union":
        return {"kind": "union", "types": [spell(part, chance) for part in shuffled(list(one.parts), chance)]}
    if one.kind == "enum":
        return {"kind": "enum", "values": shuffled(list(facets["values"]), chance)}
    return {"kind": one.kind, **facets}
