"""What SQLite's one writer keeps apart, PostgreSQL's transactions must: each race with a second replica's transaction
in the very gap where it would do harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gati_registry.auth.admin import FACT, ensure_admin, verify_password
from gati_registry.domain.events import Event, Operation
from gati_registry.domain.upload import SessionIds
from gati_registry.errors import RegistryError
from gati_registry.ports import Metadata, Transaction
from gati_registry.service.collect import Collector
from gati_registry.service.uploads import UploadLimits, UploadService
from gati_registry.storage.filesystem import FilesystemBlobs
from gati_registry.values.reference import RepositoryName, Tag
from tests.core.support import (
    INDEX,
    INLINE,
    POLICY,
    AgedHousekeeping,
    Answer,
    Client,
    FakeClock,
    assemble,
    files,
    image,
    index,
    sha256,
)
from tests.postgresql.interleaving import Gate, Halting

pytestmark = pytest.mark.anyio

BLOB, LARGE = b"blob", b"L" * (INLINE * 3)
A = RepositoryName("a")


@dataclass
class Site:
    """Two replicas on one database and one store; the first can be halted."""

    metadata: Halting
    another: Metadata
    blobs: FilesystemBlobs
    clock: FakeClock

    def __post_init__(self) -> None:
        self.here = Client(assemble(self.metadata, self.blobs, self.clock))
        self.there = Client(assemble(self.another, self.blobs, self.clock))

    def collector(self, metadata: Metadata) -> Collector:
        """A collector."""
        return Collector(metadata, self.blobs, AgedHousekeeping(self.blobs, self.clock), self.clock, POLICY)

    async def collect_everything(self) -> None:
        """Runs until nothing more can go."""
        for _ in range(4):
            self.clock.advance(5000)
            await self.collector(self.another).run()


@pytest.fixture
def store(folder: Path) -> Iterator[FilesystemBlobs]:
    """The blob store that they share."""
    opened = FilesystemBlobs(folder)
    yield opened
    opened.close()


@pytest.fixture
def site(metadata: Metadata, another: Metadata, store: FilesystemBlobs, clock: FakeClock) -> Site:
    """Both replicas."""
    return Site(Halting(metadata), another, store, clock)


@pytest.fixture
async def gate(location: str) -> AsyncIterator[Gate]:
    """A closed gate."""
    async with Gate(location) as closed:
        yield closed


async def content(client: Client, data: bytes, repository: str = "a") -> bytes | None:
    """A blob, if it is there."""
    answer = await client.get(f"/v2/{repository}/blobs/{sha256(data)}")
    return answer.body if answer.status == 200 else None


async def both(first: asyncio.Future[Answer], second: asyncio.Future[Answer]) -> tuple[int, int]:
    """Their statuses."""
    return (await first).status, (await second).status


# --- a manifest and the blobs that it needs ---------------------------------------------------------------------


async def test_a_blob_that_a_manifest_under_way_needs_is_not_deleted(site: Site, gate: Gate) -> None:
    assert (await site.here.push_blob("a", BLOB)).status == 201
    site.metadata.halt_before("INSERT INTO manifest")
    pushing = asyncio.ensure_future(site.here.push_manifest("a", "v1", image(BLOB)))
    await gate.waiting(1, pushing)
    deleting = asyncio.ensure_future(site.there.request("DELETE", f"/v2/a/blobs/{sha256(BLOB)}"))
    await gate.waiting(2, pushing, deleting)
    await gate.open()
    assert await both(pushing, deleting) == (201, 405)
    assert await content(site.there, BLOB) == BLOB


async def test_a_manifest_is_refused_whose_blob_is_deleted_first(site: Site, gate: Gate) -> None:
    assert (await site.here.push_blob("a", BLOB)).status == 201
    site.metadata.halt_before("KEY SHARE OF found")
    pushing = asyncio.ensure_future(site.here.push_manifest("a", "v1", image(BLOB)))
    await gate.waiting(1, pushing)
    assert (await site.there.request("DELETE", f"/v2/a/blobs/{sha256(BLOB)}")).status == 202
    await gate.open()
    assert (await pushing).codes == ["MANIFEST_BLOB_UNKNOWN"]


async def test_a_manifest_is_refused_that_waits_for_the_deletion_of_its_blob(site: Site, gate: Gate) -> None:
    assert (await site.here.push_blob("a", BLOB)).status == 201
    site.metadata.halt_before("DELETE FROM link")
    deleting = asyncio.ensure_future(site.here.request("DELETE", f"/v2/a/blobs/{sha256(BLOB)}"))
    await gate.waiting(1, deleting)
    pushing = asyncio.ensure_future(site.there.push_manifest("a", "v1", image(BLOB)))
    await gate.waiting(2, pushing, deleting)
    await gate.open()
    assert await both(deleting, pushing) == (202, 400)


@pytest.mark.parametrize("words", ["INSERT INTO manifest", "INSERT INTO reference", "UPDATE link", "INSERT INTO tag"])
async def test_the_collector_waits_for_a_manifest_under_way(site: Site, gate: Gate, words: str) -> None:
    for data in (BLOB, LARGE):
        assert (await site.here.push_blob("a", data)).status == 201
    site.clock.advance(5000)
    site.metadata.halt_before(words)
    pushing = asyncio.ensure_future(site.here.push_manifest("a", "v1", image(BLOB, LARGE)))
    await gate.waiting(1, pushing)
    collecting = asyncio.ensure_future(site.collector(site.another).run())
    await gate.waiting(2, pushing, collecting)
    await gate.open()
    assert (await pushing).status == 201
    assert (await collecting).condemned == 0
    await site.collect_everything()
    assert [await content(site.there, data) for data in (BLOB, LARGE)] == [BLOB, LARGE]


@pytest.mark.parametrize("words", ["SELECT (SELECT 1 FROM reference", "condemned_at = :now WHERE"])
async def test_a_manifest_revives_what_is_just_being_condemned(site: Site, gate: Gate, words: str) -> None:
    assert (await site.here.push_blob("a", LARGE)).status == 201
    site.clock.advance(5000)
    site.metadata.halt_before(words)
    collecting = asyncio.ensure_future(site.collector(site.metadata).run())
    await gate.waiting(1, collecting)
    pushing = asyncio.ensure_future(site.there.push_manifest("a", "v1", image(LARGE)))
    await gate.waiting(2, pushing, collecting)
    await gate.open()
    assert (await pushing).status == 201
    await collecting
    await site.collect_everything()
    assert await content(site.there, LARGE) == LARGE


async def test_two_pushes_of_one_manifest_and_its_deletion(site: Site, gate: Gate) -> None:
    data = index()
    assert (await site.there.push_manifest("a", "v1", data, INDEX)).status == 201
    site.metadata.halt_before("INSERT INTO tag")
    pushing = asyncio.ensure_future(site.here.push_manifest("a", "v2", data, INDEX))
    await gate.waiting(1, pushing)
    deleting = asyncio.ensure_future(site.there.request("DELETE", f"/v2/a/manifests/{sha256(data)}"))
    await gate.waiting(2, pushing, deleting)
    await gate.open()
    assert await both(pushing, deleting) == (201, 202)
    for reference in ("v1", "v2", sha256(data)):
        assert (await site.there.get(f"/v2/a/manifests/{reference}")).status == 404


async def test_tags_that_move_in_opposite_order(site: Site, gate: Gate) -> None:
    """Each waits for the other: one of both is run again."""

    async def move(tx: Transaction, data: bytes, *tags: str) -> None:
        repository_id = await tx.repositories.ensure(A, 1)
        row = await tx.one("SELECT id FROM manifest WHERE digest = :digest", digest=sha256(data))
        assert row is not None
        for tag in tags:
            await tx.tags.point(repository_id, Tag(tag), row[0], 1)

    one, two = index(annotations={"n": "1"}), index(annotations={"n": "2"})
    for data in (one, two):
        assert (await site.there.push_manifest("a", "x", data, INDEX)).status == 201
    await asyncio.gather(
        *(site.metadata.write(lambda tx: move(tx, one, "v1", "v2")) for _ in range(4)),
        *(site.another.write(lambda tx: move(tx, two, "v2", "v1")) for _ in range(4)),
    )
    found = {(await site.there.get(f"/v2/a/manifests/{tag}")).body for tag in ("v1", "v2")}
    assert len(found) == 1


# --- a blob and its links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["SELECT 1 FROM blob WHERE id", "UPDATE blob SET orphaned_at = :now"])
async def test_the_last_two_links_that_go_at_once_leave_an_orphan(site: Site, gate: Gate, words: str) -> None:
    for repository in ("a", "b"):
        assert (await site.there.push_blob(repository, LARGE)).status == 201
    site.metadata.halt_before(words)
    first = asyncio.ensure_future(site.here.request("DELETE", f"/v2/a/blobs/{sha256(LARGE)}"))
    await gate.waiting(1, first)
    second = asyncio.ensure_future(site.there.request("DELETE", f"/v2/b/blobs/{sha256(LARGE)}"))
    if words.startswith("UPDATE"):
        await gate.waiting(2, first, second)
    else:
        await second
    await gate.open()
    assert await both(first, second) == (202, 202)
    rows = await site.another.scan(lambda tx: tx.garbage.orphans(9))
    assert [row.digest for row in rows] == [sha256(LARGE)]


async def test_a_new_link_lifts_the_mark_of_an_orphan_that_is_just_set(site: Site, gate: Gate) -> None:
    assert (await site.there.push_blob("a", LARGE)).status == 201
    site.metadata.halt_before("UPDATE blob SET orphaned_at = NULL")
    pushing = asyncio.ensure_future(site.here.push_blob("b", LARGE))
    await gate.waiting(1, pushing)
    deleting = asyncio.ensure_future(site.there.request("DELETE", f"/v2/a/blobs/{sha256(LARGE)}"))
    await gate.waiting(2, pushing, deleting)
    await gate.open()
    assert await both(pushing, deleting) == (201, 202)
    assert await site.another.scan(lambda tx: tx.garbage.orphans(9)) == []


@pytest.mark.parametrize("words", ["FROM repository WHERE name", "INSERT INTO link"])
@pytest.mark.parametrize("how", ["push", "mount"])
async def test_a_blob_that_is_collected_before_it_is_linked_again(
    site: Site, gate: Gate, words: str, how: str, folder: Path
) -> None:
    """The push finds that its bytes are gone, and stores them; a mount finds nothing to mount."""
    assert (await site.there.push_blob("a", LARGE)).status == 201
    assert (await site.there.push_blob("b", BLOB)).status == 201
    site.metadata.halt_before(words)
    if how == "push":
        working = asyncio.ensure_future(site.here.push_blob("b", LARGE))
    else:
        working = asyncio.ensure_future(site.here.request("POST", f"/v2/b/blobs/uploads/?mount={sha256(LARGE)}&from=a"))
    await gate.waiting(1, working)
    await site.collect_everything()
    assert await content(site.there, LARGE) is None
    await gate.open()
    assert (await working).status == (201 if how == "push" else 202)
    if how == "push":
        assert await content(site.there, LARGE, "b") == LARGE
        assert len(files(folder / "blobs")) == 1


@pytest.mark.parametrize("halted", ["DELETE FROM blob", "INSERT INTO trash"])
async def test_a_blob_is_pushed_while_it_is_collected(site: Site, gate: Gate, halted: str, folder: Path) -> None:
    assert (await site.there.push_blob("a", LARGE)).status == 201
    assert (await site.there.request("DELETE", f"/v2/a/blobs/{sha256(LARGE)}")).status == 202
    site.metadata.halt_before(halted)
    collecting = asyncio.ensure_future(site.collector(site.metadata).run())
    await gate.waiting(1, collecting)
    pushing = asyncio.ensure_future(site.there.push_blob("a", LARGE))
    if halted == "INSERT INTO trash":  # its row is as good as gone: the push waits to know
        await gate.waiting(2, pushing, collecting)
    else:
        await pushing
    await gate.open()
    assert (await pushing).status == 201
    await collecting
    assert await content(site.there, LARGE) == LARGE
    site.clock.advance(100)  # the old bytes leave the trash
    await site.collector(site.another).run()
    assert await content(site.there, LARGE) == LARGE
    assert len(files(folder / "blobs")) == 1


@pytest.mark.parametrize("data", [BLOB, LARGE], ids=["small", "large"])
async def test_the_same_bytes_twice_at_once_are_stored_once(site: Site, gate: Gate, data: bytes, folder: Path) -> None:
    site.metadata.halt_before("INSERT INTO blob")
    first = asyncio.ensure_future(site.here.push_blob("a", data))
    await gate.waiting(1, first)
    assert (await site.there.push_blob("b", data)).status == 201
    await gate.open()
    assert (await first).status == 201
    assert [await content(site.there, data, name) for name in ("a", "b")] == [data, data]
    assert len(files(folder / "blobs")) == (data is LARGE)


# --- repositories -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["INSERT INTO link", "UPDATE blob SET orphaned_at = NULL"])
async def test_an_empty_repository_is_dropped_while_something_comes_in(site: Site, gate: Gate, words: str) -> None:
    assert (await site.there.push_blob("b", BLOB)).status == 201
    made = await site.another.write(lambda tx: tx.repositories.ensure(A, 1))
    site.metadata.halt_before(words)
    pushing = asyncio.ensure_future(site.here.push_blob("a", BLOB))
    await gate.waiting(1, pushing)
    dropping = asyncio.ensure_future(site.another.write(lambda tx: tx.repositories.drop_empty([made])))
    if words == "INSERT INTO link":
        assert await dropping == 1
    else:
        await gate.waiting(2, pushing, dropping)
    await gate.open()
    assert (await pushing).status == 201
    assert await dropping == (1 if words == "INSERT INTO link" else 0)
    assert await content(site.there, BLOB) == BLOB


async def test_a_repository_is_made_once(site: Site, gate: Gate) -> None:
    site.metadata.halt_before("INSERT INTO repository")
    first = asyncio.ensure_future(site.here.push_blob("a", BLOB))
    await gate.waiting(1, first)
    assert (await site.there.push_blob("a", LARGE)).status == 201
    await gate.open()
    assert (await first).status == 201
    assert [await content(site.there, data) for data in (BLOB, LARGE)] == [BLOB, LARGE]


# --- upload sessions --------------------------------------------------------------------------------------------


class Piece:
    """`service.staging.Body` of a few bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length: int | None = len(data)
        self.into = None

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._data


async def test_no_more_sessions_are_opened_than_are_allowed(site: Site, gate: Gate) -> None:
    ids, limits = SessionIds(b"key", POLICY.uploads), UploadLimits(INLINE, 0, 1)
    here = UploadService(site.metadata, site.blobs, site.clock, limits, ids)
    there = UploadService(site.another, site.blobs, site.clock, limits, ids)
    site.metadata.halt_before("SELECT count(*) FROM upload")
    first = asyncio.ensure_future(here.append(A, here.start(A).id, Piece(b"1"), None))
    await gate.waiting(1, first)
    second = asyncio.ensure_future(there.append(A, there.start(A).id, Piece(b"2"), None))
    await gate.waiting(2, first, second)
    await gate.open()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [getattr(outcome, "received", None) for outcome in outcomes] == [1, None]
    assert isinstance(outcomes[1], RegistryError)
    assert outcomes[1].status == 429


async def test_chunks_of_one_session_come_one_after_the_other(site: Site, gate: Gate) -> None:
    location = await site.here.start_upload("a")
    site.metadata.halt_before("UPDATE upload SET received")
    first = asyncio.ensure_future(site.here.request("PATCH", location, b"one", {"Content-Range": "0-2"}))
    await gate.waiting(1, first)
    second = asyncio.ensure_future(site.there.request("PATCH", location, b"two", {"Content-Range": "0-2"}))
    third = asyncio.ensure_future(site.there.request("PATCH", location, b"two", {"Content-Range": "3-5"}))
    await gate.waiting(3, first, second, third)
    await gate.open()
    assert (await first).status == 202
    assert {(await second).status, (await third).status} == {416, 202}
    assert (await site.there.request("PUT", f"{location}?digest={sha256(b'onetwo')}")).status == 201


async def test_a_session_that_is_written_to_does_not_expire(site: Site, gate: Gate) -> None:
    location = await site.here.start_upload("a")
    assert (await site.here.request("PATCH", location, LARGE)).status == 202
    site.clock.advance(POLICY.uploads / 1000 - 1)
    site.metadata.halt_before("UPDATE upload SET received")
    writing = asyncio.ensure_future(site.here.request("PATCH", location, LARGE))
    await gate.waiting(1, writing)
    site.clock.advance(2)
    await site.collector(site.another).run()
    await gate.open()
    assert (await writing).status == 202
    await site.collector(site.another).run()
    assert (await site.there.request("PUT", f"{location}?digest={sha256(LARGE * 2)}")).status == 201


async def test_a_session_that_is_just_expiring_is_not_written_to(site: Site, gate: Gate) -> None:
    location = await site.there.start_upload("a")
    assert (await site.there.request("PATCH", location, LARGE)).status == 202
    site.clock.advance(POLICY.uploads / 1000 + 1)
    site.metadata.halt_before("SET touched_at = NULL")
    collecting = asyncio.ensure_future(site.collector(site.metadata).run())
    await gate.waiting(1, collecting)
    writing = asyncio.ensure_future(site.there.request("PATCH", location, LARGE))
    await gate.waiting(2, collecting, writing)
    await gate.open()
    assert (await collecting).expired_uploads == 1
    assert (await writing).codes == ["BLOB_UPLOAD_UNKNOWN"]


# --- facts and leases -------------------------------------------------------------------------------------------


async def test_replicas_that_start_together_agree_on_the_password(site: Site, gate: Gate) -> None:
    site.metadata.halt_before("INSERT INTO fact")
    first = asyncio.ensure_future(ensure_admin(site.metadata, None))
    await gate.waiting(1, first)
    second = asyncio.ensure_future(ensure_admin(site.another, None))
    await gate.waiting(2, first, second)
    await gate.open()
    told = [password for password in await asyncio.gather(first, second) if password is not None]
    stored = await site.another.read(lambda tx: tx.leases.get_fact(FACT))
    assert len(told) == 1
    assert stored is not None
    assert verify_password(told[0], stored)


async def test_a_lease_goes_to_one_of_many(site: Site) -> None:
    def take(number: int) -> Coroutine[Any, Any, bool]:
        side = (site.metadata, site.another)[number % 2]
        return side.write(lambda tx: tx.leases.acquire("gc", f"{number}", 1, 100))

    assert sum(await asyncio.gather(*map(take, range(40)))) == 1


async def test_two_workers_at_the_outbox_take_different_events(site: Site, location: str) -> None:
    """The second does not wait for what the first is about to lease, and takes nothing that comes after it in line."""

    async def add(tx: Transaction) -> None:
        for number, repository in enumerate(("a", "a", "b")):
            event = Event(id=str(number), operation=Operation.MANIFEST_PUT, repository=repository, time=1)
            await tx.outbox.add("reaction", event, 1)

    await site.another.write(add)
    site.metadata.halt_before("UPDATE outbox SET holder")
    async with Gate(location) as gate:
        first = asyncio.ensure_future(site.metadata.write(lambda tx: tx.outbox.claim("one", 2, 100, 1)))
        await gate.waiting(1, first)
        second = await site.another.write(lambda tx: tx.outbox.claim("two", 2, 100, 8))
        assert [delivery.event.id for delivery in second] == ["2"]
        await gate.open()
    assert [delivery.event.id for delivery in await first] == ["0"]
    assert not await site.another.write(lambda tx: tx.outbox.claim("three", 3, 100, 8))
