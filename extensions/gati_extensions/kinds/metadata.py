"""Custom metadata: checked against registered JSON Schemas, and what of it is indexed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gati_extensions.kinds.json import compact
from gati_extensions.kinds.model import SchemaChange
from gati_registry.errors import Code, RegistryError

MAX_SCHEMA = 64 * 1024
MAX_WORD = 512
MAX_VALUES = 64


def check_schema(found: SchemaChange) -> None:
    """Refuse what is no JSON Schema, or reaches outside of itself.

    Raises:
        RegistryError: INVALID.
    """
    import jsonschema_rs

    text = compact(found.json_schema)
    if len(text) > MAX_SCHEMA:
        raise RegistryError(Code.INVALID, f"json_schema: at most {MAX_SCHEMA} bytes")
    if outside := next((ref for ref in _references(found.json_schema) if not ref.startswith("#")), None):
        raise RegistryError(Code.INVALID, f"json_schema: $ref {outside[:100]!r} leads outside; only #/… is followed")
    try:
        jsonschema_rs.meta.validate(found.json_schema)
        _validator(found.json_schema)
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise RegistryError(Code.INVALID, f"json_schema: {str(error).splitlines()[0][:300]}") from None


def _validator(schema: Mapping[str, Any]) -> Any:
    import jsonschema_rs

    # The engine without backtracking: an expression from outside takes linear time, or is refused.
    return jsonschema_rs.validator_for(dict(schema), pattern_options=jsonschema_rs.RegexOptions(size_limit=1024 * 1024))


def check(schemas: Sequence[Mapping[str, Any]], kind: str, metadata: Mapping[str, Any]) -> None:
    """Every object of custom metadata has a schema here, and fits it; and those that are required are there.

    Raises:
        RegistryError: INVALID, with the JSON pointer.
    """
    known = {
        schema["id"]: schema for schema in schemas if not schema["applicable_to"] or kind in schema["applicable_to"]
    }
    for name in metadata:
        if name not in known:
            raise RegistryError(
                Code.INVALID, f"metadata: there is no schema {name[:100]!r} for a {kind} here; see kinds/schemas"
            )
    for name, schema in known.items():
        if name not in metadata:
            if schema["required"]:
                raise RegistryError(Code.INVALID, f"metadata: the schema {name} is required for a {kind} here")
            continue
        # What fails is told by its place and rule; the value itself is not repeated.
        error = next(iter(_validator(schema["json_schema"]).iter_errors(metadata[name])), None)
        if error is not None:
            pointer = "/" + "/".join(["metadata", name, *map(str, error.instance_path)])
            raise RegistryError(
                Code.INVALID,
                f"{pointer}: {error.message[:300]}",
                detail=[{"field": pointer, "problem": error.message[:300]}],
            )


def values(schema: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[tuple[str, str, float | None]]:
    """(path, word, number) of the indexed fields."""
    found: list[tuple[str, str, float | None]] = []
    for field in schema["indexed_fields"]:
        value = _at(metadata, field["path"])
        for one in (value if isinstance(value, list) else [value])[:MAX_VALUES]:
            if isinstance(one, bool) or one is None:
                if one is not None:
                    found.append((field["path"], json.dumps(one), None))
            elif isinstance(one, int | float):
                found.append((field["path"], json.dumps(one)[:MAX_WORD], _float(one)))
            elif isinstance(one, str):
                found.append((field["path"], one[:MAX_WORD], None))
    return found


def _float(number: int | float) -> float | None:
    try:
        return float(number)
    except OverflowError:  # an integer of hundreds of digits
        return None


def _at(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, Mapping):
            document = document.get(name)
        elif isinstance(document, list) and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


def _references(document: Any) -> list[str]:
    out, waiting = [], [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            out += [value for key, value in one.items() if key in ("$ref", "$dynamicRef") and isinstance(value, str)]
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return out
