"""docker with an engine of its own: build, push, pull, run, a resumed pull, manifest lists, log in."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import dockerd, images
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require
from tests.clients.proxy import cutting
from tests.clients.registry import DOCKER_LIST, DOCKER_MANIFEST, Registry, digest_of

pytestmark = pytest.mark.client

RUN = ("run", "--rm", "--network", "none")


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """One Docker engine for this file."""
    # Not pytest's folder: sockets lie here, and their paths are limited to 108 characters.
    with (
        tempfile.TemporaryDirectory(prefix="gati-docker-", ignore_cleanup_errors=True) as folder,
        dockerd.engine(Path(folder)) as address,
    ):
        yield address


@pytest.fixture
def docker(engine: str, home: Path) -> Client:
    return dockerd.docker(home, engine)


def _build(docker: Client, context: Path, reference: str, words: str) -> None:
    context.mkdir()
    (context / "busybox").write_bytes(require("busybox").read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "Dockerfile").write_text(
        f'FROM scratch\nCOPY busybox /bin/busybox\nCMD ["/bin/busybox", "echo", "{words}"]\n'
    )
    docker("build", "-t", reference, context)


def _pushed_digest(out: str) -> str:
    """The digest in docker push's last line: `v1: digest: sha256:… size: 528`."""
    return out.strip().splitlines()[-1].split("digest: ")[1].split()[0]


@pytest.mark.backends
def test_build_push_pull_run(docker: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """An image built here, pushed, forgotten, and pulled by tag and by digest, runs."""
    name = f"{registry.host}/{repository}"
    _build(docker, tmp_path / "context", f"{name}:v1", "docker was here")
    digest = _pushed_digest(docker("push", f"{name}:v1"))
    stored = registry.manifest(repository, "v1")
    assert stored.digest == digest
    assert stored.media_type == DOCKER_MANIFEST
    for entry in [stored.json["config"], *stored.json["layers"]]:
        assert len(registry.blob(repository, entry["digest"])) == entry["size"]

    docker("rmi", f"{name}:v1")
    assert "No such image" in docker.fails("image", "inspect", f"{name}:v1")
    assert f"Digest: {digest}" in docker("pull", f"{name}:v1")
    assert docker(*RUN, f"{name}:v1") == "docker was here\n"
    docker("rmi", f"{name}:v1")
    docker("pull", f"{name}@{digest}")
    assert docker(*RUN, f"{name}@{digest}") == "docker was here\n"


def test_second_push_mounts(docker: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """The same layers into another repository: mounted, not sent."""
    first, second = f"{registry.host}/{repository}/first:v1", f"{registry.host}/{repository}/second:v1"
    _build(docker, tmp_path / "context", first, "mounted")
    docker("push", first)
    docker("tag", first, second)
    assert f"Mounted from {repository}/first" in docker("push", second)
    assert registry.manifest(f"{repository}/second", "v1") == registry.manifest(f"{repository}/first", "v1")
    assert "Layer already exists" in docker("push", second)


def test_pull_of_an_oci_index(docker: Client, registry: Registry, repository: str) -> None:
    """docker takes its platform out of an OCI index."""
    children = [images.greeting(require("busybox"), arch, architecture=arch) for arch in ("arm64", "amd64")]
    index = images.index(children)
    images.push(registry, repository, "v1", index)
    reference = f"{registry.host}/{repository}:v1"
    assert f"Digest: {index.digest}" in docker("pull", reference)
    assert docker(*RUN, reference) == "amd64\n"


@pytest.mark.backends
def test_broken_pull_resumes(docker: Client, registry: Registry, repository: str) -> None:
    """A connection that breaks midway: docker asks for the rest by Range and ends with the right image."""
    big = os.urandom(8 * 1024 * 1024)
    image = images.image({"bin/busybox": require("busybox").read_bytes(), "big": big})
    images.push(registry, repository, "v1", image)
    cut_after = 3 * 1024 * 1024
    with cutting(registry.host, cut_after=cut_after) as proxy:
        reference = f"{proxy.host}/{repository}:v1"
        assert f"Digest: {image.digest}" in docker("pull", reference)
        assert proxy.cuts == 1
        resumed = proxy.ranges()
    assert len(resumed) == 1
    assert 0 < resumed[0] <= cut_after  # not from the start, and nothing skipped
    checksum = docker(*RUN, reference, "/bin/busybox", "sha256sum", "/big").split()[0]
    assert checksum == digest_of(big).partition(":")[2]


def test_manifest_list(docker: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """`docker manifest` puts a list together from other repositories and pushes it."""
    name = f"{registry.host}/{repository}"
    for part in ("amd64", "arm64"):
        _build(docker, tmp_path / part, f"{name}/{part}:v1", part)
        docker("push", f"{name}/{part}:v1")
    parts = {part: registry.manifest(f"{repository}/{part}", "v1") for part in ("amd64", "arm64")}
    docker("manifest", "create", "--insecure", f"{name}/all:v1", *(f"{name}/{part}:v1" for part in parts))
    docker("manifest", "annotate", "--arch", "arm64", "--variant", "v8", f"{name}/all:v1", f"{name}/arm64:v1")
    pushed = docker("manifest", "push", "--insecure", f"{name}/all:v1").split()[-1]

    stored = registry.manifest(f"{repository}/all", "v1")
    assert (stored.digest, stored.media_type) == (pushed, DOCKER_LIST)
    for entry, child in zip(stored.json["manifests"], parts.values(), strict=True):
        assert registry.manifest(f"{repository}/all", entry["digest"]) == child
        assert registry.has_blob(f"{repository}/all", child.json["layers"][0]["digest"])
    inspected = json.loads(docker("manifest", "inspect", "--insecure", f"{name}/all:v1"))
    assert inspected["manifests"][1]["platform"] == {"architecture": "arm64", "os": "linux", "variant": "v8"}
    docker("rmi", f"{name}/amd64:v1")
    docker("pull", f"{name}/all:v1")
    assert docker(*RUN, f"{name}/all:v1") == "amd64\n"


def test_absent_tag(docker: Client, registry: Registry, repository: str) -> None:
    images.push(registry, repository, "there", images.image({"a": b"a"}))
    assert "not found" in docker.fails("pull", f"{registry.host}/{repository}:absent")


def test_login(docker: Client, guarded: Registry, repository: str, tmp_path: Path) -> None:
    """A wrong password is refused at login; the right one lets push and pull through."""
    reference = f"{guarded.host}/{repository}:v1"
    login = ("login", "-u", "admin", "--password-stdin", guarded.host)
    _build(docker, tmp_path / "context", reference, "guarded")
    docker.fails("push", reference)
    assert "unauthorized" in docker.fails(*login, stdin="wrong").lower()
    assert "Login Succeeded" in docker(*login, stdin=ADMIN_PASSWORD)
    digest = _pushed_digest(docker("push", reference))
    assert guarded.manifest(repository, "v1").digest == digest
    docker("rmi", reference)
    docker("pull", reference)
    assert docker(*RUN, reference) == "guarded\n"
    docker("logout", guarded.host)
    docker.fails("pull", reference)
