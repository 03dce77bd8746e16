"""GTypes: three spellings, one tree, one hash; hostile ones end in a clear error."""

from __future__ import annotations

import json
import math
import random
import struct
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gati_extensions.kinds.gtypes.canonical import canonical
from gati_extensions.kinds.gtypes.normalising import normalise, scope_of
from gati_extensions.kinds.gtypes.signatures import signatures
from gati_extensions.kinds.gtypes.tree import BadType
from tests.extensions.access.support import World
from tests.extensions.kinds.gtypes import DEFINITIONS, TYPES, T, contracts, runtime, shorthand
from tests.extensions.kinds.support import CONFIGS, push

SPELLINGS = (contracts, runtime, shorthand)
SEEDS = st.integers(0, 2**32)


@settings(max_examples=100, deadline=None)
@given(TYPES, DEFINITIONS, SEEDS)
def test_three_spellings_are_one_type(one: T, named: dict[str, T], seed: int) -> None:
    chance = random.Random(seed)
    found = set()
    for spell in SPELLINGS:
        scope = scope_of({name: spell(part, chance) for name, part in named.items()})
        found.add(normalise(spell(one, chance), scope=scope))
    # Each may also refer to what another one spelt, and bring its definitions itself.
    mixed = {name: chance.choice(SPELLINGS)(part, chance) for name, part in named.items()}
    found.add(
        normalise({"$schema": "x", "type": {"kind": "union", "types": [runtime(one, chance)]}, "definitions": mixed})
    )
    assert len(found) == 1, [one.canonical for one in found]
    assert len({one.hash for one in found}) == 1


@settings(max_examples=100, deadline=None)
@given(TYPES, DEFINITIONS, SEEDS)
def test_the_canonical_form_is_its_own(one: T, named: dict[str, T], seed: int) -> None:
    chance = random.Random(seed)
    found = normalise(contracts(one, chance), scope=scope_of({n: contracts(p, chance) for n, p in named.items()}))
    again = normalise(json.loads(found.canonical))
    assert again == found
    assert again.canonical == found.canonical == canonical(json.loads(found.canonical))


@settings(max_examples=60, deadline=None)
@given(DEFINITIONS, SEEDS)
def test_unrolled_types_are_the_same(named: dict[str, T], seed: int) -> None:
    chance = random.Random(seed)
    spelt = {name: contracts(part, chance) for name, part in named.items()}
    for name, part in named.items():
        by_name = normalise({"kind": "ref", "refId": name}, scope=scope_of(spelt))
        assert by_name == normalise(runtime(part, chance), scope=scope_of(spelt))


@settings(max_examples=150, deadline=None)
@given(TYPES, TYPES, SEEDS)
def test_what_differs_has_another_hash(one: T, other: T, seed: int) -> None:
    chance = random.Random(seed)
    first, second = normalise(contracts(one, chance)), normalise(shorthand(other, chance))
    assert (first.canonical == second.canonical) == (first == second) == (first.hash == second.hash)


def test_what_is_told_apart() -> None:
    texts = ["enum[1]", 'enum["1"]', "enum[true]", "boolean", "string", "string[]", "string | null", "tuple[string]",
             "tuple[]", "any", "undefined", "User", "users"]  # fmt: skip
    objects: list[Any] = [
        {"fields": {"a": "string"}}, {"fields": {"a?": "string"}}, {"fields": {"a": "string | null"}},
        {"fields": {"a": "string"}, "additionalProperties": False}, {"kind": "string", "brand": "User"},
        {"kind": "array", "items": "string", "minItems": 1}, {"kind": "intersection", "types": ["User", "string"]},
    ]  # fmt: skip
    assert len({normalise(one).hash for one in [*texts, *objects]}) == len(texts) + len(objects)


def test_what_is_the_same() -> None:
    for one, other in (
        ({"kind": "string", "optional": True}, "string | undefined"),
        ({"fields": {"a": {"kind": "string", "optional": True}}}, {"fields": {"a?": "string"}}),
        ("enum[true, false]", "boolean"),
        ("boolean | enum[true, x]", "boolean | enum[x]"),
        ("any | string", "any"),
        ("string", {"kind": "union", "types": ["string", {"kind": "union", "types": ["string"]}]}),
        ({"kind": "string", "min": 2}, {"kind": "string", "minLength": 2.0}),
        ("bool", {"kind": "primitive", "primitiveType": "boolean", "validators": [{"type": "min", "value": 3}]}),
        ({"kind": "object", "properties": {}, "required": ["a"]}, {"fields": {"a": "any"}}),
        ({"kind": "intersection", "types": [{"fields": {"a": "string"}}, {"fields": {"b?": "number"}}]},
         {"fields": {"a": "string", "b?": "number"}}),
        ({"kind": "union", "types": [{"fields": {"a": "string"}}, {"name": "B", "fields": {"a": "string"}}]},
         {"fields": {"a": "string"}}),
        ({"fields": {"next": {"$ref": "#"}}}, {"$ref": "L", "definitions": {"L": {"fields": {"next": "L"}}}}),
    ):  # fmt: skip
        assert normalise(one) == normalise(other), (one, other)


def test_intersections_of_recursive_objects_end() -> None:
    named = {
        "A": {"fields": {"n": {"kind": "intersection", "types": ["A", "B"]}}},
        "B": {"fields": {"n": "A", "b": "null"}},
    }
    both = normalise({"kind": "intersection", "types": ["A", "B"]}, scope=scope_of(named))
    assert both == normalise({"fields": {"n": {"$ref": "#"}, "b": "null"}})


BAD: list[tuple[Any, str]] = [
    (5, "/"), ([], "/"), ({}, "/"), ({"kind": "strin"}, "/kind"), ({"kind": ["string"]}, "/kind"),
    ({"kind": "object"}, "/properties"), ({"kind": "object", "properties": []}, "/properties"),
    ({"kind": "object", "properties": {"a/b": {"kind": "nope"}}}, "/properties/a~1b/kind"),
    ({"kind": "object", "properties": {}, "required": "a"}, "/required"),
    ({"kind": "object", "properties": {}, "additionalProperties": 1}, "/additionalProperties"),
    ({"kind": "array"}, "/items"), ({"kind": "array", "items": "string", "minItems": 0.5}, "/minItems"),
    ({"kind": "tuple", "items": "string"}, "/items"), ({"kind": "union", "types": []}, "/types"),
    ({"kind": "enum", "values": []}, "/values"), ({"kind": "enum", "values": [[]]}, "/values/0"),
    ({"kind": "enum", "values": [10**400]}, "/values/0"), ({"kind": "literal"}, "/value"),
    ({"kind": "ref"}, "/refId"), ({"$ref": 1}, "/$ref"), ({"$ref": "#/definitions/X"}, "/$ref"),
    ({"kind": "string", "nullable": "yes"}, "/nullable"), ({"kind": "string", "brand": 1}, "/brand"),
    ({"kind": "number", "min": True}, "/min"), ({"kind": "number", "min": math.inf}, "/min"),
    ({"kind": "string", "minLength": "1"}, "/minLength"), ({"kind": "string", "pattern": 1}, "/pattern"),
    ({"kind": "string", "description": 1}, "/description"), ({"kind": "string", "metadata": 1}, "/metadata"),
    ({"kind": "primitive", "primitiveType": "int"}, "/primitiveType"),
    ({"kind": "primitive", "primitiveType": "string", "validators": [1]}, "/validators/0"),
    ({"kind": "number", "validators": [{"type": "min", "value": "1"}]}, "/validators/0/value"),
    ({"fields": []}, "/fields"), ({"fields": {"a": "string", "a?": "string"}}, "/fields/a?"),
    ({"fields": {"a": "enum["}}, "/fields/a"), ("string]", "/"), ("a | ", "/"), ("string[", "/"), ("tuple[a", "/"),
    ("(" * 100 + "a" + ")" * 100, "/"), ("string" + "[]" * 100, "/"), ("x" * 5000, "/"), ("", "/"),
    ({"kind": "string", "definitions": []}, "/definitions"), ({"$ref": "#"}, "/"),
    ({"$ref": "A", "definitions": {"A": "B", "B": "A"}}, "/definitions/A"),
    ({"$ref": "A", "definitions": {"A": "A | B", "B": "B | A"}}, "/definitions/A"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "pointer"), BAD, ids=range(len(BAD)))
def test_a_bad_one_is_told_where(written: Any, pointer: str) -> None:
    with pytest.raises(BadType) as caught:
        normalise(written)
    assert (caught.value.pointer or "/") == pointer
    assert caught.value.problem


def chain(length: int, entry: Any, last: Any = "string") -> dict[str, Any]:
    """Definitions that each name the next one, twice."""
    return {
        **{f"D{n}": json.loads(json.dumps(entry).replace("NEXT", f"D{n + 1}")) for n in range(length)},
        f"D{length}": last,
    }


BOMBS: dict[str, Any] = {
    "doubling": {"$ref": "D0", "definitions": chain(2000, {"fields": {"a": "NEXT", "b": "NEXT"}})},
    "long": {"$ref": "D0", "definitions": chain(5000, {"kind": "array", "items": "NEXT"})},
    "circle": {"$ref": "D0", "definitions": chain(3000, {"fields": {"a": "NEXT", "x": "number"}}, "D0 | null")},
    "unions": {"$ref": "D0", "definitions": chain(3000, "NEXT | NEXT[] | string")},
    "meets": {"$ref": "D0", "definitions": chain(400, {"kind": "intersection", "types": [
        {"fields": {"a": "NEXT", "b": "D0"}}, {"fields": {"a": "D1", "b": "NEXT"}}, "NEXT"]}, {"fields": {}})},
    "deep": json.loads('{"kind":"array","items":' * 300 + '"string"' + "}" * 300),
    "wide": {"kind": "union", "types": [{"fields": {f"f{n}": "any"}} for n in range(100_000)]},
    "values": {"kind": "enum", "values": list(range(300_000))},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_bomb_ends_in_a_clear_error(name: str) -> None:
    with pytest.raises(BadType, match=r"too large|nested deeper"):
        normalise(BOMBS[name])


def test_what_is_shared_is_written_once() -> None:
    named = chain(60, {"fields": {"a": "NEXT", "b": "NEXT"}})
    assert len(normalise("D0", scope=scope_of(named)).canonical) < 10_000


@settings(max_examples=300, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_as_they_were(number: float) -> None:
    assert float(json.loads(canonical(number))) == number


def test_numbers_are_written_as_javascript_does() -> None:
    chance = random.Random(8785)
    numbers = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(3000)]
    numbers = [n for n in numbers if math.isfinite(n)] + [10.0**e * f for e in range(-30, 30) for f in (1, 1.5, -3.25)]
    script = "const n = JSON.parse(require('fs').readFileSync(0)); console.log(JSON.stringify(n.map(String)))"
    from tests.clients.programs import require

    require("gati-contracts")  # node comes with it
    theirs = subprocess.run(
        ["node", "-e", script], input=json.dumps(numbers), capture_output=True, text=True, check=True
    )
    assert [canonical(n) for n in numbers] == json.loads(theirs.stdout)


def test_methods_of_a_manifest() -> None:
    request, response = {"name": "LoginRequest", "fields": {"email": "string"}}, {"fields": {"token": "Token"}}
    token = {"kind": "string", "brand": "Token"}
    login = signatures({"LoginRequest": request, "LoginResponse": response, "Token": token}, {}, "/gtypes")
    assert set(login.types) == {"LoginRequest", "LoginResponse", "Token"}
    assert login.methods["Login"].gives == normalise({"fields": {"token": token}})
    listed = signatures([request, {**response, "name": "LoginResponse"}, "Elsewhere", 5], {}, "/gtypes")
    assert listed.methods["Login"].takes == login.methods["Login"].takes
    whole = signatures({"input": "string", "output": "number[]"}, {}, "/gtypes")
    assert whole.methods[""].gives == normalise("number[]")
    below = signatures({"run": {"request": "string"}, "Odd": {"shape": [1]}, "Odder": "float32[1,3]"}, {}, "/gtypes")
    assert below.methods["run"].takes == normalise("string")
    assert [problem.split(":")[0] for problem in below.problems] == ["/gtypes/Odder", "/gtypes/Odd"]
    exported = signatures({"In": "string"}, {"run": ("In", "out-v1"), "stop": (None, None)}, "/gtypes")
    assert exported.methods["run"].takes == normalise("string")
    assert exported.methods["run"].gives == normalise({"kind": "ref", "refId": "out-v1"})
    assert exported.methods["stop"].takes is None
    with pytest.raises(BadType) as caught:
        signatures([request, {"name": "x", "fields": {"a": {"kind": "nope"}}}], {}, "/gtypes")
    assert caught.value.pointer == "/gtypes/1/fields/a/kind"


# --- in the registry --------------------------------------------------------------------------------------------

ACME = "orgs/acme/thing"
LOGIN = {"name": "LoginRequest", "fields": {"email": "string", "mood": "enum[positive,negative,neutral]"}}


@pytest.mark.anyio
async def test_a_pushed_manifest_shows_its_types_normalised(site: World) -> None:
    module = {
        "name": "thing", "id": "thing", "version": "1.2.3", "type": "wasm", "gtypes": {"In": LOGIN, "Out": "In[]"},
        "exports": {"run": {"inputRef": "In", "outputRef": "Out"}, "stop": {"inputRef": "elsewhere-v1"}},
    }  # fmt: skip
    assert (await push(site.user("alice"), ACME, "1.2.3", "module", module)).status == 201
    found = await site.user("alice").done("GET", f"/v2/{ACME}/_ext/kinds/versions/1.2.3/types")
    taken = normalise(LOGIN)
    assert found["types"]["In"] == taken.hash
    assert found["definitions"][taken.hash] == json.loads(taken.canonical)
    given = normalise("In[]", scope=scope_of({"In": LOGIN}))
    assert found["methods"]["run"] == {"takes": taken.hash, "gives": given.hash}
    assert found["methods"]["stop"] == {"takes": normalise("elsewhere-v1").hash, "gives": None}
    facts = (await site.user("alice").done("GET", f"/v2/{ACME}/_ext/kinds/versions/1.2.3"))["facts"]
    assert facts["types"]["In"] == LOGIN  # as it was pushed
    plain = await push(site.user("alice"), ACME, "2.0.0", "library", CONFIGS["library"])
    assert plain.status == 201
    assert (await site.user("alice").done("GET", f"/v2/{ACME}/_ext/kinds/versions/2.0.0/types"))["types"] == {}


@pytest.mark.anyio
async def test_a_bad_type_is_refused_with_the_pointer(site: World) -> None:
    for gtypes, pointer in (
        ({"In": {"fields": {"a/b": {"kind": "strin"}}}}, "/gtypes/In/fields/a~1b/kind"),
        ([LOGIN, {"name": "x", "kind": "array"}], "/gtypes/1/items"),
        ({"A": {"$ref": "#/definitions/Q"}}, "/gtypes/A/$ref"),
        ({"A": BOMBS["doubling"]}, "/gtypes"),
    ):
        answer = await push(site.user("alice"), ACME, "1.2.3", "plugin", {**CONFIGS["plugin"], "gtypes": gtypes})
        assert answer.status == 400, answer
        error = answer.json()["errors"][0]
        assert (error["code"], error["detail"]["pointer"]) == ("MANIFEST_INVALID", pointer)
    assert (await site.user("alice").pull(ACME, "1.2.3")).status == 404


@pytest.mark.anyio
async def test_what_is_no_gtype_is_kept_with_a_doubt(site: World) -> None:
    config = {**CONFIGS["model"], "gtypes": {"input": "float32[1,3,224,224]", "output": {"shape": [1000]}}}
    assert (await push(site.user("alice"), ACME, "1.2.3", "model", config)).status == 201
    found = (await site.user("alice").done("GET", f"/v2/{ACME}/_ext/kinds/versions/1.2.3"))["facts"]
    assert [problem.split(":")[0] for problem in found["problems"]] == ["/gtypes/input", "/gtypes/output"]
    assert found["types"]["output"] == {"shape": [1000]}
