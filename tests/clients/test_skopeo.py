"""skopeo: copies of whole indexes, conversion, sync both ways, deletion, failed mounts, log in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients import images
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require
from tests.clients.registry import DOCKER_LIST, DOCKER_MANIFEST, Registry

pytestmark = pytest.mark.client

TO_PLAIN, FROM_PLAIN = "--dest-tls-verify=false", "--src-tls-verify=false"


@pytest.fixture
def skopeo(home: Path) -> Client:
    return Client(require("skopeo"), home, env={"XDG_RUNTIME_DIR": str(home)})  # for credentials


def test_copy_all(skopeo: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """Every platform of an index goes in, on to another repository, and out again, byte for byte."""
    index = images.two_platforms()
    layout = images.write_layout(tmp_path / "in", "v1", index)
    first = f"docker://{registry.host}/{repository}/first:v1"
    second = f"docker://{registry.host}/{repository}/second:v1"
    skopeo("copy", "--all", TO_PLAIN, f"oci:{layout}:v1", first)
    assert images.holds(registry, f"{repository}/first", "v1", index)
    skopeo("copy", "--all", FROM_PLAIN, TO_PLAIN, first, second)
    assert images.holds(registry, f"{repository}/second", "v1", index)

    skopeo("copy", "--all", FROM_PLAIN, second, f"dir:{tmp_path / 'out'}")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == index.manifest
    for digest, data in index.all_blobs().items():
        assert (tmp_path / "out" / digest.partition(":")[2]).read_bytes() == data
    assert skopeo("inspect", "--raw", "--tls-verify=false", second).encode() == index.manifest


def test_copy_converts_to_docker_types(skopeo: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """As schema2: a manifest list over docker manifests, kept with their types."""
    layout = images.write_layout(tmp_path / "in", "v1", images.two_platforms())
    skopeo(
        *("copy", "--all", "--format", "v2s2", TO_PLAIN),
        *(f"oci:{layout}:v1", f"docker://{registry.host}/{repository}:v1"),
    )
    stored = registry.manifest(repository, "v1")
    assert stored.media_type == DOCKER_LIST
    for entry in stored.json["manifests"]:
        assert registry.manifest(repository, entry["digest"]).media_type == DOCKER_MANIFEST


def test_sync_out_and_in(skopeo: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """All tags of a repository to a folder, and from the folder to another place."""
    kept = {"v1": images.image({"a": b"1"}), "v2": images.image({"a": b"2"})}
    for tag, image in kept.items():
        images.push(registry, repository, tag, image)
    folder = tmp_path / "synced"
    folder.mkdir()
    skopeo(
        "sync",
        "--all",
        FROM_PLAIN,
        "--src",
        "docker",
        "--dest",
        "dir",
        f"{registry.host}/{repository}",
        folder,
    )
    name = repository.rpartition("/")[2]
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}:v1", f"{name}:v2"]

    target = f"{repository}/mirror"
    skopeo("sync", "--all", TO_PLAIN, "--src", "dir", "--dest", "docker", folder, f"{registry.host}/{target}")
    for tag, image in kept.items():
        assert images.holds(registry, f"{target}/{name}", tag, image)


def test_delete_and_list(skopeo: Client, registry: Registry, repository: str) -> None:
    """Deleting one image leaves the other; the list of tags tells."""
    images.push(registry, repository, "keep", images.image({"a": b"keep"}))
    gone = images.image({"a": b"gone"})
    images.push(registry, repository, "gone", gone)
    name = f"docker://{registry.host}/{repository}"
    inspected = json.loads(skopeo("inspect", "--tls-verify=false", f"{name}:gone"))
    assert inspected["Digest"] == gone.digest
    assert inspected["RepoTags"] == ["gone", "keep"]
    skopeo("delete", "--tls-verify=false", f"{name}:gone")
    assert not registry.has_manifest(repository, gone.digest)
    assert json.loads(skopeo("list-tags", "--tls-verify=false", name))["Tags"] == ["keep"]


def test_remembered_blobs_are_mounted(skopeo: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """skopeo remembers where it saw a blob: it mounts from there, or uploads when it has gone from there."""
    image = images.image({"a": repository.encode()})  # content of its own: the memory outlives a test
    layout = images.write_layout(tmp_path / "in", "v1", image)

    def copy(target: str) -> str:
        code, out, err = skopeo.run(
            "--debug", "copy", TO_PLAIN, f"oci:{layout}:v1", f"docker://{registry.host}/{target}:v1"
        )
        assert code == 0, out + err
        assert images.holds(registry, target, "v1", image)
        return err

    first, second, third = (f"{repository}/{place}" for place in ("first", "second", "third"))
    assert copy(first).count("PATCH http") == 2
    log = copy(second)
    assert "... mount OK" in log
    assert log.count("PATCH http") == 1  # skopeo never mounts the config

    for place in (first, second):
        skopeo("delete", "--tls-verify=false", f"docker://{registry.host}/{place}:v1")
        for digest in image.blobs:
            deleted = registry.request("DELETE", f"/v2/{place}/blobs/{digest}")
            assert deleted.status_code == 202, deleted.text
    assert copy(third).count("PATCH http") == 2


def test_absent_tag(skopeo: Client, registry: Registry, repository: str) -> None:
    images.push(registry, repository, "there", images.image({"a": b"a"}))
    words = skopeo.fails("inspect", "--tls-verify=false", f"docker://{registry.host}/{repository}:absent")
    assert "manifest unknown" in words


def test_login(skopeo: Client, guarded: Registry, repository: str, tmp_path: Path) -> None:
    """A wrong password is refused at login; the right one lets push and pull through."""
    image = images.image({"a": b"guarded"})
    layout = images.write_layout(tmp_path / "in", "v1", image)
    target = f"docker://{guarded.host}/{repository}:v1"
    push = ("copy", TO_PLAIN, f"oci:{layout}:v1", target)
    login = ("login", "--tls-verify=false", "-u", "admin", "--password-stdin", guarded.host)
    skopeo.fails(*push)
    assert "invalid username/password" in skopeo.fails(*login, stdin="wrong")
    assert "Login Succeeded" in skopeo(*login, stdin=ADMIN_PASSWORD)
    skopeo(*push)
    assert images.holds(guarded, repository, "v1", image)
    assert skopeo("inspect", "--raw", "--tls-verify=false", target).encode() == image.manifest
