"""Credentials, retries, redirects: against servers that answer what the test says, and against ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gati_client import Client, Credential, Denied, GatiError, Network, NotFound, StaticCredentials, SyncClient, Usage
from gati_client.models import NewKey, NewOrg
from gati_client.tokens import Challenge, parse_challenge
from gati_client.transfer.model import MANIFEST, Descriptor
from gati_client.transport import _seconds
from tests.client.conftest import Guarded
from tests.client.support import QUICK, Request, answer, answering, bearer, gather
from tests.support.server import RegistryProcess, free_port

RAW = b'{"schemaVersion": 2}'


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (
            'Bearer realm="https://a/token",service="s",scope="repository:a/b:pull,push repository:c:pull"',
            Challenge("bearer", "https://a/token", "s", ("repository:a/b:pull,push", "repository:c:pull")),
        ),
        ("bearer realm=https://a/token", Challenge("bearer", "https://a/token")),
        ('Basic realm="a, Bearer b"', Challenge("basic", "a, Bearer b")),
        ('Basic realm="x", Bearer realm="y"', Challenge("bearer", "y")),
        ('Basic realm="say \\"hi\\""', Challenge("basic", 'say "hi"')),
        ("Basic", Challenge("basic")),
        ("Negotiate abc", None),
        ("", None),
    ],
)
def test_challenges(header: str, challenge: Challenge | None) -> None:
    assert parse_challenge(header) == challenge


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, 0), ("5", 5), ("soon", 0), ("-1", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
)
def test_retry_after(text: str | None, seconds: float) -> None:
    assert _seconds(text) == seconds


def test_one_token_for_many_requests_of_a_scope() -> None:
    """Twenty at once fetch it once; another repository has another."""
    asked: list[str] = []

    def respond(request: Request) -> bytes:
        if request.path == "/token":
            asked.append(request.target)
            return answer(200, json.dumps({"token": f"t{len(asked)}", "expires_in": 300}).encode())
        if "authorization" not in request.headers:
            name = request.path.removeprefix("/v2/").partition("/manifests/")[0]
            return answer(401, headers=bearer("/token", f"repository:{name}:pull"))
        return answer(200, RAW, {"Content-Type": MANIFEST})

    async def test() -> None:
        async with answering(respond) as server, Client(server.host, patience=QUICK) as client:
            await client.artifacts.manifest("a/b", "v1")
            await asyncio.gather(*(client.artifacts.manifest("a/b", "v1") for _ in range(20)))
            assert len(asked) == 1
            await asyncio.gather(*(client.artifacts.manifest("c/d", "v1") for _ in range(20)))
            assert len(asked) == 2

    run(test)


def test_a_token_that_ends_meanwhile() -> None:
    """The registry refuses it before its time: a new one is fetched."""
    good = iter(["t1", "t2"])
    valid = ""

    def respond(request: Request) -> bytes:
        nonlocal valid
        if request.path == "/token":
            valid = next(good)
            return answer(200, json.dumps({"access_token": valid}).encode())
        if request.headers.get("authorization") != f"Bearer {valid}":
            return answer(401, headers=bearer("/token") | {"X": "y"})
        return answer(200, RAW, {"Content-Type": MANIFEST})

    async def test() -> None:
        nonlocal valid
        async with answering(respond) as server, Client(server.host, patience=QUICK) as client:
            await client.artifacts.manifest("a/b", "v1")
            valid = "none"
            await client.artifacts.manifest("a/b", "v1")

    run(test)


def test_a_refresh_token_as_docker_keeps_them() -> None:
    def respond(request: Request) -> bytes:
        if request.path == "/token":
            assert request.method == "POST"
            assert b"grant_type=refresh_token" in request.body
            assert b"refresh_token=kept" in request.body
            return answer(200, b'{"access_token": "fresh"}')
        if request.headers.get("authorization") != "Bearer fresh":
            return answer(401, headers=bearer("/token"))
        return answer(200, RAW, {"Content-Type": MANIFEST})

    async def test() -> None:
        async with answering(respond) as server:
            credentials = StaticCredentials(server.host, Credential(token="kept"))
            async with Client(server.host, credentials=credentials, patience=QUICK) as client:
                await client.artifacts.manifest("a/b", "v1")
                await client.artifacts.manifest("a/b", "v1")

    run(test)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_asked_again(status: int) -> None:
    count = 0

    def respond(request: Request) -> bytes:
        nonlocal count
        count += 1
        if count < 3:
            return answer(status, headers={"Retry-After": "0"})
        return answer(200, RAW, {"Content-Type": MANIFEST})

    async def test() -> None:
        async with answering(respond) as server, Client(server.host, patience=QUICK) as client:
            assert (await client.artifacts.manifest("a/b", "v1")).raw == RAW
        assert count == 3

    run(test)


def test_what_does_not_pass_ends() -> None:
    async def test() -> None:
        async with answering(answer(503)) as server, Client(server.host, patience=QUICK) as client:
            with pytest.raises(Network, match="503") as failed:
                await client.artifacts.manifest("a/b", "v1")
            assert len(server.requests) == QUICK.tries
            assert failed.value.exit_code == 7

    run(test)


def test_what_changes_something_is_not_asked_twice_by_itself() -> None:
    """A POST of an extension that broke may have been done."""

    async def test() -> None:
        async with answering(b"") as server, Client(server.host, patience=QUICK) as client:
            with pytest.raises(Network):
                await client.keys.create(NewKey(name="k", scopes=["read"]))
            assert len(server.requests) == 1

    run(test)


def test_nobody_there() -> None:
    async def test() -> None:
        async with Client(f"127.0.0.1:{free_port()}", patience=QUICK) as client:
            with pytest.raises(Network, match="cannot give manifest"):
                await client.artifacts.manifest("a/b", "v1")

    run(test)


@pytest.mark.parametrize("used", [True, False])
def test_who_was_closed_asks_nothing(tmp_path: Path, *, used: bool) -> None:
    """By the short way and the careful one, whether there was a connection or not; and the blocking client too."""
    target = tmp_path / "blob"

    async def test() -> None:
        async with answering(answer(200, RAW, {"Content-Type": MANIFEST})) as server:
            client = Client(server.host, patience=QUICK)
            blocking = await asyncio.to_thread(SyncClient, server.host, patience=QUICK)
            if used:
                await client.artifacts.manifest("a/b", "v1")
                await asyncio.to_thread(blocking.artifacts.manifest, "a/b", "v1")
            for _ in range(2):  # once more does no harm
                await client.close()
                await asyncio.to_thread(blocking.close)
            asked = len(server.requests)
            described = Descriptor(MANIFEST, f"sha256:{'0' * 64}", 5)
            for work in (
                client.artifacts.manifest("a/b", "v1"),
                client.artifacts.download("a/b", described, target),
                client.keys.create(NewKey(name="k", scopes=["read"])),
                asyncio.to_thread(blocking.artifacts.manifest, "a/b", "v1"),
            ):
                with pytest.raises(Usage, match=f"client of {server.host} was closed"):
                    await work
            assert len(server.requests) == asked

    run(test)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with answering(answer(502)) as proxy:
            monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
            headers = {"Content-Type": MANIFEST}
            async with answering(answer(200, RAW, headers)) as server, Client(server.host, patience=QUICK) as client:
                await client.artifacts.manifest("a/b", "v1")
            assert not proxy.requests

    run(test)


def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the request for the registry, with a name that only it can know."""

    async def test() -> None:
        async with answering(answer(200, RAW, {"Content-Type": MANIFEST})) as proxy:
            monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            async with Client("http://registry.invalid", insecure=True, patience=QUICK) as client:
                await client.artifacts.manifest("a/b", "v1")
            assert proxy.requests[0].target == "http://registry.invalid/v2/a/b/manifests/v1"

    run(test)


# --- ours -------------------------------------------------------------------------------------------------------


def test_password_and_key_against_our_registry(guarded: Guarded) -> None:
    async def test() -> None:
        async with Client(guarded.host, credentials=guarded.credentials, patience=QUICK) as client:
            assert {"kinds", "identity", "resolve"} <= await client.features()
            assert (await client.account.me()).account.name == "admin"
            await client.orgs.create(NewOrg(name="transport"))
            assert "transport" in {org.name async for org in client.orgs.list()}
            pushed = await client.artifacts.push(
                "orgs/transport/x", artifact_type="t/t", config=b"{}", config_type="t/c", layers=[], tags=["1.0.0"]
            )
            key = (await client.keys.create(NewKey(name="k", scopes=["read"]))).key
        credentials = StaticCredentials(guarded.host, Credential(token=key))
        async with Client(guarded.host, credentials=credentials, patience=QUICK) as client:
            assert (await client.artifacts.manifest("orgs/transport/x", "1.0.0")).digest == pushed.digest
            assert (await client.account.me()).method == "api-key"
            with pytest.raises(Denied):
                await client.artifacts.push(
                    "orgs/transport/x", artifact_type="t/t", config=b"{}", config_type="t/c", layers=[], tags=["2.0.0"]
                )

    run(test)


def test_wrong_password(guarded: Guarded) -> None:
    credentials = StaticCredentials(guarded.host, Credential("admin", "not-the-one"))

    async def test() -> None:
        async with Client(guarded.host, credentials=credentials, patience=QUICK) as client:
            with pytest.raises(Denied) as refused:
                await client.account.me()
            assert "not-the-one" not in str(refused.value)
            with pytest.raises(Denied):
                await client.artifacts.push(
                    "users/admin/x", artifact_type="t/t", config=b"{}", config_type="t/c", layers=[], tags=["v1"]
                )

    run(test)


def test_words_about_what_is_missing(registry: RegistryProcess, tmp_path: Path) -> None:
    async def test() -> None:
        async with Client(registry.host, patience=QUICK) as client:
            with pytest.raises(NotFound) as missing:
                await client.artifacts.manifest("library/absent", "v1")
            assert missing.value.code == "NAME_UNKNOWN"
            assert missing.value.exit_code == 3
            with pytest.raises(NotFound):
                await client.versions.artifact("library/absent")

    run(test)


def test_a_registry_without_our_extensions() -> None:
    """Plain OCI works; what needs an extension says which."""

    def respond(request: Request) -> bytes:
        if "/manifests/" in request.path:
            return answer(200, RAW, {"Content-Type": MANIFEST})
        return answer(404, b"404 page not found\n")

    async def test() -> None:
        async with answering(respond) as server, Client(server.host, patience=QUICK) as client:
            await client.artifacts.manifest("a/b", "v1")
            assert await client.features() == frozenset()
            with pytest.raises(GatiError, match="needs the extension kinds"):
                await gather(client.versions.list("a/b"))

    run(test)


def test_secrets_are_not_in_representations() -> None:
    credential = Credential("alice", "word", "token-of-alice")
    kept = StaticCredentials("host", credential)
    assert "word" not in repr(credential)
    assert "token-of-alice" not in repr(kept)
