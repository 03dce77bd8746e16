"""The real client programs against a registry with all extensions that demands tokens: log in with a password and with
an API key, push, pull, log out."""

from __future__ import annotations

import contextlib
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_plus

import httpx
import pytest

from tests.clients import dockerd
from tests.clients.client import Client
from tests.clients.conftest import home as home
from tests.clients.conftest import short as short
from tests.clients.images import greeting, holds, push
from tests.clients.programs import require, require_root
from tests.clients.proxy import listening
from tests.clients.registry import Registry
from tests.extensions.identity.support import PASSWORD, server

pytestmark = pytest.mark.client

EVERYTHING = "identity,namespaces,access,audit"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with the user alice, whose namespace nobody else sees."""
    with (
        server(tmp_path_factory.mktemp("guarded"), GATI_EXTENSIONS=EVERYTHING) as running,
        contextlib.closing(alice(running.url)) as registry,
    ):
        extensions = f"{running.url}/v2/_ext"
        made = registry.http.post(f"{extensions}/identity/users", json={"name": "alice", "password": PASSWORD})
        assert made.status_code == 201, made.text
        closed = registry.http.put(
            f"{extensions}/namespaces/users/alice",
            json={"visibility": "private"},
            auth=httpx.BasicAuth("alice", PASSWORD),
        )
        assert closed.status_code == 200, closed.text
        yield registry


def alice(url: str) -> Registry:
    """Plain HTTP as alice."""
    return Registry(url, ("alice", PASSWORD))


@pytest.fixture
def key(guarded: Registry) -> str:
    """An API key of alice's that may publish."""
    answer = guarded.http.post(
        f"{guarded.url}/v2/_ext/identity/keys",
        json={"name": "a client", "scopes": ["publish"]},
        auth=httpx.BasicAuth("alice", PASSWORD),
    )
    return str(answer.json()["key"])


def test_docker(guarded: Registry, home: Path, key: str) -> None:
    """docker logs in with a refresh token, which it keeps instead of the password."""
    image = greeting(require("busybox"), "guarded")
    push(guarded, "users/alice/docker", "v1", image)
    name = f"{guarded.host}/users/alice/docker"
    login = ("login", "-u", "alice", "--password-stdin", guarded.host)
    # Not pytest's folder: sockets lie here, and their paths are limited to 108 characters.
    with (
        tempfile.TemporaryDirectory(prefix="gati-docker-", ignore_cleanup_errors=True) as folder,
        dockerd.engine(Path(folder)) as address,
    ):
        docker = dockerd.docker(home, address)
        assert "unauthorized" in docker.fails(*login, stdin="wrong password").lower()
        for version, password in (("v2", PASSWORD), ("v3", key)):
            docker.fails("pull", f"{name}:v1")
            assert "Login Succeeded" in docker(*login, stdin=password)
            assert "identitytoken" in (home / ".docker" / "config.json").read_text()
            docker("pull", f"{name}:v1")
            docker("tag", f"{name}:v1", f"{name}:{version}")
            docker("push", f"{name}:{version}")
            assert version in guarded.tags("users/alice/docker")
            docker("tag", f"{name}:v1", f"{guarded.host}/users/bob/docker:v1")
            docker.fails("push", f"{guarded.host}/users/bob/docker:v1")
            docker("rmi", f"{name}:v1", f"{name}:{version}", f"{guarded.host}/users/bob/docker:v1")
            docker("logout", guarded.host)
        docker.fails("pull", f"{name}:v1")


def test_podman(guarded: Registry, home: Path, short: Path, key: str) -> None:
    """podman keeps what it logged in with."""
    require_root()
    podman = Client(
        require("podman", "runc"),
        home,
        first=(
            *("--root", str(short / "root"), "--runroot", str(short / "run"), "--storage-driver=vfs"),
            *("--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime", "runc"),
            *("--tmpdir", str(short / "tmp")),
        ),
        env={"XDG_RUNTIME_DIR": str(home)},
    )
    push(guarded, "users/alice/podman", "v1", greeting(require("busybox"), "guarded"))
    plain, name = "--tls-verify=false", f"{guarded.host}/users/alice/podman"
    login = ("login", plain, "-u", "alice", "--password-stdin", guarded.host)
    assert "invalid username/password" in podman.fails(*login, stdin="wrong password")
    for version, password in (("v2", PASSWORD), ("v3", key)):
        podman.fails("pull", plain, f"{name}:v1")
        assert "Login Succeeded" in podman(*login, stdin=password)
        podman("pull", plain, f"{name}:v1")
        podman("tag", f"{name}:v1", f"{name}:{version}")
        podman("push", plain, f"{name}:{version}")
        assert version in guarded.tags("users/alice/podman")
        podman("rmi", "--all", "--force")
        podman("logout", guarded.host)
    podman.fails("pull", plain, f"{name}:v1")


@pytest.mark.parametrize("kind", ["password", "key"])
def test_crane(guarded: Registry, home: Path, tmp_path: Path, key: str, kind: str) -> None:
    """crane asks nobody when it logs in: what is wrong shows with the first request."""
    crane = Client(require("crane"), home)
    archive, target = tmp_path / "one.tar", f"{guarded.host}/users/alice/crane:v1"
    (tmp_path / "one").write_bytes(b"one")
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "one", "one")
    crane("auth", "login", guarded.host, "-u", "alice", "-p", "wrong password")
    assert "UNAUTHORIZED" in crane.fails("append", "-f", archive, "-t", target)
    crane("auth", "login", guarded.host, "-u", "alice", "-p", PASSWORD if kind == "password" else key)
    crane("append", "-f", archive, "-t", target)
    assert crane("digest", target).strip() == guarded.manifest("users/alice/crane", "v1").digest
    crane("pull", target, tmp_path / "pulled.tar")
    crane("copy", target, f"{guarded.host}/users/alice/crane-copy:v1")
    if kind == "password":
        crane("delete", target)
    else:  # a key that may publish deletes nothing
        assert "UNAUTHORIZED" in crane.fails("delete", target)
    assert "401 Unauthorized" in crane.fails("append", "-f", archive, "-t", f"{guarded.host}/users/bob/crane:v1")
    crane("auth", "logout", guarded.host)
    assert "401" in crane.fails("digest", f"{guarded.host}/users/alice/crane-copy:v1")


def test_oras(guarded: Registry, home: Path, tmp_path: Path, key: str) -> None:
    oras = Client(require("oras"), home)
    target = f"{guarded.host}/users/alice/oras:v1"
    (home / "file").write_bytes(b"x")
    login = ("login", "--plain-http", guarded.host, "-u", "alice", "--password-stdin")
    assert "unauthorized" in oras.fails(*login, stdin="wrong password")
    oras.fails("push", "--plain-http", target, "file")
    for password in (PASSWORD, key):
        assert "Login Succeeded" in oras(*login, stdin=password)
        oras("push", "--plain-http", target, "file")
        oras("pull", "--plain-http", "-o", tmp_path / "out", target)
        assert (tmp_path / "out" / "file").read_bytes() == b"x"
        oras("logout", guarded.host)
        oras.fails("pull", "--plain-http", target)


def test_helm(guarded: Registry, home: Path, tmp_path: Path, key: str) -> None:
    helm = Client(require("helm"), home)
    chart = tmp_path / "hello"
    chart.mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: hello\nversion: 1.0.0\n")
    helm("package", chart, "-d", tmp_path)
    archive, place = tmp_path / "hello-1.0.0.tgz", f"oci://{guarded.host}/users/alice"
    login = ("registry", "login", "--plain-http", guarded.host, "-u", "alice", "--password-stdin")
    helm.fails("push", "--plain-http", archive, place)
    assert "401" in helm.fails(*login, stdin="wrong password")
    for kind, password in (("password", PASSWORD), ("key", key)):
        out = tmp_path / kind
        out.mkdir()
        pull = ("pull", "--plain-http", f"{place}/hello", "--version", "1.0.0", "-d", out)
        helm(*login, stdin=password)
        helm("push", "--plain-http", archive, place)
        helm(*pull)
        assert (out / archive.name).read_bytes() == archive.read_bytes()
        helm("registry", "logout", guarded.host)
        helm.fails(*pull)


def test_skopeo(guarded: Registry, home: Path) -> None:
    """A second implementation of containers' login, and a copy from one repository to another."""
    skopeo = Client(require("skopeo"), home, env={"XDG_RUNTIME_DIR": str(home)})
    push(guarded, "users/alice/skopeo", "v1", greeting(require("busybox"), "guarded"))
    login = ("login", "--tls-verify=false", "-u", "alice", "--password-stdin", guarded.host)
    assert "invalid username/password" in skopeo.fails(*login, stdin="wrong password")
    skopeo(*login, stdin=PASSWORD)
    name = f"docker://{guarded.host}/users/alice/skopeo"
    skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false", f"{name}:v1", f"{name}-copy:v1")
    assert guarded.tags("users/alice/skopeo-copy") == ["v1"]


@pytest.mark.parametrize("program", ["crane", "regctl"])
def test_a_mount_across_two_namespaces_asks_for_both(guarded: Registry, home: Path, program: str) -> None:
    """On the wire: a token for both repositories, a mount, and not one byte of the blobs."""
    source, target = "users/alice/from", f"orgs/acme/{program}"
    image = greeting(require("busybox"), "mounted")
    push(guarded, source, "v1", image)
    alice = httpx.BasicAuth("alice", PASSWORD)
    made = guarded.http.post(f"{guarded.url}/v2/_ext/identity/orgs", json={"name": "acme"}, auth=alice)
    assert made.status_code in (201, 409), made.text
    client = Client(require(program), home)
    with listening(guarded.host) as wire:
        at = f"{wire.host}/{source}:v1", f"{wire.host}/{target}:v1"
        if program == "crane":
            client("auth", "login", wire.host, "-u", "alice", "-p", PASSWORD)
            client("copy", *at)
        else:
            client("registry", "set", wire.host, "--tls", "disabled", "--skip-check")
            client("registry", "login", wire.host, "-u", "alice", "--pass-stdin", stdin=PASSWORD)
            client("image", "copy", *at)
        sent = bytes(wire.requests).decode("latin-1")
    assert holds(guarded, target, "v1", image)
    lines = re.findall(r"^(?:GET|POST) /v2/\S+|^GET /token\S+|^grant_type=\S+", sent, re.M)
    asked = [unquote_plus(line) for line in lines]
    both = (f"repository:{source}:pull", rf"repository:{target}:(?:pull,push|push,pull)")
    assert any(all(re.search(scope, line) for scope in both) for line in asked if "scope=" in line), asked
    mounts = [line for line in asked if f"/v2/{target}/blobs/uploads/?" in line and "mount=" in line]
    assert {digest for digest in image.blobs if any(digest in line for line in mounts)} == set(image.blobs), asked
    assert not re.findall(r"^(?:PATCH|PUT) /v2/\S+/blobs/\S+", sent, re.M)
