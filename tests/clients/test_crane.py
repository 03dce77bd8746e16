"""crane (go-containerregistry): validate, append, mutate, copy, index, list, delete, log in."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.clients import images
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require
from tests.clients.registry import DOCKER_MANIFEST, INDEX, Registry

pytestmark = pytest.mark.client


@pytest.fixture
def crane(home: Path) -> Client:
    return Client(require("crane"), home)


def _tar(folder: Path, name: str, content: bytes) -> Path:
    path = folder / f"{name}.tar"
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.backends
def test_push_layout_pull_and_validate(crane: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """An index of two platforms goes in from a layout and comes out with the same digest."""
    index = images.two_platforms()
    layout = images.write_layout(tmp_path / "in", "v1", index)
    reference = f"{registry.host}/{repository}:v1"

    # The layout's own index.json is what crane pushes: an index that holds our index.
    pushed = crane("push", "--index", layout, reference).strip()
    outer = registry.manifest(repository, "v1")
    assert pushed == f"{registry.host}/{repository}@{outer.digest}"
    assert outer.json["manifests"][0]["digest"] == index.digest
    assert images.holds(registry, repository, index.digest, index)

    by_digest = f"{registry.host}/{repository}@{index.digest}"
    assert "PASS" in crane("validate", "--remote", by_digest)
    crane("pull", "--format=oci", by_digest, tmp_path / "out")
    blobs = {path.name for path in (tmp_path / "out" / "blobs" / "sha256").iterdir()}
    assert {digest.partition(":")[2] for digest in index.all_blobs()} <= blobs


def test_append_and_mutate(crane: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """A layer appended to nothing, a second one to that, then labels and environment changed."""
    base, more = f"{registry.host}/{repository}:base", f"{registry.host}/{repository}:more"
    crane("append", "-f", _tar(tmp_path, "one", b"first layer"), "-t", base)
    crane("append", "-b", base, "-f", _tar(tmp_path, "two", b"second layer"), "-t", more)
    crane("validate", "--remote", more)
    first, second = registry.manifest(repository, "base"), registry.manifest(repository, "more")
    assert first.media_type == DOCKER_MANIFEST
    assert second.json["layers"][0] == first.json["layers"][0]
    assert len(second.json["layers"]) == 2

    tagged = f"{registry.host}/{repository}:mutated"
    crane("mutate", more, "--label", "who=crane", "--env", "A=b", "-t", tagged)
    assert '"who":"crane"' in crane("config", tagged)
    crane("export", tagged, tmp_path / "files.tar")
    with tarfile.open(tmp_path / "files.tar") as files:
        assert {"one", "two"} <= set(files.getnames())
        content = files.extractfile("two")
        assert content is not None
        assert content.read() == b"second layer"


def test_copy_mounts_across_repositories(crane: Client, registry: Registry, repository: str) -> None:
    """`crane copy` keeps the digest and mounts the blobs instead of moving bytes."""
    index = images.two_platforms()
    images.push(registry, f"{repository}/from", "v1", index)
    source, target = f"{registry.host}/{repository}/from:v1", f"{registry.host}/{repository}/to:v1"
    code, out, err = crane.run("copy", "-v", source, target)
    assert code == 0, out + err
    assert images.holds(registry, f"{repository}/to", "v1", index)
    assert crane("digest", target).strip() == index.digest
    assert "mount=sha256" in err
    # A mount that the registry grants leaves nothing to send: no upload session is ever patched.
    assert "--> PATCH" not in err


def test_index_append_lists_platforms(crane: Client, registry: Registry, repository: str) -> None:
    """An index is put together from images that are there, in another repository."""
    amd, arm = (images.image({"x": name.encode()}, architecture=name) for name in ("amd64", "arm64"))
    images.push(registry, f"{repository}/a", "1", amd)
    images.push(registry, f"{repository}/b", "1", arm)
    target = f"{registry.host}/{repository}/all:1"
    crane(
        *("index", "append", "-t", target),
        *("-m", f"{registry.host}/{repository}/a:1", "-m", f"{registry.host}/{repository}/b:1"),
    )
    stored = registry.manifest(f"{repository}/all", "1")
    assert stored.media_type == INDEX
    assert [entry["digest"] for entry in stored.json["manifests"]] == [amd.digest, arm.digest]
    crane("validate", "--remote", target)
    assert crane("digest", "--platform", "linux/arm64", target).strip() == arm.digest


@pytest.mark.backends
def test_lists_tags_catalog_and_deletes(crane: Client, registry: Registry, repository: str) -> None:
    """ls, catalog, tag, manifest, blob and delete agree with what is stored."""
    image = images.image({"a": b"a"})
    images.push(registry, repository, "b", image)
    name = f"{registry.host}/{repository}"
    crane("tag", f"{name}:b", "a")
    assert crane("ls", name).split() == ["a", "b"]
    assert repository in crane("catalog", registry.host).split()
    assert crane("manifest", f"{name}:a").encode() == image.manifest
    layer = next(iter(image.blobs))
    assert crane("blob", f"{name}@{layer}").encode() == image.blobs[layer]

    crane("delete", f"{name}@{image.digest}")
    assert not registry.has_manifest(repository, image.digest)
    assert registry.tags(repository) == []


def test_absent_tag(crane: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    images.push(registry, repository, "there", images.image({"a": b"a"}))
    words = crane.fails("pull", f"{registry.host}/{repository}:absent", tmp_path / "out.tar")
    assert "MANIFEST_UNKNOWN" in words


def test_password(crane: Client, guarded: Registry, repository: str, tmp_path: Path) -> None:
    """Without or with a wrong password nothing goes in; logged in, it does."""
    target = f"{guarded.host}/{repository}:v1"
    append = ("append", "-f", _tar(tmp_path, "one", b"layer"), "-t", target)
    assert "UNAUTHORIZED" in crane.fails(*append).upper()
    # crane only stores a password at login; the wrong one shows at the first request.
    crane("auth", "login", guarded.host, "-u", "admin", "-p", "wrong")
    assert "UNAUTHORIZED" in crane.fails(*append).upper()
    crane("auth", "login", guarded.host, "-u", "admin", "-p", ADMIN_PASSWORD)
    crane(*append)
    assert crane("digest", target).strip() == guarded.manifest(repository, "v1").digest
