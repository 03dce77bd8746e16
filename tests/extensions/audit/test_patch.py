"""Differences as JSON Patch: whoever applies one to what was before gets what is after."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gati_extensions.audit.patch import MAX_PATCH, difference

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)
KEYS = st.text(alphabet="ab~/1", max_size=3)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


def apply(document: Any, patch: list[dict[str, Any]]) -> Any:
    """RFC 6902, as far as objects go."""
    for step in patch:
        if step["path"] == "":
            if step["op"] == "test":
                assert document == step["value"]
            else:
                document = step.get("value")
            continue
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"][1:].split("/")]
        target = document
        for parent in parents:
            target = target[parent]
        if step["op"] == "test":
            assert json.dumps(target[last]) == json.dumps(step["value"])
        elif step["op"] == "remove":
            del target[last]
        else:
            assert (last in target) == (step["op"] == "replace")
            target[last] = copy.deepcopy(step["value"])
    return document


@given(DOCUMENTS | st.none(), DOCUMENTS | st.none())
def test_applied_to_what_was_it_makes_what_is(before: Any, after: Any) -> None:
    patch = difference(before, after)
    assert json.dumps(apply(copy.deepcopy(before), patch), sort_keys=True) == json.dumps(after, sort_keys=True)
    assert (patch == []) == (json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True))


def test_a_long_one_is_cut_to_the_paths_that_changed() -> None:
    patch = difference({"a": "x" * MAX_PATCH, "b": 1}, {"a": "y" * MAX_PATCH, "b": 2})
    assert [(step["op"], step["path"]) for step in patch] == [("replace", "/a"), ("replace", "/b")]
    many = difference(None, {f"k{number}": "x" * 100 for number in range(1000)})
    assert len(json.dumps(many)) <= MAX_PATCH
    wide = difference({}, {f"k{number}": number for number in range(10_000)})
    assert 0 < len(json.dumps(wide)) <= MAX_PATCH
