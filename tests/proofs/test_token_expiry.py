"""A token that expires in the middle of a push: the bytes that are under way go on, the client gets another."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.clients.client import Client
from tests.clients.images import CONFIG
from tests.clients.programs import require
from tests.clients.proxy import slow
from tests.clients.registry import MANIFEST, Registry, digest_of
from tests.extensions.identity.support import PASSWORD, server
from tests.proofs.sizes import size
from tests.support.server import wait_for

pytestmark = [pytest.mark.proof, pytest.mark.client]

BYTES = size("EXPIRY_BYTES", 2 * 1024**3)
TTL = 60
"""Seconds: the least that a token lives, and that clients take."""

BLOCK = 1024 * 1024


def layout(folder: Path) -> str:
    """An image in OCI layout with one layer of so many bytes, written block by block; the layer's digest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layer, written, rest = hashlib.sha256(), folder / "layer", BYTES
    with written.open("wb") as file:
        for number in range(-(-BYTES // BLOCK)):
            piece = (number.to_bytes(8, "big") * (BLOCK // 8))[:rest]
            layer.update(piece)
            file.write(piece)
            rest -= len(piece)
    written.rename(blobs / layer.hexdigest())
    digest = f"sha256:{layer.hexdigest()}"
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest]}}
    ).encode()
    tar = "application/vnd.oci.image.layer.v1.tar"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [{"mediaType": tar, "digest": digest, "size": BYTES}],
        }
    ).encode()
    for data in (config, manifest):
        (blobs / digest_of(data).partition(":")[2]).write_bytes(data)
    entry = {"mediaType": MANIFEST, "digest": digest_of(manifest), "size": len(manifest)}
    named = {**entry, "annotations": {"org.opencontainers.image.ref.name": "v1"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return digest


def requests(log: str) -> list[dict[str, Any]]:
    """The server's access log."""
    lines = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("message") == "request"]


@pytest.mark.timeout(3600)
def test_a_push_outlives_its_token(tmp_path: Path) -> None:
    """The layer goes through a relay that is so slow that its token has expired before it is all there."""
    (tmp_path / "home").mkdir()
    skopeo = Client(require("skopeo"), tmp_path / "home", env={"XDG_RUNTIME_DIR": str(tmp_path / "home")})
    digest = layout(tmp_path / "image")
    rate = BYTES / (TTL * 1.25)
    with (
        server(
            tmp_path, GATI_EXTENSIONS="identity,namespaces,access,audit", GATI_IDENTITY__TOKEN_TTL=str(TTL)
        ) as running,
        slow(running.host, rate) as relay,
    ):
        registry = Registry(running.url, ("alice", PASSWORD))
        made = registry.http.post(f"{running.url}/v2/_ext/identity/users", json={"name": "alice", "password": PASSWORD})
        assert made.status_code == 201, made.text
        skopeo("login", "--tls-verify=false", "-u", "alice", "--password-stdin", relay.host, stdin=PASSWORD)
        target = f"docker://{relay.host}/users/alice/large:v1"
        code, out, err = skopeo.run(
            "copy", "--preserve-digests", "--dest-tls-verify=false", f"oci:{tmp_path / 'image'}:v1", target,
            seconds=3000,
        )  # fmt: skip
        assert code == 0, out + err
        stored = registry.manifest("users/alice/large", "v1").json
        registry.close()
        assert stored["layers"][0]["digest"] == digest
        wait_for(lambda: any(entry["path"].endswith("/manifests/v1") for entry in requests(running.stderr())))
        log = requests(running.stderr())
    os.remove(tmp_path / "image" / "blobs" / "sha256" / digest.partition(":")[2])
    chunk = max((entry for entry in log if entry["method"] == "PATCH"), key=lambda entry: float(entry["bytes_in"]))
    assert chunk["bytes_in"] == BYTES
    assert chunk["status"] == 202
    # With whatever token it began, that had expired when it ended.
    assert chunk["duration_ms"] > TTL * 1000
    after = log[log.index(chunk) + 1 :]
    asked = [(entry["method"], entry["path"].partition("?")[0].split("/")[1], entry["status"]) for entry in after]
    assert ("GET", "token", 200) in asked, asked
    assert [status for method, kind, status in asked if method == "PUT" and kind == "v2"] == [201] * 3, asked
    print(f"\n{BYTES} bytes in one PATCH of {chunk['duration_ms'] / 1000:.0f} s with tokens of {TTL} s")
