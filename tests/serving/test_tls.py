"""TLS: versions, ALPN, bad files."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.serving.processes import demo, started, tls_flags
from tests.serving.raw import RawClient
from tests.support.server import RegistryProcess

Certificate = tuple[Path, Path]


def _handshake(
    server: RegistryProcess, certificate: Certificate, version: ssl.TLSVersion, protocols: list[str]
) -> tuple[str | None, str | None]:
    context = ssl.create_default_context(cafile=certificate[0])
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(protocols)
    with (
        socket.create_connection(("127.0.0.1", server.port), 30) as sock,
        context.wrap_socket(sock, server_hostname="127.0.0.1") as tls,
    ):
        return tls.version(), tls.selected_alpn_protocol()


def test_versions_and_protocols(tmp_path: Path, certificate: Certificate, http_server: str) -> None:
    env = {"GATI_TLS__MIN_VERSION": "1.2"}
    server = demo(tmp_path / "data", "--server", http_server, *tls_flags(certificate), scheme="https", env=env)
    both = "h2" if http_server == "hypercorn" else "http/1.1"
    with started(server):
        assert _handshake(server, certificate, ssl.TLSVersion.TLSv1_3, ["h2", "http/1.1"]) == ("TLSv1.3", both)
        assert _handshake(server, certificate, ssl.TLSVersion.TLSv1_2, ["h2", "http/1.1"]) == ("TLSv1.2", both)
        assert _handshake(server, certificate, ssl.TLSVersion.TLSv1_3, ["http/1.1"]) == ("TLSv1.3", "http/1.1")


def test_older_versions_are_refused_unless_a_setting_allows_them(tmp_path: Path, certificate: Certificate) -> None:
    server = demo(tmp_path / "data", *tls_flags(certificate), scheme="https")
    with started(server):
        assert _handshake(server, certificate, ssl.TLSVersion.TLSv1_3, ["h2"])[0] == "TLSv1.3"
        with pytest.raises(ssl.SSLError):
            _handshake(server, certificate, ssl.TLSVersion.TLSv1_2, ["h2"])


def test_plain_http_on_a_tls_port_hurts_nobody_else(tmp_path: Path, certificate: Certificate) -> None:
    with started(demo(tmp_path / "data", *tls_flags(certificate), scheme="https")) as server:
        plain = RawClient(server.host)
        plain.request("GET", "/hello")
        assert plain.closed()
        assert _handshake(server, certificate, ssl.TLSVersion.TLSv1_3, ["h2"]) == ("TLSv1.3", "h2")
        assert '"error"' not in server.stderr()


def test_files_that_do_not_fit_stop_the_start(tmp_path: Path, certificate: Certificate) -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    def pem(name: str, encryption: serialization.KeySerializationEncryption) -> Path:
        path = tmp_path / name
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
        return path

    stranger = pem("stranger.pem", serialization.NoEncryption())
    encrypted = pem("encrypted.pem", serialization.BestAvailableEncryption(b"x"))
    for files in ((certificate[0], tmp_path / "absent"), (certificate[0], stranger), (stranger, certificate[1])):
        assert _refusal(tmp_path, files).startswith("gati-registry: tls.cert, tls.key: ")
    assert _refusal(tmp_path, (certificate[0], encrypted)).startswith("gati-registry: tls.key: is encrypted")


def _refusal(tmp_path: Path, files: Certificate) -> str:
    server = RegistryProcess(tmp_path / files[1].stem, args=["--open", *tls_flags(files)], scheme="https")
    with pytest.raises(AssertionError):
        server.start()
    [line] = server.stderr().splitlines()
    return line
