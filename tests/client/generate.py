"""`python -m tests.client.generate` writes client/gati_client/models.py from the server's OpenAPI.

The client imports no server package; this is how it knows what the server speaks. Bodies that clients send keep their
enumerations; in what servers answer these are plain text, and unknown fields are let be: a newer server says more.
"""

from __future__ import annotations

import json
import keyword
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from pydantic import BaseModel

TARGET = Path(__file__).parents[2] / "client" / "gati_client" / "models.py"

_PREFIX = "#/components/schemas/"
_HEAD = '''"""What the extensions of the registry say and want to hear. Generated from its OpenAPI; do not edit:

    python -m tests.client.generate
"""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """Base of all. Fields that a newer server adds are let be."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, defer_build=True)
'''


def document() -> dict[str, Any]:
    """The server's OpenAPI document, without the forms of other ecosystems: what is below /v2, under plain names."""
    with tempfile.TemporaryDirectory() as data:  # one in the working folder may be of another version
        command = [sys.executable, "-m", "gati_registry", "openapi", "--data", data]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(text)
    found["paths"] = {path: operations for path, operations in found["paths"].items() if path.startswith("/v2/")}
    schemas = found["components"]["schemas"]
    used = _reachable(found["paths"], schemas)
    # Where two extensions name a model alike, the server tells them apart by their modules.
    plain = {name: name.rpartition("__")[2] for name in used if name.count("__") > 1}
    renamed = json.dumps({**found, "components": {"schemas": {name: schemas[name] for name in used}}})
    for name, short in plain.items():
        assert [*used, *plain.values()].count(short) == 1, f"two models are called {short}"
        renamed = renamed.replace(f'{_PREFIX}{name}"', f'{_PREFIX}{short}"').replace(f'"{name}": ', f'"{short}": ')
    result: dict[str, Any] = json.loads(renamed)
    return result


def source(openapi: dict[str, Any]) -> str:
    """The module, formatted."""
    schemas: dict[str, Any] = openapi["components"]["schemas"]
    sent = _sent(openapi)
    parts = [_HEAD]
    parts += [_model(name, schemas[name], name in sent) for name in sorted(schemas) if not name.startswith("Page_")]
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    text = "\n\n".join(parts)
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


def _sent(openapi: dict[str, Any]) -> set[str]:
    """Schemas that are part of what clients send."""
    bodies = [
        operation.get("requestBody", {})
        for operations in openapi["paths"].values()
        for operation in operations.values()
    ]
    return _reachable(bodies, openapi["components"]["schemas"])


def _reachable(root: object, schemas: dict[str, Any]) -> set[str]:
    """Schemas that something refers to, and what these refer to."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            name = str(item.get("$ref", "")).removeprefix(_PREFIX)
            if name and name not in found:
                found.add(name)
                waiting.append(schemas[name])
            waiting += [value for key, value in item.items() if key != "$ref"]
    return found


def _model(name: str, schema: dict[str, Any], sent: bool) -> str:
    description = " ".join(schema.get("description", "").split()) or f"{name}."
    doc = description.replace("\\", "\\\\").replace('"""', "'''")
    wrapped = textwrap.wrap(f'"""{doc}"""', 112, initial_indent="    ", subsequent_indent="    ")
    lines = [f"class {name}(Model):", *wrapped]
    if len(lines) > 2:
        lines[-1] = lines[-1].removesuffix('"""')
        lines.append('    """')
    required = set(schema.get("required", ()))
    properties = schema.get("properties", {})
    # Fields without a default come first, as they are written down.
    for key, value in properties.items():
        lines.append("    " + _field(key, value, key in required, sent))
    return "\n".join(lines) + "\n"


def _field(key: str, schema: dict[str, Any], required: bool, sent: bool) -> str:
    kind = _type(schema, sent)
    clash = keyword.iskeyword(key) or hasattr(BaseModel, key) or not key.isidentifier()
    name = (key if key.isidentifier() else "".join(c if c.isalnum() else "_" for c in key)) + ("_" if clash else "")
    arguments = [f"alias={key!r}"] if name != key else []
    if not required:
        default = schema.get("default")
        if "default" in schema and not isinstance(default, dict | list) and "$ref" not in schema:
            arguments.insert(0, f"default={default!r}")
        elif schema.get("type") == "array":
            arguments.insert(0, "default_factory=list")
        elif schema.get("type") == "object":
            arguments.insert(0, "default_factory=dict")
        else:
            arguments.insert(0, "default=None")
            kind = kind if kind.endswith("| None") or kind == "Any" else f"{kind} | None"
    if not arguments:
        return f"{name}: {kind}"
    if len(arguments) == 1 and arguments[0].startswith("default="):
        return f"{name}: {kind} = {arguments[0].removeprefix('default=')}"
    return f"{name}: {kind} = Field({', '.join(arguments)})"


def _type(schema: dict[str, Any], sent: bool) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_PREFIX)
    if "anyOf" in schema:
        kinds = [_type(each, sent) for each in schema["anyOf"]]
        kinds = list(dict.fromkeys(kinds))
        if "None" in kinds:
            kinds = [*(kind for kind in kinds if kind != "None"), "None"]
        return "Any" if "Any" in kinds else " | ".join(kinds)
    if "enum" in schema and sent:
        return f"Literal[{', '.join(repr(each) for each in schema['enum'])}]"
    if "const" in schema and sent:
        return f"Literal[{schema['const']!r}]"
    match schema.get("type"):
        case "string":
            return "datetime.datetime" if schema.get("format") == "date-time" else "str"
        case "integer":
            return "int"
        case "number":
            return "float"
        case "boolean":
            return "bool"
        case "null":
            return "None"
        case "array":
            if "prefixItems" in schema:
                return f"tuple[{', '.join(_type(each, sent) for each in schema['prefixItems'])}]"
            return f"list[{_type(schema['items'], sent)}]" if "items" in schema else "list[Any]"
        case "object":
            values = schema.get("additionalProperties")
            if values is None and schema.get("patternProperties"):
                values = next(iter(schema["patternProperties"].values()))
            return f"dict[str, {_type(values, sent)}]" if isinstance(values, dict) and values else "dict[str, Any]"
        case _:
            return "Any"


if __name__ == "__main__":
    TARGET.write_text(source(document()))
