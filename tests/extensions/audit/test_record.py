"""Leaves are written by hand; they are the canonical JSON that anybody can make of an entry's columns."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gati_extensions.audit.record import COLUMNS, Line, canonical

_TEXT = st.text(max_size=20)
_NUMBER = st.integers(-(2**63), 2**63 - 1)
_LINES = st.builds(
    Line,
    leaf=_NUMBER, event_id=_TEXT, time=_NUMBER, category=_TEXT, action=_TEXT, actor=st.none() | _TEXT,
    subject=st.none() | _TEXT, method=_TEXT, resource=_TEXT, namespace=_TEXT, decision=_TEXT, status=_NUMBER,
    duration_us=_NUMBER, request_id=_TEXT, detail=st.none() | _TEXT, origin=st.none() | st.binary(max_size=20),
    changes=st.none() | st.binary(max_size=20),
)  # fmt: skip


@given(_LINES)
def test_a_leaf_is_the_canonical_json_of_its_columns(line: Line) -> None:
    values: dict[str, Any] = dict(zip(COLUMNS, line, strict=False))
    for name in ("origin", "changes"):
        values[name] = None if values[name] is None else base64.b64encode(values[name]).decode()
    del values["leaf"]
    assert line.leaf_bytes() == canonical({**values, "v": 1, "kind": "entry"})
    assert json.loads(line.leaf_bytes())["resource"] == line.resource
