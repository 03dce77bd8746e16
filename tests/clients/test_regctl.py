"""regctl (regclient): copies with referrers and digest tags, artifacts, chunks, sha512, tag deletion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients import images
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require
from tests.clients.registry import Registry, digest_of

pytestmark = pytest.mark.client

SBOM = "application/vnd.example.sbom.v1"


def _regctl(home: Path, registry: Registry, *options: str) -> Client:
    regctl = Client(require("regctl"), home)
    regctl("registry", "set", registry.host, "--tls", "disabled", "--skip-check", *options)
    return regctl


@pytest.fixture
def regctl(home: Path, registry: Registry) -> Client:
    return _regctl(home, registry)


def test_copy_with_referrers_and_digest_tags(regctl: Client, registry: Registry, repository: str) -> None:
    """One copy takes the index, a referrer of it, and a cosign-style tag that names its digest."""
    index = images.two_platforms()
    images.push(registry, f"{repository}/from", "v1", index)
    source, target = f"{registry.host}/{repository}/from", f"{registry.host}/{repository}/to"
    regctl("artifact", "put", "--artifact-type", SBOM, "--subject", f"{source}:v1", stdin="sbom")
    signature = images.image({"signature": b"signature"})
    digest_tag = f"{index.digest.replace(':', '-')}.sig"
    images.push(registry, f"{repository}/from", digest_tag, signature)

    regctl("image", "copy", "--referrers", "--digest-tags", f"{source}:v1", f"{target}:v1")
    assert images.holds(registry, f"{repository}/to", "v1", index)
    assert images.holds(registry, f"{repository}/to", digest_tag, signature)
    copied = registry.referrers(f"{repository}/to", index.digest)
    assert [entry["artifactType"] for entry in copied] == [SBOM]
    assert copied == registry.referrers(f"{repository}/from", index.digest)


def test_artifacts_put_list_get(regctl: Client, registry: Registry, repository: str) -> None:
    """An artifact with a subject is listed, filtered by type, shown in the tree and read back."""
    image = images.image({"a": b"a"})
    images.push(registry, repository, "v1", image)
    name = f"{registry.host}/{repository}"
    put = ("artifact", "put", "--artifact-type", SBOM, "--subject", f"{name}:v1")
    regctl(*put, "--annotation", "made=here", stdin="the sbom")
    listed = json.loads(regctl("artifact", "list", f"{name}:v1", "--format", "{{json .Descriptors}}"))
    assert [entry["artifactType"] for entry in listed] == [SBOM]
    assert registry.referrers(repository, image.digest) == listed
    other = ("artifact", "list", f"{name}:v1", "--filter-artifact-type", "application/vnd.example.other")
    assert json.loads(regctl(*other, "--format", "{{json .Descriptors}}")) in ([], None)
    assert listed[0]["digest"] in regctl("artifact", "tree", f"{name}:v1")
    assert regctl("artifact", "get", "--subject", f"{name}:v1", "--filter-artifact-type", SBOM) == "the sbom"
    assert registry.tags(repository) == ["v1"]  # no fallback tag


def test_delete_one_tag(regctl: Client, registry: Registry, repository: str) -> None:
    """Deleting a tag leaves its sibling and the manifest."""
    image = images.image({"a": b"a"})
    images.push(registry, repository, "keep", image)
    images.push(registry, repository, "drop", image)
    name = f"{registry.host}/{repository}"
    regctl("tag", "delete", f"{name}:drop")
    assert regctl("tag", "ls", name).split() == ["keep"]
    assert images.holds(registry, repository, "keep", image)
    regctl("manifest", "delete", f"{name}@{image.digest}")
    assert not registry.has_manifest(repository, "keep")


def test_blob_in_chunks(home: Path, registry: Registry, repository: str) -> None:
    """A blob sent in chunks with Content-Range arrives whole."""
    regctl = _regctl(home, registry, "--blob-chunk", "1000000", "--blob-max", "1000000")
    data = "".join(f"{line:015}\n" for line in range(320_000)).encode()  # 5.12 MB: six chunks, the last one short
    name = f"{registry.host}/{repository}"
    digest = regctl("blob", "put", name, stdin=data).strip()
    assert digest == digest_of(data)
    assert registry.blob(repository, digest) == data
    assert regctl("blob", "get", name, digest).encode() == data


def test_sha512_image(regctl: Client, registry: Registry, repository: str) -> None:
    """An image rewritten to sha512 is stored, listed and checked under sha512 digests."""
    images.push(registry, repository, "v1", images.image({"a": b"a"}))
    name = f"{registry.host}/{repository}"
    regctl("image", "mod", f"{name}:v1", "--digest-algo", "sha512", "--create", f"{name}:v512")
    digest = regctl("image", "digest", f"{name}:v512").strip()
    assert digest.startswith("sha512:")
    stored = registry.manifest(repository, digest)
    assert digest_of(stored.data, "sha512") == digest
    layer = stored.json["layers"][0]["digest"]
    assert layer.startswith("sha512:")
    registry.blob(repository, layer)
    regctl("image", "copy", f"{name}@{digest}", f"{name}/copy:v512")
    assert registry.has_manifest(f"{repository}/copy", digest)


def test_index_and_repositories(regctl: Client, registry: Registry, repository: str) -> None:
    """An index made of parts of another; the repository list names it."""
    images.push(registry, repository, "v1", images.two_platforms())
    name = f"{registry.host}/{repository}"
    regctl("index", "create", f"{name}:arm", "--ref", f"{name}:v1", "--platform", "linux/arm64")
    entries = registry.manifest(repository, "arm").json["manifests"]
    assert [entry["platform"]["architecture"] for entry in entries] == ["arm64"]
    assert repository in regctl("repo", "ls", registry.host).split()


def test_absent_tag(regctl: Client, registry: Registry, repository: str) -> None:
    images.push(registry, repository, "there", images.image({"a": b"a"}))
    assert "not found" in regctl.fails("manifest", "get", f"{registry.host}/{repository}:absent")


def test_login(home: Path, guarded: Registry, repository: str) -> None:
    """A wrong password is told at login; the right one lets push and pull through."""
    regctl = _regctl(home, guarded)
    login = ("registry", "login", guarded.host, "-u", "admin", "--pass-stdin")
    regctl.fails(*login, stdin="wrong")
    regctl(*login, stdin=ADMIN_PASSWORD)
    name = f"{guarded.host}/{repository}:v1"
    regctl("artifact", "put", "--artifact-type", SBOM, name, stdin="guarded")
    assert regctl("artifact", "get", name) == "guarded"
