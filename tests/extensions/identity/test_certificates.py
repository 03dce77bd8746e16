"""Client certificates of services: real TLS connections over HTTP/1.1 and HTTP/2, and what must not work."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gati_registry.serving.tls import tls_context
from gati_registry.settings import SettingsError, load
from tests.core.support import FakeClock
from tests.extensions.access.support import peopled, world
from tests.extensions.identity.authority import Authority, Issued
from tests.extensions.identity.support import ADMIN_PASSWORD, EXT, RULES
from tests.serving.conftest import certificate, http_server
from tests.serving.processes import tls_flags
from tests.support.server import RegistryProcess

__all__ = ["certificate", "http_server"]

ROBOT = "acme+ci"


class Registry:
    """A server that asks for certificates, and clients of it."""

    def __init__(self, server: RegistryProcess, ca: Path) -> None:
        self.server = server
        self._ca = ca

    def client(self, shown: Issued | None = None, *, http2: bool = False, **more: Any) -> httpx.Client:
        """Requests of one connection, with or without a certificate."""
        context = ssl.create_default_context(cafile=str(self._ca))
        if shown is not None:
            context.load_cert_chain(shown.file)
        return httpx.Client(base_url=self.server.url, verify=context, http2=http2, timeout=60, **more)

    def admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A request of the administrator's."""
        with self.client(auth=("admin", ADMIN_PASSWORD)) as http:
            return http.request(method, f"{EXT}/{path}", json=body)


@contextlib.contextmanager
def registry(
    folder: Path, certificate: tuple[Path, Path], http_server: str, authority: Authority, **env: str
) -> Iterator[Registry]:
    """A server whose organization acme has a robot."""
    password = folder / "password"
    password.write_text(ADMIN_PASSWORD)
    environment = {
        "GATI_ADMIN_PASSWORD_FILE": str(password),
        "GATI_EXTENSIONS": "identity,rules",
        "GATI_IDENTITY__SIGNUP": "open",
        "GATI_TLS__CLIENT_CA": str(authority.file),
        "PYTHONPATH": str(RULES),
        **env,
    }
    arguments = ["--server", http_server, *tls_flags(certificate)]
    server = RegistryProcess(folder / "data", args=arguments, env=environment, scheme="https").start()
    try:
        yield Registry(server, certificate[0])
    finally:
        server.terminate()


def make_robot(found: Registry) -> None:
    """acme and its robot, made by the administrator."""
    assert found.admin("POST", "orgs", {"name": "acme"}).status_code == 201
    assert found.admin("POST", "robots", {"owner": "acme", "name": "ci"}).status_code == 201


def mapped(found: Registry, shown: Issued, by: str = "fingerprint", **more: Any) -> str:
    """The id of a new mapping to the robot."""
    body = {"account": ROBOT, "certificate": shown.pem, "by": by, "scopes": ["publish"], **more}
    answer = found.admin("POST", "certificates", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def me(http: httpx.Client) -> tuple[str, str]:
    """Name and method, as the server sees the client."""
    answer = http.get(f"{EXT}/me")
    assert answer.status_code == 200, answer.text
    return answer.json()["account"]["name"], answer.json()["method"]


def test_services_by_certificate(tmp_path: Path, certificate: tuple[Path, Path], http_server: str) -> None:
    authority, stranger = Authority(tmp_path, "authority"), Authority(tmp_path, "stranger")
    own, other = authority.issue("ci"), authority.issue("other")
    listed = authority.issue("listed")
    revocations = str(authority.revocations(listed))
    with registry(tmp_path, certificate, http_server, authority, GATI_TLS__CLIENT_CRL=revocations) as found:
        make_robot(found)
        mapping = mapped(found, own)
        protocols = [False, True] if http_server == "hypercorn" else [False]
        for http2 in protocols:
            with found.client(own, http2=http2) as http:
                assert me(http) == (ROBOT, "mtls")
                answer = http.get("/v2/")
                assert (answer.status_code, answer.http_version) == (200, "HTTP/2" if http2 else "HTTP/1.1")
                assert http.post("/v2/orgs/acme/app/blobs/uploads/").status_code == 202
                assert http.post("/v2/orgs/other/app/blobs/uploads/").status_code == 404
                assert http.post(f"{EXT}/keys", json={"name": "x", "scopes": ["read"]}).status_code == 403
                # Credentials that are sent along are what counts.
                assert http.get(f"{EXT}/me", auth=("admin", ADMIN_PASSWORD)).json()["method"] == "password"
                assert http.get("/v2/", auth=("admin", "wrong password")).status_code == 401
            for shown in (None, other):
                with found.client(shown, http2=http2) as http:
                    assert http.get("/v2/").status_code == 401
                    # A header is no certificate.
                    encoded = f":{base64.b64encode(own.der).decode()}:"
                    for name in ("Client-Cert", "X-Client-Cert", "X-SSL-Client-Cert", "gati.certificate"):
                        assert http.get("/v2/", headers={name: encoded}).status_code == 401
            for shown in (stranger.issue("ci"), authority.issue("ci", days=-1), listed):
                with found.client(shown, http2=http2) as http, pytest.raises(httpx.HTTPError):
                    http.get("/v2/")
        with found.client(own) as http:
            token = http.get("/token?scope=repository:orgs/acme/app:pull,push&offline_token=true").json()
            assert "refresh_token" not in token
            bearer = {"Authorization": f"Bearer {token['token']}"}
            with found.client(headers=bearer) as elsewhere:
                assert elsewhere.post("/v2/orgs/acme/app/blobs/uploads/").status_code == 202
            # What is taken away ends on a connection that is open, too.
            assert found.admin("DELETE", f"certificates/{mapping}").status_code == 204
            assert http.get("/v2/").status_code == 401
            with found.client(headers=bearer) as elsewhere:
                assert elsewhere.post("/v2/orgs/acme/app/blobs/uploads/").status_code == 401
            mapped(found, own)
            assert me(http) == (ROBOT, "mtls")
            assert found.admin("PUT", f"revoked-certificates/{own.fingerprint.upper()}").status_code == 204
            assert http.get("/v2/").status_code == 401


def test_a_certificate_can_be_required(tmp_path: Path, certificate: tuple[Path, Path], http_server: str) -> None:
    authority = Authority(tmp_path, "authority")
    own = authority.issue("ci")
    with registry(tmp_path, certificate, http_server, authority, GATI_TLS__CLIENT_AUTH="required") as found:
        with found.client(own) as http:
            assert http.get("/livez").status_code == 200
            assert http.get("/v2/").status_code == 401  # it lets in, it is nobody's
        with found.client() as http, pytest.raises(httpx.HTTPError):
            http.get("/livez")


def test_by_names(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """A name counts letter for letter, and with its issuer; the narrowest mapping wins."""
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    both = tmp_path / "both.pem"
    both.write_bytes(first.file.read_bytes() + second.file.read_bytes())
    service = "spiffe://acme/build"
    sample = first.issue("build", uri=service, dns="Build.acme.test")
    with registry(tmp_path, certificate, "hypercorn", first, GATI_TLS__CLIENT_CA=str(both)) as found:
        make_robot(found)
        assert found.admin("POST", "robots", {"owner": "acme", "name": "named"}).status_code == 201
        by_uri = mapped(found, sample, "uri", account="acme+named", path="orgs/acme/app")

        def seen(shown: Issued) -> int | tuple[str, str]:
            with found.client(shown) as http:
                status = http.get("/v2/").status_code
                return me(http) if status == 200 else status

        assert seen(first.issue("renewed", uri=service)) == ("acme+named", "mtls")
        assert seen(second.issue("build", uri=service)) == 401
        for uri in (service.upper(), f"{service}/x", "spiffe://acme/buil", f"{service}?"):
            assert seen(first.issue("build", uri=uri)) == 401, uri
        assert seen(first.issue(service)) == 401
        one = first.issue("renewed", uri=service)
        with found.client(one) as http:  # as narrow as the mapping
            assert http.post("/v2/orgs/acme/app/blobs/uploads/").status_code == 202
            assert http.post("/v2/orgs/acme/other/blobs/uploads/").status_code == 401
            token = http.get("/token?scope=repository:orgs/acme/app:pull,push").json()["token"]
            assert found.admin("PUT", f"revoked-certificates/{one.fingerprint}").status_code == 204
            assert http.get("/v2/").status_code == 401
        with found.client(headers={"Authorization": f"Bearer {token}"}) as http:
            assert http.post("/v2/orgs/acme/app/blobs/uploads/").status_code == 401
        assert seen(first.issue("another", uri=service)) == ("acme+named", "mtls")
        listed = found.admin("GET", "revoked-certificates").json()["items"]
        assert [item["fingerprint"] for item in listed] == [one.fingerprint]
        mapped(found, sample)
        assert seen(sample) == (ROBOT, "mtls")
        by_dns, by_subject = mapped(found, sample, "dns"), mapped(found, sample, "subject")
        assert seen(first.issue("x", dns="BUILD.acme.test")) == (ROBOT, "mtls")
        assert seen(first.issue("x", dns="build.acme.test.evil.test")) == 401
        assert seen(first.issue("build")) == (ROBOT, "mtls")
        for mapping in (by_uri, by_dns, by_subject):
            assert found.admin("DELETE", f"certificates/{mapping}").status_code == 204
        assert [seen(shown) for shown in (first.issue("build"), first.issue("x", uri=service))] == [401, 401]
        listed = found.admin("GET", f"certificates?account={ROBOT.replace('+', '%2B')}").json()["items"]
        assert [(item["by"], item["value"]) for item in listed] == [("fingerprint", sample.fingerprint)]


@pytest.mark.anyio
async def test_who_maps_and_what(folder: Path, clock: FakeClock, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    own, old = authority.issue("ci"), authority.issue("old", days=-1)
    async with peopled(folder, clock, "alice", "bob", "carol", extensions="identity,namespaces,access") as site:
        alice = site.user("alice")
        await alice.done("POST", "identity/robots", {"owner": "acme", "name": "ci"})
        body = {"account": ROBOT, "certificate": own.pem, "scopes": ["read"]}
        for name in ("bob", "carol"):
            assert (await site.user(name).post("identity/certificates", body)).status in (403, 404)
        key = await alice.done("POST", "identity/keys", {"name": "x", "scopes": ["publish"]})
        assert (await site.bearer(key["key"]).post("identity/certificates", body)).status == 403
        for change, status in (
            ({"by": "subject"}, 403), ({"scopes": ["operate"]}, 403), ({"account": "alice"}, 400),
            ({"account": "acme+none"}, 404), ({"certificate": "x"}, 400), ({"certificate": old.pem}, 400),
            ({"scopes": []}, 400), ({"path": "../x"}, 400),
        ):  # fmt: skip
            assert (await alice.post("identity/certificates", {**body, **change})).status == status, change
        assert (await site.admin.post("identity/certificates", {**body, "by": "dns"})).status == 400  # it has none
        made = await alice.done("POST", "identity/certificates", body)
        assert (await alice.post("identity/certificates", body)).status == 409
        assert (await site.user("bob").delete(f"identity/certificates/{made['id']}")).status == 404
        revoked = f"identity/revoked-certificates/{own.fingerprint}"
        assert (await alice.put(revoked)).status == 403
        assert (await site.admin.put("identity/revoked-certificates/xyz")).status == 400
        assert (await alice.delete(f"identity/certificates/{made['id']}")).status == 204


@pytest.mark.anyio
async def test_the_word_of_a_proxy(folder: Path, clock: FakeClock, tmp_path: Path) -> None:
    """RFC 9440, from trusted proxies alone and where it is wanted; expiry counts, and where a browser comes from."""
    own = Authority(tmp_path, "authority").issue("ci")
    header = {"Client-Cert": f":{base64.b64encode(own.der).decode()}:"}
    believing = {"proxy.trusted": "127.0.0.0/8", "proxy.client_cert": "true"}
    async with peopled(folder, clock, "alice", "bob", settings=believing) as site:
        alice, robot = site.user("alice"), site.with_headers(header)
        await alice.done("POST", "identity/robots", {"owner": "acme", "name": "ci"})
        body = {"account": ROBOT, "certificate": own.pem, "scopes": ["admin"]}
        await alice.done("POST", "identity/certificates", body)
        shown = await robot.done("GET", "identity/me")
        assert (shown["method"], shown["credential"].endswith(own.fingerprint)) == ("mtls", True)
        for other in ("", ":", "::", ":!:", ":AAAA:", "x" * 100, json.dumps(header)):
            assert (await site.with_headers({"Client-Cert": other}).get("/v2/")).status == 401, other
        for more, status in (
            ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Origin": "https://evil.test"}, 403), ({}, 200),
            ({"Origin": "http://registry.test"}, 200), ({"Sec-Fetch-Site": "same-origin"}, 200),
        ):  # fmt: skip
            user = site.with_headers({**header, **more})
            assert (await user.call("PATCH", "identity/me", {"display": "x"})).status == status, more
        clock.advance(86_500)
        assert (await robot.get("/v2/")).status == 401
        clock.advance(-86_500)
    for settings in (
        {"proxy.trusted": "127.0.0.0/8"}, {"proxy.client_cert": "true"}, {**believing, "proxy.trusted": "10.0.0.0/8"},
    ):  # fmt: skip
        async with world(folder, clock, **settings) as site:
            assert (await site.with_headers(header).get("/v2/")).status == 401, settings


def test_settings_that_do_not_fit(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    authority, empty = Authority(tmp_path, "authority"), tmp_path / "empty.pem"
    empty.write_text("")
    files, ca = (
        {"tls.cert": str(certificate[0]), "tls.key": str(certificate[1])},
        {"tls.client_ca": str(authority.file)},
    )
    for flags, words in (
        (ca, "tls.client_ca: needs tls.cert"),
        ({**files, "tls.client_auth": "required"}, "tls.client_ca: needed beside"),
        ({**files, "tls.client_crl": str(empty)}, "tls.client_ca: needed beside"),
        ({**files, "tls.client_ca": str(tmp_path / "none")}, "tls.client_ca: No such file"),
        ({**files, "tls.client_ca": str(empty)}, "tls.client_ca: "),
        ({**files, **ca, "tls.client_crl": str(empty)}, "tls.client_crl: "),
    ):
        with pytest.raises(SettingsError, match=words):
            tls_context(load(flags, environment={}).settings)
    assert tls_context(load({**files, **ca}, environment={}).settings) is not None
