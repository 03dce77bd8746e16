"""The server with its blobs in S3: pushes that are broken off, resumed elsewhere, and without S3 for a while."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from minio.error import S3Error

from tests.clients import images
from tests.clients.client import Client
from tests.clients.programs import require
from tests.clients.registry import Registry, digest_of
from tests.core.contract_blobs import MIB, content
from tests.s3.conftest import serving
from tests.serving.conftest import certificate
from tests.support.minio import MinioServer, S3Server, running_minio
from tests.support.server import RegistryProcess, free_port, wait_for

__all__ = ["certificate"]

LARGE = int(os.environ.get("GATI_TEST_S3_BLOB_MIB", "200")) * MIB


@contextlib.contextmanager
def highest(server: RegistryProcess) -> Iterator[list[int]]:
    """The most memory that the server had in a `with` block, in bytes."""
    found, done = [server.rss()], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            found[0] = max(found[0], server.rss())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        done.set()
        watching.join()


def test_a_large_blob_needs_little_memory_and_no_disk(minio: MinioServer, prefix: str, tmp_path: Path) -> None:
    block = content(MIB)
    hasher = hashlib.sha256()
    for _ in range(LARGE // MIB):
        hasher.update(block)
    digest = f"sha256:{hasher.hexdigest()}"
    with serving(tmp_path / "data", minio, prefix) as (server, client):
        location = client.request("POST", "/v2/a/b/blobs/uploads/").headers["location"]
        url = str(httpx.URL(server.url).join(location))
        idle = server.rss()
        with highest(server) as peak:
            patched = client.http.patch(url, content=(block for _ in range(LARGE // MIB)))
            assert patched.status_code == 202, patched.text
            assert client.http.put(f"{url}?digest={digest}").status_code == 201
            received = 0
            with client.http.stream("GET", f"{server.url}/v2/a/b/blobs/{digest}") as answer:
                for piece in answer.iter_bytes(MIB):
                    assert piece == block
                    received += len(piece)
            assert received == LARGE
        assert peak[0] - idle < 80 * MIB, (idle, peak)
        assert not any((tmp_path / "data").rglob("*.tmp"))
        assert sum(path.stat().st_size for path in (tmp_path / "data").iterdir()) < 2 * MIB
        assert [key.partition("/")[0] for key in minio.keys(prefix)] == ["blobs"]


class Pushing:
    """A client that sends an upload chunk by chunk to any of several replicas, and asks how far it got."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0
        self.location = ""

    def begin(self, replica: Registry) -> None:
        """Open the session."""
        self.location = replica.request("POST", "/v2/a/b/blobs/uploads/").headers["location"]

    def send(self, replica: Registry, length: int) -> httpx.Response:
        """The next chunk."""
        chunk = self.data[self.offset : self.offset + length]
        headers = {"Content-Range": f"{self.offset}-{self.offset + len(chunk) - 1}"}
        answer = replica.request("PATCH", self.location, content=chunk, headers=headers)
        if answer.status_code == 202:
            self.offset += len(chunk)
        return answer

    def half(self, replica: Registry, length: int) -> http.client.HTTPConnection:
        """Begin to send a chunk and stop in its middle."""
        connection = http.client.HTTPConnection(replica.host, timeout=60)
        connection.putrequest("PATCH", self.location)
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        connection.send(self.data[self.offset : self.offset + length // 2])
        return connection

    def resume(self, replica: Registry) -> None:
        """Ask for the offset; it is exactly what was acknowledged."""
        state = replica.request("GET", self.location)
        assert state.status_code == 204, state.text
        assert state.headers["range"] == f"0-{max(0, self.offset - 1)}"

    def close(self, replica: Registry) -> str:
        """Send the rest and end it; the digest."""
        digest = digest_of(self.data)
        url = f"{self.location}?digest={digest}"
        ended = replica.request("PUT", url, content=self.data[self.offset :])
        assert ended.status_code == 201, ended.text
        return digest


def test_odd_chunks_go_on_after_kill_9_and_in_another_process(minio: S3Server, prefix: str, tmp_path: Path) -> None:
    """Two servers on one database: each dies in the middle of a chunk, and the other one goes on at the offset."""
    pushing = Pushing(content(40 * MIB + 7))
    env = {"GATI_BLOBS_URL": minio.url(prefix), "GATI_BLOBS__INLINE_BYTES": "0"}
    servers = [RegistryProcess(tmp_path / "data", args=("--open", "--workers", "2"), env=env) for _ in range(2)]
    clients = [Registry(server.url) for server in servers]
    try:
        for server in servers:
            server.start()
        pushing.begin(clients[0])
        for turn, length in enumerate((1, 5 * MIB - 1, 5 * MIB, 7 * MIB, 1, 5 * MIB + 1)):
            here, there = turn % 2, (turn + 1) % 2
            assert pushing.send(clients[here], length).status_code == 202
            pushing.resume(clients[there])
            if turn in (1, 3):
                with contextlib.closing(pushing.half(clients[here], 12 * MIB)):
                    wait_for(lambda: any("/writer-" in key for key in minio.keys(prefix)))
                    servers[here].kill()
                pushing.resume(clients[there])
                servers[here].start()
        digest = pushing.close(clients[1])
        assert clients[0].blob("a/b", digest) == pushing.data
    finally:
        for server in servers:
            server.kill()
        for client in clients:
            client.close()


def test_without_s3_a_push_is_put_off_and_goes_on_later(tmp_path: Path, prefix: str) -> None:
    """Killed, S3 refuses connections; paused, it takes them and acts on what it was sent when it goes on."""
    pushing = Pushing(content(50 * MIB))
    env = {"GATI_S3__TIMEOUT": "1", "GATI_S3__PART_BYTES": str(5 * MIB)}
    with (
        running_minio(tmp_path) as minio,
        serving(tmp_path / "data", minio, prefix, **env) as (
            _,
            client,
        ),
    ):
        pushing.begin(client)
        assert pushing.send(client, 6 * MIB).status_code == 202
        for lose, regain in ((minio.kill, minio.start), (minio.pause, minio.resume)):
            with contextlib.closing(pushing.half(client, 20 * MIB)) as connection:
                wait_for(lambda: any("/writer-" in key for key in minio.keys(prefix)))
                lose()
                connection.send(pushing.data[pushing.offset + 10 * MIB : pushing.offset + 20 * MIB])
                answer = connection.getresponse()
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) > 0
                assert json.loads(answer.read())["errors"][0]["code"] == "UNAVAILABLE"
            assert client.request("GET", "/readyz").status_code == 503
            pushing.resume(client)
            regain()
            wait_for(lambda: client.request("GET", "/readyz").status_code == 200, timeout=30)
            assert pushing.send(client, 7 * MIB).status_code == 202
        digest = pushing.close(client)
        assert client.blob("a/b", digest) == pushing.data


def test_crane_and_oras_push_and_pull(minio: S3Server, prefix: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    crane, oras = Client(require("crane"), home), Client(require("oras"), home)
    with serving(tmp_path / "data", minio, prefix) as (_, client):
        index = images.two_platforms()
        layout = images.write_layout(tmp_path / "in", "v1", index)
        target = f"{client.host}/a/b"
        crane("push", "--index", layout, f"{target}:v1")
        assert "PASS" in crane("validate", "--remote", f"{target}@{index.digest}")
        (home / "big").write_bytes(content(12 * MIB))
        oras("push", "--plain-http", "--artifact-type", "application/vnd.example.v1", f"{target}:big", "big")
        oras("pull", "--plain-http", "-o", "out", f"{target}:big")
        assert (home / "out" / "big").read_bytes() == content(12 * MIB)
        with tarfile.open(tmp_path / "one.tar", "w") as tar:
            entry = tarfile.TarInfo("file")
            entry.size = 6 * MIB
            tar.addfile(entry, io.BytesIO(content(6 * MIB)))
        crane("append", "-f", tmp_path / "one.tar", "-t", f"{target}:tar")
        assert "PASS" in crane("validate", "--remote", f"{target}:tar")


def command(data: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `gati-registry`."""
    return subprocess.run(
        [sys.executable, "-m", "gati_registry", *arguments, "--data", str(data)],
        env={**{key: value for key, value in os.environ.items() if not key.startswith("GATI_")}, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_verify_finds_damage_and_gc_leaves_nothing(minio: MinioServer, prefix: str, tmp_path: Path) -> None:
    env = {"GATI_BLOBS_URL": minio.url(prefix), "GATI_BLOBS__INLINE_BYTES": "0"}
    env |= {"GATI_GC__GRACE": "0", "GATI_GC__UNDO": "0", "GATI_GC__READERS": "0", "GATI_GC__INTERVAL": "0"}
    with serving(tmp_path / "data", minio, prefix, **env) as (_, client):
        sound, damaged, unused = (client.push_blob("a/b", content(6 * MIB, seed)) for seed in range(3))
        for digest in (sound, damaged):
            config = images.image({"file": digest.encode()})
            layers = [{"mediaType": "application/octet-stream", "digest": digest, "size": 6 * MIB}]
            manifest = json.dumps({**json.loads(config.manifest), "layers": layers}).encode()
            for data in config.blobs.values():
                client.push_blob("a/b", data)
            client.push_manifest("a/b", digest[-10:], manifest, config.media_type)
        stored = {client.blob("a/b", digest): digest for digest in (sound, damaged, unused)}
        for key in minio.keys(prefix):
            if (held := minio.read(prefix, key)) in stored and stored[held] == damaged:
                minio.write(prefix, key, held[:-1] + b"?")
        found = command(tmp_path / "data", env, "verify", "--output", "json")
        assert found.returncode == 1, found.stderr
        assert [row["digest"] for row in json.loads(found.stdout)["damaged"]] == [damaged]
        assert not client.has_blob("a/b", damaged)
        assert len([key for key in minio.keys(prefix) if key.startswith("quarantine/")]) == 1
        assert command(tmp_path / "data", env, "gc").returncode == 0
        assert not client.has_blob("a/b", unused)
        assert client.blob("a/b", sound) == content(6 * MIB, 0)
        kept = [key for key in minio.keys(prefix) if key.startswith("blobs/")]
        assert sum(len(minio.read(prefix, key)) >= 6 * MIB for key in kept) == 1


def test_a_redirect_is_for_get_alone_and_carries_ranges(minio: MinioServer, prefix: str, tmp_path: Path) -> None:
    port = free_port()
    env = {
        "GATI_BLOBS_URL": minio.url(prefix, host="localhost"),
        "GATI_BLOBS__INLINE_BYTES": "10",
        "GATI_S3__REDIRECT": "true",
        "GATI_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    server = RegistryProcess(tmp_path / "data", env=env, port=port).start()
    data = content(MIB)
    try:
        with contextlib.closing(Registry(server.url)) as client:
            small, large = client.push_blob("a/b", b"small"), client.push_blob("a/b", data)
            assert client.blob("a/b", small) == b"small"
            head = client.request("HEAD", f"/v2/a/b/blobs/{large}")
            assert (head.status_code, head.headers["content-length"]) == (200, str(MIB))
            answer = client.request("GET", f"/v2/a/b/blobs/{large}", headers={"Range": "bytes=5-9"})
            assert answer.status_code == 307
            assert answer.headers["docker-content-digest"] == large
            assert answer.headers["cache-control"] == "no-store"
            url = answer.headers["location"]
            assert url.startswith(f"http://localhost:{minio.port}/")
            part = httpx.get(url, headers={"Range": "bytes=5-9"}, trust_env=False, timeout=60)
            assert (part.status_code, part.content) == (206, data[5:10])
            assert httpx.put(url, content=b"x", trust_env=False, timeout=60).status_code == 403
            home = tmp_path / "home"
            home.mkdir()
            assert Client(require("crane"), home)("blob", f"{client.host}/a/b@{small}") == "small"
            # The log tells of the redirect, not of the key in it.
            assert "X-Amz-Signature" not in server.stderr()
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("public", "endpoint"),
    [("https://hub.example", "https://hub.example:9000"), ("https://hub.example", "https://s3.hub.example"), ("", "")],
    ids=["same host", "below it", "unknown host"],
)
def test_a_redirect_that_would_carry_credentials_is_refused(tmp_path: Path, public: str, endpoint: str) -> None:
    env = {
        "GATI_BLOBS_URL": f"s3://blobs/x?endpoint={endpoint or 'http://127.0.0.1:9'}",
        "GATI_S3__REDIRECT": "true",
        **({"GATI_PUBLIC_URL": public} if public else {}),
    }
    refused = command(tmp_path, env, "serve", "--open")
    assert refused.returncode == 2
    assert "s3.redirect" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_encryption_is_asked_for(prefix: str, tmp_path: Path) -> None:
    """By S3's own key and by a named one, for whole objects, parts, and copies of both."""
    secret = "named:" + "A" * 43 + "="
    with running_minio(tmp_path, env={"MINIO_KMS_SECRET_KEY": secret}) as minio:
        for kind, key, told in (("sse-s3", "", "AES256"), ("sse-kms", "named", "aws:kms")):
            env = {"GATI_S3__ENCRYPTION": kind, **({"GATI_S3__KMS_KEY": key} if key else {})}
            with serving(tmp_path / kind, minio, f"{prefix}/{kind}", **env) as (_, client):
                for data in (content(1000), content(12 * MIB)):
                    assert client.blob("a/b", client.push_blob("a/b", data)) == data
                found = minio.keys(f"{prefix}/{kind}")
                assert len(found) == 2
                for name in found:
                    assert minio.headers(f"{prefix}/{kind}", name)["x-amz-server-side-encryption"] == told


def test_each_object_has_a_key_that_s3_does_not_keep(
    prefix: str, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    """Whole objects, parts, tails and copies within S3; without the key nobody reads them, not even their size."""
    secret = tmp_path / "customer"
    secret.write_text("5c" * 32 + "\n")
    secret.chmod(0o600)
    env = {
        "GATI_S3__ENCRYPTION": "sse-c",
        "GATI_S3__CUSTOMER_KEY_FILE": str(secret),
        "GATI_TLS__CA": str(certificate[0]),
    }
    pushing = Pushing(content(16 * MIB + 7))
    with running_minio(tmp_path, tls=certificate) as minio:
        with serving(tmp_path / "data", minio, prefix, **env) as (_, client):
            small = content(1000)
            assert client.blob("a/b", client.push_blob("a/b", small)) == small
            pushing.begin(client)
            for length in (1, 6 * MIB, 100_000):
                assert pushing.send(client, length).status_code == 202
        with serving(tmp_path / "data", minio, prefix, **env) as (_, client):  # no running hash: it is read again
            digest = pushing.close(client)
            assert client.blob("a/b", digest) == pushing.data
        found = minio.keys(prefix)
        assert len(found) == 2
        for name in found:
            with pytest.raises(S3Error):
                minio.headers(prefix, name)
        secret.write_text("a7" * 32)
        with serving(tmp_path / "data", minio, prefix, **env) as (_, client):
            assert client.request("GET", f"/v2/a/b/blobs/{digest}").status_code == 503
        secret.chmod(0o644)
        refused = command(tmp_path / "data", {**env, "GATI_BLOBS_URL": minio.url(prefix)}, "check")
        assert "chmod 600" in refused.stdout + refused.stderr
    plain = command(tmp_path / "data", {**env, "GATI_BLOBS_URL": "s3://blobs/x?endpoint=http://127.0.0.1:9"}, "check")
    assert plain.returncode == 2
    assert "https" in plain.stderr
