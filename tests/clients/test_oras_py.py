"""oras-py, the Python library of the ORAS project."""

from __future__ import annotations

from pathlib import Path

import oras.client
import pytest

from tests.clients import images
from tests.clients.conftest import ADMIN_PASSWORD
from tests.clients.registry import Registry, digest_of

pytestmark = pytest.mark.client


@pytest.fixture(autouse=True)
def workplace(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own home, where login writes, and its own working folder, as pushed paths are relative."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)


def test_push_and_pull(registry: Registry, repository: str, home: Path, tmp_path: Path) -> None:
    """Files come back byte for byte; tags are listed and deleted."""
    (home / "file.txt").write_bytes(b"from Python")
    client = oras.client.OrasClient(insecure=True)
    target = f"{registry.host}/{repository}"
    for tag in ("v1", "v2"):
        answer = client.push(target=f"{target}:{tag}", files=["file.txt"], manifest_annotations={"tag": tag})
        assert answer.status_code == 201
    layer = registry.manifest(repository, "v1").json["layers"][0]
    assert layer["digest"] == digest_of(b"from Python")

    pulled = client.pull(target=f"{target}:v1", outdir=str(tmp_path / "out"))
    assert [Path(path).read_bytes() for path in pulled] == [b"from Python"]
    assert client.get_tags(target) == ["v1", "v2"]
    client.delete_tags(target, ["v1"])
    assert client.get_tags(target) == ["v2"]


def test_chunked_upload(registry: Registry, repository: str, home: Path) -> None:
    """Blobs sent in chunks arrive whole."""
    data = bytes(range(256)) * 10_000  # 2.56 MB: three chunks, the last one short
    (home / "big").write_bytes(data)
    client = oras.client.OrasClient(insecure=True)
    client.push(target=f"{registry.host}/{repository}:v1", files=["big"], do_chunked=True, chunk_size=1_000_000)
    layer = registry.manifest(repository, "v1").json["layers"][0]
    assert registry.blob(repository, layer["digest"]) == data


def test_absent_tag(registry: Registry, repository: str) -> None:
    images.push(registry, repository, "there", images.image({"a": b"a"}))
    client = oras.client.OrasClient(insecure=True)
    with pytest.raises(ValueError, match="manifests/absent"):
        client.get_manifest(client.get_container(f"{registry.host}/{repository}:absent"))


def test_login(guarded: Registry, repository: str, home: Path, tmp_path: Path) -> None:
    """With a wrong password a push is refused; with the right one it goes through."""
    (home / "file.txt").write_bytes(b"guarded")
    target = f"{guarded.host}/{repository}:v1"
    client = oras.client.OrasClient(insecure=True, auth_backend="basic")
    client.login(hostname=guarded.host, username="admin", password="wrong")
    with pytest.raises(ValueError, match="UNAUTHORIZED"):
        client.push(target=target, files=["file.txt"])
    client = oras.client.OrasClient(insecure=True, auth_backend="basic")
    client.login(hostname=guarded.host, username="admin", password=ADMIN_PASSWORD)
    client.push(target=target, files=["file.txt"])
    pulled = client.pull(target=target, outdir=str(tmp_path / "out"))
    assert [Path(path).read_bytes() for path in pulled] == [b"guarded"]
