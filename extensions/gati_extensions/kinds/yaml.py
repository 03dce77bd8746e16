"""YAML from outside, read as the JSON that it could have been: YAML 1.2's core schema, plain mappings of texts.

Values are built from the parser's events, one after the other: no constructor of the library ever runs, nothing
recurses, and an alias counts as all that it stands for, so that neither depth nor a bomb of aliases gets far.

Source: yaml.org/spec/1.2.2, section 10.3 (core schema).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from gati_extensions.kinds.json import Invalid

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 20_000
"""Values in all, what aliases stand for included."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,300}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_TEXT = "tag:yaml.org,2002:str"


def strict(data: bytes) -> dict[str, Any]:
    """A mapping, alone in its document.

    Raises:
        Invalid: the message continues "the document …".
    """
    import yaml  # only where somebody brings YAML

    if len(data) > MAX_BYTES:
        raise Invalid(f"is YAML of more than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"is not UTF-8 (byte {error.start})") from None
    building = _Building()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            building.take(event, type(event).__name__)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" at line {mark.line + 1} column {mark.column + 1}" if mark is not None else ""
        raise Invalid(f"is not YAML: {error.problem or 'malformed'}{where}") from None
    except yaml.YAMLError:  # characters that YAML does not allow
        raise Invalid("is not YAML: it holds characters that may not be there") from None
    if not isinstance(building.root, dict):
        raise Invalid("must be a YAML mapping")
    return building.root


@dataclass(slots=True)
class _Open:
    """A mapping or list that is not closed yet. `before` is how many values there were when it began."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    before: int
    key: str | None = None


@dataclass(slots=True)
class _Building:
    root: Any = None
    documents: int = 0
    count: int = 0
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)

    def take(self, event: Any, name: str) -> None:
        if name == "DocumentStartEvent":
            self.documents += 1
            if self.documents > 1:
                raise Invalid("holds more than one YAML document")
        elif name == "ScalarEvent":
            self._count(1)
            value = _scalar(event)
            if event.anchor:
                self.anchors[event.anchor] = (value, 1)
            self._put(value)
        elif name == "AliasEvent":
            found = self.anchors.get(event.anchor)
            if found is None:
                raise Invalid(f"uses the alias {event.anchor[:60]!r} before what it stands for has ended")
            self._count(found[1])
            self._put(found[0])
        elif name in ("MappingStartEvent", "SequenceStartEvent"):
            self._open(event, {} if name == "MappingStartEvent" else [])
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            closed = self.stack.pop()
            if closed.anchor:
                self.anchors[closed.anchor] = (closed.value, self.count - closed.before)
            self._put(closed.value)

    def _open(self, event: Any, value: dict[str, Any] | list[Any]) -> None:
        if event.tag and not event.tag.startswith("tag:yaml.org,2002:"):
            raise Invalid(f"holds the tag {event.tag[:60]!r}; write plain values")
        if len(self.stack) >= MAX_DEPTH:
            raise Invalid(f"is nested deeper than {MAX_DEPTH} levels")
        if self.stack and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None:
            raise Invalid("has a key that is no text")
        before = self.count
        self._count(1)
        self.stack.append(_Open(value, event.anchor, before))

    def _count(self, more: int) -> None:
        self.count += more
        if self.count > MAX_NODES:
            raise Invalid(f"holds more than {MAX_NODES} values, aliases written out")

    def _put(self, value: Any) -> None:
        if not self.stack:
            self.root = value
            return
        above = self.stack[-1]
        if isinstance(above.value, list):
            above.value.append(value)
        elif above.key is None:
            if not isinstance(value, str | int | float | bool) and value is not None:
                raise Invalid("has a key that is no text")
            above.key = value if isinstance(value, str) else str(value)
            if above.key in above.value:
                raise Invalid(f"has the key {above.key[:100]!r} twice in one mapping")
        else:
            above.value[above.key] = value
            above.key = None


def _scalar(event: Any) -> Any:
    text: str = event.value
    if "\0" in text:
        raise Invalid("holds the character U+0000, which databases do not store")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("holds half of a surrogate pair, which is no text") from None
    if event.tag and event.tag != _TEXT:
        raise Invalid(f"holds the tag {event.tag[:60]!r}; write plain values")
    if event.tag or not event.implicit[0]:  # quoted, or said to be text
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
