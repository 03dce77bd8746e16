"""The collector's promises one by one: who wins a race with it, what it tells beforehand, and what it leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from gati_registry.ports import Transaction
from gati_registry.service.collect import BATCH, Collector
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName
from tests.core.contract_rows import put_blob
from tests.core.fakes import Gate, WatchedBlobs, WatchedMetadata
from tests.core.gc_view import plan, run_as_planned, view
from tests.core.support import (
    EXPIRY,
    GRACE,
    INLINE,
    POLICY,
    READERS,
    UNDO,
    AgedHousekeeping,
    Client,
    FakeClock,
    files,
    image,
    registry,
    sha256,
)

pytestmark = pytest.mark.anyio

SMALL, LARGE = b"small", b"large" * INLINE
CONTENTS = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])


@pytest.fixture
async def other(site: Registry, folder: Path, clock: FakeClock) -> AsyncIterator[Client]:
    """Sends requests to another worker on the same data."""
    async with registry(folder, clock) as built:
        yield Client(built.app)


def collector(site: Registry, clock: FakeClock, gate: Gate | None = None) -> Collector:
    """A collector whose files age by the tests' clock; behind a gate, if one is given."""
    watch = gate or Gate(closed=False)
    metadata, blobs = WatchedMetadata(site.metadata, watch), WatchedBlobs(site.blobs, watch)
    return Collector(metadata, blobs, AgedHousekeeping(site.blobs, clock), clock, POLICY)


async def status(client: Client, data: bytes, repository: str = "a") -> int:
    """Whether a blob is served, byte for byte."""
    answer = await client.get(f"/v2/{repository}/blobs/{sha256(data)}")
    assert answer.status == 404 or answer.body == data
    return answer.status


# --- races ------------------------------------------------------------------------------------------------------


async def push(client: Client, data: bytes) -> bool:
    """The same content again."""
    return (await client.push_blob("a", data)).status == 201


async def look(client: Client, data: bytes) -> bool:
    """HEAD: the client will not upload what it sees there."""
    return (await client.request("HEAD", f"/v2/a/blobs/{sha256(data)}")).status == 200


async def mount(client: Client, data: bytes) -> bool:
    """From the repository itself, as clients do that look for a blob everywhere."""
    answer = await client.request("POST", f"/v2/a/blobs/uploads/?mount={sha256(data)}&from=a")
    return answer.status == 201


async def refer(client: Client, data: bytes) -> bool:
    """A manifest that needs it."""
    return (await client.push_manifest("a", "latest", image(data))).status == 201


@CONTENTS
@pytest.mark.parametrize("use", [push, look, mount, refer])
@pytest.mark.parametrize("sweeping", [False, True], ids=["marking", "sweeping"])
async def test_a_use_between_any_two_steps_wins(
    site: Registry,
    client: Client,
    other: Client,
    clock: FakeClock,
    data: bytes,
    use: Callable[[Client, bytes], Awaitable[bool]],
    sweeping: bool,
) -> None:
    """The collector is held before each of its steps in turn, and the blob is used through another worker."""
    used, before = [], 0
    while True:
        assert (await client.push_blob("a", data)).status == 201
        clock.advance(GRACE + 1)
        if sweeping:
            assert (await site.collector.run(strays=False)).condemned == 1
            clock.advance(UNDO + 1)
        gate = Gate()
        running = asyncio.ensure_future(collector(site, clock, gate).run(strays=False))
        for _ in range(before):
            if await gate.reached(running):
                gate.let_on()
        held = await gate.reached(running)
        wins = await use(other, data)
        used.append(wins)
        gate.open()
        await running
        lease = GRACE // 2
        for wait in (0, UNDO + 1, READERS + 1, lease - UNDO - READERS - 3):
            clock.advance(wait)
            await site.collector.run(strays=False)
            assert await status(client, data) == (200 if wins else 404)
        if use is refer and wins:
            clock.advance(EXPIRY)
            await run_as_planned(collector(site, clock), site, clock)
            assert await status(client, data) == 200
            assert (await client.request("DELETE", f"/v2/a/manifests/{sha256(image(data))}")).status == 202
        if not held:
            break
        before += 1
    # Marking takes nothing away. Of a sweep, only a push can undo that the link was dropped.
    assert used == sorted(used, reverse=True)
    assert used[0]
    assert used[-1] is (not sweeping or use is push)


@CONTENTS
async def test_the_last_manifest_that_goes_leaves_a_lease(
    site: Registry, client: Client, clock: FakeClock, data: bytes
) -> None:
    assert await push(client, data)
    assert await refer(client, data)
    clock.advance(EXPIRY)
    assert (await client.request("DELETE", f"/v2/a/manifests/{sha256(image(data))}")).status == 202
    for wait in (0, UNDO + 1, READERS + 1, GRACE - UNDO - READERS - 3):
        clock.advance(wait)
        await site.collector.run(strays=False)
        assert await status(client, data) == 200
    for wait in (10, UNDO + 1):
        clock.advance(wait)
        await site.collector.run(strays=False)
    assert await status(client, data) == 404


async def test_collectors_beside_each_other_do_the_work_once(
    site: Registry, client: Client, clock: FakeClock, folder: Path
) -> None:
    for number in range(50):
        assert (await client.push_blob("a", b"%d" % number * INLINE)).status == 201
    total = 0
    for wait in (GRACE + 1, UNDO + 1, READERS + 1):
        clock.advance(wait)
        reports = await asyncio.gather(*(collector(site, clock).run(strays=False) for _ in range(3)))
        total += sum(report.condemned + report.unlinked + report.claimed for report in reports)
    assert total == 150
    assert files(folder / "blobs") == set()


# --- what it does and tells -------------------------------------------------------------------------------------


@CONTENTS
async def test_a_blob_goes_step_by_step(
    site: Registry, client: Client, clock: FakeClock, folder: Path, data: bytes
) -> None:
    assert await push(client, data)
    place, digest = ("a", sha256(data)), sha256(data)
    run = collector(site, clock)
    clock.advance(GRACE)
    assert not any((await run_as_planned(run, site, clock)).values())
    clock.advance(1)
    assert (await run_as_planned(run, site, clock))["condemn"] == {place}
    answer = await client.get(f"/v2/a/blobs/{digest}")
    assert (answer.body, "soft-deleted" in answer.headers["warning"]) == (data, True)
    clock.advance(UNDO)
    assert not any((await run_as_planned(run, site, clock)).values())
    clock.advance(1)
    did = await run_as_planned(run, site, clock)
    assert (did["unlink"], did["claim"]) == ({place}, {digest})
    assert await status(client, data) == 404
    assert len(files(folder / "blobs")) == (1 if data is LARGE else 0)
    clock.advance(READERS)
    assert not any((await run_as_planned(run, site, clock)).values())
    clock.advance(1)
    assert len((await run_as_planned(run, site, clock))["remove"]) == (1 if data is LARGE else 0)
    assert files(folder / "blobs") == set()


@pytest.mark.parametrize(("undo", "readers"), [(0, 0), (0, READERS), (UNDO, 0)])
async def test_the_plan_holds_without_waiting_times_too(
    site: Registry, client: Client, clock: FakeClock, undo: int, readers: int
) -> None:
    """Then what is condemned in a run is unlinked, claimed and removed in the same one."""
    policy = replace(POLICY, undo=undo * 1000, readers=readers * 1000)
    run = Collector(site.metadata, site.blobs, site.blobs, clock, policy)
    shared, held, gone = b"shared" * INLINE, b"held" * INLINE, b"gone" * INLINE
    for repository, blobs in (("a", (shared, held, gone, SMALL)), ("b", (shared, gone, SMALL))):
        for blob in blobs:
            assert (await client.push_blob(repository, blob)).status == 201
    assert (await client.push_manifest("a", "v1", image(held))).status == 201
    assert (await client.push_manifest("b", "v1", image(shared))).status == 201
    await client.start_upload("a")
    for wait in (GRACE + 1, UNDO + 1, READERS + 1, EXPIRY):
        clock.advance(wait)
        await run_as_planned(run, site, clock)
    left = await view(site)
    assert left.links == {("a", sha256(held)), ("b", sha256(shared))}
    assert (left.trash, left.condemned, left.uploads) == (set(), set(), set())


async def test_a_plan_changes_nothing(site: Registry, client: Client, clock: FakeClock, folder: Path) -> None:
    assert await push(client, LARGE)
    clock.advance(GRACE + 1)
    before, stored = await view(site), files(folder / "blobs")
    for _ in range(2):
        assert (await plan(collector(site, clock), strays=True))["condemn"] == {("a", sha256(LARGE))}
    assert (await view(site), files(folder / "blobs")) == (before, stored)


async def test_an_undo_brings_back_what_is_condemned(site: Registry, client: Client, clock: FakeClock) -> None:
    for data in (SMALL, LARGE):
        assert await push(client, data)
    clock.advance(GRACE + 1)
    assert (await site.collector.run()).condemned == 2
    assert await site.collector.undo() == 2
    assert await site.collector.undo() == 0
    for wait in (UNDO + 1, GRACE - UNDO - 2):
        clock.advance(wait)
        assert (await site.collector.run()).unlinked == 0
    assert [await status(client, data) for data in (SMALL, LARGE)] == [200, 200]
    clock.advance(2)
    assert (await site.collector.run()).condemned == 2


async def test_a_repository_s_garbage_is_another_s_content(site: Registry, client: Client, clock: FakeClock) -> None:
    for repository in ("a", "b"):
        assert (await client.push_blob(repository, LARGE)).status == 201
    assert (await client.push_manifest("b", "v1", image(LARGE))).status == 201
    for wait in (GRACE + 1, UNDO + 1, READERS + 1):
        clock.advance(wait)
        await run_as_planned(collector(site, clock), site, clock)
    assert (await status(client, LARGE, "a"), await status(client, LARGE, "b")) == (404, 200)
    assert (await client.get("/v2/a/tags/list")).codes == ["NAME_UNKNOWN"]


async def test_more_than_a_batch_goes_in_one_run(site: Registry, clock: FakeClock) -> None:
    """Every other blob is referred to by a manifest; the pages of the walk must lose none of either kind."""
    number = BATCH * 2 + 50
    names = RepositoryName("a"), RepositoryName("b")
    contents = [b"blob %d" % at for at in range(number)]

    async def fill(tx: Transaction) -> None:
        for name in names:
            repository_id = await tx.repositories.ensure(name, 1)
            for data in contents:
                await put_blob(tx, data, name, clock.now())
            row = await tx.one(
                "INSERT INTO manifest (repository_id, digest, media_type, size, pushed_at, data)"
                " VALUES (:id, 'x', 'a/b', 0, 0, :data) RETURNING id",
                id=repository_id,
                data=b"",
            )
            assert row is not None
            for data in contents[::2]:
                await tx.run(
                    "INSERT INTO reference (repository_id, digest, manifest_id) VALUES (:id, :digest, :manifest)",
                    id=repository_id,
                    digest=Digest.of(data),
                    manifest=row[0],
                )

    await site.metadata.write(fill)
    clock.advance(GRACE + 1)
    did = await run_as_planned(collector(site, clock), site, clock)
    assert len(did["condemn"]) == number
    clock.advance(UNDO + 1)
    did = await run_as_planned(collector(site, clock), site, clock)
    assert (len(did["unlink"]), len(did["claim"])) == (number, number // 2)
    left = await view(site)
    assert left.links == {(name, str(Digest.of(data))) for name in names for data in contents[::2]}


# --- files ------------------------------------------------------------------------------------------------------


async def test_a_reader_finishes_what_it_began(site: Registry, client: Client, clock: FakeClock) -> None:
    assert await push(client, LARGE)
    row = await site.metadata.read(lambda tx: tx.blobs.find(RepositoryName("a"), Digest.of(LARGE)))
    assert row is not None
    assert row.stored_name is not None
    early = await site.blobs.open(row.stored_name)
    assert (await client.request("DELETE", f"/v2/a/blobs/{sha256(LARGE)}")).status == 202
    assert (await site.collector.run(strays=False)).claimed == 1
    late = await site.blobs.open(row.stored_name)  # it had looked the name up before the row went
    clock.advance(READERS + 1)
    assert (await site.collector.run(strays=False)).freed_bytes == len(LARGE)
    for reader in (early, late):
        assert bytes(await reader.read(0, len(LARGE))) == LARGE
        reader.close()
    with pytest.raises(FileNotFoundError):
        await site.blobs.open(row.stored_name)


async def test_bytes_that_come_again_are_not_hit_by_a_late_removal(
    site: Registry, client: Client, clock: FakeClock
) -> None:
    assert await push(client, LARGE)
    assert (await client.request("DELETE", f"/v2/a/blobs/{sha256(LARGE)}")).status == 202
    await site.collector.run(strays=False)
    assert await push(client, LARGE)
    assert await refer(client, LARGE)
    clock.advance(READERS + 1)
    assert (await site.collector.run(strays=False)).removed == 1
    assert await status(client, LARGE) == 200


async def test_strays_go_after_an_hour_and_nothing_else_does(
    site: Registry, client: Client, clock: FakeClock, folder: Path
) -> None:
    assert await push(client, LARGE)
    assert await refer(client, LARGE)
    gone = b"gone" * INLINE
    assert await push(client, gone)
    assert (await client.request("DELETE", f"/v2/a/blobs/{sha256(gone)}")).status == 202
    run = Collector(
        site.metadata, site.blobs, AgedHousekeeping(site.blobs, clock), clock, replace(POLICY, readers=10**9)
    )
    assert (await run.run()).claimed == 1  # its file waits in the trash
    location = await client.start_upload("a")
    assert (await client.request("PATCH", location, LARGE)).status == 202
    known = files(folder / "blobs")
    assert len(known) == 3
    for name in ("left-behind", "left-behind_2"):
        writer = await site.blobs.stage(name, 0, algorithm="sha256", expected=None)
        await writer.write(b"x" * 1000)
        await writer.sync()
        await writer.close()
    await site.blobs.publish("left-behind", Digest.of(b"x" * 1000), 1000)
    assert len(files(folder / "blobs") - known) == 3
    clock.advance(3500)
    assert (await client.request("PATCH", location, SMALL)).status == 202
    assert (await run.run()).stray_files == 0
    clock.advance(200)
    assert len((await plan(run, strays=True))["stray"]) == 3
    assert (await run.run()).stray_files == 3
    assert files(folder / "blobs") == known
