"""Servers that lie, stall, redirect, send without end: refused in a clear line, nothing written, no secret told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from gati_client import (
    BytesSource,
    Client,
    Credential,
    Denied,
    Descriptor,
    GatiError,
    Integrity,
    Layer,
    Network,
    Patience,
    StaticCredentials,
    Usage,
    hosts,
)
from gati_client.transfer.hashing import digest_of
from gati_client.transfer.model import MANIFEST, Manifest
from tests.client.support import QUICK, Request, Server, answer, answering, bearer, gather

SECRET = "hunter2-and-more"


def client(server: Server, patience: Patience = QUICK, trusted_realms: Sequence[str] = ()) -> Client:
    """Who has a password for that server."""
    credentials = StaticCredentials(server.host, Credential("alice", SECRET))
    return Client(server.host, credentials=credentials, patience=patience, trusted_realms=trusted_realms)


def descriptor(data: bytes) -> Descriptor:
    return Descriptor("application/octet-stream", digest_of(data), len(data))


def told(server: Server) -> str:
    """All that a server was sent."""
    return json.dumps([[request.target, dict(request.headers), repr(request.body)] for request in server.requests])


def knows_nothing(server: Server) -> bool:
    """Whether no secret reached it."""
    text = told(server).lower()
    return "authorization" not in text and SECRET not in text and "gati_token" not in text and "cookie" not in text


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def guarded(request: Request, data: bytes) -> bytes:
    """Wants Basic, then answers."""
    if "authorization" not in request.headers:
        return answer(401, headers={"WWW-Authenticate": "Basic realm=r"})
    return data


# --- secrets ----------------------------------------------------------------------------------------------------


def test_a_redirect_to_another_host_is_followed_without_credentials(tmp_path: Path) -> None:
    data = b"content" * 1000

    async def test() -> None:
        async with answering(answer(200, data)) as store:
            redirect = answer(307, headers={"Location": f"http://{store.host}/signed?key=1", "Set-Cookie": "a=b"})
            async with (
                answering(lambda request: guarded(request, redirect)) as server,
                client(server) as registry,
            ):
                for turn in range(2):
                    path = tmp_path / str(turn)
                    await registry.artifacts.download("a/b", descriptor(data), path)
                    assert path.read_bytes() == data
            assert store.requests
            assert knows_nothing(store)

    run(test)


@pytest.mark.parametrize("oddity", ["redirect", "short", "busy", "less"])
def test_a_server_that_was_good_and_turns_odd(oddity: str, tmp_path: Path) -> None:
    """After a good answer blobs come by the short way: an odd one is dealt with as carefully as the first."""
    data = b"content" * 1000

    async def test() -> None:
        async with answering(answer(200, data)) as store:
            odd = {
                "redirect": answer(307, headers={"Location": f"http://{store.host}/signed"}),
                "short": answer(200, data)[:-100],
                "busy": answer(503),
                "less": answer(200, data[:-1]),
            }[oddity]
            asked = 0

            def respond(request: Request) -> bytes:
                nonlocal asked
                asked += "authorization" in request.headers
                # A redirect stays one; what broke is well again when it is asked once more.
                bad = asked > 1 if oddity == "redirect" else asked == 2
                return guarded(request, odd if bad else answer(200, data))

            async with answering(respond) as server, client(server) as registry:
                for turn in range(3):
                    path = tmp_path / str(turn)
                    await registry.artifacts.download("a/b", descriptor(data), path)
                    assert path.read_bytes() == data
            assert asked > 3
            assert bool(store.requests) == (oddity == "redirect")
            assert knows_nothing(store)

    run(test)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_is_sent_follows_no_redirect(method: str) -> None:
    """Neither an upload nor a manifest is handed to another host."""

    async def test() -> None:
        async with answering(answer(201)) as other:

            def respond(request: Request) -> bytes:
                if request.method == method:
                    return answer(307, headers={"Location": f"http://{other.host}{request.target}"})
                return answer(201)

            async with answering(respond) as server, client(server) as registry:
                with pytest.raises(Denied, match="redirects"):
                    await registry.artifacts.push(
                        "a/b", artifact_type="t/t", config=b"{}", config_type="t/c", layers=[], tags=["v1"]
                    )
            assert not other.requests

    run(test)


def test_credentials_do_not_go_to_a_realm_on_another_host() -> None:
    async def test() -> None:
        async with answering(answer(200, b'{"token": "t"}')) as other:
            challenge = answer(401, headers=bearer(f"http://{other.host}/token"))
            async with answering(challenge) as server, client(server) as registry:
                with pytest.raises(Denied, match=r"another host.*not done") as refused:
                    await registry.artifacts.manifest("a/b", "v1")
                assert "trusted realm" in refused.value.remedy
                assert SECRET not in str(refused.value)
            assert not other.requests

    run(test)


def test_a_realm_that_is_trusted_gets_them_and_the_registry_the_token_alone() -> None:
    raw = b'{"schemaVersion": 2}'

    async def test() -> None:
        async with answering(answer(200, b'{"token": "the-token"}')) as tokens:

            def respond(request: Request) -> bytes:
                if request.headers.get("authorization") == "Bearer the-token":
                    return answer(200, raw, {"Content-Type": MANIFEST})
                return answer(401, headers=bearer(f"http://{tokens.host}/token"))

            async with answering(respond) as server, client(server, trusted_realms=[tokens.host]) as registry:
                assert (await registry.artifacts.manifest("a/b", "v1")).raw == raw
                assert {request.headers.get("authorization") for request in server.requests} == {
                    None,
                    "Bearer the-token",
                }
            assert "authorization" in tokens.requests[0].headers

    run(test)


def test_a_token_service_that_redirects_gets_no_further() -> None:
    async def test() -> None:
        async with answering(answer(200, b'{"token": "t"}')) as other:

            def respond(request: Request) -> bytes:
                if request.path == "/token":
                    return answer(302, headers={"Location": f"http://{other.host}/token"})
                return answer(401, headers=bearer("/token"))

            async with answering(respond) as server, client(server) as registry:
                with pytest.raises(Denied, match="redirects"):
                    await registry.artifacts.manifest("a/b", "v1")
            assert not other.requests

    run(test)


def test_an_upload_goes_on_at_the_registry_alone() -> None:
    async def test() -> None:
        async with answering(answer(201)) as other:

            def respond(request: Request) -> bytes:
                if request.method == "HEAD":
                    return answer(404)
                return answer(202, headers={"Location": f"http://{other.host}/v2/a/b/blobs/uploads/x"})

            async with answering(respond) as server, client(server) as registry:
                layer = Layer(BytesSource(b"x" * 100_000), "application/octet-stream")
                with pytest.raises(Integrity, match="another host"):
                    await registry.artifacts.push(
                        "a/b", artifact_type="t/t", config=b"{}", config_type="t/c", layers=[layer], tags=["v1"]
                    )
            assert not other.requests

    run(test)


@pytest.mark.parametrize(
    "answered", [b"{}", b'{"token": 5}', b'{"token": "a\\nb"}', b"[]", b"<html>", b'{"token": ""}', b"9" * 300_000]
)
def test_a_token_service_without_a_token(answered: bytes) -> None:
    def respond(request: Request) -> bytes:
        return answer(200, answered) if request.path == "/token" else answer(401, headers=bearer("/token"))

    async def test() -> None:
        async with answering(respond) as server, client(server) as registry:
            with pytest.raises(Integrity):
                await registry.artifacts.manifest("a/b", "v1")

    run(test)


def test_challenges_without_end() -> None:
    """Each refusal asks for another scope: it ends."""
    count = iter(range(1_000_000))

    def respond(request: Request) -> bytes:
        if request.path == "/token":
            return answer(200, b'{"token": "t"}')
        return answer(401, headers=bearer("/token", f"repository:a/b:{next(count)}"))

    async def test() -> None:
        async with answering(respond) as server, client(server) as registry:
            with pytest.raises(Denied, match="401"):
                await registry.artifacts.manifest("a/b", "v1")
            assert len(server.requests) < 10

    run(test)


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("https://registry.example", "http://registry.example/x"),
        ("https://registry.example", "http://cdn.example/x"),
        ("https://registry.example", "https://127.0.0.1/x"),
        ("https://registry.example", "https://localhost/x"),
        ("https://registry.example", "https://169.254.169.254/latest/meta-data"),
        ("https://registry.example", "https://10.0.0.1/x"),
        ("https://registry.example", "https://[::1]/x"),
        ("https://registry.example", "https://[::ffff:10.0.0.1]/x"),
        ("https://registry.example", "file:///etc/passwd"),
        ("https://registry.example", "https://user:word@cdn.example/x"),
    ],
)
def test_where_a_registry_may_not_send_us(base: str, target: str) -> None:
    with pytest.raises(Denied):
        hosts.check_elsewhere(httpx.URL(base), httpx.URL(target))


def test_plain_http_beyond_this_machine_is_asked_for() -> None:
    with pytest.raises(Usage, match="plain http"):
        hosts.registry_url("http://registry.example")
    assert hosts.registry_url("http://registry.example", insecure=True).scheme == "http"
    assert hosts.registry_url("registry.example").scheme == "https"
    assert hosts.registry_url("127.0.0.1:5000").scheme == "http"


# --- content ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, 3 << 20])
def test_a_blob_with_another_digest(tmp_path: Path, size: int) -> None:
    """Small and big: it is not there afterwards, nor is anything that a later try would take for good."""
    path = tmp_path / "file"

    def respond(request: Request) -> bytes:
        return ranged(request, b"b" * size)

    async def test() -> None:
        async with answering(respond) as server, client(server) as registry:
            for _ in range(2):
                with pytest.raises(Integrity, match="has digest"):
                    await registry.artifacts.download("a/b", descriptor(b"a" * size), path)
                assert not path.exists()
                assert not (tmp_path / "file.partial.json").exists()

    run(test)


def ranged(request: Request, data: bytes) -> bytes:
    """A part as it was asked for, or all."""
    wanted = request.headers.get("range", "").removeprefix("bytes=")
    if not wanted:
        return answer(200, data)
    first, _, last = wanted.partition("-")
    end = min(int(last), len(data) - 1)
    return answer(206, data[int(first) : end + 1], {"Content-Range": f"bytes {first}-{end}/{len(data)}"})


@pytest.mark.parametrize("size", [1000, 3 << 20])
@pytest.mark.parametrize("status", [200, 206])
def test_a_body_without_end(tmp_path: Path, size: int, status: int) -> None:
    """More than the descriptor says is not read."""
    data = b"a" * size
    sent = 0

    async def endless(request: Request) -> AsyncIterator[bytes]:
        nonlocal sent
        head = f"HTTP/1.1 {status} x\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 0-{size - 1}/{size}\r\n\r\n"
        yield head.encode()
        while True:
            yield b"10000\r\n" + b"b" * 65536 + b"\r\n"
            sent += 65536

    async def test() -> None:
        async with answering(endless) as server, client(server) as registry:
            with pytest.raises(GatiError):
                await registry.artifacts.download("a/b", descriptor(data), tmp_path / "file")
            assert not (tmp_path / "file").exists()

    run(test)
    assert sent < 64 << 20


@pytest.mark.parametrize("size", [1000, 3 << 20])
def test_fewer_bytes_than_promised(tmp_path: Path, size: int) -> None:
    """An answer that ends early is asked for again, and not without end."""
    data = b"a" * size

    def respond(request: Request) -> bytes:
        fields = {"Content-Length": str(size), "Content-Range": f"bytes 0-{size - 1}/{size}"}
        return answer(206 if "range" in request.headers else 200, data[:10], fields)

    async def test() -> None:
        async with answering(respond) as server, client(server) as registry:
            with pytest.raises(GatiError):
                await registry.artifacts.download("a/b", descriptor(data), tmp_path / "file")
            assert not (tmp_path / "file").exists()
            assert len(server.requests) < 30

    run(test)


def test_another_range_than_was_asked_for(tmp_path: Path) -> None:
    data = b"a" * (3 << 20)
    fields = {"Content-Range": f"bytes 5-{len(data) - 1}/{len(data)}"}

    async def test() -> None:
        async with answering(answer(206, data[5:], fields)) as server, client(server) as registry:
            with pytest.raises(Integrity, match="another range"):
                await registry.artifacts.download("a/b", descriptor(data), tmp_path / "file")

    run(test)


def test_a_link_laid_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """Somebody else can write to the folder: nothing is written through a link to elsewhere."""
    data = b"a" * (3 << 20)
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file.partial").symlink_to(outside)

    async def test() -> None:
        async with answering(lambda request: ranged(request, data)) as server, client(server) as registry:
            with pytest.raises(GatiError, match=r"file\.partial"):
                await registry.artifacts.download("a/b", descriptor(data), folder / "file")

    run(test)
    assert outside.read_bytes() == b"precious"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no JSON",
        b"[]",
        b'"text"',
        b"[" * 100_000,
        b'{"layers": 5}',
        b'{"layers": [5]}',
        b'{"layers": [{"digest": "sha256:../../etc/passwd", "size": 1}]}',
        b'{"layers": [{"digest": "md5:d41d8cd98f00b204e9800998ecf8427e", "size": 1}]}',
        json.dumps({"layers": [{"digest": "sha256:" + "0" * 64, "size": -1}]}).encode(),
        json.dumps({"layers": [{"digest": "sha256:" + "0" * 64, "size": True}]}).encode(),
        json.dumps({"layers": [{"digest": "sha256:" + "0" * 64, "size": 1 << 80}]}).encode(),
        b'{"mediaType": "application/vnd.oci.image.index.v1+json"}',
    ],
)
def test_a_manifest_that_is_none(raw: bytes) -> None:
    async def test() -> None:
        headers = {"Content-Type": MANIFEST}
        async with answering(answer(200, raw, headers)) as server, client(server) as registry:
            with pytest.raises(Integrity):
                _ = (await registry.artifacts.manifest("a/b", "v1")).layers

    run(test)


def test_a_manifest_with_another_digest() -> None:
    raw = b'{"schemaVersion": 2}'
    other = digest_of(b"other")

    async def test() -> None:
        headers = {"Content-Type": MANIFEST, "Docker-Content-Digest": other}
        async with answering(answer(200, raw, headers)) as server, client(server) as registry:
            with pytest.raises(Integrity, match="has digest"):
                await registry.artifacts.manifest("a/b", other)
            with pytest.raises(Integrity, match="has digest"):
                await registry.artifacts.manifest("a/b", "v1")

    run(test)


def test_a_manifest_of_any_size() -> None:
    async def endless(request: Request) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"
        while True:
            yield b"100000\r\n" + b" " * (1 << 20) + b"\r\n"

    async def test() -> None:
        async with answering(endless) as server, client(server) as registry:
            with pytest.raises(Integrity, match="more than"):
                await registry.artifacts.manifest("a/b", "v1")

    run(test)


def test_a_referrer_that_refers_to_something_else(tmp_path: Path) -> None:
    """A copy takes along only what says itself that it belongs there."""
    raw = b'{"schemaVersion": 2}'
    listed = {"mediaType": MANIFEST, "digest": digest_of(raw), "size": len(raw)}
    index = json.dumps({"schemaVersion": 2, "manifests": [listed]}).encode()
    root = b'{"schemaVersion": 2, "layers": []}'

    def respond(request: Request) -> bytes:
        if "/referrers/" in request.path:
            return answer(200, index, {"Content-Type": "application/json"})
        if request.method == "GET":
            return answer(200, root if request.path.endswith("v1") else raw, {"Content-Type": MANIFEST})
        return answer(201)

    async def test() -> None:
        async with answering(respond) as server, client(server) as registry:
            with pytest.raises(Integrity, match="is none"):
                await registry.artifacts.copy(registry, "a/b", "v1", "c/d", "v1")

    run(test)


# --- time, lists, words -----------------------------------------------------------------------------------------


def test_an_answer_that_never_begins() -> None:
    async def drip(request: Request) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            yield b"X: y\r\n"
            await asyncio.sleep(0.05)

    patience = Patience(piece=5, answer=0.5, tries=2, first_delay=0.01)

    async def test() -> None:
        async with answering(drip) as server, client(server, patience) as registry:
            with pytest.raises(Network):
                await registry.artifacts.manifest("a/b", "v1")

    run(test)


def test_a_blob_that_drips(tmp_path: Path) -> None:
    size = 3 << 20

    async def drip(request: Request) -> AsyncIterator[bytes]:
        first = int(request.headers["range"].removeprefix("bytes=").partition("-")[0])
        fields = f"Content-Length: {size - first}\r\nContent-Range: bytes {first}-{size - 1}/{size}\r\n"
        yield f"HTTP/1.1 206 x\r\n{fields}\r\n".encode()
        while True:
            yield b"a"
            await asyncio.sleep(0.05)

    patience = Patience(piece=0.5, tries=2, first_delay=0.01)

    async def test() -> None:
        async with answering(drip) as server, client(server, patience) as registry:
            with pytest.raises(Network):
                await registry.artifacts.download("a/b", descriptor(b"a" * size), tmp_path / "file")
            assert not (tmp_path / "file").exists()

    run(test)


def test_an_error_without_end_and_with_control_characters() -> None:
    """One line, of bounded length, that moves no cursor."""

    async def endless(request: Request) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n"
        yield f"{len(body):x}\r\n".encode() + body + b"\r\n"
        while True:
            yield b"10000\r\n" + b" " * 65536 + b"\r\n"

    message = "\x1b[2J\x1b]0;owned\x07\r\nfine\u202e" + "x" * 5000
    body = json.dumps({"errors": [{"code": "DENIED\x1b", "message": message}]}).encode()

    async def test() -> None:
        async with answering(endless) as server, client(server) as registry:
            with pytest.raises(Denied) as refused:
                await registry.artifacts.manifest("a/b", "v1")
            assert str(refused.value).isprintable()
            assert len(str(refused.value)) < 1500
            assert "fine" in str(refused.value)

    run(test)


@pytest.mark.parametrize(
    "link",
    [
        "</v2/a/b/tags/list?n=1000>; rel=next",
        "<http://127.0.0.1:1/v2/a/b/tags/list>; rel=next",
        "<//other.example/x>; rel=next",
        "<http://[bad>; rel=next",
    ],
)
def test_a_list_that_leads_elsewhere_or_in_circles(link: str) -> None:
    async def test() -> None:
        page = answer(200, b'{"tags": ["a"]}', {"Link": link})
        async with answering(page) as server, client(server) as registry:
            with pytest.raises(Integrity):
                await gather(registry.artifacts.tags("a/b"))
            assert len(server.requests) <= 3

    run(test)


def test_a_cursor_that_comes_again() -> None:
    async def test() -> None:
        page = answer(200, b'{"items": [], "next": "again"}')
        async with answering(page) as server, client(server) as registry:
            with pytest.raises(Integrity, match="circles"):
                await gather(registry.versions.list("a/b"))

    run(test)


def test_redirects_in_circles() -> None:
    async def test() -> None:
        def respond(request: Request) -> bytes:
            return answer(302, headers={"Location": request.target})

        async with answering(respond) as server, client(server) as registry:
            with pytest.raises(Integrity, match="circles"):
                await registry.artifacts.manifest("a/b", "v1")

    run(test)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"items": 5}', b'{"items": [{"digest": 5}]}'])
def test_an_extension_that_answers_nonsense(body: bytes) -> None:
    async def test() -> None:
        async with answering(answer(200, body)) as server, client(server) as registry:
            with pytest.raises(Integrity):
                await gather(registry.versions.list("a/b"))

    run(test)


def test_a_registry_that_stores_something_else() -> None:
    """What it says it stored is compared with what was sent."""
    raw = b'{"schemaVersion": 2}'

    async def test() -> None:
        headers = {"Docker-Content-Digest": digest_of(b"other")}
        async with answering(answer(201, headers=headers)) as server, client(server) as registry:
            manifest = Manifest.read(digest_of(raw), MANIFEST, raw)
            with pytest.raises(Integrity, match="stored"):
                await registry.artifacts.put_manifest("a/b", manifest, ["v1"])

    run(test)
