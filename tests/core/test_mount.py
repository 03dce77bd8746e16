"""Mounting a blob of another repository: what is linked, what is told, and to whom."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gati_registry.bootstrap import Registry
from gati_registry.domain.access import EVERYTHING, Access, Action, Decision, Identity, Visible
from gati_registry.ports import Request
from tests.core.support import INLINE, Client, FakeClock, assemble, sha256, sha512

pytestmark = pytest.mark.anyio

SMALL, LARGE = b"small", b"large" * INLINE
CONTENTS = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])


async def mount(client: Client, data: bytes, source: str | None = None, target: str = "target") -> int:
    """Ask for a mount; the status, after looking at what came with it."""
    query = f"?mount={sha256(data)}" + (f"&from={source}" if source is not None else "")
    answer = await client.request("POST", f"/v2/{target}/blobs/uploads/{query}")
    if answer.status == 201:
        assert answer.headers["location"].endswith(f"/v2/{target}/blobs/{sha256(data)}")
        assert answer.headers["docker-content-digest"] == sha256(data)
    else:
        assert answer.status == 202, answer
        location = answer.headers["location"]
        assert (await client.request("PUT", f"{location}?digest={sha256(b'other')}", b"other")).status == 201
    return answer.status


@CONTENTS
async def test_a_mounted_blob_is_there_without_an_upload(client: Client, data: bytes) -> None:
    assert (await client.push_blob("source", data)).status == 201
    assert await mount(client, data, "source") == 201
    assert (await client.get(f"/v2/target/blobs/{sha256(data)}")).body == data
    assert (await client.request("DELETE", f"/v2/source/blobs/{sha256(data)}")).status == 202
    assert (await client.get(f"/v2/source/blobs/{sha256(data)}")).status == 404
    assert (await client.get(f"/v2/target/blobs/{sha256(data)}")).body == data


@CONTENTS
async def test_without_a_source_any_repository_will_do(client: Client, data: bytes) -> None:
    assert await mount(client, data) == 202
    assert (await client.push_blob("somewhere/else", data)).status == 201
    assert await mount(client, data, "") == 201
    assert (await client.get(f"/v2/target/blobs/{sha256(data)}")).body == data


async def test_a_mount_onto_itself_is_fine(client: Client) -> None:
    assert (await client.push_blob("target", LARGE)).status == 201
    assert await mount(client, LARGE, "target") == 201


@pytest.mark.parametrize("source", ["nowhere", "Not/A/Name", "a%2F..%2Fb", "empty", "x" * 300])
async def test_a_source_that_lacks_it_means_an_upload(client: Client, source: str) -> None:
    assert (await client.push_blob("elsewhere", LARGE)).status == 201
    assert (await client.push_blob("empty", SMALL)).status == 201
    assert await mount(client, LARGE, source) == 202
    assert (await client.get(f"/v2/target/blobs/{sha256(LARGE)}")).status == 404


async def test_a_digest_that_is_none_is_refused(client: Client) -> None:
    answer = await client.request("POST", "/v2/target/blobs/uploads/?mount=sha256:x&from=source")
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])


async def test_each_algorithm_names_content_of_its_own(client: Client) -> None:
    assert (await client.push_blob("source", LARGE, sha512(LARGE))).status == 201
    assert await mount(client, LARGE, "source") == 202
    answer = await client.request("POST", f"/v2/target/blobs/uploads/?mount={sha512(LARGE)}&from=source")
    assert answer.status == 201
    assert (await client.get(f"/v2/target/blobs/{sha512(LARGE)}")).body == LARGE


class PullsFrom:
    """An authorizer: everything may be pushed, some may be pulled."""

    def __init__(self, *readable: str) -> None:
        self.readable = readable

    async def decide(self, identity: Identity, access: Access) -> Decision:
        allowed = access.action is not Action.PULL or access.repository in self.readable
        return Decision.ALLOW if allowed else Decision.DENY

    async def visible(self, identity: Identity) -> Visible:
        return EVERYTHING

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        return "Basic"


async def test_what_the_caller_may_not_pull_it_may_not_mount(site: Registry, client: Client, clock: FakeClock) -> None:
    """A private blob and one that nobody has look the same, named or not."""
    assert (await client.push_blob("private", LARGE)).status == 201
    caller = Client(assemble(site.metadata, site.blobs, clock, authorizer=PullsFrom("target", "public")))
    for source in ("private", None, "absent"):
        assert await mount(caller, LARGE, source) == 202
        assert (await caller.get(f"/v2/target/blobs/{sha256(LARGE)}")).status == 404
    assert (await client.push_blob("public", LARGE)).status == 201
    assert await mount(caller, LARGE) == 201


async def test_a_manifest_gives_no_access_to_another_repository_s_blob(client: Client, site: Registry) -> None:
    assert (await client.push_blob("private", LARGE)).status == 201
    document = b'{"schemaVersion":2,"layers":[{"mediaType":"a/b","digest":"%s","size":1}]}' % sha256(LARGE).encode()
    answer = await client.push_manifest("target", "v1", document, "application/x+json")
    assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])
    assert (await client.get(f"/v2/target/blobs/{sha256(LARGE)}")).status == 404
