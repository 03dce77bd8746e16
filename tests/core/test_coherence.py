"""Workers agree: what one has done the other shows at once, whatever it has kept in its caches."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from tests.core.support import IMAGE, INDEX, Answer, Client, FakeClock, image, index, registry, sha256

pytestmark = pytest.mark.anyio

BLOB = b"blob"
OLD, NEW = index(annotations={"v": "old"}), index(annotations={"v": "new"})
SUBJECT = {"mediaType": IMAGE, "digest": sha256(OLD), "size": len(OLD)}
REFERRER = index(subject=SUBJECT, artifactType="a/b")


@pytest.fixture
async def others(site: Registry, folder: Path, clock: FakeClock) -> AsyncIterator[list[Client]]:
    """Two more workers on the data of `site`."""
    async with registry(folder, clock) as second, registry(folder, clock) as third:
        yield [Client(second.app), Client(third.app)]


async def see(client: Client) -> list[tuple[int, bytes]]:
    """Everything that a worker might keep: also what is not there."""
    targets = [
        "/v2/a/manifests/latest",
        f"/v2/a/manifests/{sha256(OLD)}",
        f"/v2/a/manifests/{sha256(NEW)}",
        f"/v2/a/blobs/{sha256(BLOB)}",
        "/v2/a/tags/list",
        "/v2/a/tags/list?n=1",
        "/v2/_catalog",
        f"/v2/a/referrers/{sha256(OLD)}",
        f"/v2/a/referrers/{sha256(OLD)}?artifactType=a/b",
    ]
    found = list[tuple[int, bytes]]()
    for target in targets:
        answer = await client.get(target)
        found.append((answer.status, answer.body))
    return found


def delete(target: str) -> Callable[[Client], Awaitable[Answer]]:
    """A DELETE."""
    return lambda client: client.request("DELETE", target)


CHANGES: list[Callable[[Client], Awaitable[Answer]]] = [
    lambda client: client.push_blob("a", BLOB),
    lambda client: client.push_manifest("a", "latest", OLD, INDEX),
    lambda client: client.push_manifest("a", sha256(REFERRER), REFERRER, INDEX),
    lambda client: client.push_manifest("a", "latest", NEW, INDEX),
    lambda client: client.push_manifest("a", "another", OLD, INDEX),
    delete("/v2/a/manifests/another"),
    delete(f"/v2/a/manifests/{sha256(REFERRER)}"),
    delete(f"/v2/a/manifests/{sha256(NEW)}"),
    delete(f"/v2/a/blobs/{sha256(BLOB)}"),
    delete(f"/v2/a/manifests/{sha256(OLD)}"),
]


async def test_every_change_is_seen_at_once_by_every_worker(client: Client, others: list[Client]) -> None:
    workers = [client, *others]
    before = [await see(worker) for worker in workers]
    for number, change in enumerate(CHANGES):
        answer = await change(workers[number % 3])
        assert answer.status in (201, 202), (number, answer)
        after = [await see(worker) for worker in workers]
        assert after[0] == after[1] == after[2], number
        assert after != before, number
        assert [await see(worker) for worker in workers] == after
        before = after


async def test_a_tag_never_goes_back(client: Client, others: list[Client]) -> None:
    """While one worker moves a tag on and on, no reader sees an older manifest after a newer one."""
    manifests = [image(BLOB, annotations={"n": str(number)}) for number in range(60)]
    order = {sha256(data): number for number, data in enumerate(manifests)}
    assert (await client.push_blob("a", BLOB)).status == 201
    assert (await client.push_manifest("a", "latest", manifests[0])).status == 201
    finished = False

    async def read(worker: Client) -> int:
        last = reads = 0
        while not finished:
            answer = await worker.get("/v2/a/manifests/latest")
            seen = order[answer.headers["docker-content-digest"]]
            assert sha256(answer.body) == answer.headers["docker-content-digest"]
            assert seen >= last
            last, reads = seen, reads + 1
            await asyncio.sleep(0)
        return reads

    reading = [asyncio.ensure_future(read(worker)) for worker in (client, *others)]
    for number, data in enumerate(manifests[1:], 1):
        assert (await client.push_manifest("a", "latest", data)).status == 201
        for worker in (client, *others):
            answer = await worker.get("/v2/a/manifests/latest")
            assert order[answer.headers["docker-content-digest"]] == number
    finished = True
    assert all(await asyncio.gather(*reading))


async def test_pushes_of_many_workers_at_once_are_all_there(client: Client, others: list[Client]) -> None:
    workers, chance = [client, *others], random.Random(1)
    blobs = [b"%d" % number * chance.choice([1, 500]) for number in range(40)]

    async def push(number: int) -> None:
        worker, blob = chance.choice(workers), blobs[number % len(blobs)]
        assert (await worker.push_blob(f"r{number % 5}", blob)).status == 201
        data = image(blob, annotations={"n": str(number)})
        assert (await chance.choice(workers).push_manifest(f"r{number % 5}", f"t{number}", data)).status == 201

    await asyncio.gather(*(push(number) for number in range(120)))
    for number in range(120):
        for worker in workers:
            answer = await worker.get(f"/v2/r{number % 5}/manifests/t{number}")
            assert answer.body == image(blobs[number % len(blobs)], annotations={"n": str(number)})
            blob = await worker.get(f"/v2/r{number % 5}/blobs/{sha256(blobs[number % len(blobs)])}")
            assert blob.body == blobs[number % len(blobs)]
