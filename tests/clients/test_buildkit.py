"""BuildKit (what docker buildx drives): images with attestations, and a build cache kept in the registry."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.client import Client
from tests.clients.daemon import daemon
from tests.clients.programs import require, require_root
from tests.clients.registry import INDEX, MANIFEST, Registry

pytestmark = pytest.mark.client

CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "echo built > /made"]
"""


@contextlib.contextmanager
def _builder(registry: Registry, home: Path) -> Iterator[Client]:
    """A buildkitd with empty storage, and the buildctl that talks to it."""
    require_root()
    binary = require("buildkitd", "buildctl", "runc")
    # Not pytest's folder: sockets lie here, and their paths are limited to 108 characters.
    with tempfile.TemporaryDirectory(prefix="gati-buildkit-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        (folder / "buildkitd.toml").write_text(f'[registry."{registry.host}"]\n  http = true\n')
        address = f"unix://{folder / 's.sock'}"
        command: list[str | Path] = [
            *(binary, "--config", folder / "buildkitd.toml", "--root", folder / "root", "--addr", address),
            *("--containerd-worker=false", "--oci-worker-snapshotter=native", "--oci-worker-net=host"),
        ]
        buildctl = Client(require("buildctl"), home, first=("--addr", address))
        with daemon(command, folder / "log", lambda: buildctl.run("debug", "workers")[0] == 0):
            yield buildctl


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "busybox").write_bytes(require("busybox").read_bytes())
    (folder / "busybox").chmod(0o755)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


def _build(buildctl: Client, context: Path, *options: str) -> str:
    """Build the Dockerfile; returns the log of the build."""
    code, out, err = buildctl.run(
        *("build", "--progress", "plain", "--frontend", "dockerfile.v0"),
        *("--local", f"context={context}", "--local", f"dockerfile={context}"),
        *options,
    )
    assert code == 0, out + err
    return out + err


def test_image_with_attestation(registry: Registry, repository: str, home: Path, context: Path) -> None:
    """The provenance lies beside the image in its index, on platform unknown/unknown."""
    target = f"{registry.host}/{repository}:v1"
    with _builder(registry, home) as buildctl:
        push = ("--output", f"type=image,name={target},push=true,oci-mediatypes=true")
        _build(buildctl, context, *push, "--opt", "attest:provenance=mode=max")
    index = registry.manifest(repository, "v1")
    assert index.media_type == INDEX
    image, attestation = index.json["manifests"]
    assert image["platform"]["os"] == "linux"
    assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attestation["annotations"]["vnd.docker.reference.digest"] == image["digest"]
    layer = registry.manifest(repository, attestation["digest"]).json["layers"][0]
    statement = json.loads(registry.blob(repository, layer["digest"]))
    assert statement["predicateType"].startswith("https://slsa.dev/provenance/")


@pytest.mark.parametrize("kind", ["index", "manifest"])
def test_cache_in_the_registry(registry: Registry, repository: str, home: Path, context: Path, kind: str) -> None:
    """A second builder takes every step from the cache, kept as an index of blobs or as an image manifest."""
    cache = f"type=registry,ref={registry.host}/{repository}:cache,oci-mediatypes=true"
    export = f"{cache},mode=max,image-manifest={'true' if kind == 'manifest' else 'false'}"
    with _builder(registry, home) as buildctl:
        _build(buildctl, context, "--export-cache", export)
    stored = registry.manifest(repository, "cache")
    if kind == "index":
        # The entries of this index are blobs, not manifests.
        assert stored.media_type == INDEX
        entries = stored.json["manifests"]
        config = next(entry for entry in entries if entry["mediaType"] == CACHE_CONFIG)
    else:
        assert stored.media_type == MANIFEST
        config, entries = stored.json["config"], stored.json["layers"]
        assert config["mediaType"] == CACHE_CONFIG
    assert json.loads(registry.blob(repository, config["digest"]))["layers"]
    for entry in entries:
        assert len(registry.blob(repository, entry["digest"])) == entry["size"]

    with _builder(registry, home) as buildctl:
        target = f"type=image,name={registry.host}/{repository}:v1,push=true,oci-mediatypes=true"
        log = _build(buildctl, context, "--import-cache", cache, "--output", target)
    assert log.count("CACHED") == 2  # COPY and RUN
    assert len(registry.manifest(repository, "v1").json["layers"]) == 2
