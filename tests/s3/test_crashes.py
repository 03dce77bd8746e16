"""A process that loses S3, or ends, between any two of its requests to it.

A relay passes so many requests on and then breaks: before a request arrives, or after it had its effect and its answer
is lost. The operation is run again and again, each time broken one request later, until it comes through. After each
break another process, with the same database and S3 itself, finds what was acknowledged, ends the upload, and the
collector leaves nothing behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from gati_registry.errors import RegistryError, Unavailable
from gati_registry.http.registry import RegistryApp
from gati_registry.metadata.sqlite import SqliteMetadata
from gati_registry.service.collect import Collector
from gati_registry.service.verify import Verifier
from gati_registry.storage.s3 import Address, Options, S3Blobs
from gati_registry.storage.s3.client import MIN_PART
from gati_registry.storage.s3.writer import S3Writer
from gati_registry.values.digest import Digest
from tests.core.contract_blobs import content, fill, new_name, stage
from tests.core.fakes import Crash, LastSteps, WatchedBlobs, WatchedMetadata
from tests.core.support import POLICY, AgedHousekeeping, Answer, Client, FakeClock, assemble, scratch, sha256, sha512
from tests.s3.relay import Relay, relaying
from tests.support.minio import BUCKET, MinioServer

pytestmark = pytest.mark.anyio

LIMIT = 80
"""Requests after which an operation that still has not come through is taken to go in circles."""

OPTIONS = Options(connections=8, timeout=20, retries=0)


class Stage:
    """One database, the way to S3 that breaks, and one that does not."""

    def __init__(self, metadata: SqliteMetadata, direct: S3Blobs, through: Address, relay: Relay) -> None:
        self.metadata = metadata
        self.direct = direct
        self.through = through
        self.relayed = S3Blobs(through, OPTIONS, part_bytes=MIN_PART, alive=0)
        self.relay = relay
        self.clock = FakeClock()
        self.sound = Client(self.app(direct))

    def app(self, blobs: S3Blobs | WatchedBlobs, metadata: WatchedMetadata | None = None) -> RegistryApp:
        """A replica's application."""
        return assemble(metadata or self.metadata, blobs, self.clock)

    async def acknowledged(self, repository: str, *chunks: bytes) -> str:
        """The location of a session that has these bytes."""
        location = await self.sound.start_upload(repository)
        for chunk in chunks:
            assert (await self.sound.request("PATCH", location, chunk)).status == 202
        return location

    async def clean(self) -> None:
        """Let everything go that nobody needs; it leaves no row."""
        housekeeping = AgedHousekeeping(self.direct, self.clock)
        collector = Collector(self.metadata, self.direct, housekeeping, self.clock, POLICY)
        for last in (False, False, True, True):
            self.clock.advance(5000)
            await collector.run(strays=last)


@pytest.fixture
async def scene(minio: MinioServer, prefix: str) -> AsyncIterator[Stage]:
    """A place for a crash."""
    address = Address(BUCKET, f"{prefix}/", minio.endpoint, "us-east-1")
    with scratch() as folder:
        async with relaying(minio.port) as relay:
            metadata = SqliteMetadata(folder / "metadata.sqlite")
            direct = S3Blobs(address, OPTIONS, part_bytes=MIN_PART, alive=0)
            through = replace(address, endpoint=f"http://127.0.0.1:{relay.port}")
            built = Stage(metadata, direct, through, relay)
            yield built
            built.relayed.close()
            direct.close()
            await metadata.close()


ACKNOWLEDGED = content(MIN_PART + 1000)
TAIL = content(MIN_PART + 2000, 1)


class Attempt:
    """One upload with content of its own: what is stored already would not be published again."""

    def __init__(self, scene: Stage, number: int, tail: bytes = TAIL) -> None:
        self.scene = scene
        self.tail = tail
        self.repository = f"a/{number}"
        self.acknowledged = b"%08d" % number + ACKNOWLEDGED
        self.whole = self.acknowledged + tail
        self.location = ""

    async def begin(self) -> None:
        """Have the first bytes acknowledged."""
        self.location = await self.scene.acknowledged(self.repository, self.acknowledged)

    async def patch(self, client: Client) -> Answer:
        """A chunk."""
        return await client.request("PATCH", self.location, self.tail)

    async def close(self, client: Client, digest: Callable[[bytes], str]) -> Answer:
        """The last chunk; with sha512 all has to be read again."""
        return await client.request("PUT", f"{self.location}?digest={digest(self.whole)}", self.tail)

    async def finish(self, digest: Callable[[bytes], str]) -> None:
        """Another replica ends it from the offset that it tells, which is one that was acknowledged."""
        sound = self.scene.sound
        state = await sound.get(self.location)
        if state.status == 204:
            offset = int(state.headers["range"].partition("-")[2]) + 1
            assert offset in (len(self.acknowledged), len(self.whole))
            rest = self.whole[offset:]
            ended = await sound.request("PUT", f"{self.location}?digest={digest(self.whole)}", rest)
            assert ended.status == 201, ended.body
        assert (await sound.get(f"/v2/{self.repository}/blobs/{digest(self.whole)}")).body == self.whole


Operation = Callable[[Attempt, Client], Awaitable[Answer]]


async def patch(attempt: Attempt, client: Client) -> Answer:
    """A chunk."""
    return await attempt.patch(client)


async def close(attempt: Attempt, client: Client) -> Answer:
    """The last chunk."""
    return await attempt.close(client, sha256)


async def close_otherwise(attempt: Attempt, client: Client) -> Answer:
    """The last chunk, and a digest for which all has to be read again."""
    return await attempt.close(client, sha512)


@pytest.mark.parametrize(
    ("operation", "last_arrives", "tail"),
    [(patch, True, TAIL), (close, False, TAIL[:1000]), (close_otherwise, True, TAIL[:1000])],
    ids=["patch-lost-answer", "close-lost-request", "reading-again-lost-answer"],
)
async def test_s3_is_lost_between_any_two_requests(
    scene: Stage, minio: MinioServer, prefix: str, operation: Operation, last_arrives: bool, tail: bytes
) -> None:
    multiparts = minio.multiparts()
    scene.relay.last_arrives = last_arrives
    digest = sha512 if operation is close_otherwise else sha256
    for passed in range(LIMIT):
        attempt = Attempt(scene, passed, tail)
        await attempt.begin()
        scene.relay.left = passed
        answer = await operation(attempt, Client(scene.app(scene.relayed)))
        broken = scene.relay.broken
        scene.relay.mend()
        assert answer.status in (201, 202, 503), answer.body
        assert ("retry-after" in answer.headers) == (answer.status == 503)
        await attempt.finish(digest)
        if not broken:
            assert answer.status != 503
            break
    else:
        pytest.fail("it did not come through")
    assert (await Verifier(scene.metadata, scene.direct, scene.direct, scene.clock).run()).damaged == []
    await scene.clean()
    assert minio.keys(prefix) == set()
    assert minio.multiparts() == multiparts


@pytest.mark.parametrize("published", [False, True], ids=["writes on", "ends"])
async def test_a_writer_that_goes_on_while_it_is_taken_over(scene: Stage, published: bool) -> None:
    """It sends parts, or becomes a blob, between any two steps of its successor, who has what was acknowledged."""
    kept, lost, expected = ACKNOWLEDGED, content(2 * MIN_PART, 2), Digest.of(ACKNOWLEDGED).encoded
    for passed in range(LIMIT):
        name, other = new_name(), new_name()
        await stage(scene.direct, name, kept)
        hanging = await scene.direct.stage(name, len(kept), algorithm="sha256", expected=None)

        async def go_on(name: str = name, hanging: S3Writer = hanging) -> None:
            with contextlib.suppress(RegistryError, FileNotFoundError):
                await fill(hanging, lost)
                await hanging.sync()
                if published:
                    await scene.direct.publish(name, Digest.of(kept + lost), len(kept + lost))

        scene.relay.meanwhile = (passed, go_on)
        await scene.relayed.copy_staged(name, other, len(kept))
        reached, scene.relay.meanwhile = scene.relay.meanwhile is None, None
        await hanging.close()
        assert await scene.relayed.digest_staged(other, len(kept), "sha256") == expected
        await stage(scene.relayed, other, b"more", offset=len(kept))
        assert (
            await scene.relayed.digest_staged(other, len(kept) + 4, "sha512")
            == Digest.of(kept + b"more", "sha512").encoded
        )
        if not reached:
            return
    pytest.fail("it did not come through")


async def test_a_download_that_s3_breaks_off_goes_on(scene: Stage) -> None:
    """And where S3 does so again and again, the client is not given less than it was promised."""
    patient = S3Blobs(scene.through, replace(OPTIONS, retries=1), part_bytes=MIN_PART)
    data = content(3 * MIN_PART)
    digest = sha256(data)
    assert (await scene.sound.push_blob("a/b", data)).status == 201
    client = Client(scene.app(patient))
    scene.relay.cut = 1
    assert (await client.get(f"/v2/a/b/blobs/{digest}")).body == data
    assert scene.relay.cut == 0
    scene.relay.cut = 100
    with pytest.raises(Unavailable):
        await client.get(f"/v2/a/b/blobs/{digest}")
    scene.relay.left = 0
    assert (await client.get(f"/v2/a/b/blobs/{digest}")).status == 503
    patient.close()


async def test_a_single_lost_answer_is_no_matter(scene: Stage, minio: MinioServer, prefix: str) -> None:
    """Everything can be asked for again, though it had its effect already."""
    multiparts = minio.multiparts()
    scene.relay.last_arrives = scene.relay.once = True
    patient = S3Blobs(scene.through, replace(OPTIONS, retries=1), part_bytes=MIN_PART, alive=0)
    for passed in range(LIMIT):
        attempt = Attempt(scene, passed)
        scene.relay.left = passed
        answer = await Client(scene.app(patient)).push_blob(attempt.repository, attempt.whole)
        broken = scene.relay.broken
        scene.relay.mend()
        assert answer.status == 201, (passed, answer.body)
        assert (await scene.sound.get(f"/v2/{attempt.repository}/blobs/{sha256(attempt.whole)}")).body == attempt.whole
        if not broken:
            break
    else:
        pytest.fail("it did not come through")
    patient.close()
    await scene.clean()
    assert minio.keys(prefix) == set()
    assert minio.multiparts() == multiparts


async def test_a_process_ends_between_any_two_steps_of_a_close(scene: Stage, minio: MinioServer, prefix: str) -> None:
    """Also between the publication and its commit, and between that and the end of the staged name."""
    multiparts = minio.multiparts()
    for moment in range(LIMIT):
        attempt, watch = Attempt(scene, moment), LastSteps(moment)
        await attempt.begin()
        dying = scene.app(WatchedBlobs(scene.direct, watch), WatchedMetadata(scene.metadata, watch))
        try:
            assert (await attempt.close(Client(dying), sha512)).status == 201
        except Crash:
            await attempt.finish(sha512)
        else:
            assert "after publish" in watch.seen
            break
    else:
        pytest.fail(f"it did not come through: {watch.seen}")
    await scene.clean()
    assert minio.keys(prefix) == set()
    assert minio.multiparts() == multiparts


async def test_a_retry_of_a_close_whose_commit_did_not_happen(scene: Stage, minio: MinioServer, prefix: str) -> None:
    """The object is put together, no row names it: the next close makes a blob that a late removal cannot hit."""
    location = await scene.acknowledged("a/b", ACKNOWLEDGED)
    closing = f"{location}?digest={sha256(ACKNOWLEDGED)}"
    name = location.rpartition("/")[2]
    first = await scene.relayed.publish(name, Digest.of(ACKNOWLEDGED), len(ACKNOWLEDGED))
    assert (await scene.sound.request("PUT", closing)).status == 201
    await scene.direct.remove(first)
    assert (await scene.sound.get(f"/v2/a/b/blobs/{sha256(ACKNOWLEDGED)}")).body == ACKNOWLEDGED
    assert len(minio.keys(prefix)) == 1
