"""What the tests of kinds share: artifacts of every kind, and pushing them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.core.support import IMAGE, Answer, sha256
from tests.extensions.access.support import User

EMPTY = b"{}"


def manifest_of(
    kind: str | None,
    config: bytes,
    config_type: str,
    layers: Sequence[tuple[bytes, str, str]] = (),
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """A manifest; layers are (bytes, media type, title)."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        **({"artifactType": f"application/vnd.gati.{kind}.v1"} if kind else {}),
        "config": {"mediaType": config_type, "digest": sha256(config), "size": len(config)},
        "layers": [
            {
                "mediaType": media_type,
                "digest": sha256(data),
                "size": len(data),
                **({"annotations": {"org.opencontainers.image.title": title}} if title else {}),
            }
            for data, media_type, title in layers
        ],
        **({"annotations": dict(annotations)} if annotations else {}),
    }
    return json.dumps(document).encode()


async def push(
    user: User,
    repository: str,
    tag: str,
    kind: str,
    config: Mapping[str, Any] | bytes,
    layers: Sequence[tuple[bytes, str, str]] = (),
    **more: Any,
) -> Answer:
    """Push an artifact of a kind of ours; the answer to its manifest."""
    data = config if isinstance(config, bytes) else json.dumps(config).encode()
    for blob in (data, *(layer[0] for layer in layers)):
        answer = await user.client.push_blob(repository, blob)
        assert answer.status == 201, answer
    config_type = more.pop("config_type", f"application/vnd.gati.{kind}.config.v1+json")
    manifest = manifest_of(more.pop("artifact", kind), data, config_type, layers, more.pop("annotations", None))
    return await user.client.push_manifest(repository, tag, manifest)


BASE = {"name": "thing", "version": "1.2.3", "description": "A thing.", "license": "MIT", "keywords": ["one", "two"],
        "author": "Ada Lovelace <ada@example.com>"}  # fmt: skip

CONFIGS: dict[str, dict[str, Any]] = {
    "module": {**BASE, "gati": {"type": "module", "contracts": ["http"], "dependencies": {"@acme/log": "^1.0.0"}}},
    "plugin": {**BASE, "config": {"type": "middleware", "entry": "dist/index.js"},
               "requiredModules": ["@acme/log@1.0.0"], "capabilities": ["db:read", "auth"]},
    "model": {**BASE, "provider": "huggingface", "type": "completion", "modelFormat": "GGUF",
              "capabilities": {"context_length": 8192, "supports_streaming": True, "languages": ["en"]}},
    "agent": {**BASE, "runtime": "js", "modelReferences": ["orgs/acme/llm@1.0.0"],
              "skillGraph": {"skills": ["read", "write"], "dependencies": {"write": ["read"]}},
              "permissions": {"maxMemory": "1Gi", "allowedDomains": ["example.com"]}},
    "template": {**BASE, "templateType": "app", "framework": "express", "language": "typescript",
                 "variables": [{"name": "port", "type": "integer", "default": 8080}], "files": ["a.txt"]},
    "snapshot": {**BASE, "modules": [{"name": "orgs/acme/log", "version": "1.0.0"}], "environment": ["PATH", "HOME"]},
    "transformer": {**BASE, "fromArtifact": "@acme/log", "fromVersion": "1.0.0", "toVersion": "2.0.0",
                    "transformations": [{"type": "request", "changes": {"added": ["x"], "renamed": {"a": "b"}}}]},
    "spec": {**BASE, "framework": "tlaplus", "specifications": {"main": "specs/main.tla"}, "tests": ["tests/a.yaml"],
             "dependencies": {"crypto/algorithms": "~2.1.0"}},
    "service": {**BASE, "endpoints": [{"url": "https://example.com/api", "protocol": "http"}], "ports": [8080]},
    "config": {**BASE, "format": "toml"},
    "library": {**BASE, "language": "python", "exports": ["parse"]},
    "theme": {**BASE, "mode": "dark", "tokens": {"colour": "#000"}},
    "pipeline": {**BASE, "stages": [{"name": "a"}, {"name": "b", "needs": ["a"], "model": "orgs/acme/llm"}]},
    "prompt": {**BASE, "messages": [{"role": "system", "content": "You are {{name}}."}], "variables": ["name"]},
    "dataset": {**BASE, "format": "parquet", "splits": [{"name": "train", "rows": 100}, {"name": "test", "rows": 20}]},
}  # fmt: skip
"""A good manifest of every kind whose config is ours."""
