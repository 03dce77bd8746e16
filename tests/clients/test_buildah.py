"""buildah: a build whose layers are cached in the registry, used by a second machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.client import Client
from tests.clients.programs import require, require_root
from tests.clients.registry import Registry

pytestmark = pytest.mark.client

CONTAINERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "echo built > /made"]
COPY last /last
"""


def _buildah(folder: Path, home: Path) -> Client:
    """A buildah with its own empty storage: another machine, as far as layers go."""
    require_root()
    return Client(
        require("buildah", "runc"),
        home,
        first=("--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver=vfs"),
        env={"XDG_RUNTIME_DIR": str(home)},
    )


def _context(folder: Path, last: str) -> Path:
    folder.mkdir()
    (folder / "busybox").write_bytes(require("busybox").read_bytes())
    (folder / "busybox").chmod(0o755)
    (folder / "last").write_text(last)
    (folder / "Containerfile").write_text(CONTAINERFILE)
    return folder


def test_cache_in_the_registry(registry: Registry, repository: str, home: Path, tmp_path: Path) -> None:
    """The first build fills the cache; the second, elsewhere, pulls layers from it and builds none."""
    cache = f"{registry.host}/{repository}/cache"
    context = _context(tmp_path / "context", "one")
    build = (
        *("build", "--isolation", "chroot", "--layers", "--tls-verify=false"),
        *("--cache-to", cache, "--cache-from", cache),
    )
    first = _buildah(tmp_path / "first", home)
    first(*build, "-t", "image", context)
    cached = set(registry.tags(f"{repository}/cache"))
    assert cached

    second = _buildah(tmp_path / "second", home)
    out = second(*build, "-t", "image", context)
    assert "Cache pulled from remote" in out
    assert set(registry.tags(f"{repository}/cache")) == cached  # the same steps have the same keys

    target = f"{registry.host}/{repository}:v1"
    second("push", "--tls-verify=false", "--digestfile", tmp_path / "digest", "image", f"docker://{target}")
    assert registry.manifest(repository, "v1").digest == (tmp_path / "digest").read_text().strip()

    # A change in the last step leaves the earlier steps cached and adds one more.
    (context / "last").write_text("two")
    third = _buildah(tmp_path / "third", home)
    assert "Cache pulled from remote" in third(*build, "-t", "image", context)
    assert len(registry.tags(f"{repository}/cache")) == len(cached) + 1


def test_commit_and_pull(registry: Registry, repository: str, home: Path, tmp_path: Path) -> None:
    """An image put together by hand, committed straight to the registry, and used as a base."""
    buildah = _buildah(tmp_path / "storage", home)
    target = f"{registry.host}/{repository}:v1"
    container = buildah("from", "scratch").strip()
    (tmp_path / "file").write_text("by hand")
    buildah("copy", container, tmp_path / "file", "/file")
    buildah("commit", "--tls-verify=false", container, f"docker://{target}")
    assert len(registry.manifest(repository, "v1").json["layers"]) == 1

    again = buildah("from", "--tls-verify=false", target).strip()
    mounted = Path(buildah("mount", again).strip())
    assert (mounted / "file").read_text() == "by hand"
    buildah("umount", again)
