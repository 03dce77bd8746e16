"""The difference of two JSON documents as a JSON Patch, with a `test` of every value that goes.

Source: RFC 6902.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MAX_PATCH = 16 * 1024
"""Bytes of a patch in an entry; a longer one is cut to the paths that changed."""

Operation = dict[str, Any]


def difference(before: Any, after: Any) -> list[Operation]:
    """Operations that make `after` of `before`; objects are compared field by field, anything else as a whole.

    None is the absence of a document.
    """
    found = list(_compare("", before, after))
    if len(json.dumps(found)) <= MAX_PATCH:
        return found
    cut: list[Operation] = []
    room = MAX_PATCH
    for operation in found:
        if operation["op"] == "test":
            continue
        short = {"op": operation["op"], "path": operation["path"][:1000]}
        short |= {"value": "(too long to log)"} if "value" in operation else {}
        room -= len(json.dumps(short)) + 2
        if room < 0:
            break
        cut.append(short)
    return cut


def _compare(path: str, before: Any, after: Any) -> Iterator[Operation]:
    if before == after and type(before) is type(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}, key=str):
            below = f"{path}/{_escaped(str(key))}"
            if key not in before:
                yield {"op": "add", "path": below, "value": after[key]}
            elif key not in after:
                yield {"op": "test", "path": below, "value": before[key]}
                yield {"op": "remove", "path": below}
            else:
                yield from _compare(below, before[key], after[key])
        return
    there = before is not None or path != ""
    if there:
        yield {"op": "test", "path": path, "value": before}
    if after is None and path == "":
        yield {"op": "remove", "path": path}
    else:
        yield {"op": "replace" if there else "add", "path": path, "value": after}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
