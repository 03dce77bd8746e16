"""podman: build, push, pull, run, and a manifest of several platforms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients import images
from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require, require_root
from tests.clients.registry import Registry

pytestmark = pytest.mark.client

PLAIN = "--tls-verify=false"
# A machine without systemd, and with limits below podman's defaults, runs containers all the same.
RUN = (
    *("run", "--rm", "--network", "none", "--pull", "never"),
    *("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=10000:10000"),
)


@pytest.fixture
def podman(home: Path, short: Path) -> Client:
    """A podman whose images and containers are its own."""
    require_root()
    return Client(
        require("podman", "runc"),
        home,
        first=(
            *("--root", str(short / "root"), "--runroot", str(short / "run"), "--storage-driver=vfs"),
            *("--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime", "runc"),
            *("--tmpdir", str(short / "tmp")),
        ),
        env={"XDG_RUNTIME_DIR": str(home)},  # where it keeps credentials
    )


def test_build_push_pull_run(podman: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """An image built here, pushed, forgotten and pulled again, runs."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "busybox").write_bytes(require("busybox").read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nCMD ["/bin/busybox", "echo", "podman was here"]\n'
    )
    reference = f"{registry.host}/{repository}:v1"
    podman("build", "--isolation", "chroot", "-t", reference, context)
    podman("push", PLAIN, "--digestfile", tmp_path / "digest", reference)
    digest = (tmp_path / "digest").read_text().strip()
    assert registry.manifest(repository, "v1").digest == digest

    podman("rmi", reference)
    podman.fails("image", "exists", reference)
    podman("pull", PLAIN, f"{registry.host}/{repository}@{digest}")
    podman("pull", PLAIN, reference)
    assert podman(*RUN, reference) == "podman was here\n"


def test_manifest_of_platforms(podman: Client, registry: Registry, repository: str) -> None:
    """A list made from two pushed images is pushed whole; a pull takes the platform asked for."""
    busybox = require("busybox")
    name = f"{registry.host}/{repository}"
    made = {arch: images.greeting(busybox, arch, architecture=arch) for arch in ("amd64", "arm64")}
    for arch, image in made.items():
        images.push(registry, f"{repository}/{arch}", "v1", image)
    podman("manifest", "create", "several")
    for arch in made:
        podman("manifest", "add", PLAIN, "several", f"docker://{name}/{arch}:v1")
    podman("manifest", "push", PLAIN, "--all", "several", f"docker://{name}/all:v1")

    entries = registry.manifest(f"{repository}/all", "v1").json["manifests"]
    digests = {entry["platform"]["architecture"]: entry["digest"] for entry in entries}
    assert digests == {arch: image.digest for arch, image in made.items()}
    podman("pull", PLAIN, "--platform", "linux/arm64", f"{name}/all:v1")
    inspected = json.loads(podman("image", "inspect", f"{name}/all:v1"))[0]
    assert inspected["Architecture"] == "arm64"
    podman("pull", PLAIN, "--platform", "linux/amd64", f"{name}/all:v1")
    assert podman(*RUN, f"{name}/all:v1") == "amd64\n"


def test_absent_tag(podman: Client, registry: Registry, repository: str) -> None:
    images.push(registry, repository, "there", images.image({"a": b"a"}))
    assert "manifest unknown" in podman.fails("pull", PLAIN, f"{registry.host}/{repository}:absent")


def test_login(podman: Client, guarded: Registry, repository: str) -> None:
    """A wrong password is refused at login; the right one lets push and pull through."""
    image = images.greeting(require("busybox"), "guarded")
    images.push(guarded, repository, "v1", image)
    name = f"{guarded.host}/{repository}"
    login = ("login", PLAIN, "-u", "admin", "--password-stdin", guarded.host)
    podman.fails("pull", PLAIN, f"{name}:v1")
    assert "invalid username/password" in podman.fails(*login, stdin="wrong")
    assert "Login Succeeded" in podman(*login, stdin=ADMIN_PASSWORD)
    podman("pull", PLAIN, f"{name}:v1")
    podman("tag", f"{name}:v1", f"{name}:v2")
    podman("push", PLAIN, f"{name}:v2")
    assert guarded.tags(repository) == ["v1", "v2"]
