"""Two replicas on PostgreSQL and S3 behind nginx as deploy/ has it: real clients, big blobs, a replica that dies."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients import images
from tests.clients.client import Client
from tests.clients.programs import require
from tests.clients.registry import Registry, digest_of
from tests.deploy.nginx import Nginx, running_nginx
from tests.support.minio import MinioServer, running_minio
from tests.support.postgresql import running_postgresql
from tests.support.server import RegistryProcess, free_port, wait_for

MIB = 1024 * 1024
LARGE = int(os.environ.get("GATI_TEST_PROXY_BLOB_MIB", "300"))
PROXY = "127.0.0.1/32"

pytestmark = pytest.mark.client


@dataclass(frozen=True, slots=True)
class Site:
    """What the compose file makes, on one machine without containers."""

    minio: MinioServer
    replicas: list[RegistryProcess]
    nginx: Nginx

    @contextlib.contextmanager
    def client(self, address: str = "127.0.0.2") -> Iterator[Registry]:
        """A client that comes from another address than the proxy's."""
        transport = httpx.HTTPTransport(local_address=address)
        with httpx.Client(timeout=60, transport=transport) as connections:
            yield Registry(self.nginx.url, http=connections)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """PostgreSQL, MinIO, two replicas, nginx."""
    folder = tmp_path_factory.mktemp("site")
    require("nginx")
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(running_postgresql())
        minio = stack.enter_context(running_minio(folder))
        settings = {
            **minio.credentials,
            "GATI_METADATA_URL": database.url(),
            "GATI_BLOBS_URL": minio.url("replicas"),
            "GATI_PROXY__TRUSTED": PROXY,
        }
        replicas = [RegistryProcess(folder / f"data-{turn}", env=settings) for turn in (1, 2)]
        for replica in replicas:
            stack.callback(replica.kill)
            replica.start()
        nginx = stack.enter_context(running_nginx(folder / "nginx", [replica.host for replica in replicas]))
        yield Site(minio, replicas, nginx)


@pytest.fixture
def crane(tmp_path: Path) -> Client:
    """The program, with a home of its own."""
    return Client(require("crane"), tmp_path)


def test_crane_pushes_and_pulls_through_both_replicas(site: Site, crane: Client, tmp_path: Path) -> None:
    index = images.two_platforms()
    layout = images.write_layout(tmp_path / "layout", "v1", index)
    crane("push", "--index", layout, f"{site.nginx.host}/a/b:v1")
    assert "PASS" in crane("validate", "--remote", f"{site.nginx.host}/a/b@{index.digest}")
    with site.client() as client:
        assert images.holds(client, "a/b", index.digest, index)
    assert {entry["replica"] for entry in site.nginx.requests() if entry["path"].startswith("/v2/a/b/")} == {
        replica.host for replica in site.replicas
    }


def test_a_large_blob_streams_through(site: Site) -> None:
    """It arrives in S3 while the client still sends, comes back whole, and nginx writes nothing of it anywhere."""
    block = os.urandom(MIB)
    hasher = hashlib.sha256()
    for _ in range(LARGE):
        hasher.update(block)
    digest = f"sha256:{hasher.hexdigest()}"
    before = site.minio.multiparts()

    def body() -> Iterator[bytes]:
        for turn in range(LARGE):
            if turn == LARGE // 2:
                wait_for(lambda: site.minio.multiparts() > before)
            yield block

    with site.client() as client:
        location = client.request("POST", "/v2/big/blobs/uploads/").headers["location"]
        assert client.http.patch(location, content=body()).status_code == 202
        assert client.http.put(f"{location}?digest={digest}").status_code == 201
        received = hashlib.sha256()
        with client.http.stream("GET", f"{site.nginx.url}/v2/big/blobs/{digest}") as answer:
            assert answer.status_code == 200
            for piece in answer.iter_bytes(MIB):
                received.update(piece)
        assert received.hexdigest() == hasher.hexdigest()
    assert "temporary file" not in site.nginx.errors()


def test_nginx_would_tell_of_buffering(site: Site, tmp_path: Path) -> None:
    """The test above sees something: with buffering on, the same log tells of a temporary file."""
    changes = {"proxy_request_buffering off": "proxy_request_buffering on"}
    replicas = [replica.host for replica in site.replicas]
    with running_nginx(tmp_path / "nginx", replicas, changes) as buffering:
        with contextlib.closing(Registry(buffering.url)) as client:
            client.push_blob("small", os.urandom(2 * MIB))
        assert "temporary file" in buffering.errors()


def test_locations_name_the_proxy_whatever_the_client_says(site: Site) -> None:
    made_up = {
        "Forwarded": "for=203.0.113.9;host=evil.example;proto=https",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
    }
    with site.client() as client:
        for headers in ({}, made_up):
            answer = client.request("POST", "/v2/a/b/blobs/uploads/", headers=headers)
            assert answer.status_code == 202
            assert answer.headers["location"].startswith(f"{site.nginx.url}/v2/a/b/blobs/uploads/")
        named = client.request("POST", "/v2/a/b/blobs/uploads/", headers={"Host": "registry.example:8443"})
        assert named.headers["location"].startswith("http://registry.example:8443/v2/")


def test_the_client_s_address_is_the_one_that_nginx_saw(site: Site) -> None:
    with site.client("127.0.0.77") as client:
        answer = client.request("GET", "/v2/a/b/tags/list?n=1", headers={"X-Forwarded-For": "203.0.113.9"})
    request = answer.headers["x-request-id"]

    def logged() -> dict[str, str] | None:
        lines = [line for replica in site.replicas for line in replica.stderr().splitlines() if request in line]
        return json.loads(lines[0]) if lines else None

    wait_for(logged)
    entry = logged()
    assert entry is not None
    assert entry["client"] == "127.0.0.77"


def test_metrics_are_not_for_everybody(site: Site) -> None:
    with site.client() as client:
        assert client.request("GET", "/metrics").status_code == 404
        assert client.request("GET", "/readyz").status_code == 200


def test_encoded_paths_arrive_as_they_were_sent(site: Site) -> None:
    """What the replica answers through nginx is what it answers without."""
    for path in ("/v2/a%2Fb/tags/list", "/v2//a/tags/list", "/v2/a/b/tags/list"):
        answers = []
        for host in (site.nginx.host, site.replicas[0].host):
            with contextlib.closing(http.client.HTTPConnection(host, timeout=10)) as connection:
                connection.request("GET", path)
                with connection.getresponse() as answer:
                    answers.append(answer.status)
        assert answers[0] == answers[1], path


class Sending:
    """An upload of which the first chunk is stored and the second one is half sent."""

    CHUNK = 8 * MIB

    def __init__(self, site: Site, client: Registry, name: str) -> None:
        self._client = client
        self._name = name
        self._data = os.urandom(2 * self.CHUNK)
        self._location = client.request("POST", f"/v2/{name}/blobs/uploads/").headers["location"]
        chunk = {"Content-Range": f"0-{self.CHUNK - 1}"}
        first = client.request("PATCH", self._location, content=self._data[: self.CHUNK], headers=chunk)
        assert first.status_code == 202
        self._second = http.client.HTTPConnection(site.nginx.host, timeout=60)
        self._second.putrequest("PATCH", self._location.removeprefix(site.nginx.url))
        self._second.putheader("Content-Range", f"{self.CHUNK}-{len(self._data) - 1}")
        self._second.putheader("Content-Length", str(self.CHUNK))
        self._second.endheaders()
        self._second.send(self._data[self.CHUNK : -self.CHUNK // 2])

    def broke(self) -> bool:
        """Send the rest of the chunk; whether that failed."""
        with contextlib.closing(self._second):
            try:
                self._second.send(self._data[-self.CHUNK // 2 :])
                with self._second.getresponse() as answer:
                    return answer.status != 202
            except ConnectionError:
                return True

    def finish(self) -> bool:
        """Ask how far it got and send what is missing; whether the second chunk was."""
        state = self._client.request("GET", self._location)
        assert state.status_code == 204, state.text
        offset = int(state.headers["range"].removeprefix("0-")) + 1
        assert offset in (self.CHUNK, 2 * self.CHUNK)
        digest = digest_of(self._data)
        ended = self._client.request("PUT", f"{self._location}?digest={digest}", content=self._data[offset:])
        assert ended.status_code == 201, ended.text
        assert self._client.blob(self._name, digest) == self._data
        return offset == self.CHUNK


def test_a_replica_dies_in_the_middle_of_an_upload(site: Site, crane: Client, tmp_path: Path) -> None:
    """Of two uploads one is cut off; its client asks how far it got and goes on. A push after that notices nothing."""
    with site.client() as client:
        uploads = [Sending(site, client, name) for name in ("one", "two")]  # the idler replica gets the second one
        dead = site.replicas[0]
        dead.kill()
        try:
            broke = [upload.broke() for upload in uploads]
            assert sorted(broke) == [False, True]
            assert [upload.finish() for upload in uploads] == broke
            layout = images.write_layout(tmp_path / "layout", "v1", images.two_platforms())
            crane("push", "--index", layout, f"{site.nginx.host}/after:v1")
        finally:
            dead.start()
    assert "PASS" in crane("validate", "--remote", f"{site.nginx.host}/after:v1")


def test_the_tls_example_is_right(site: Site, tmp_path: Path) -> None:
    """Its comment marks taken away, nginx speaks HTTPS, and the registry knows."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl is missing; run: apt-get install openssl"
    certificate, key, port = tmp_path / "cert.pem", tmp_path / "key.pem", free_port()
    how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *how.split(), *names, *made], check=True, capture_output=True)
    lines = ("ssl_protocols", "ssl_session_cache", "ssl_session_tickets")
    changes = {f"# TLS: {line}": line for line in lines}
    changes["# TLS: listen 8443 ssl"] = f"listen 127.0.0.1:{port} ssl"
    changes["# TLS: ssl_certificate /run/secrets/tls_cert"] = f"ssl_certificate {certificate}"
    changes["# TLS: ssl_certificate_key /run/secrets/tls_key"] = f"ssl_certificate_key {key}"
    url = f"https://127.0.0.1:{port}"
    trust = ssl.create_default_context(cafile=certificate)
    with (
        running_nginx(tmp_path / "nginx", [replica.host for replica in site.replicas], changes),
        httpx.Client(base_url=url, verify=trust, trust_env=False, timeout=60) as client,
    ):
        started = client.post("/v2/a/b/blobs/uploads/")
        assert started.status_code == 202
        assert started.headers["location"].startswith(f"{url}/v2/a/b/blobs/uploads/")
