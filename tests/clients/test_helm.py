"""helm 4: charts pushed, pulled by version and range, rendered, used as dependencies, log in."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.clients.client import Client
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.programs import require
from tests.clients.registry import Registry, digest_of

pytestmark = pytest.mark.client

PLAIN = "--plain-http"
CONFIG = "application/vnd.cncf.helm.config.v1+json"
CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Chart.Name }}
data:
  word: {{ .Values.word }}
"""


@pytest.fixture
def helm(home: Path) -> Client:
    return Client(require("helm"), home)


def _package(helm: Client, folder: Path, name: str, version: str, *, more: str = "") -> Path:
    """A chart of one template, packed; returns the archive."""
    chart = folder / f"{name}-{version}" / name
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n{more}")
    (chart / "values.yaml").write_text(f"word: from-{version}\n")
    (chart / "templates" / "map.yaml").write_text(TEMPLATE)
    helm("package", chart, "-d", folder)
    return folder / f"{name}-{version}.tgz"


def test_push_and_pull(helm: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """The archive comes back byte for byte, and its manifest has Helm's media types."""
    archive = _package(helm, tmp_path, "hello", "1.2.3")
    place = f"oci://{registry.host}/{repository}"
    code, out, err = helm.run("push", PLAIN, archive, place)
    assert code == 0, out + err
    stored = registry.manifest(f"{repository}/hello", "1.2.3")
    assert stored.digest in out + err
    assert stored.json["config"]["mediaType"] == CONFIG
    layers = [(layer["mediaType"], layer["digest"]) for layer in stored.json["layers"]]
    assert layers == [(CONTENT, digest_of(archive.read_bytes()))]

    (tmp_path / "out").mkdir()
    helm("pull", PLAIN, f"{place}/hello", "--version", "1.2.3", "-d", tmp_path / "out")
    assert (tmp_path / "out" / "hello-1.2.3.tgz").read_bytes() == archive.read_bytes()
    assert "version: 1.2.3" in helm("show", "chart", PLAIN, f"{place}/hello", "--version", "1.2.3")
    by_digest = helm("show", "values", PLAIN, f"{place}/hello@{stored.digest}")
    assert "word: from-1.2.3" in by_digest


def test_versions_and_ranges(helm: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """A range picks the newest fitting tag; build metadata travels as an underscore."""
    place = f"oci://{registry.host}/{repository}"
    for version in ("1.0.0", "1.4.0", "2.0.0+build.7"):
        helm("push", PLAIN, _package(helm, tmp_path, "hello", version), place)
    assert registry.tags(f"{repository}/hello") == ["1.0.0", "1.4.0", "2.0.0_build.7"]
    rendered = helm("template", PLAIN, "release", f"{place}/hello", "--version", "^1.0.0")
    assert "word: from-1.4.0" in rendered
    newest = helm("show", "chart", PLAIN, f"{place}/hello")
    assert "version: 2.0.0+build.7" in newest


def test_dependency_from_the_registry(helm: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    """A chart that depends on one in the registry gets it by `helm dependency update`."""
    place = f"oci://{registry.host}/{repository}"
    archive = _package(helm, tmp_path, "child", "0.1.0")
    helm("push", PLAIN, archive, place)
    parent = tmp_path / "parent"
    parent.mkdir()
    (parent / "Chart.yaml").write_text(
        "apiVersion: v2\nname: parent\nversion: 1.0.0\n"
        f"dependencies:\n  - name: child\n    version: 0.1.x\n    repository: {place}\n"
    )
    helm("dependency", "update", PLAIN, parent)
    fetched = parent / "charts" / "child-0.1.0.tgz"
    assert fetched.read_bytes() == archive.read_bytes()
    with tarfile.open(fetched) as tar:
        assert "child/Chart.yaml" in tar.getnames()


def test_absent_version(helm: Client, registry: Registry, repository: str, tmp_path: Path) -> None:
    place = f"oci://{registry.host}/{repository}"
    helm("push", PLAIN, _package(helm, tmp_path, "hello", "1.0.0"), place)
    assert "not found" in helm.fails("pull", PLAIN, f"{place}/hello", "--version", "9.9.9")


def test_login(helm: Client, guarded: Registry, repository: str, tmp_path: Path) -> None:
    """A wrong password is refused at login; the right one lets push and pull through."""
    archive = _package(helm, tmp_path, "hello", "1.0.0")
    place = f"oci://{guarded.host}/{repository}"
    login = ("registry", "login", PLAIN, guarded.host, "-u", "admin", "--password-stdin")
    helm.fails("push", PLAIN, archive, place)
    assert "401" in helm.fails(*login, stdin="wrong")
    helm(*login, stdin=ADMIN_PASSWORD)
    helm("push", PLAIN, archive, place)
    (tmp_path / "out").mkdir()
    helm("pull", PLAIN, f"{place}/hello", "--version", "1.0.0", "-d", tmp_path / "out")
    assert (tmp_path / "out" / archive.name).read_bytes() == archive.read_bytes()
