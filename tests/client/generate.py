"""`python -m tests.client.generate` writes the modules of client/gati_client/models from the server's OpenAPI.

The client imports no server package; this is how it knows what the server speaks. Bodies that clients send keep their
enumerations; in what servers answer these are plain text, and unknown fields are let be: a newer server says more.

Each extension has a module, so that a call makes the models of what it asks and no others; what several of them use is
in `base`. The package brings each by its name.
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

TARGET = Path(__file__).parents[2] / "client" / "gati_client" / "models"

BASE = "base"

_PREFIX = "#/components/schemas/"
_MADE = "Generated from its OpenAPI; do not edit:\n\npython -m tests.client.generate\n"
_PACKAGE = f'''"""What the extensions of the registry say and want to hear. {_MADE}
Names are imported when they are first asked for: making all models takes longer than a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
'''
_GETATTR = """
def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(name)
    import importlib

    return getattr(importlib.import_module(f"gati_client.models.{_PLACES[name]}"), name)
"""
_HEAD = f'''"""What {{}} and wants to hear. {_MADE}"""

from __future__ import annotations

import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

'''
_MODEL = '''
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


def sources(openapi: dict[str, Any]) -> dict[str, str]:
    """The modules, formatted, by file name."""
    schemas: dict[str, Any] = openapi["components"]["schemas"]
    sent = _sent(openapi)
    places = _places(openapi)
    modules = {place: sorted(name for name in places if places[name] == place) for place in sorted({*places.values()})}
    found = {f"{place}.py": _module(place, names, schemas, sent, places) for place, names in modules.items()}
    return {"__init__.py": _package({**places, "Model": BASE}), **found}


def _places(openapi: dict[str, Any]) -> dict[str, str]:
    """The module of each model."""
    users: dict[str, set[str]] = {}
    for operations in openapi["paths"].values():
        for operation in operations.values():
            for name in _reachable(operation, openapi["components"]["schemas"]):
                users.setdefault(name, set()).update(operation["tags"])
    return {
        name: next(iter(tags)) if len(tags) == 1 else BASE
        for name, tags in users.items()
        if not name.startswith("Page_")
    }


def _module(place: str, names: list[str], schemas: dict[str, Any], sent: set[str], places: dict[str, str]) -> str:
    who = "every extension says" if place == BASE else f"the extension {place} says"
    others = _reachable([schemas[name] for name in names], schemas)
    shared = ["Model", *sorted(other for other in others if places[other] == BASE)]
    head = _MODEL if place == BASE else f"from gati_client.models.base import {', '.join(shared)}"
    return _formatted(place, [_HEAD.format(who) + head, *(_model(name, schemas[name], name in sent) for name in names)])


def _package(places: dict[str, str]) -> str:
    modules = {place: sorted(name for name in places if places[name] == place) for place in sorted({*places.values()})}
    imports = [f"    from gati_client.models.{place} import {', '.join(names)}" for place, names in modules.items()]
    table = "_PLACES = {" + ", ".join(f"{name!r}: {place!r}" for name, place in sorted(places.items())) + ",}"
    names = f"__all__ = [{', '.join(repr(name) for name in sorted(places))},]"
    return _formatted("__init__", [_PACKAGE + "\n".join(imports), table, names, _GETATTR])


def _formatted(place: str, parts: list[str]) -> str:
    """As ruff has it, without the imports that it finds to be unused."""
    text = "\n\n".join(parts)
    named = ["--stdin-filename", str(TARGET / f"{place}.py"), "-"]
    for command in (["check", "--select", "I,F401", "--fix", "--quiet"], ["format"]):
        program = [sys.executable, "-m", "ruff", *command, *named]
        text = subprocess.run(program, input=text, check=True, capture_output=True, text=True).stdout
    return text


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
    for made, text in sources(document()).items():
        (TARGET / made).write_text(text)
