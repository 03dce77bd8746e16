"""Kinds that are programs: module, plugin, agent, library, transformer, service, spec."""

from __future__ import annotations

import json
from typing import Any

from gati_client.scaffold.recipe import About, Made, Recipe

_GREETING = {
    "GreetRequest": {"kind": "object", "properties": {"name": {"kind": "string"}}, "required": ["name"]},
    "GreetResponse": {"kind": "object", "properties": {"message": {"kind": "string"}}, "required": ["message"]},
}
_SUM = {
    "AddRequest": {"kind": "tuple", "items": [{"kind": "number"}, {"kind": "number"}]},
    "AddResponse": {"kind": "number"},
}
_GREET_JS = """\
/** Greets whoever is named. */
export async function greet({ name }) {
  return { message: `Hello, ${name}!` };
}
"""
_ADD_WAT = """\
(module
  (func (export "add") (param i32 i32) (result i32)
    local.get 0
    local.get 1
    i32.add))
"""
# The above as `wat2wasm` writes it: type, function, export and code section of a binary of version 1.
_ADD_WASM = bytes.fromhex(
    "0061736d01000000"  # \0asm, version 1
    "010701" "60027f7f017f"  # one type: (i32, i32) -> i32
    "03020100"  # one function, of that type
    "0707010361646400" "00"  # exported as "add"
    "0a09010700" "200020016a" "0b"  # local.get 0, local.get 1, i32.add
)  # fmt: skip
_GREET_PY = """\
import json
from http.server import BaseHTTPRequestHandler, HTTPServer


class Greeter(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"message": f"Hello, {body['name']}!"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(answer)


HTTPServer(("", 8080), Greeter).serve_forever()
"""
_CONTAINERFILE = """\
FROM docker.io/library/python:3-slim
COPY main.py /main.py
EXPOSE 8080
CMD ["python", "/main.py"]
"""
_GREET_SH = """\
#!/bin/sh
# Greets whoever is named on standard input.
read -r name
printf '{"message": "Hello, %s!"}\\n' "$name"
"""


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _package(about: About) -> str:
    return _json({"name": about.name, "version": "0.1.0", "type": "module", "main": "index.js"})


def _module(about: About) -> Made:
    add = about.type == "wasm"
    method, types = ("add", _SUM) if add else ("greet", _GREETING)
    request, response = types
    manifest = {
        "type": about.type,
        "exports": {method: {"inputRef": request, "outputRef": response}},
        "gati": {"type": "module", "contracts": [], "dependencies": {}},
        "gtypes": types,
    }
    match about.type:
        case "wasm":
            files: dict[str, str | bytes] = {"module.wat": _ADD_WAT, "module.wasm": _ADD_WASM}
            hint = "`module.wasm` is what runs; it was made of `module.wat` by `wat2wasm module.wat`."
        case "oci":
            files = {"main.py": _GREET_PY, "Containerfile": _CONTAINERFILE}
            hint = "Runs as a container: `podman build -t greet .`"
        case "binary":
            files = {"bin/run": _GREET_SH}
            hint = "`bin/run` is what runs; replace it with your own program."
        case "external":
            files = {"adapter.json": _json({"url": "https://api.example.org/greet", "method": "POST"})}
            hint = "Answers elsewhere: `adapter.json` says where."
        case _:
            files = {"index.js": _GREET_JS, "package.json": _package(about)}
            hint = "`index.js` exports the methods that `gati-module.json` names."
    return Made(manifest, hint, files, ("bin/run",) if about.type == "binary" else ())


def _plugin(about: About) -> Made:
    source = f"""\
/** Called once, when Gati loads the plugin. */
export default function {about.type.replace("-", "_")}(gati) {{
  gati.log?.info("loaded");
}}
"""
    return Made(
        {"config": {"type": about.type, "entry": "index.js"}, "capabilities": [], "requiredModules": []},
        "`index.js` is what Gati loads. Modules that it needs go into `requiredModules`.",
        {"index.js": source, "package.json": _package(about)},
    )


def _agent(about: About) -> Made:
    manifest: dict[str, Any] = {
        "runtime": about.type,
        "modelReferences": [],
        "skillGraph": {"skills": ["read", "summarise"], "dependencies": {"summarise": ["read"]}},
        "permissions": {"maxMemory": "256Mi", "maxCpu": "500m", "allowedDomains": []},
    }
    hint = "Models go into `modelReferences` (`@acme/small@^1`), domains that it may call into `allowedDomains`."
    match about.type:
        case "wasm":
            return Made({**manifest, "wasmFile": "agent.wasm"}, hint, {"agent.wat": _ADD_WAT, "agent.wasm": _ADD_WASM})
        case "container":
            return Made(manifest, hint, {"main.py": _GREET_PY, "Containerfile": _CONTAINERFILE})
    source = """\
export async function read({ text }) {
  return text.trim();
}

export async function summarise({ text }) {
  return (await read({ text })).split(". ")[0];
}
"""
    return Made({**manifest, "entry": "agent.js"}, hint, {"agent.js": source})


def _library(about: About) -> Made:
    if about.type == "python":
        source = 'def greet(name: str) -> str:\n    """Greets whoever is named."""\n    return f"Hello, {name}!"\n'
        files, entry = {"greeting.py": source}, "greeting.py"
    else:
        files, entry = {"index.js": _GREET_JS, "package.json": _package(about)}, "index.js"
    manifest = {"language": about.type, "entry": entry, "exports": ["greet"]}
    return Made(manifest, f"`{entry}` is what others import.", files)


def _transformer(_: About) -> Made:
    manifest = {
        "fromArtifact": "library/example",
        "fromVersion": "1.0.0",
        "toVersion": "2.0.0",
        "transformations": [
            {"type": "request", "changes": {"added": ["email"], "removed": [], "renamed": {"name": "fullName"}}}
        ],
    }
    source = """\
/** From 1.0.0 to 2.0.0. */
export function up({ name, ...rest }) {
  return { email: null, ...rest, fullName: name };
}

/** And back. */
export function down({ fullName, email, ...rest }) {
  return { ...rest, name: fullName };
}
"""
    hint = "Say in `gati-transformer.json` which artifact it is for, and from which version to which."
    return Made(manifest, hint, {"transform.js": source})


def _service(_: About) -> Made:
    manifest = {
        "type": "http",
        "endpoints": [{"url": "http://localhost:8080", "protocol": "http"}],
        "ports": [8080],
    }
    hint = "Say where it answers in `endpoints`, and in `image` what runs there."
    return Made(manifest, hint, {"main.py": _GREET_PY, "Containerfile": _CONTAINERFILE})


def _spec(about: About) -> Made:
    if about.type == "tla+":
        source = """\
---- MODULE Counter ----
EXTENDS Naturals
VARIABLE count
Init == count = 0
Next == count' = count + 1
Spec == Init /\\ [][Next]_count
NeverNegative == count >= 0
====
"""
        main, test, files = (
            "Counter.tla",
            "Counter.cfg",
            {"Counter.cfg": "SPECIFICATION Spec\nINVARIANT NeverNegative\n"},
        )
    else:
        source = """\
openapi: 3.1.0
info: {title: Greetings, version: 0.1.0}
paths:
  /greet:
    post:
      responses:
        "200": {description: A greeting.}
"""
        main, test, files = "openapi.yaml", "tests/greet.http", {"tests/greet.http": "POST /greet\n\nHTTP 200\n"}
    manifest = {"framework": about.type, "specifications": {"main": main}, "tests": [test]}
    return Made(manifest, f"`{main}` is the specification, `{test}` its test.", {main: source, **files})


RECIPES = (
    Recipe("module", _module, ("node", "oci", "wasm", "binary", "external")),
    Recipe("plugin", _plugin, ("middleware", "brand", "resolver", "db-adapter", "auth", "other")),
    Recipe("agent", _agent, ("js", "wasm", "container")),
    Recipe("library", _library, ("javascript", "python")),
    Recipe("transformer", _transformer),
    Recipe("service", _service),
    Recipe("spec", _spec, ("openapi", "tla+")),
)
