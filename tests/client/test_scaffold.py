"""What `gati <kind> create` begins, the registry takes as it is."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gati_client.errors import Conflict, Usage
from gati_client.scaffold import KINDS, create, manifest_name
from tests.clients.registry import MANIFEST, Registry
from tests.support.server import RegistryProcess

EVERY = [(kind, type) for kind, recipe in KINDS.items() for type in (recipe.types or (None,))]


@pytest.fixture
def opened(registry: RegistryProcess) -> Iterator[Registry]:
    """The open registry, seen from beside."""
    with contextlib.closing(Registry(registry.url)) as found:
        yield found


def push(opened: Registry, kind: str, config: bytes) -> int:
    """The status of a push with that config and no file."""
    repository = f"library/{kind}"
    digest = opened.push_blob(repository, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": f"application/vnd.gati.{kind}.v1",
        "config": {
            "mediaType": f"application/vnd.gati.{kind}.config.v1+json",
            "digest": digest,
            "size": len(config),
        },
        "layers": [],
    }
    headers = {"Content-Type": MANIFEST}
    answer = opened.request(
        "PUT", f"/v2/{repository}/manifests/0.1.0", headers=headers, content=json.dumps(manifest).encode()
    )
    return answer.status_code


@pytest.mark.parametrize(("kind", "type"), EVERY)
def test_registry_takes_it(kind: str, type: str | None, opened: Registry, tmp_path: Path) -> None:
    made = create(kind, "@acme/first", tmp_path / "first", type=type, author="Alice <alice@example.org>")
    assert {manifest_name(kind), ".gatiignore", "README.md"} <= set(made.files)
    assert sorted(str(path.relative_to(made.folder)) for path in made.folder.rglob("*") if path.is_file()) == [
        *made.files
    ]
    config = (made.folder / manifest_name(kind)).read_bytes()
    assert push(opened, kind, config) == 201


def test_registry_checks(opened: Registry, tmp_path: Path) -> None:
    made = create("agent", "first", tmp_path / "first")
    broken = {**json.loads((made.folder / "gati-agent.json").read_text()), "runtime": "cobol"}
    assert push(opened, "agent", json.dumps(broken).encode()) == 400


def test_every_kind_of_ours() -> None:
    from gati_extensions.kinds.catalogue import KINDS as CATALOGUE

    ours = {kind.name for kind in CATALOGUE if f"application/vnd.gati.{kind.name}.v1" in kind.artifact_types}
    assert set(KINDS) == ours - {"snapshot"}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_webassembly_runs(tmp_path: Path) -> None:
    made = create("module", "add", tmp_path / "add", type="wasm")
    program = (
        "const {readFileSync} = require('fs');"
        "WebAssembly.instantiate(readFileSync(process.argv[1]))"
        ".then(({instance}) => console.log(instance.exports.add(40, 2)))"
    )
    command = ["node", "-e", program, str(made.folder / "module.wasm")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "42\n"


def test_binary_runs(tmp_path: Path) -> None:
    made = create("module", "greet", tmp_path / "greet", type="binary")
    done = subprocess.run([made.folder / "bin/run"], input="Ada\n", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"message": "Hello, Ada!"}


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(Conflict, match=r"README\.md"):
        create("module", "greet", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    create("module", "greet", tmp_path, force=True)
    assert (tmp_path / "README.md").read_text().startswith("# greet")


def test_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="no kind"):
        create("image", "x", tmp_path / "x")
    with pytest.raises(Usage, match="no type of module"):
        create("module", "x", tmp_path / "x", type="java")
    with pytest.raises(Usage, match="has no types"):
        create("dataset", "x", tmp_path / "x", type="csv")
    assert not (tmp_path / "x").exists()
