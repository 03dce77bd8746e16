"""JSON from outside: UTF-8, no key twice, no constants that are none, no deep nesting."""

from __future__ import annotations

import json
from typing import Any

from gati_registry.domain import manifest
from gati_registry.errors import RegistryError


class Invalid(Exception):
    """The message continues "the document …"."""


def strict(data: bytes, *, depth: int = manifest.MAX_DEPTH) -> dict[str, Any]:
    """A JSON object whose texts can be stored everywhere and sent to anybody."""
    try:
        document = manifest.load_json(data, depth)
    except RegistryError as error:
        raise Invalid(error.message.removeprefix("manifest invalid: the document ")) from None
    if b"\\u" in data:  # only an escape can write what is no text
        text = json.dumps(document, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Invalid("holds half of a surrogate pair, which is no text") from None
        if "\\u0000" in text:
            raise Invalid("holds the character U+0000, which databases do not store")
    return document


def compact(value: Any) -> str:
    """As it is kept: small, sorted, so that equal values are equal texts."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
