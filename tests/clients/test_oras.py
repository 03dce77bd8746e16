"""oras 1.2 and 1.3: artifacts, referrers, recursive copies, blobs, tags, sha512, log in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients import images
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require
from tests.clients.registry import MANIFEST, Registry, digest_of

pytestmark = pytest.mark.client

KIND = "application/vnd.example.thing.v1"
BOTH_PLAIN = ("--from-plain-http", "--to-plain-http")


@pytest.fixture(params=["oras", "oras-1.2"])
def oras(request: pytest.FixtureRequest, home: Path) -> Client:
    """oras, in its folder `home`: files to push are named relative to it."""
    return Client(require(request.param), home)


def _push(oras: Client, target: str, **files: bytes) -> str:
    """Push files as an artifact; returns the digest that oras printed."""
    for name, data in files.items():
        (oras.home / name).write_bytes(data)
    out = oras("push", "--plain-http", "--artifact-type", KIND, "--format", "json", target, *files)
    return str(json.loads(out)["digest"])


@pytest.mark.backends
def test_push_and_pull(oras: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """Files come back byte for byte, a big one among them; tags, resolve and repo lists agree."""
    target = f"{registry.host}/{repository}"
    big = bytes(range(256)) * 40_000  # 10 MB
    digest = _push(oras, f"{target}:v1", small=b"hello", big=big)
    stored = registry.manifest(repository, "v1")
    assert stored.digest == digest
    assert stored.json["artifactType"] == KIND
    assert [layer["digest"] for layer in stored.json["layers"]] == [digest_of(b"hello"), digest_of(big)]

    oras("pull", "--plain-http", "-o", tmp_path / "out", f"{target}:v1")
    assert (tmp_path / "out" / "small").read_bytes() == b"hello"
    assert (tmp_path / "out" / "big").read_bytes() == big

    assert oras("resolve", "--plain-http", f"{target}:v1").strip() == digest
    oras("tag", "--plain-http", f"{target}:v1", "v2", "stable")
    assert oras("repo", "tags", "--plain-http", target).split() == ["stable", "v1", "v2"]
    assert repository.rpartition("/")[2] in oras("repo", "ls", "--plain-http", f"{registry.host}/oras/")


@pytest.mark.backends
def test_attach_discover_and_copy_with_referrers(
    oras: Client, registry: Registry, repository: str, tmp_path: Path
) -> None:
    """A referrer of a referrer is found, filtered by type, and travels with a recursive copy."""
    target = f"{registry.host}/{repository}"
    subject = _push(oras, f"{target}:v1", subject=b"subject")
    (oras.home / "sbom").write_bytes(b"sbom")
    (oras.home / "signature").write_bytes(b"signature")
    attach = ("attach", "--plain-http", "--format", "json")
    sbom = json.loads(oras(*attach, "--artifact-type", f"{KIND}+sbom", f"{target}:v1", "sbom"))["digest"]
    signed = (*attach, "--artifact-type", f"{KIND}+signature", "--annotation", "by=oras")
    signature = json.loads(oras(*signed, f"{target}@{sbom}", "signature"))["digest"]

    found = registry.referrers(repository, subject)
    assert [(entry["digest"], entry["artifactType"]) for entry in found] == [(sbom, f"{KIND}+sbom")]
    assert registry.referrers(repository, sbom)[0]["annotations"]["by"] == "oras"
    # The referrers API is used: no fallback tag was written.
    assert registry.tags(repository) == ["v1"]

    tree = oras("discover", "--plain-http", "--format", "tree", f"{target}:v1")
    assert sbom in tree
    assert signature in tree
    listed = oras(*("discover", "--plain-http", "--format", "json", "--artifact-type", f"{KIND}+other"), f"{target}:v1")
    assert not json.loads(listed).get("referrers")

    copied = f"{repository}/copy"
    oras("cp", "-r", *BOTH_PLAIN, f"{target}:v1", f"{registry.host}/{copied}:v1")
    assert registry.manifest(copied, "v1").digest == subject
    assert [entry["digest"] for entry in registry.referrers(copied, subject)] == [sbom]
    assert [entry["digest"] for entry in registry.referrers(copied, sbom)] == [signature]

    layout = tmp_path / "layout"
    oras("cp", "-r", "--from-plain-http", "--to-oci-layout", f"{target}:v1", f"{layout}:v1")
    oras(
        "cp",
        "-r",
        "--to-plain-http",
        "--from-oci-layout",
        f"{layout}:v1",
        f"{registry.host}/{copied}/again:v1",
    )
    assert [entry["digest"] for entry in registry.referrers(f"{copied}/again", sbom)] == [signature]


def test_blobs(oras: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """blob push, fetch and delete: what is deleted is gone at once."""
    target = f"{registry.host}/{repository}"
    (oras.home / "data").write_bytes(b"some blob")
    digest = digest_of(b"some blob")
    oras("blob", "push", "--plain-http", f"{target}@{digest}", "data")
    oras("blob", "fetch", "--plain-http", "--output", tmp_path / "back", f"{target}@{digest}")
    assert (tmp_path / "back").read_bytes() == b"some blob"
    oras("blob", "delete", "--plain-http", "--force", f"{target}@{digest}")
    assert not registry.has_blob(repository, digest)
    assert "not found" in oras.fails("blob", "fetch", "--plain-http", "--output", tmp_path / "no", f"{target}@{digest}")


def test_manifests(oras: Client, registry: Registry, repository: str) -> None:
    """manifest push, fetch and delete keep the bytes."""
    target = f"{registry.host}/{repository}"
    image = images.image({"a": b"a"})
    for data in image.blobs.values():
        registry.push_blob(repository, data)
    (oras.home / "manifest.json").write_bytes(image.manifest)
    oras("manifest", "push", "--plain-http", "--media-type", MANIFEST, f"{target}:v1", "manifest.json")
    assert images.holds(registry, repository, "v1", image)
    assert oras("manifest", "fetch", "--plain-http", f"{target}:v1").encode() == image.manifest
    oras("manifest", "delete", "--plain-http", "--force", f"{target}:v1")
    assert not registry.has_manifest(repository, image.digest)
    assert registry.tags(repository) == []


def test_sha512(oras: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """An artifact whose every digest is sha512 is pulled, and copied, by its digest."""
    target = f"{registry.host}/{repository}"
    data = b"sha512 all the way"
    layer, config = (
        registry.push_blob(repository, data, "sha512"),
        registry.push_blob(repository, b"{}", "sha512"),
    )
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": KIND,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [
                {
                    "mediaType": "application/octet-stream",
                    "digest": layer,
                    "size": len(data),
                    "annotations": {"org.opencontainers.image.title": "file"},
                }
            ],
        }
    ).encode()
    digest = digest_of(manifest, "sha512")
    assert registry.push_manifest(repository, digest, manifest, MANIFEST) == digest

    oras("pull", "--plain-http", "-o", tmp_path / "out", f"{target}@{digest}")
    assert (tmp_path / "out" / "file").read_bytes() == data
    oras("cp", *BOTH_PLAIN, f"{target}@{digest}", f"{registry.host}/{repository}/copy")
    assert registry.manifest(f"{repository}/copy", digest).data == manifest
    assert registry.blob(f"{repository}/copy", layer) == data


def test_backup_and_restore(home: Path, registry: Registry, repository: str, tmp_path: Path) -> None:
    """oras 1.3 backs a repository up into a folder and restores it, referrers included."""
    oras = Client(require("oras"), home)
    target = f"{registry.host}/{repository}"
    subject = _push(oras, f"{target}:v1", subject=b"subject")
    (home / "note").write_bytes(b"note")
    oras("attach", "--plain-http", "--artifact-type", KIND, f"{target}:v1", "note")
    oras("backup", "--plain-http", "--include-referrers", "-o", tmp_path / "backup", f"{target}:v1")
    restored = f"{repository}/restored"
    oras("restore", "--plain-http", "--input", tmp_path / "backup", f"{registry.host}/{restored}:v1")
    assert registry.manifest(restored, "v1").digest == subject
    assert registry.referrers(restored, subject) == registry.referrers(repository, subject)


def test_absent_tag(oras: Client, registry: Registry, repository: str) -> None:
    target = f"{registry.host}/{repository}"
    _push(oras, f"{target}:there", file=b"x")
    assert "not found" in oras.fails("pull", "--plain-http", f"{target}:absent")


def test_login(oras: Client, guarded: Registry, repository: str, tmp_path: Path) -> None:
    """A wrong password is refused at login, the right one lets push and pull through."""
    target = f"{guarded.host}/{repository}:v1"
    login = ("login", "--plain-http", guarded.host, "-u", "admin", "--password-stdin")
    assert "unauthorized" in oras.fails(*login, stdin="wrong")
    (oras.home / "file").write_bytes(b"x")
    oras.fails("push", "--plain-http", target, "file")
    assert "Login Succeeded" in oras(*login, stdin=ADMIN_PASSWORD)
    digest = _push(oras, target, file=b"guarded")
    assert guarded.manifest(repository, "v1").digest == digest
    oras("pull", "--plain-http", "-o", tmp_path / "out", target)
    assert (tmp_path / "out" / "file").read_bytes() == b"guarded"
    oras("logout", guarded.host)
    oras.fails("pull", "--plain-http", target)
