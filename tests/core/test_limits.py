"""How much of a thing there may be: bytes of a blob, open sessions, bytes and tags of a manifest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from tests.core.support import INDEX, INLINE, Client, FakeClock, configure, files, index, registry, sha256

pytestmark = pytest.mark.anyio

# Below and above what stays in the database.
LIMITS = pytest.mark.parametrize("limit", [INLINE // 2, INLINE * 4])


async def limited(folder: Path, clock: FakeClock, *, max_blob: int = 0, max_open: int = 0) -> AsyncIterator[Registry]:
    """A registry with these limits."""
    settings = configure(folder, max_blob=max_blob, max_open=max_open)
    async with registry(folder, clock, settings) as built:
        yield built


@LIMITS
async def test_a_blob_over_the_limit_is_refused_however_it_comes(folder: Path, clock: FakeClock, limit: int) -> None:
    async for site in limited(folder, clock, max_blob=limit):
        client, fits, over = Client(site.app), b"x" * limit, b"y" * (limit + 1)
        assert (await client.push_blob("a", fits)).status == 201
        answer = await client.push_blob("a", over)
        assert (answer.status, answer.codes) == (413, ["SIZE_INVALID"])

        location = await client.start_upload("a")
        assert (await client.request("PATCH", location, over[: limit // 2])).status == 202
        for chunk in (over[limit // 2 :], over):
            for method, target in (("PATCH", location), ("PUT", f"{location}?digest={sha256(over)}")):
                answer = await client.request(method, target, chunk)
                assert (answer.status, answer.codes) == (413, ["SIZE_INVALID"]), (method, len(chunk))
        assert (await client.get(location)).headers["range"] == f"0-{limit // 2 - 1}"
        rest = fits[limit // 2 :]
        whole = over[: limit // 2] + rest
        assert (await client.request("PUT", f"{location}?digest={sha256(whole)}", rest)).status == 201

        streamed = client.begin("POST", f"/v2/a/blobs/uploads/?digest={sha256(over)}")
        streamed.feed(over, more=False)
        assert (await streamed.answer()).status == 413
        assert (await client.get(f"/v2/a/blobs/{sha256(over)}")).status == 404
        assert len(files(folder / "blobs")) == (2 if limit > INLINE else 0)


async def test_open_sessions_of_a_repository_are_limited(folder: Path, clock: FakeClock) -> None:
    async for site in limited(folder, clock, max_open=2):
        client, large = Client(site.app), b"L" * (INLINE * 2)
        first, second, third = [await client.start_upload("a") for _ in range(3)]
        for location in (first, second):
            assert (await client.request("PATCH", location, b"x")).status == 202
        for method, target, body in (
            ("PATCH", third, b"x"),
            ("PATCH", third, large),
            ("PUT", f"{third}?digest={sha256(large)}", large),
        ):
            answer = await client.request(method, target, body)
            assert (answer.status, answer.codes) == (429, ["TOOMANYREQUESTS"])
            assert int(answer.headers["retry-after"]) > 0
        assert files(folder / "blobs") == set()
        # What leaves no session behind is not counted, nor what has been counted before, nor another repository's.
        assert (await client.push_blob("a", b"without a session")).status == 201
        fourth = await client.start_upload("a")
        assert (await client.request("PUT", f"{fourth}?digest={sha256(b'y')}", b"y")).status == 201
        wrong = await client.request("PUT", f"{fourth}?digest={sha256(b'y')}", b"z")
        assert (wrong.status, wrong.codes) == (400, ["DIGEST_INVALID"])
        assert (await client.request("PATCH", second, large)).status == 202
        assert (await client.request("PATCH", await client.start_upload("b"), b"x")).status == 202
        assert (await client.request("DELETE", first)).status == 204
        assert (await client.request("PATCH", third, b"x")).status == 202
        assert (await client.request("PUT", f"{second}?digest={sha256(b'x' + large)}")).status == 201
        assert (await client.request("PATCH", await client.start_upload("a"), b"x")).status == 202


async def test_a_manifest_of_four_mebibytes_is_taken_and_a_larger_one_is_not(client: Client) -> None:
    empty = len(index(annotations={"x": ""}))
    for size, status in ((4 * 1024 * 1024, 201), (4 * 1024 * 1024 + 1, 413)):
        data = index(annotations={"x": "y" * (size - empty)})
        assert len(data) == size
        answer = await client.push_manifest("a", sha256(data), data, INDEX)
        assert answer.status == status
        found = await client.get(f"/v2/a/manifests/{sha256(data)}")
        assert found.body == data if status == 201 else found.status == 404


async def test_tags_beside_a_digest_are_all_set_or_none(client: Client) -> None:
    data = index()
    query = "&".join(f"tag=t{number}" for number in range(100))
    answer = await client.push_manifest("a", f"{sha256(data)}?{query}", data, INDEX)
    assert answer.status == 201
    assert answer.lists["oci-tag"] == [f"t{number}" for number in range(100)]
    assert len((await client.get("/v2/a/tags/list")).json()["tags"]) == 100
    answer = await client.push_manifest("b", f"{sha256(data)}?{query}&tag=more", data, INDEX)
    assert answer.status == 414
    answer = await client.push_manifest("b", f"{sha256(data)}?tag=fine&tag=-not", data, INDEX)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert (await client.get("/v2/b/tags/list")).status == 404
