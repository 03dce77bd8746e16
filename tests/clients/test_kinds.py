"""An artifact of every kind, pushed with the plain oras command and found again by several queries; a bad one is
refused by its words."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clients.client import Client
from tests.clients.programs import require
from tests.clients.registry import Registry
from tests.extensions.kinds.support import BASE, CONFIGS
from tests.extensions.kinds.test_headers import gguf_file, onnx_file, safetensors_file

pytestmark = pytest.mark.client


@pytest.fixture
def oras(home: Path) -> Client:
    """oras, in its folder `home`."""
    return Client(require("oras"), home)


def arguments(kind: str, target: str) -> list[str]:
    """What a user types."""
    return [
        "push", "--plain-http", "--artifact-type", f"application/vnd.gati.{kind}.v1",
        "--config", f"config.json:application/vnd.gati.{kind}.config.v1+json", target,
        f"layer.tar.gz:application/vnd.gati.{kind}.layer.v1.tar+gzip",
    ]  # fmt: skip


def found_by(registry: Registry, **question: str) -> list[str]:
    """The repositories that a search finds; waits for the index, which follows a push within a second."""
    end = time.monotonic() + 60
    while True:
        answer = registry.http.get(f"{registry.url}/v2/_ext/search", params={"limit": "100", **question})
        if answer.status_code != 503 or time.monotonic() > end:  # a registry that has just begun makes its index
            names = [item["repository"] for item in answer.raise_for_status().json()["items"]]
            if names or time.monotonic() > end:
                return names
        time.sleep(0.1)


def test_every_kind(oras: Client, registry: Registry, repository: str) -> None:
    """Pushed, shown, pulled as it came; and found by a word, by filters alone, and as one types its name."""
    (oras.home / "layer.tar.gz").write_bytes(b"not looked into")
    mark = repository.rpartition("-")[2]
    for kind, config in CONFIGS.items():
        config = {**config, "description": f"An unusual {kind}{mark} for tests.", "keywords": [f"key{mark}"]}
        (oras.home / "config.json").write_text(json.dumps(config))
        name = f"{repository}/{kind}-{mark}"
        oras(*arguments(kind, f"{registry.host}/{name}:1.2.3"))
        found = registry.http.get(f"{registry.url}/v2/{name}/_ext/kinds/artifact").raise_for_status().json()
        assert (found["kind"], found["latest"]) == (kind, "1.2.3")
        assert found["version"]["facts"]["license"] == "MIT"
        # What came is what is pulled: nothing was converted.
        assert json.loads(oras("manifest", "fetch-config", "--plain-http", f"{registry.host}/{name}:1.2.3")) == config
        assert found_by(registry, q=f"unusual {kind}{mark}") == [name]
        assert found_by(registry, q=f"kind:{kind} keyword:key{mark} license:mit version:^1.2") == [name]
        typed = f"{registry.url}/v2/_ext/search/suggest?q={kind}-{mark[:6]}"
        assert name in [item["repository"] for item in registry.http.get(typed).raise_for_status().json()["items"]]
    listed = registry.http.get(f"{registry.url}/v2/_ext/kinds/namespaces/{repository}/artifacts").json()["items"]
    assert {item["kind"] for item in listed} == set(CONFIGS)


def test_a_signature_is_found(oras: Client, registry: Registry, repository: str) -> None:
    (oras.home / "layer.tar.gz").write_bytes(b"not looked into")
    field = f"field{secrets.token_hex(4)}"
    module = {"name": "m", "id": "m", "version": "1.2.3", "type": "node", "exports": {"run": {"inputRef": "In"}},
              "gtypes": {"In": {"fields": {field: "string"}}}}  # fmt: skip
    (oras.home / "config.json").write_text(json.dumps(module))
    oras(*arguments("module", f"{registry.host}/{repository}:1.2.3"))
    wanted = {"takes": {"kind": "object", "required": [field, "more"],
                        "properties": {field: {"kind": "string"}, "more": {"kind": "number"}}}}  # fmt: skip
    end = time.monotonic() + 60
    while time.monotonic() < end:
        answer = registry.http.post(f"{registry.url}/v2/_ext/search/types", json=wanted).raise_for_status().json()
        if answer["items"]:
            break
        time.sleep(0.1)
    (item,) = answer["items"]
    assert (item["repository"], item["method"], item["match"]) == (repository, "run", "subtype")


def test_models_of_every_form(oras: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """What is shown of a file is what the format's own library reads of it; the file itself is never loaded."""
    import gguf
    import onnx
    import safetensors

    files = {"gguf": gguf_file(tmp_path), "safetensors": safetensors_file(), "onnx": onnx_file()}
    shown: dict[str, Any] = {}
    for form, data in files.items():
        (oras.home / f"model.{form}").write_bytes(data)
        (oras.home / "config.json").write_text(json.dumps({**BASE, "modelFile": f"model.{form}"}))
        target = f"{registry.host}/{repository}/{form}:1.2.3"
        oras(*arguments("model", target)[:-1], f"model.{form}:application/vnd.{form}")
        version = registry.http.get(f"{registry.url}/v2/{repository}/{form}/_ext/kinds/versions/1.2.3")
        facts = version.raise_for_status().json()["facts"]
        (file,) = facts["details"]["files"]
        shown[form] = {**file, **facts}
        assert file["format"] == form
        assert found_by(registry, q=f"format:{form} namespace:{repository}") == [f"{repository}/{form}"]
    (tmp_path / "model.gguf").write_bytes(files["gguf"])
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    assert shown["gguf"]["numbers"]["context_length"] == int(reader.fields["llama.context_length"].parts[-1][0])
    assert shown["gguf"]["tensors"] == [
        {"name": one.name, "dtype": one.tensor_type.name, "shape": [int(size) for size in one.shape]}
        for one in reader.tensors
    ]
    assert found_by(registry, q=f"context_length:>8000 namespace:{repository}") == [f"{repository}/gguf"]
    (tmp_path / "model.safetensors").write_bytes(files["safetensors"])
    with safetensors.safe_open(tmp_path / "model.safetensors", "np") as theirs:
        parts = {name: theirs.get_slice(name) for name in theirs.keys()}  # noqa: SIM118 - it is no mapping
        assert {one["name"]: (one["dtype"], one["shape"]) for one in shown["safetensors"]["tensors"]} == {
            name: (part.get_dtype(), part.get_shape()) for name, part in parts.items()
        }
        assert shown["safetensors"]["metadata"] == theirs.metadata()
    graph = onnx.load_from_string(files["onnx"]).graph
    for side, infos in (("inputs", graph.input), ("outputs", graph.output)):
        assert [(one["name"], one["shape"]) for one in shown["onnx"][side]] == [
            (info.name, [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]) for info in infos
        ]


FOREIGN: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "modelpack": (
        "application/vnd.cncf.model.config.v1+json",
        {"descriptor": {"name": "NAME", "version": "1.0", "licenses": ["Apache-2.0"]},
         "config": {"architecture": "llama", "format": "gguf", "paramSize": "7b"}, "modelfs": {"type": "layers"}},
        ["license:apache-2.0", "architecture:llama"],
    ),
    "kitops": (
        "application/vnd.kitops.modelkit.config.v1+json",
        {"manifestVersion": "1.0.0", "package": {"name": "NAME", "version": "1.0", "license": "MIT"},
         "model": {"name": "NAME", "framework": "onnx", "path": "."}},
        ["license:mit", "format:onnx"],
    ),
    "docker": (
        "application/vnd.docker.ai.model.config.v0.1+json",
        {"config": {"architecture": "llama", "format": "gguf", "quantization": "Q4_0", "parameters": "8B"}},
        ["architecture:llama", "quantisation:q4_0"],
    ),
    "chart": (
        "application/vnd.cncf.helm.config.v1+json",
        {"name": "NAME", "version": "1.0.0", "apiVersion": "v2", "keywords": ["web"], "description": "A chart."},
        ["keyword:web", "A chart"],
    ),
    "image": (
        "application/vnd.oci.image.config.v1+json",
        {"architecture": "arm64", "os": "linux", "config": {"Labels": {"org.opencontainers.image.licenses": "ISC"}},
         "rootfs": {"type": "layers", "diff_ids": []}},
        ["license:isc", "kind:image"],
    ),
}  # fmt: skip
"""Config type, config and two queries of what others have made; the third query is the name."""


def test_kinds_of_others(oras: Client, registry: Registry, repository: str) -> None:
    (oras.home / "layer").write_bytes(b"not looked into")
    for form, (config_type, config, queries) in FOREIGN.items():
        name = f"{repository}/{form}{secrets.token_hex(3)}"
        text = json.dumps(config).replace("NAME", name.rpartition("/")[2])
        (oras.home / "config.json").write_text(text)
        oras("push", "--plain-http", "--config", f"config.json:{config_type}", f"{registry.host}/{name}:1.0.0",
             "layer:application/octet-stream")  # fmt: skip
        found = registry.http.get(f"{registry.url}/v2/{name}/_ext/kinds/artifact").raise_for_status().json()
        assert found["kind"] == (form if form in ("chart", "image") else "model")
        assert found_by(registry, q=name.rpartition("/")[2]) == [name]
        for query in queries:
            assert name in found_by(registry, q=f"{query} namespace:{repository}"), query


def test_a_bad_one_is_told_what_is_wrong(oras: Client, registry: Registry, repository: str) -> None:
    (oras.home / "layer.tar.gz").write_bytes(b"not looked into")
    (oras.home / "config.json").write_text(json.dumps({**CONFIGS["agent"], "runtime": "cobol"}))
    said = oras.fails(*arguments("agent", f"{registry.host}/{repository}:1.2.3"))
    assert "/runtime" in said
    assert "'js', 'wasm' or 'container'" in said
