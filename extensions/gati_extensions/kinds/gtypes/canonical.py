"""Canonical JSON. Source: RFC 8785 (JSON Canonicalization Scheme), so that other languages come to the same hash."""

from __future__ import annotations

import json
import math
from typing import Any


def canonical(value: Any) -> str:
    """One text for equal values. Keys are texts, numbers finite."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(key)}:{canonical(value[key])}" for key in sorted(value, key=utf16)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "true" if value else "false"
    return number(value)


def utf16(text: str) -> bytes:
    """The order of texts: by UTF-16 code units."""
    return text.encode("utf-16-be", "surrogatepass")


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def number(value: float) -> str:
    """As ECMAScript writes it. Source: ECMA-262, Number::toString."""
    value = float(value)
    assert math.isfinite(value)
    if value == int(value) and abs(value) < 2**53:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    whole, _, part = mantissa.partition(".")
    part = "" if part == "0" else part
    point = len(whole) + int(exponent or 0)  # where the point stands in the digits
    digits = (whole + part).lstrip("0")
    point -= len(whole + part) - len(digits)
    digits = digits.rstrip("0")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{'+' if point > 0 else '-'}{abs(point - 1)}"
