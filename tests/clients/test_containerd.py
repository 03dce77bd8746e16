"""containerd: `ctr` pulls and pushes, and a kubelet's pull by CRI, mirrors and passwords included."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import containerd, images
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require
from tests.clients.proxy import cutting
from tests.clients.registry import Registry, digest_of

pytestmark = pytest.mark.client

PULL = ("images", "pull", "--plain-http", "--snapshotter", "native")


@pytest.fixture(scope="module")
def runtime() -> Iterator[containerd.Containerd]:
    """One containerd for this file."""
    # Not pytest's folder: sockets lie here, and their paths are limited to 108 characters.
    with (
        tempfile.TemporaryDirectory(prefix="gati-containerd-", ignore_cleanup_errors=True) as folder,
        containerd.running(Path(folder)) as started,
    ):
        yield started


@pytest.fixture
def ctr(runtime: containerd.Containerd, home: Path) -> Client:
    return runtime.ctr(home)


def _content(ctr: Client, digest: str) -> bytes:
    """What containerd keeps under the digest."""
    return ctr("content", "get", digest).encode()


def test_ctr_pull(ctr: Client, registry: Registry, repository: str) -> None:
    """Every platform of an index is pulled, and each manifest kept as it was."""
    index = images.two_platforms()
    images.push(registry, repository, "v1", index)
    reference = f"{registry.host}/{repository}:v1"
    ctr(*PULL, "--all-platforms", reference)
    listed = ctr("images", "list", f"name=={reference}")
    assert index.digest in listed
    assert "linux/amd64,linux/arm64" in listed
    for artifact in [index, *index.children]:
        assert _content(ctr, artifact.digest) == artifact.manifest
    kept = ctr("content", "list", "--quiet").split()
    assert set(index.all_blobs()) <= set(kept)


def test_ctr_run_and_push(ctr: Client, registry: Registry, repository: str) -> None:
    """A pulled image runs, and goes back under another name with the same digest."""
    image = images.greeting(require("busybox"), "containerd was here")
    images.push(registry, repository, "v1", image)
    reference = f"{registry.host}/{repository}:v1"
    ctr(*PULL, reference)
    name = repository.replace("/", "-")
    assert ctr("run", "--rm", "--snapshotter", "native", reference, name) == "containerd was here\n"
    ctr("images", "tag", reference, f"{registry.host}/{repository}/back:v2")
    ctr("images", "push", "--plain-http", f"{registry.host}/{repository}/back:v2")
    assert images.holds(registry, f"{repository}/back", "v2", image)


def test_ctr_resumes_a_broken_pull(ctr: Client, registry: Registry, repository: str) -> None:
    """A connection that breaks midway: containerd asks for the rest by Range."""
    image = images.image({"big": os.urandom(8 * 1024 * 1024)})
    images.push(registry, repository, "v1", image)
    cut_after = 3 * 1024 * 1024
    with cutting(registry.host, cut_after=cut_after) as proxy:
        ctr(*PULL, f"{proxy.host}/{repository}:v1")
        assert proxy.cuts == 1
        resumed = [start for start in proxy.ranges() if start]
    assert len(resumed) == 1
    assert 0 < resumed[0] <= cut_after
    assert set(image.blobs) <= set(ctr("content", "list", "--quiet").split())


def test_kubelet_pull(runtime: containerd.Containerd, registry: Registry, repository: str) -> None:
    """PullImage by CRI, by tag and by digest: the id is the config's digest, and the digest is kept."""
    image = images.greeting(require("busybox"), "pod")
    images.push(registry, repository, "v1", image)
    runtime.reach(registry.host, registry.url)
    name = f"{registry.host}/{repository}"
    config = next(digest for digest in image.blobs)
    assert runtime.pull(f"{name}:v1") == config
    assert runtime.image(f"{name}:v1") == (config, [f"{name}@{image.digest}"])
    assert runtime.pull(f"{name}@{image.digest}") == config


def test_kubelet_pull_by_mirror(runtime: containerd.Containerd, registry: Registry, repository: str) -> None:
    """As a mirror of another registry: containerd adds `?ns=` to every request."""
    image = images.image({"a": repository.encode()})
    images.push(registry, repository, "v1", image)
    runtime.reach("upstream.example", registry.url)
    name = f"upstream.example/{repository}"
    runtime.pull(f"{name}:v1")
    assert runtime.image(f"{name}:v1")[1] == [f"{name}@{image.digest}"]


def test_kubelet_absent_tag(runtime: containerd.Containerd, registry: Registry, repository: str) -> None:
    images.push(registry, repository, "there", images.image({"a": b"a"}))
    runtime.reach(registry.host, registry.url)
    with pytest.raises(containerd.PullRefused, match="not found"):
        runtime.pull(f"{registry.host}/{repository}:absent")


def test_kubelet_password(runtime: containerd.Containerd, guarded: Registry, repository: str) -> None:
    """A pull secret that is wrong, or none, is refused; the right one pulls."""
    image = images.image({"a": b"guarded"})
    images.push(guarded, repository, "v1", image)
    runtime.reach(guarded.host, guarded.url)
    reference = f"{guarded.host}/{repository}:v1"
    for credentials in (None, ("admin", "wrong")):
        with pytest.raises(containerd.PullRefused, match=r"401|authorization failed|authorize"):
            runtime.pull(reference, auth=credentials)
    runtime.pull(reference, auth=("admin", ADMIN_PASSWORD))
    assert runtime.image(reference)[1] == [f"{guarded.host}/{repository}@{image.digest}"]


def test_ctr_password(ctr: Client, guarded: Registry, repository: str) -> None:
    image = images.image({"a": b"guarded by ctr"})
    images.push(guarded, repository, "v1", image)
    reference = f"{guarded.host}/{repository}:v1"
    ctr.fails(*PULL, "--user", "admin:wrong", reference)
    ctr(*PULL, "--user", f"admin:{ADMIN_PASSWORD}", reference)
    assert digest_of(_content(ctr, image.digest)) == image.digest
