"""Go and Python clients over TLS, where they choose HTTP/2 if the server offers it, and through nginx."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.clients import images
from tests.clients.client import Client
from tests.clients.conftest import no_server_errors
from tests.clients.daemon import daemon
from tests.clients.programs import require
from tests.clients.registry import Registry, digest_of
from tests.support.server import RegistryProcess, free_port

pytestmark = pytest.mark.client

BIG = 12 * 1024 * 1024  # many HTTP/2 windows


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificate")
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


@contextlib.contextmanager
def _trusting(url: str, certificate: Path) -> Iterator[Registry]:
    """The registry at an https URL, read by a client that trusts the certificate."""
    context = ssl.create_default_context(cafile=str(certificate))
    with contextlib.closing(Registry(url, http=httpx.Client(timeout=60, trust_env=False, verify=context))) as found:
        yield found


@pytest.fixture(scope="module")
def secure(certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Our server with its own TLS."""
    cert, key = certificate
    server = RegistryProcess(
        tmp_path_factory.mktemp("tls") / "data",
        args=("--open", "--tls-cert", str(cert), "--tls-key", str(key)),
        scheme="https",
    ).start()
    try:
        with _trusting(server.url, cert) as registry:
            yield registry
    finally:
        server.terminate()
    no_server_errors(server)


@pytest.fixture(scope="module")
def behind_nginx(
    certificate: tuple[Path, Path], registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """The shared server behind an nginx that ends TLS and speaks HTTP/2 to clients."""
    cert, key = certificate
    nginx = require("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"""\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  proxy_max_temp_file_size 0;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    location / {{
      proxy_pass {registry.url};
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""
    )
    with _trusting(f"https://127.0.0.1:{port}", cert) as front:

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return front.request("GET", "/v2/").status_code == 200
            return False

        command: list[str | Path] = [nginx, "-c", folder / "nginx.conf", "-e", "stderr"]
        with daemon(command, folder / "nginx.log", answers):
            yield front


@pytest.fixture(params=["secure", "behind_nginx"])
def front(request: pytest.FixtureRequest) -> Registry:
    """Each of the two ways to serve TLS."""
    found: Registry = request.getfixturevalue(request.param)
    return found


def _big_image() -> images.Artifact:
    return images.image({"big": os.urandom(BIG), "small": b"small"}, layers=2)


def test_crane(front: Registry, repository: str, home: Path, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """A big image up, validated, copied by mounts and down again."""
    crane = Client(require("crane"), home, env={"SSL_CERT_FILE": str(certificate[0])})
    image = _big_image()
    layout = images.write_layout(tmp_path / "in", "v1", image)
    name = f"{front.host}/{repository}"
    crane("push", layout, f"{name}:v1")
    assert images.holds(front, repository, "v1", image)
    crane("validate", "--remote", f"{name}:v1")
    crane("copy", f"{name}:v1", f"{name}/copy:v1")
    assert crane("digest", f"{name}/copy:v1").strip() == image.digest


def test_oras(front: Registry, repository: str, home: Path, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """Files, a referrer, and a recursive copy."""
    oras = Client(require("oras"), home)
    trust = ("--ca-file", str(certificate[0]))
    data = os.urandom(BIG)
    (home / "big").write_bytes(data)
    target = f"{front.host}/{repository}:v1"
    oras("push", *trust, target, "big")
    oras("attach", *trust, "--artifact-type", "application/vnd.example.note", target, "big")
    digest = front.manifest(repository, "v1").digest
    assert len(front.referrers(repository, digest)) == 1
    oras("pull", *trust, "-o", tmp_path / "out", target)
    assert digest_of((tmp_path / "out" / "big").read_bytes()) == digest_of(data)


def test_skopeo(front: Registry, repository: str, home: Path, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """Several platforms with `--all`, in and out."""
    skopeo = Client(require("skopeo"), home, env={"XDG_RUNTIME_DIR": str(home)})
    trust = tmp_path / "trust"
    trust.mkdir()
    (trust / "ca.crt").write_bytes(certificate[0].read_bytes())
    index = images.index([_big_image(), images.image({"a": b"arm64"}, architecture="arm64")])
    layout = images.write_layout(tmp_path / "in", "v1", index)
    target = f"docker://{front.host}/{repository}:v1"
    skopeo("copy", "--all", "--dest-cert-dir", trust, f"oci:{layout}:v1", target)
    assert images.holds(front, repository, "v1", index)
    skopeo("copy", "--all", "--src-cert-dir", trust, target, f"dir:{tmp_path / 'out'}")
    for digest in index.all_blobs():
        assert digest_of((tmp_path / "out" / digest.partition(":")[2]).read_bytes()) == digest


def test_untrusted_certificate(secure: Registry, repository: str, home: Path) -> None:
    """A client that does not know the certificate refuses to talk."""
    oras = Client(require("oras"), home)
    assert "certificate" in oras.fails("resolve", f"{secure.host}/{repository}:v1")
