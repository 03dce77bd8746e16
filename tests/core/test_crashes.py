"""A process that ends between any two steps: before or after each change it makes outside.

The same operation is run again and again, each time ending one moment later, until it comes through. After each end a
new process finds what was acknowledged, can do the operation anew, and the collector leaves no trace of the wreck.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from gati_registry.service.collect import Collector
from gati_registry.service.uploads import session_key
from tests.core.fakes import Crash, LastSteps, WatchedBlobs, WatchedMetadata
from tests.core.support import (
    IMAGE,
    INLINE,
    POLICY,
    AgedHousekeeping,
    Answer,
    Client,
    FakeClock,
    assemble,
    files,
    image,
    registry,
    sha256,
)

pytestmark = pytest.mark.anyio

LIMIT = 60
"""Moments after which an operation that still has not come through is taken to go in circles."""


class Scene:
    """What one attempt works with: a repository and content of its own."""

    def __init__(self, client: Client, moment: int) -> None:
        self.client = client
        self.repository = f"a/{moment}"
        self.small = b"%03d" % moment * (INLINE // 6)
        self.large = b"%03d" % moment * (INLINE * 2)
        self.tail = b"%03dt" % moment * INLINE
        self.location = ""
        self.acknowledged = b""

    async def acknowledge(self, chunk: bytes) -> None:
        """A chunk that the session has when the operation begins."""
        self.location = self.location or await self.client.start_upload(self.repository)
        if chunk:
            assert (await self.client.request("PATCH", self.location, chunk)).status == 202
        self.acknowledged += chunk

    async def close(self, client: Client, tail: bytes, data: bytes) -> Answer:
        """The closing request."""
        return await client.request("PUT", f"{self.location}?digest={sha256(data)}", tail)


Setup = Callable[[Scene], Awaitable[None]]
Operation = Callable[[Client, Scene], Awaitable[Answer]]


async def nothing(scene: Scene) -> None:
    """Begin without a session."""


async def session(scene: Scene) -> None:
    """Begin with an empty session."""
    await scene.acknowledge(b"")


async def small_session(scene: Scene) -> None:
    """Begin with a session whose bytes are in its row."""
    await scene.acknowledge(scene.small)


async def large_session(scene: Scene) -> None:
    """Begin with a session whose bytes are staged."""
    await scene.acknowledge(scene.large)


async def duplicate(scene: Scene) -> None:
    """Begin with a staged session and the same content stored already, in another repository."""
    await large_session(scene)
    assert (await scene.client.push_blob("c", scene.large + scene.tail)).status == 201


async def monolithic(client: Client, scene: Scene) -> Answer:
    """A blob in one request."""
    return await client.push_blob(scene.repository, scene.large)


async def chunk(client: Client, scene: Scene) -> Answer:
    """A large chunk."""
    return await client.request("PATCH", scene.location, scene.tail)


async def small_chunk(client: Client, scene: Scene) -> Answer:
    """A small chunk."""
    return await client.request("PATCH", scene.location, scene.small)


async def close(client: Client, scene: Scene) -> Answer:
    """The last chunk."""
    return await scene.close(client, scene.tail, scene.acknowledged + scene.tail)


async def close_empty(client: Client, scene: Scene) -> Answer:
    """The end, without another byte."""
    return await scene.close(client, b"", scene.acknowledged)


async def close_wrong(client: Client, scene: Scene) -> Answer:
    """The last chunk, with a digest that does not fit."""
    return await scene.close(client, scene.tail, b"something else")


async def cancel(client: Client, scene: Scene) -> Answer:
    """Give the session up."""
    return await client.request("DELETE", scene.location)


@pytest.mark.parametrize(
    ("setup", "operation", "status", "steps"),
    [
        (nothing, monolithic, 201, "stage sync publish write discard"),
        (session, chunk, 202, "write stage sync write"),
        (session, small_chunk, 202, "write"),
        (small_session, chunk, 202, "write stage sync write"),
        (large_session, chunk, 202, "write stage sync write"),
        (large_session, small_chunk, 202, "write stage sync write"),
        (large_session, close, 201, "write stage sync publish write discard"),
        (large_session, close_empty, 201, "write stage publish write discard"),
        (small_session, close_empty, 201, "write"),
        (duplicate, close, 201, "write stage sync write discard"),
        (large_session, close_wrong, 400, "write stage sync write discard"),
        (large_session, cancel, 204, "write discard"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
async def test_an_upload_that_ends_anywhere_loses_nothing(
    folder: Path, clock: FakeClock, setup: Setup, operation: Operation, status: int, steps: str
) -> None:
    async with registry(folder, clock) as before:
        for moment in range(LIMIT):
            watch, scene, answer = LastSteps(moment), Scene(Client(before.app), moment), None
            await setup(scene)
            key = await session_key(before.metadata)
            app = assemble(WatchedMetadata(before.metadata, watch), WatchedBlobs(before.blobs, watch), clock, key=key)
            try:
                answer = await operation(Client(app), scene)
            except Crash:
                async with registry(folder, clock) as after:
                    await check_wreck(after, scene, operation)
            else:
                assert answer.status == status
                assert [seen.split()[1] for seen in watch.seen if seen.startswith("before")] == steps.split()
                break
        else:
            pytest.fail(f"it did not come through: {watch.seen}")
        assert (await before.verifier.run()).damaged == []
        await clean(before, clock)
    assert files(folder / "blobs") == set()


async def check_wreck(after: Registry, scene: Scene, operation: Operation) -> None:
    """Nothing acknowledged is lost, nothing wrong is served, and the client can go on or begin anew."""
    client = Client(after.app)
    if scene.location:
        state = await client.get(scene.location)
        assert state.status in (204, 404)
        if state.status == 204:
            first, _, last = state.headers["range"].partition("-")
            assert (first, int(last) + 1 >= len(scene.acknowledged)) == ("0", True)
            if operation in (close, close_empty) and int(last) + 1 == len(scene.acknowledged):
                assert (await operation(client, scene)).status == 201
    for data in (scene.large, scene.acknowledged + scene.tail, scene.acknowledged):
        found = await client.get(f"/v2/{scene.repository}/blobs/{sha256(data)}")
        assert found.status == 404 or found.body == data
        assert (await client.push_blob(scene.repository, data)).status == 201
        assert (await client.get(f"/v2/{scene.repository}/blobs/{sha256(data)}")).body == data


async def clean(site: Registry, clock: FakeClock) -> None:
    """Let everything go that nobody needs; it leaves no row behind."""
    collector = Collector(site.metadata, site.blobs, AgedHousekeeping(site.blobs, clock), clock, POLICY)
    for last in (False, False, True):
        clock.advance(5000)
        await collector.run(strays=last)
    for table in ("blob", "link", "upload", "trash", "repository", "encrypted_blob", "blob_key", "staged_key"):
        assert await site.metadata.scan(lambda tx: tx.all(f"SELECT * FROM {table}")) == [], table  # noqa: B023


async def test_a_collection_that_ends_anywhere_is_finished_by_the_next(folder: Path) -> None:
    kept, gone, small, tail = b"k" * INLINE * 3, b"g" * INLINE * 3, b"s", b"t" * INLINE * 3
    for moment in range(LIMIT):
        data, clock, watch = folder / str(moment), FakeClock(), LastSteps(moment)
        async with registry(data, clock) as site:
            client = Client(site.app)
            for blob in (kept, gone, small):
                assert (await client.push_blob("a/b", blob)).status == 201
            assert (await client.push_manifest("a/b", "v1", image(kept))).status == 201
            location = await client.start_upload("a/b")
            assert (await client.request("PATCH", location, tail)).status == 202
            metadata, blobs = WatchedMetadata(site.metadata, watch), WatchedBlobs(site.blobs, watch)
            dying = Collector(metadata, blobs, blobs, clock, POLICY)
            try:
                for _ in range(4):
                    clock.advance(3100)
                    await dying.run(strays=False)
            except Crash:
                pass
            after = Collector(site.metadata, site.blobs, AgedHousekeeping(site.blobs, clock), clock, POLICY)
            for last in (False, False, False, True):
                assert (await client.get(f"/v2/a/b/blobs/{sha256(kept)}")).body == kept
                clock.advance(3100)
                await after.run(strays=last)
            assert (await client.get("/v2/a/b/manifests/v1")).headers["content-type"] == IMAGE
            left = {name.rpartition("/")[2].partition(".")[0] for name in files(data / "blobs")}
            assert left == {sha256(kept).removeprefix("sha256:")}
            for blob in (gone, small):
                assert (await client.get(f"/v2/a/b/blobs/{sha256(blob)}")).status == 404
            assert (await site.verifier.run()).damaged == []
        if not watch.dead:
            assert {"after remove", "before discard"} <= set(watch.seen)
            return
    pytest.fail(f"it did not come through: {watch.seen}")
