"""Search filters, written as text with places for values.

A value never becomes text of a filter: the text is parsed first, the value is put into the finished structure, so there
is nothing to escape and nothing to inject.

Source: RFC 4515 (text), RFC 4511 section 4.5.1.7 (encoding).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gati_extensions.identity.ldap import ber

PLACES = ("name", "dn")

DEEPEST = 32

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:;[A-Za-z0-9-]+)*|\d+(?:\.\d+)+")
_OPERATORS = {"=": 0xA3, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}
_LISTS = {"&": 0xA0, "|": 0xA1}

Values = Mapping[str, bytes | None]
"""What goes into the places; None: anything at all, the attribute only has to be there."""


@dataclass(frozen=True, slots=True)
class _List:
    tag: int
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Not:
    part: _Node


@dataclass(frozen=True, slots=True)
class _Item:
    """`attribute operator value`; `rule` and `whole_dn` belong to extensible matches."""

    attribute: str
    operator: str
    value: str
    rule: str = ""
    whole_dn: bool = False


_Node = _List | _Not | _Item


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter."""

    node: _Node

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Read a filter.

        Raises:
            ValueError: it is malformed.
        """
        node, end = _parse(text.strip(), 0, 0)
        if end != len(text.strip()):
            raise ValueError("must be one filter in parentheses, such as (uid={name})")
        return cls(node)

    def encode(self, values: Values) -> bytes:
        """As a search sends it."""
        return _encode(self.node, values)


def any_of(attribute: str, values: Sequence[bytes]) -> bytes:
    """A filter for entries with one of the values."""
    return ber.tlv(0xA1, *(ber.tlv(0xA3, ber.text(attribute), ber.octets(value)) for value in values))


def both(one: bytes, other: bytes) -> bytes:
    """A filter for entries that both find."""
    return ber.tlv(0xA0, one, other)


def _parse(text: str, at: int, depth: int) -> tuple[_Node, int]:
    if depth > DEEPEST or text[at : at + 1] != "(":
        raise ValueError("must be a filter in parentheses, such as (uid={name})")
    at += 1
    mark = text[at : at + 1]
    if mark in _LISTS:
        parts, at = [], at + 1
        while text[at : at + 1] == "(":
            part, at = _parse(text, at, depth + 1)
            parts.append(part)
        node: _Node = _List(_LISTS[mark], tuple(parts))
    elif mark == "!":
        part, at = _parse(text, at + 1, depth + 1)
        node = _Not(part)
    else:
        end = text.find(")", at)
        node, at = _item(text[at : end if end >= 0 else len(text)]), end if end >= 0 else len(text)
    if text[at : at + 1] != ")":
        raise ValueError("must be a filter in parentheses, such as (uid={name})")
    return node, at + 1


def _item(text: str) -> _Item:
    found = re.fullmatch(r"([^=<>~:(]*)((?::[^=:]+)*)(:=|=|>=|<=|~=)(.*)", text, re.DOTALL)
    if found is None:
        raise ValueError("must be a filter in parentheses, such as (uid={name})")
    attribute, options, operator, value = found.groups()
    words = [word for word in options.split(":") if word]
    whole_dn = "dn" in words
    rule = next((word for word in words if word != "dn"), "")
    if (attribute and not _ATTRIBUTE.fullmatch(attribute)) or (words and operator != ":=") or not (attribute or rule):
        raise ValueError(f"names no attribute in ({text[:60]})")
    if re.search(r"\\(?![0-9A-Fa-f]{2})", value) or (set(re.findall(r"\{(\w+)\}", value)) - set(PLACES)):
        raise ValueError(f"holds a value that cannot be read in ({text[:60]})")
    return _Item(attribute, operator, value, rule, whole_dn)


def _encode(node: _Node, values: Values) -> bytes:
    if isinstance(node, _List):
        return ber.tlv(node.tag, *(_encode(part, values) for part in node.parts))
    if isinstance(node, _Not):
        return ber.tlv(0xA2, _encode(node.part, values))
    if any(values.get(place, b"") is None and f"{{{place}}}" in node.value for place in PLACES):
        return ber.tlv(0x87, node.attribute.encode())
    if node.operator == ":=":
        rule = [ber.tlv(0x81, node.rule.encode())] if node.rule else []
        kind = [ber.tlv(0x82, node.attribute.encode())] if node.attribute else []
        whole = [ber.tlv(0x84, b"\xff")] if node.whole_dn else []
        return ber.tlv(0xA9, *rule, *kind, ber.tlv(0x83, _value(node.value, values)), *whole)
    if node.operator == "=" and node.value == "*":
        return ber.tlv(0x87, node.attribute.encode())
    if node.operator == "=" and "*" in node.value:
        return ber.tlv(0xA4, ber.text(node.attribute), _substrings(node.value, values))
    return ber.tlv(_OPERATORS[node.operator], ber.text(node.attribute), ber.octets(_value(node.value, values)))


def _substrings(value: str, values: Values) -> bytes:
    first, *middle, last = value.split("*")
    parts = [ber.tlv(0x80, _value(first, values))] if first else []
    parts += [ber.tlv(0x81, _value(part, values)) for part in middle if part]
    parts += [ber.tlv(0x82, _value(last, values))] if last else []
    return ber.sequence(*parts)


def _value(text: str, values: Values) -> bytes:
    out = b""
    for part in re.split(r"(\{\w+\}|\\[0-9A-Fa-f]{2})", text):
        if part.startswith("{"):
            out += values[part[1:-1]] or b""
        elif part.startswith("\\"):
            out += bytes.fromhex(part[1:])
        else:
            out += part.encode()
    return out


def escaped_dn(value: str) -> str:
    """A value as it stands in a distinguished name.

    Source: RFC 4514 section 2.4.
    """
    out = re.sub(r'([,+"\\<>;=])', r"\\\1", value.rstrip(" ")).replace("\0", "\\00")
    spaces = len(value) - len(value.rstrip(" "))
    out += "\\ " * spaces
    return "\\" + out if value[:1] == "#" or (value[:1] == " " and spaces < len(value)) else out
