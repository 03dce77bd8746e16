"""One writer at a time: a request that hangs and its retry, in the same worker and in another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from gati_registry.service.collect import Collector
from gati_registry.service.uploads import session_key
from tests.core.fakes import Gate, WatchedBlobs, WatchedMetadata
from tests.core.support import (
    INLINE,
    POLICY,
    AgedHousekeeping,
    Client,
    FakeClock,
    assemble,
    files,
    registry,
    sha256,
    sha512,
)

pytestmark = pytest.mark.anyio

SMALL, LARGE = b"s" * (INLINE // 4), b"L" * (INLINE * 10)
TAIL = b"t" * (INLINE * 3)


@pytest.fixture
async def second(site: Registry, folder: Path, clock: FakeClock) -> AsyncIterator[Registry]:
    """Another worker on the same data."""
    async with registry(folder, clock) as built:
        yield built


@pytest.fixture(params=["same worker", "another worker"])
def other(request: pytest.FixtureRequest, client: Client, second: Registry) -> Client:
    """Who gets the retry."""
    return client if request.param == "same worker" else Client(second.app)


async def collected(site: Registry, folder: Path, clock: FakeClock) -> set[str]:
    """The files that are left after everything that can go has gone."""
    collector = Collector(site.metadata, site.blobs, AgedHousekeeping(site.blobs, clock), clock, POLICY)
    for _ in range(4):
        clock.advance(5000)
        await collector.run()
    return files(folder / "blobs")


def expected_chunk(first: int, data: bytes) -> dict[str, str]:
    """Headers of a chunk in the specification's form."""
    return {"Content-Range": f"{first}-{first + len(data) - 1}", "Content-Length": str(len(data))}


# --- the retry wins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", SMALL, LARGE], ids=["first chunk", "after a small one", "after a large one"])
@pytest.mark.parametrize("declared", [True, False], ids=["Content-Range", "streamed"])
async def test_the_retry_of_a_hanging_chunk_wins(client: Client, other: Client, before: bytes, declared: bool) -> None:
    location = await client.start_upload("a/b")
    if before:
        assert (await client.request("PATCH", location, before)).status == 202
    headers = expected_chunk(len(before), LARGE) if declared else {}
    hanging = client.begin("PATCH", location, headers)
    hanging.feed(LARGE[: INLINE * 2])
    await hanging.taken()
    again = await other.request("PATCH", location, LARGE, headers)
    assert (again.status, again.headers["range"]) == (202, f"0-{len(before + LARGE) - 1}")
    hanging.feed(b"X" * (INLINE * 8), more=False)
    late = await hanging.answer()
    assert (late.status, late.codes) == (409, ["BLOB_UPLOAD_INVALID"])
    data = before + LARGE + TAIL
    done = await client.request("PUT", f"{location}?digest={sha256(data)}", TAIL)
    assert done.status == 201, done
    for worker in (client, other):
        assert (await worker.get(f"/v2/a/b/blobs/{sha256(data)}")).body == data


async def test_the_retry_of_a_hanging_close_wins(client: Client, other: Client) -> None:
    location = await client.start_upload("a/b")
    assert (await client.request("PATCH", location, LARGE)).status == 202
    data = LARGE + TAIL
    target = f"{location}?digest={sha256(data)}"
    hanging = client.begin("PUT", target)
    hanging.feed(TAIL[: INLINE * 2])
    await hanging.taken()
    assert (await other.request("PUT", target, TAIL)).status == 201
    hanging.feed(TAIL[INLINE * 2 :], more=False)
    assert (await hanging.answer()).status == 409
    assert (await client.get(f"/v2/a/b/blobs/{sha256(data)}")).body == data
    assert (await client.get(location)).status == 404


async def test_a_retry_wins_at_every_step_of_its_predecessor(folder: Path, clock: FakeClock) -> None:
    """The first writer is held before each of its steps in turn, while the retry goes through in another worker."""
    data, moments = LARGE + TAIL, list[str | None]()
    for moment in range(7):
        async with registry(folder / str(moment), clock) as first, registry(folder / str(moment), clock) as second:
            gate = Gate(closed=False)
            key = await session_key(first.metadata)
            slow = assemble(WatchedMetadata(first.metadata, gate), WatchedBlobs(first.blobs, gate), clock, key=key)
            client, other = Client(slow), Client(second.app)
            location = await client.start_upload("a/b")
            assert (await client.request("PATCH", location, LARGE)).status == 202
            gate.close()
            held = client.begin("PUT", f"{location}?digest={sha256(data)}", expected_chunk(len(LARGE), TAIL))
            held.feed(TAIL, more=False)
            for _ in range(moment):
                if await gate.reached(held.task):
                    gate.let_on()
            await gate.reached(held.task)
            at = gate.at
            retry = await other.request(
                "PUT", f"{location}?digest={sha256(data)}", TAIL, expected_chunk(len(LARGE), TAIL)
            )
            gate.open()
            late = await held.answer()
            # Whoever claims last wins; unless its predecessor has already ended the session.
            if at in ("write", "stage", "sync", "publish"):
                assert (retry.status, late.status in (404, 409)) == (201, True), (at, retry, late)
            else:
                assert (retry.status, late.status) == (404, 201), (at, retry, late)
            moments.append(at)
            for worker in (client, other):
                assert (await worker.get(f"/v2/a/b/blobs/{sha256(data)}")).body == data
            findings = await second.verifier.run()
            assert (findings.blobs, findings.damaged) == (1, [])
    assert moments == ["write", "stage", "sync", "publish", "write", "discard", None]


async def test_a_chunk_that_lost_its_session_leaves_no_hash_behind(folder: Path, clock: FakeClock) -> None:
    """Bytes that were hashed and never acknowledged are replaced by others: their digest must not be believed."""
    kept, lost, new = LARGE, b"1" * INLINE * 2, b"2" * INLINE * 2
    async with registry(folder, clock) as first, registry(folder, clock) as second:
        late, early = Gate(closed=False), Gate(closed=False)
        key = await session_key(first.metadata)
        client, other = (
            Client(assemble(WatchedMetadata(site.metadata, gate), WatchedBlobs(site.blobs, gate), clock, key=key))
            for site, gate in ((first, late), (second, early))
        )
        location = await client.start_upload("a/b")
        assert (await client.request("PATCH", location, kept)).status == 202
        late.close()
        superseded = client.begin("PATCH", location)
        superseded.feed(lost, more=False)
        await late.reach("sync", superseded.task)
        late.let_on()
        await late.reach("write", superseded.task)  # synced and hashed; the offset is not committed
        early.close()
        winner = other.begin("PATCH", location)
        winner.feed(new, more=False)
        await early.reach("stage", winner.task)  # it has claimed the session; it has not opened the file
        late.open()
        assert (await superseded.answer()).status == 409
        early.open()
        assert (await winner.answer()).status == 202
        lie = await client.request("PUT", f"{location}?digest={sha256(kept + lost)}")
        assert (lie.status, lie.codes) == (400, ["DIGEST_INVALID"])
        assert (await first.verifier.run()).damaged == []


# --- going away -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", SMALL, LARGE])
@pytest.mark.parametrize("sent", [SMALL, LARGE])
async def test_a_client_that_goes_away_can_go_on_from_what_was_acknowledged(
    client: Client, other: Client, before: bytes, sent: bytes
) -> None:
    location = await client.start_upload("a/b")
    if before:
        assert (await client.request("PATCH", location, before)).status == 202
    gone = client.begin("PATCH", location)
    gone.feed(sent)
    await gone.taken()
    gone.disconnect()
    assert not await gone.finished()
    state = await other.get(location)
    assert (state.status, state.headers["range"]) == (204, f"0-{max(len(before) - 1, 0)}")
    data = before + TAIL
    done = await other.request("PUT", f"{location}?digest={sha256(data)}", TAIL, expected_chunk(len(before), TAIL))
    assert done.status == 201
    assert (await client.get(f"/v2/a/b/blobs/{sha256(data)}")).body == data


@pytest.mark.parametrize("before", [b"", SMALL, LARGE])
async def test_what_came_of_a_chunk_that_said_where_it_belongs_is_kept(
    client: Client, other: Client, before: bytes
) -> None:
    location = await client.start_upload("a/b")
    if before:
        assert (await client.request("PATCH", location, before)).status == 202
    gone = client.begin("PATCH", location, expected_chunk(len(before), LARGE + TAIL))
    gone.feed(LARGE)
    await gone.taken()
    gone.disconnect()
    assert not await gone.finished()
    kept = before + LARGE
    state = await other.get(location)
    assert (state.status, state.headers["range"]) == (204, f"0-{len(kept) - 1}")
    done = await other.request("PUT", f"{location}?digest={sha256(kept + TAIL)}", TAIL, expected_chunk(len(kept), TAIL))
    assert done.status == 201
    assert (await client.get(f"/v2/a/b/blobs/{sha256(kept + TAIL)}")).body == kept + TAIL


async def test_a_session_that_was_cancelled_takes_no_more(
    site: Registry, client: Client, other: Client, folder: Path, clock: FakeClock
) -> None:
    location = await client.start_upload("a/b")
    assert (await client.request("PATCH", location, LARGE)).status == 202
    hanging = client.begin("PATCH", location)
    hanging.feed(LARGE)
    await hanging.taken()
    assert (await other.request("DELETE", location)).status == 204
    hanging.feed(TAIL, more=False)
    assert (await hanging.answer()).status in (404, 409)
    for method, body in (("GET", b""), ("PATCH", SMALL), ("PUT", b""), ("DELETE", b"")):
        answer = await client.request(method, f"{location}?digest={sha256(b'')}", body)
        assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    assert await collected(site, folder, clock) == set()


async def test_a_session_that_expired_takes_no_more(
    site: Registry, client: Client, other: Client, folder: Path, clock: FakeClock
) -> None:
    idle, busy = await client.start_upload("a/b"), await client.start_upload("a/b")
    for location in (idle, busy):
        assert (await client.request("PATCH", location, LARGE)).status == 202
    clock.advance(2000)
    assert (await other.request("PATCH", busy, TAIL)).status == 202
    clock.advance(2000)
    assert (await site.collector.run()).expired_uploads == 1
    assert (await other.get(idle)).status == 404
    assert (await other.request("PATCH", idle, TAIL)).status == 404
    assert (await other.get(busy)).headers["range"] == f"0-{len(LARGE + TAIL) - 1}"
    assert len(await collected(site, folder, clock)) == 0


async def test_a_session_goes_on_after_a_restart_and_in_another_worker(folder: Path, clock: FakeClock) -> None:
    data, location, received = b"", "", 0
    for turn, piece in enumerate((SMALL, SMALL, LARGE, b"", TAIL, LARGE)):
        async with registry(folder, clock) as built:
            client = Client(built.app)
            if turn == 0:
                location = await client.start_upload("a/b", "?digest-algorithm=sha512")
            answer = await client.request("PATCH", location, piece)
            data += piece
            received = len(data)
            assert (answer.status, answer.headers["range"]) == (202, f"0-{received - 1}")
    async with registry(folder, clock) as built:
        client = Client(built.app)
        assert (await client.get(location)).headers["range"] == f"0-{received - 1}"
        assert (await client.request("PUT", f"{location}?digest={sha512(data)}")).status == 201
        assert (await client.get(f"/v2/a/b/blobs/{sha512(data)}")).body == data


async def test_one_that_lost_its_session_takes_nothing_with_it(client: Client, other: Client) -> None:
    """Whatever the superseded request does at its end, what was acknowledged before it stays."""
    for digest in (sha256(LARGE + TAIL), sha256(b"something else")):
        location = await client.start_upload("a/b")
        assert (await client.request("PATCH", location, LARGE)).status == 202
        superseded = client.begin("PUT", f"{location}?digest={digest}")
        superseded.feed(TAIL[:-1])
        await superseded.taken()
        gone = other.begin("PATCH", location)
        gone.feed(TAIL)
        await gone.taken()
        gone.disconnect()
        assert not await gone.finished()
        superseded.feed(TAIL[-1:], more=False)
        assert (await superseded.answer()).status in (400, 409)
        assert (await other.get(location)).headers["range"] == f"0-{len(LARGE) - 1}"
        assert (await other.request("PUT", f"{location}?digest={sha256(LARGE + TAIL)}", TAIL)).status == 201
        assert (await client.get(f"/v2/a/b/blobs/{sha256(LARGE + TAIL)}")).body == LARGE + TAIL


async def test_many_write_to_one_session_and_what_is_acknowledged_is_what_is_stored(
    client: Client, second: Registry
) -> None:
    """Without Content-Range chunks come in any order; each is acknowledged whole, or refused whole."""
    other = Client(second.app)
    location = await client.start_upload("a/b")
    pieces = [bytes([65 + number]) * (INLINE // 3 if number % 2 else INLINE * 2) for number in range(20)]
    answers = await asyncio.gather(
        *((client if number % 3 else other).request("PATCH", location, piece) for number, piece in enumerate(pieces))
    )
    assert {answer.status for answer in answers} <= {202, 409}
    taken = [piece for piece, answer in zip(pieces, answers, strict=True) if answer.status == 202]
    last = int((await client.get(location)).headers["range"].partition("-")[2])
    assert last + 1 == sum(map(len, taken))
    ends = sorted(
        (int(answer.headers["range"].partition("-")[2]), piece)
        for piece, answer in zip(pieces, answers, strict=True)
        if answer.status == 202
    )
    data = b"".join(piece for _, piece in ends)
    assert (await other.request("PUT", f"{location}?digest={sha256(data)}")).status == 201
    assert (await client.get(f"/v2/a/b/blobs/{sha256(data)}")).body == data
