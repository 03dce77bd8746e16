"""The whole round for every kind with real files: validate, publish, find, look at, install elsewhere."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gati_client.cli.root import KINDS
from tests.client.cli.conftest import program
from tests.clients.client import Client
from tests.clients.registry import Registry
from tests.extensions.kinds.support import CONFIGS

WASM = b"\0asm\1\0\0\0"
"""The smallest module there is (WebAssembly core specification 5.5.16)."""


def safetensors() -> bytes:
    """A tensor of two numbers, as the format has it."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1.0, 2.0)


FILES: dict[str, dict[str, bytes]] = {
    "module": {"index.js": b"export const greet = () => 'hello'\n", "lib/deep.js": b"export default 1\n"},
    "plugin": {"dist/index.js": b"module.exports = {}\n"},
    "model": {"model.safetensors": safetensors(), "README.md": b"# A model\n"},
    "agent": {"agent.wasm": WASM, "prompt.txt": b"Be brief.\n"},
    "template": {"a.txt": b"{{ port }}\n"},
    "snapshot": {},
    "transformer": {"transform.js": b"export default (x) => x\n"},
    "spec": {"specs/main.tla": b"---- MODULE main ----\n====\n", "tests/a.yaml": b"a: 1\n"},
    "service": {"openapi.json": b"{}\n"},
    "config": {"app.toml": b"port = 8080\n"},
    "library": {"parse.py": b"def parse(): ...\n"},
    "theme": {"theme.css": b":root { color: black }\n"},
    "pipeline": {"steps.sh": b"#!/bin/sh\n"},
    "prompt": {"system.txt": b"You are kind.\n"},
    "dataset": {"train.csv": b"a,b\n1,2\n"},
}


def lay(folder: Path, kind: str, config: Any) -> None:
    """The folder of an artifact."""
    for name, data in {**FILES[kind], f"gati-{kind}.json": json.dumps(config).encode()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_every_kind_is_known_here_and_there(site: Registry) -> None:
    """The kinds of the command are those of the registry that have a manifest, which its schema lets through."""
    known = site.request("GET", "/v2/_ext/kinds/kinds").json()["items"]
    schemas = {kind["name"]: kind["manifest"] for kind in known if kind["manifest"] is not None}
    assert set(schemas) == set(KINDS) == set(CONFIGS)
    for kind, schema in schemas.items():
        jsonschema_rs.validator_for(schema).validate(CONFIGS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_the_round(kind: str, gati: Client, site: Registry, user: str, tmp_path: Path) -> None:
    """Published from one folder, found by its kind, installed in another one, byte for byte."""
    work, other = tmp_path / "work", tmp_path / "other"
    # No dependencies: what others need is the resolver's affair.
    config = {key: value for key, value in CONFIGS[kind].items() if key not in _REFERENCES}
    if kind == "pipeline":
        config["stages"] = [{"name": "a"}, {"name": "b", "needs": ["a"]}]
    if kind == "module":
        config["gati"] = {"type": "module", "contracts": ["http"]}
    lay(work, kind, {**config, "name": f"{kind}-thing"})
    other.mkdir()
    at = Client(gati.program, gati.home, env=gati.env, cwd=work)
    published = json.loads(at(kind, "publish", "--output", "json"))
    repository = f"users/{user}/{kind}-thing"
    assert (published["repository"], published["version"], published["kind"]) == (repository, "1.2.3", kind)
    stored = site.manifest(repository, "1.2.3")
    assert stored.digest == published["digest"]
    assert stored.json["artifactType"] == f"application/vnd.gati.{kind}.v1"

    found = json.loads(at("info", f"{kind}-thing", "--output", "json"))
    assert (found["kind"], found["version"]["digest"]) == (kind, published["digest"])
    assert repository in at(kind, "list")

    there = Client(gati.program, gati.home, env=gati.env, cwd=other)
    there(kind, "install", f"{repository}@1.2.3")
    for name, data in FILES[kind].items():
        assert (other / "gati_modules" / repository / name).read_bytes() == data
    locked = json.loads((other / "gati.lock").read_text())["packages"][f"{repository}@1.2.3"]
    assert (locked["kind"], locked["digest"]) == (kind, published["digest"])


_REFERENCES = {"requiredModules", "modelReferences", "dependencies", "modules"}


def test_dry_run(gati: Client, site: Registry, user: str) -> None:
    """What would go, how much, and what the registry would say; nothing goes."""
    folder = gati.home / "thing"
    lay(folder, "agent", {**CONFIGS["agent"], "name": "dry", "modelReferences": []})
    planned = json.loads(gati("publish", "thing", "--dry-run", "--output", "json"))
    assert planned["repository"] == f"users/{user}/dry"
    assert {file["name"] for file in planned["files"]} == {"agent.wasm", "prompt.txt", "gati-agent.json"}
    assert planned["size"] > 0
    assert planned["problems"] == []
    assert not site.has_manifest(f"users/{user}/dry", "1.2.3")
    gati("publish", "thing")
    (folder / "prompt.txt").write_bytes(b"Be long.\n")
    code, out, _ = gati.run("publish", "thing", "--dry-run", "--output", "json")
    assert code == 1
    assert "1.2.3" in json.loads(out)["problems"][0]
    assert gati.run("publish", "thing")[0] == 5


def test_nobody_publishes(site: Registry, home: Path) -> None:
    lay(home / "thing", "config", CONFIGS["config"])
    code, _, err = program(home, site).run("publish", "thing")
    assert code == 4
    assert "gati login" in err
