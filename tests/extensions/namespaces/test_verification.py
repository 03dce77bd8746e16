"""Proofs of publishers, looked for in a real DNS server and on a real web server, both of our own."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import ipaddress
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest

from gati_extensions.guarded import Lookup, WebFetcher, is_public
from gati_extensions.namespaces.dns import DnsResolver, parse
from gati_extensions.namespaces.names import one_edit, resembled
from gati_extensions.namespaces.settings import NamespacesSettings
from gati_extensions.namespaces.store import Proof
from gati_extensions.namespaces.verify import Verifier
from tests.core.support import FakeClock
from tests.extensions.access.support import World, peopled
from tests.serving.conftest import certificate
from tests.support.server import free_port

__all__ = ["certificate"]

pytestmark = pytest.mark.anyio

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class Zone(asyncio.DatagramProtocol):
    """A DNS server with a few TXT records; it can lie in the ways of an attacker or a broken server."""

    def __init__(self, records: dict[str, list[str]], *, answer: str = "right") -> None:
        self.records = records
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in self.replies(data):
            self.transport.sendto(reply, addr)

    def replies(self, data: bytes) -> list[bytes]:
        labels, position = [], 12
        while length := data[position]:
            labels.append(data[position + 1 : position + 1 + length].decode())
            position += 1 + length
        question = data[12 : position + 5]
        texts = self.records.get(".".join(labels), [])
        code = 3 if not texts else 0
        body = b"".join(record(text) for text in texts)
        good = struct.pack("!2s5H", data[:2], 0x8180 | code, 1, len(texts), 0, 0) + question + body
        if self.answer == "forged first":
            stranger = struct.pack("!H", (struct.unpack("!H", data[:2])[0] + 1) % 65536)
            return [stranger + good[2:12] + question + record("forged"), good]
        if self.answer == "refused":
            return [struct.pack("!2s5H", data[:2], 0x8185, 1, 0, 0, 0) + question]
        if self.answer == "cut off":
            return [good[:-3]]
        if self.answer == "another question":
            return [good[:12] + question.replace(b"acme", b"evil") + body]
        return [good]


def record(text: str) -> bytes:
    """A TXT record whose text comes in two strings, under a compressed name."""
    parts = [text.encode()[:10], text.encode()[10:]]
    data = b"".join(bytes([len(part)]) + part for part in parts)
    return struct.pack("!HHHIH", 0xC00C, 16, 1, 60, len(data)) + data


@contextlib.asynccontextmanager
async def zone(records: dict[str, list[str]], answer: str = "right") -> AsyncIterator[str]:
    """A DNS server's address."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Zone(records, answer=answer), local_addr=("127.0.0.1", 0)
    )
    try:
        yield "{}:{}".format(*transport.get_extra_info("sockname"))
    finally:
        transport.close()


async def test_texts() -> None:
    async with zone({"acme.example": ["a text in two parts", "b"]}) as address:
        resolver = DnsResolver(address)
        assert await resolver.texts("acme.example") == ["a text in two parts", "b"]
        assert await resolver.texts("other.example") == []


async def test_a_forged_answer_is_not_believed() -> None:
    async with zone({"acme.example": ["right"]}, "forged first") as address:
        assert await DnsResolver(address).texts("acme.example") == ["right"]


@pytest.mark.parametrize("answer", ["refused", "cut off", "another question"])
async def test_unusable_answers(answer: str) -> None:
    async with zone({"acme.example": ["right"]}, answer) as address:
        with pytest.raises(Lookup):
            await DnsResolver(address).texts("acme.example")


async def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(Lookup, match=r"namespaces\.resolver"):
        await DnsResolver("", tmp_path / "none").texts("acme.example")
    with pytest.raises(Lookup):
        await DnsResolver(f"127.0.0.1:{free_port()}").texts("acme.example")


@pytest.mark.parametrize("length", range(60))
def test_no_prefix_of_an_answer_is_more_than_malformed(length: int) -> None:
    asked = b"\4acme\7example\0\0\x10\0\1"
    answer = struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0) + asked + record("right, and long enough")
    with contextlib.suppress(Lookup):
        assert length >= len(answer) or parse(answer[:length], 7, asked) == []


async def test_a_domain_is_verified(folder: Path, clock: FakeClock) -> None:
    """Asked for, not found, found, withdrawn; with a badge as long as it is there."""
    records: dict[str, list[str]] = {}
    path, wanted = "namespaces/orgs/acme/verify", {"method": "dns", "subject": "Acme.Example."}
    async with (
        zone(records) as address,
        peopled(folder, clock, "alice", "bob", settings={"namespaces.resolver": address}) as site,
    ):
        alice = site.user("alice")
        asked = await alice.done("POST", path, wanted)
        assert (asked["subject"], asked["place"]) == ("acme.example", "TXT record of _gati.acme.example")
        assert asked["verified_at"] is None
        for texts, found in (([], False), ([asked["token"] + "x"], False), (["v=spf1 -all", asked["token"]], True)):
            records["_gati.acme.example"] = texts
            assert ((await alice.done("POST", path, wanted))["verified_at"] is not None) == found
        shown = await alice.done("GET", "namespaces/orgs/acme")
        assert [(badge["method"], badge["subject"]) for badge in shown["verified"]] == [("dns", "acme.example")]
        await alice.done("PUT", "namespaces/orgs/acme", {"visibility": "public"})
        refused = await site.nobody.post("identity/users", {"name": "acrne", "password": "a fine password"})
        assert (refused.status, refused.codes) == (403, ["DENIED"])
        await alice.done("DELETE", f"{path}?method=dns&subject=acme.example")
        assert (await alice.done("GET", "namespaces/orgs/acme"))["verified"] == []


@pytest.mark.parametrize(
    "subject", ["localhost", "acme", "a..b", "-a.example", "10.0.0.1", "a" * 240 + ".example", "a b.example"]
)
async def test_what_is_no_domain(site: World, subject: str) -> None:
    answer = await site.user("alice").post("namespaces/orgs/acme/verify", {"method": "dns", "subject": subject})
    assert (answer.status, answer.codes) == (400, ["INVALID"])


# --- the web ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fe80::1%eth0",
     "fd00::1", "::ffff:10.0.0.1", "2002:0a00:0001::", "224.0.0.1", "192.0.2.1"],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


def test_public_addresses() -> None:
    assert is_public("140.82.121.4")
    assert is_public("2606:50c0:8000::153")


@pytest.mark.parametrize(
    "url",
    ["http://example.org/x", "https://127.0.0.1/x", "https://localhost/x", "file:///etc/passwd", "https://user@localhost/",
     "https://[::1]/x", "https://2130706433/x", "https:///x"],
)  # fmt: skip
async def test_where_it_does_not_go(url: str) -> None:
    with pytest.raises(Lookup):
        await WebFetcher().fetch(url, 100)


@pytest.fixture
def web(certificate: tuple[Path, Path]) -> Iterator[tuple[int, ssl.SSLContext]]:
    """A web server on loopback: its port, and who believes its certificate."""
    chain, key = certificate

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            bodies = {"/acme/.github/HEAD/gati-verification.txt": b"gati-verification=token\n", "/long": b"x" * 5000}
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "/long")
            else:
                self.send_response(200 if self.path in bodies else 404)
            self.end_headers()
            self.wfile.write(bodies.get(self.path, b""))

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, ssl.create_default_context(cafile=str(chain))
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_organization_is_verified(web: tuple[int, ssl.SSLContext]) -> None:
    port, context = web
    fetcher = WebFetcher(context, networks=LOOPBACK)
    settings = NamespacesSettings.model_validate({"github_url": f"https://127.0.0.1:{port}"})
    verifier = Verifier(DnsResolver(), fetcher, settings)
    assert await verifier.found(Proof("orgs/acme", "github", "acme", "token", 0, None))
    assert not await verifier.found(Proof("orgs/acme", "github", "acme", "another", 0, None))
    assert not await verifier.found(Proof("orgs/acme", "github", "other", "token", 0, None))
    for path in ("/long", "/away"):
        with pytest.raises(Lookup):
            await fetcher.fetch(f"https://127.0.0.1:{port}{path}", 4096)
    with pytest.raises(Lookup):  # a certificate that nobody believes
        await WebFetcher(networks=LOOPBACK).fetch(f"https://127.0.0.1:{port}/long", 10_000)


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("g00gle", "google"), ("goog1e", "google"), ("go-ogle", "google"), ("gogle", "google"), ("googel", "google"),
        ("rnicrosoft", "microsoft"), ("kubernetess", "kubernetes"), ("google", None), ("goggles", None),
        ("alice", None), ("met", None), ("beta", None), ("m3ta", "meta"),
    ],
)  # fmt: skip
def test_names_that_could_be_mistaken(name: str, expected: str | None) -> None:
    assert resembled(name, ["google", "microsoft", "kubernetes", "meta"]) == expected


def test_one_edit() -> None:
    assert all(one_edit("abcdef", other) for other in ("abcde", "abcdefg", "abXdef", "bacdef", "abcdfe", "Xabcdef"))
    assert not any(one_edit("abcdef", other) for other in ("abcdef", "abcd", "fedcba", "abXXef", "abcfed"))


async def test_a_new_account_must_not_look_like_another(folder: Path, clock: FakeClock) -> None:
    async with peopled(folder, clock, "alice", "bob") as site:
        refused = await site.nobody.post("identity/users", {"name": "g00gle", "password": "a fine password"})
        assert (refused.status, refused.codes) == (403, ["DENIED"])
        assert "google" in refused.json()["errors"][0]["message"]
        assert (await site.user("alice").post("identity/orgs", {"name": "nvidla"})).status == 403
        assert (
            await site.nobody.post("identity/users", {"name": "gwendolyn", "password": "a fine password"})
        ).status == 201
        assert (await site.admin.post("identity/orgs", {"name": "micr0soft"})).status == 201
