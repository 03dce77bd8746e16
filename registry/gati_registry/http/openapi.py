"""OpenAPI 3.1 of the extension API, made from the routes and their models; and a page to read it on."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from gati_registry.http.calls import Route
from gati_registry.http.extensions import Routes

_ERRORS = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "string"},
                    "message": {"type": "string", "description": "What is wrong and what to do about it."},
                    "detail": {"description": "Helps a program mend its request."},
                },
            },
        }
    },
}


def document(version: str, extensions: Iterable[tuple[str, str, Routes]]) -> dict[str, Any]:
    """The OpenAPI document of these extensions: (name, summary, routes)."""
    listed = list(extensions)
    routes = [
        (name, prefix, route)
        for name, _, found in listed
        for prefix, group in (
            (f"/v2/_ext/{name}", found.registry),
            (f"/v2/{{repository}}/_ext/{name}", found.repository),
            ("", found.root),
        )
        for route in group
    ]
    schemas, components = _schemas([route for _, _, route in routes])
    paths: dict[str, dict[str, Any]] = {}
    for name, prefix, route in routes:
        path = prefix + ("/" if prefix and route.path else "") + re.sub(r":path\}", "}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(name, path, route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gati Registry: extension API", "version": version},
        "tags": [{"name": name, "description": summary} for name, summary, _ in listed],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**components, "Errors": _ERRORS},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{}, {"basic": []}, {"bearer": []}, {"key": []}],
    }


_Key = tuple[Any, JsonSchemaMode]


def _schemas(routes: Iterable[Route]) -> tuple[Mapping[_Key, Any], Mapping[str, Any]]:
    wanted: dict[_Key, None] = {}
    for route in routes:
        if route.body is not None:
            wanted[(route.body, "validation")] = None
        if route.answer is not None:
            wanted[(route.answer, "serialization")] = None
    schemas, definitions = models_json_schema(list(wanted), ref_template="#/components/schemas/{model}")
    return schemas, definitions.get("$defs", {})


def _operation(extension: str, path: str, route: Route, schemas: Mapping[_Key, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{([a-z_]+)\}", path)
    ]
    if route.query is not None:
        query = route.query.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, schema in query.get("properties", {}).items():
            required = name in query.get("required", [])
            parameters.append({"name": name, "in": "query", "required": required, "schema": schema})
    success: dict[str, Any] = {"description": "Done."}
    if route.answer is not None:
        success["content"] = {"application/json": {"schema": schemas[(route.answer, "serialization")]}}
    status = str(route.status if route.answer is not None or route.status != 200 else 200)
    operation: dict[str, Any] = {
        "tags": [extension],
        "operationId": re.sub(r"[^a-z0-9]+", "_", f"{route.method} {path}".lower()).strip("_"),
        "summary": route.summary,
        "description": f"Permission: `{route.permission.name}` ({route.permission.action.value}).",
        "parameters": parameters,
        "responses": {
            status: success,
            "default": {
                "description": "An error.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}},
            },
        },
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[(route.body, "validation")]}},
        }
    return operation


def page(api: Mapping[str, Any]) -> bytes:
    """The document as HTML without scripts."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{html.escape(api['info']['title'])}</title></head><body><main>",
        f"<h1>{html.escape(api['info']['title'])} {html.escape(api['info']['version'])}</h1>",
        '<p>Made from the routes themselves; for programs: <a href="/v2/_ext/openapi.json">openapi.json</a>. ',
        "Errors are <code>{&quot;errors&quot;: [{code, message, detail}]}</code>.</p>",
    ]
    for tag in api["tags"]:
        parts.append(f"<h2>{html.escape(tag['name'])}</h2><p>{html.escape(tag['description'])}</p>")
        for path, methods in api["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    parts.append(_entry(path, method, operation))
    schemas = api["components"]["schemas"]
    parts.append("<h2>Models</h2>")
    for name in sorted(schemas):
        text = html.escape(json.dumps(schemas[name], indent=2))
        parts.append(
            f'<details id="{html.escape(name)}"><summary>{html.escape(name)}</summary><pre>{text}</pre></details>'
        )
    parts.append("</main></body></html>")
    return "".join(parts).encode()


def _entry(path: str, method: str, operation: Mapping[str, Any]) -> str:
    lines = [
        f"<section><h3><code>{method.upper()} {html.escape(path)}</code></h3>",
        f"<p>{html.escape(operation['summary'])} {html.escape(operation['description'])}</p>",
    ]
    query = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"]
    if query:
        lines.append(f"<p>Query: {', '.join(f'<code>{html.escape(name)}</code>' for name in query)}</p>")
    if "requestBody" in operation:
        lines.append(f"<p>Body: {_model(operation['requestBody']['content']['application/json']['schema'])}</p>")
    for status, response in operation["responses"].items():
        if status != "default" and "content" in response:
            lines.append(f"<p>{status}: {_model(response['content']['application/json']['schema'])}</p>")
    return "".join(lines) + "</section>"


def _model(schema: Mapping[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return f'<a href="#{html.escape(name)}">{html.escape(name)}</a>' if name else "an object"
