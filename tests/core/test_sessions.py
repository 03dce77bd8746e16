"""Upload sessions that nothing is stored of before their first bytes: what their ids prove, and what ends them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry, build
from gati_registry.domain.upload import CLOCK_SKEW, RANDOM_BYTES, SessionIds
from tests.core.support import EXPIRY, INLINE, Answer, Client, FakeClock, configure, files, registry, sha256, sha512

pytestmark = pytest.mark.anyio

SMALL, LARGE = b"s" * (INLINE // 4), b"L" * (INLINE * 3)
NOW = 1_800_000_000_000
IDS = SessionIds(b"key", 1000)
CHANCE = bytes(RANDOM_BYTES)


async def rows(site: Registry) -> list[tuple[str, bool]]:
    """(id, ended) of all rows."""
    return [
        (str(row[0]), bool(row[1]))
        for row in await site.metadata.scan(lambda tx: tx.all("SELECT id, touched_at IS NULL FROM upload ORDER BY id"))
    ]


def unknown(answer: Answer) -> bool:
    """Whether there is no such session."""
    return (answer.status, answer.status == 404 and answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


async def gone(client: Client, location: str) -> bool:
    """Whether the session is unknown, whatever is asked of it."""
    answers = [
        await client.get(location),
        await client.request("PATCH", location, SMALL),
        await client.request("PATCH", location, LARGE),
        await client.request("PUT", f"{location}?digest={sha256(SMALL)}", SMALL),
        await client.request("PUT", f"{location}?digest={sha256(LARGE)}", LARGE),
        await client.request("DELETE", location),
    ]
    return all(unknown(answer) for answer in answers)


# --- ids --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_an_id_tells_what_it_was_issued_for(algorithm: str) -> None:
    issued = IDS.issue("a/b", algorithm, NOW, CHANCE)
    assert IDS.parse(issued.id, "a/b") == issued
    assert (issued.algorithm, issued.issued, issued.epoch, issued.received) == (algorithm, NOW, 0, 0)
    assert len(issued.id) <= 64
    assert IDS.issue("a/b", algorithm, NOW, b"\1" * RANDOM_BYTES).id != issued.id


def test_an_id_of_another_key_repository_or_spelling_is_none() -> None:
    good = IDS.issue("a/b", "sha256", NOW, b"\xab" * RANDOM_BYTES).id
    assert SessionIds(b"another", 1000).parse(good, "a/b") is None
    for repository in ("a", "a/", "a/b/", "a/bc", ""):
        assert IDS.parse(good, repository) is None
    for place in range(len(good)):
        flipped = "0" if good[place] != "0" else "1"
        assert IDS.parse(good[:place] + flipped + good[place + 1 :], "a/b") is None
    for malformed in ("", good[:-1], good + "0", good.upper(), f" {good[1:]}", good[:-1] + "٣", good[:-1] + "\n", "é"):
        assert IDS.parse(malformed, "a/b") is None


def test_an_id_holds_for_its_time_and_whatever_clock_is_behind() -> None:
    issued = IDS.issue("a", "sha256", NOW, CHANCE)
    assert [IDS.valid(issued, NOW + after) for after in (-60_000, 0, 1000, 1001)] == [True, True, True, False]


# --- sessions without a row -------------------------------------------------------------------------------------


async def test_an_empty_session_is_stored_nowhere_and_known_everywhere(folder: Path, clock: FakeClock) -> None:
    """By other workers and after a restart too; its key is made once."""
    async with registry(folder, clock) as first, registry(folder, clock) as second:
        location = await Client(first.app).start_upload("a/b", "?digest-algorithm=sha512")
        assert await rows(first) == []
        answer = await Client(second.app).get(location)
        assert (answer.status, answer.headers["range"], answer.headers["location"]) == (204, "0-0", location)
        assert answer.headers["docker-upload-uuid"] == location.rpartition("/")[2]
    async with registry(folder, clock) as later:
        client = Client(later.app)
        assert (await client.request("PATCH", location, SMALL)).status == 202
        assert len(await rows(later)) == 1
        assert (await client.request("PUT", f"{location}?digest={sha512(SMALL)}")).status == 201


async def test_processes_that_start_at_once_share_one_key(folder: Path) -> None:
    program = (
        "import asyncio, pathlib, sys; from gati_registry.metadata.sqlite import SqliteMetadata;"
        "from gati_registry.service.uploads import session_key;"
        "print(asyncio.run(session_key(SqliteMetadata(pathlib.Path(sys.argv[1])))).hex())"
    )
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(folder / "metadata.sqlite"), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    keys = {(await process.communicate())[0] for process in started}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64


async def test_a_session_of_another_registry_or_repository_is_unknown(
    client: Client, folder: Path, clock: FakeClock
) -> None:
    location = await client.start_upload("a/b")
    assert await gone(client, location.replace("/a/b/", "/a/c/"))
    async with registry(folder / "another", clock) as other:
        assert await gone(Client(other.app), location)
    upload_id = location.rpartition("/")[2]
    for forged in (upload_id[:-1] + ("0" if upload_id[-1] != "0" else "1"), upload_id.upper(), "x", "0" * 64, "f" * 65):
        assert await gone(client, location.replace(upload_id, forged))
    assert (await client.get(location)).status == 204


async def test_an_empty_session_expires_and_one_with_bytes_by_its_last_use(
    site: Registry, client: Client, clock: FakeClock
) -> None:
    empty, used = await client.start_upload("a"), await client.start_upload("a")
    clock.advance(EXPIRY)
    assert (await client.get(empty)).status == 204
    assert (await client.request("PATCH", used, SMALL)).status == 202
    clock.advance(1)
    assert await gone(client, empty)
    assert (await client.request("PATCH", used, SMALL)).headers["range"] == f"0-{2 * len(SMALL) - 1}"
    assert (await client.request("PUT", f"{used}?digest={sha256(SMALL * 2)}")).status == 201
    assert await gone(client, used)


async def test_a_clock_that_goes_back_refuses_no_fresh_session(client: Client, clock: FakeClock) -> None:
    location = await client.start_upload("a")
    clock.advance(-30)
    assert (await client.request("PATCH", location, SMALL)).status == 202
    assert (await client.get(location)).headers["range"] == f"0-{len(SMALL) - 1}"


# --- ends -------------------------------------------------------------------------------------------------------


async def test_a_small_blob_in_one_request_may_be_sent_again(site: Registry, client: Client) -> None:
    """The first answer may have been lost; the same request is the same blob. Nothing is kept of the session."""
    location = await client.start_upload("a")
    target = f"{location}?digest={sha256(SMALL)}"
    for _ in range(3):
        assert (await client.request("PUT", target, SMALL)).status == 201
    assert await rows(site) == []
    assert (await client.get(f"/v2/a/blobs/{sha256(SMALL)}")).body == SMALL
    wrong = await client.request("PUT", target, SMALL + b"!")
    assert (wrong.status, wrong.codes) == (400, ["DIGEST_INVALID"])
    assert await gone(client, location)
    assert (await client.get(f"/v2/a/blobs/{sha256(SMALL + b'!')}")).status == 404


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("end", ["closed", "cancelled", "wrong digest", "closed in one", "never used", "expired"])
async def test_a_session_that_ended_never_comes_back(
    site: Registry, client: Client, folder: Path, clock: FakeClock, content: bytes, end: str
) -> None:
    location = await client.start_upload("a")
    if end not in ("closed in one", "never used"):
        assert (await client.request("PATCH", location, content)).status == 202
    if end in ("cancelled", "never used"):
        assert (await client.request("DELETE", location)).status == 204
    elif end == "expired":
        clock.advance(EXPIRY + 1)
        assert (await site.collector.run()).expired_uploads == 1
    elif end == "wrong digest":
        assert (await client.request("PUT", f"{location}?digest={sha256(b'?')}")).status == 400
    elif end == "closed":
        assert (await client.request("PUT", f"{location}?digest={sha256(content)}")).status == 201
    else:
        content = LARGE
        assert (await client.request("PUT", f"{location}?digest={sha256(content)}", content)).status == 201
    assert await gone(client, location)
    assert len([name for name in files(folder / "blobs") if name.startswith("staged")]) == 0
    upload_id = location.rpartition("/")[2]
    assert await rows(site) == [(upload_id, True)]
    clock.advance(CLOCK_SKEW / 1000)
    await site.collector.run()
    if end != "expired":
        assert await rows(site) == [(upload_id, True)]
        assert await gone(client, location)
        clock.advance(EXPIRY + 1)
        await site.collector.run()
    assert await rows(site) == []
    assert await gone(client, location)


# --- races ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [True, False], ids=["Content-Range", "streamed"])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_of_racing_first_chunks_one_wins(folder: Path, clock: FakeClock, content: bytes, declared: bool) -> None:
    async with registry(folder, clock) as one, registry(folder, clock) as two:
        clients = Client(one.app), Client(two.app)
        for _ in range(5):
            location = await clients[0].start_upload("a")
            headers = {"Content-Range": f"0-{len(content) - 1}"} if declared else {}
            answers = await asyncio.gather(
                *(clients[number % 2].request("PATCH", location, content, headers) for number in range(6))
            )
            statuses = sorted(answer.status for answer in answers)
            taken = statuses.count(202)
            if declared:
                assert taken == 1
            assert taken >= 1
            assert set(statuses) <= {202, 409, 416}
            whole = content * taken
            assert (await clients[1].get(location)).headers["range"] == f"0-{len(whole) - 1}"
            assert (await clients[1].request("PUT", f"{location}?digest={sha256(whole)}")).status == 201


async def test_a_first_chunk_racing_a_cancel_is_taken_or_unknown(client: Client) -> None:
    for content in (SMALL, LARGE):
        location = await client.start_upload("a")
        chunk, end = await asyncio.gather(
            client.request("PATCH", location, content), client.request("DELETE", location)
        )
        assert (chunk.status in (202, 404, 409), end.status) == (True, 204)
        assert await gone(client, location)


async def test_shorter_expiry_ends_empty_sessions_at_once(folder: Path, clock: FakeClock) -> None:
    settings = configure(folder)
    async with build(settings, clock=clock) as site:
        location = await Client(site.app).start_upload("a")
    clock.advance(100)
    shorter = settings.model_copy(update={"uploads": settings.uploads.model_copy(update={"expiry": 50})})
    async with build(shorter, clock=clock) as site:
        assert await gone(Client(site.app), location)
