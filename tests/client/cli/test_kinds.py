"""The whole round for every kind with real files: validate, publish, find, look at, install elsewhere."""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema_rs

from gati_client.cli.root import KINDS
from tests.client.cli.conftest import found_by_search, program
from tests.clients.client import Client
from tests.clients.registry import Registry
from tests.extensions.kinds.support import CONFIGS
from tests.support.server import wait_for

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


def config_of(kind: str, user: str) -> Any:
    """A manifest of that kind. What it needs is the resolver's affair: here it needs nothing that is not there."""
    config = {key: value for key, value in CONFIGS[kind].items() if key not in _REFERENCES}
    changes: dict[str, Any] = {
        "module": {"gati": {"type": "module", "contracts": ["http"]}},
        "pipeline": {"stages": [{"name": "a"}, {"name": "b", "needs": ["a"]}]},
        "transformer": {"fromArtifact": f"users/{user}/log", "fromVersion": "1.2.3", "toVersion": "1.2.3"},
    }
    return {**config, **changes.get(kind, {}), "name": f"{kind}-thing"}


_REFERENCES = {"requiredModules", "modelReferences", "dependencies", "modules"}


def test_every_kind(gati: Client, site: Registry, user: str, tmp_path: Path) -> None:
    """Published from one folder, found by its kind, installed in another one, byte for byte."""
    lay(tmp_path / "log", "library", {**CONFIGS["library"], "name": "log"})  # what the transformer is for
    gati("publish", str(tmp_path / "log"))
    (tmp_path / "there").mkdir()

    def publish(kind: str) -> Any:
        lay(tmp_path / kind, kind, config_of(kind, user))
        at = Client(gati.program, gati.home, env=gati.env, cwd=tmp_path / kind)
        return json.loads(at(kind, "publish", "--output", "json"))

    def look(kind: str) -> Any:
        return json.loads(gati(kind, "info", f"{kind}-thing", "--output", "json"))

    def install(kind: str) -> Any:
        folder = tmp_path / "there" / kind
        folder.mkdir()
        at = Client(gati.program, gati.home, env=gati.env, cwd=folder)
        return json.loads(at(kind, "install", f"users/{user}/{kind}-thing@^1.2", "--output", "json"))

    with ThreadPoolExecutor(4) as threads:
        published = dict(zip(KINDS, threads.map(publish, KINDS), strict=True))
        seen = dict(zip(KINDS, threads.map(look, KINDS), strict=True))
        installed = dict(zip(KINDS, threads.map(install, KINDS), strict=True))
    for kind in KINDS:
        name = f"users/{user}/{kind}-thing"
        digest = published[kind]["digest"]
        assert {key: published[kind][key] for key in ("repository", "version", "kind")} == {
            "repository": name, "version": "1.2.3", "kind": kind,
        }  # fmt: skip
        stored = site.manifest(name, "1.2.3")
        assert (stored.digest, stored.json["artifactType"]) == (digest, f"application/vnd.gati.{kind}.v1")
        assert (seen[kind]["repository"], seen[kind]["version"]["digest"]) == (name, digest)
        folder = tmp_path / "there" / kind
        for path, data in FILES[kind].items():
            assert (folder / "gati_modules" / name / path).read_bytes() == data
        assert digest in {row["digest"] for row in installed[kind]}
        locked = json.loads((folder / "gati.lock").read_text())["packages"][f"{name}@1.2.3"]
        assert (locked["kind"], locked["digest"]) == (kind, digest)

    listed = {row["repository"]: row["kind"] for row in json.loads(gati("list", "--output", "json"))}
    assert {f"users/{user}/{kind}-thing": kind for kind in KINDS}.items() <= listed.items()

    def found(*more: str) -> str:
        return gati("search", "--namespace", f"users/{user}", "-o", "json", *more)

    (theme,) = json.loads(gati("theme", "list", "--output", "json"))
    assert theme["repository"] == f"users/{user}/theme-thing"

    # Search follows the push within a moment.
    wait_for(lambda: found_by_search(site, f"users/{user}") == len(KINDS) + 1)
    assert len(json.loads(found("--limit", "100"))["items"]) == len(KINDS) + 1
    both = json.loads(found())
    assert set(both) == {"items", "next", "facets", "total", "total_exact", "ranking", "corrected", "relaxed"}
    assert {value["value"]: value["count"] for value in both["facets"]["kind"]}["theme"] == 1
    (item,) = json.loads(gati("theme", "search", "thing", "--namespace", f"users/{user}", "-o", "json"))["items"]
    assert {"repository", "kind", "name", "version", "description", "digest", "downloads", "stars", "publisher"} <= set(
        item
    )
    assert (item["repository"], item["digest"]) == (theme["repository"], published["theme"]["digest"])
    assert "theme" in found("--facets", "-o", "table")
    stats = json.loads(gati("registry", "stats", "-o", "json"))
    assert stats["kinds"]["theme"] >= 1
    assert "search" in stats["features"]


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
    gati("publish", "thing", "--label", "team=ml", "--label", "tier=gold")
    assert json.loads(gati("info", "dry@1.2.3", "-o", "json"))["overlay"]["labels"] == {"team": "ml", "tier": "gold"}
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
