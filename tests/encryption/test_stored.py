"""What lies on the disk and in the database, what is served of it, and who can open it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from gati_registry.settings import Encryption, Settings, SettingsError
from gati_registry.storage.encrypted.frames import FRAME, OVERHEAD
from gati_registry.values.reference import RepositoryName
from tests.core.contract_blobs import content
from tests.core.support import GRACE, INLINE, READERS, UNDO, Client, FakeClock, configure, image, registry, sha256

pytestmark = pytest.mark.anyio

MARK = b"nobody else is to read this "
SMALL, LARGE = MARK * 5, MARK * 12_000
OTHER = content(3 * FRAME + 100)


@pytest.fixture
def settings(folder: Path, keys_file: Path) -> Settings:
    """A registry that encrypts."""
    return configure(folder).model_copy(update={"encryption": Encryption(master="file", file=keys_file)})


@pytest.fixture
async def site(settings: Settings, folder: Path, clock: FakeClock) -> AsyncIterator[Registry]:
    """That registry."""
    async with registry(folder, clock, settings) as built:
        yield built


async def body(client: Client, repository: str, data: bytes, **headers: str) -> bytes | None:
    """A blob as it is served; None where it is not."""
    answer = await client.get(f"/v2/{repository}/blobs/{sha256(data)}", **headers)
    return answer.body if answer.status in (200, 206) else None


def traces(folder: Path) -> set[str]:
    """Files below a folder that hold the mark in the clear."""
    return {path.name for path in folder.rglob("*") if path.is_file() and MARK in path.read_bytes()}


async def test_content_is_nowhere_in_the_clear(site: Registry, client: Client, folder: Path) -> None:
    """Not in files, staged or published, nor in the database, its log included; not of an upload under way either."""
    assert len(SMALL) < INLINE < FRAME < len(LARGE)
    for data in (SMALL, LARGE):
        assert (await client.push_blob("orgs/acme/app", data)).status == 201
        assert await body(client, "orgs/acme/app", data) == data
        location = await client.start_upload("orgs/acme/app")
        assert (await client.request("PATCH", location, data)).status == 202
    assert traces(folder) == set()
    location = await client.start_upload("orgs/acme/app")
    for chunk in (SMALL[:50], SMALL[50:], LARGE[:70_000], LARGE[70_000:]):
        assert (await client.request("PATCH", location, chunk)).status == 202
    whole = SMALL + LARGE
    assert (await client.request("PUT", f"{location}?digest={sha256(whole)}")).status == 201
    assert await body(client, "orgs/acme/app", whole) == whole
    assert traces(folder) == set()
    manifest = image(SMALL, LARGE, annotations={"text": MARK.decode()})
    assert (await client.push_manifest("orgs/acme/app", "v1", manifest)).status == 201
    assert traces(folder) != set()  # manifests are readable; and the search would have found the rest


async def test_ranges_are_read(site: Registry, client: Client) -> None:
    assert (await client.push_blob("a", OTHER)).status == 201
    for first, last in ((0, 0), (FRAME - 1, FRAME), (5, 3 * FRAME + 5), (3 * FRAME + 99, 3 * FRAME + 99)):
        found = await body(client, "a", OTHER, Range=f"bytes={first}-{last}")
        assert found == OTHER[first : last + 1]


def swap(file: bytes, other: bytes) -> bytes:
    """Two frames in each other's place."""
    unit = FRAME + OVERHEAD
    return file[unit : 2 * unit] + file[:unit] + file[2 * unit :]


def drop(file: bytes, other: bytes) -> bytes:
    """A frame is missing in the middle."""
    unit = FRAME + OVERHEAD
    return file[:unit] + file[2 * unit :]


def cut(file: bytes, other: bytes) -> bytes:
    """The last frame is missing."""
    return file[: -(len(file) % (FRAME + OVERHEAD))]


def foreign(file: bytes, other: bytes) -> bytes:
    """A frame of another blob, from the same place."""
    unit = FRAME + OVERHEAD
    return file[:unit] + other[unit : 2 * unit] + file[2 * unit :]


def whole(file: bytes, other: bytes) -> bytes:
    """Another blob of the same length."""
    return other


@pytest.mark.parametrize("damage", [swap, drop, cut, foreign, whole])
async def test_damage_is_found_and_never_served(
    site: Registry, client: Client, folder: Path, damage: Callable[[bytes, bytes], bytes]
) -> None:
    """What is served ends before the first frame that is not as it was written."""
    for data in (OTHER, OTHER[::-1]):
        assert (await client.push_blob("a", data)).status == 201

    async def path_of(data: bytes) -> Path:
        rows = await site.metadata.scan(
            lambda tx: tx.all("SELECT stored_name FROM blob WHERE digest = :d", d=sha256(data))
        )
        return folder / "blobs" / "blobs" / str(rows[0][0])

    path = await path_of(OTHER)
    bad = damage(path.read_bytes(), (await path_of(OTHER[::-1])).read_bytes())
    path.chmod(0o600)
    path.write_bytes(bad)
    call = client.begin("GET", f"/v2/a/blobs/{sha256(OTHER)}", {"Content-Length": "0"})
    call.feed(b"", more=False)
    try:
        served = (await call.answer()).body
    except Exception:
        served = b"".join(bytes(part.get("body", b"")) for part in call._sent)
    assert OTHER.startswith(served)
    assert len(served) < len(OTHER)
    (found,) = (await site.verifier.run()).damaged
    assert found.digest == sha256(OTHER)
    assert await body(client, "a", OTHER) is None
    assert (await client.push_blob("a", OTHER)).status == 201
    assert await body(client, "a", OTHER) == OTHER
    assert (await site.verifier.run()).damaged == []


async def test_a_damaged_row_is_found_and_never_served(site: Registry, client: Client) -> None:
    assert (await client.push_blob("a", SMALL)).status == 201
    await site.metadata.write(
        lambda tx: tx.run("UPDATE blob SET data = :d WHERE digest = :digest", d=bytes(150), digest=sha256(SMALL))
    )
    assert (await client.get(f"/v2/a/blobs/{sha256(SMALL)}")).status == 500
    (found,) = (await site.verifier.run()).damaged
    assert found.digest == sha256(SMALL)
    assert (await client.push_blob("a", SMALL)).status == 201
    assert await body(client, "a", SMALL) == SMALL


# --- namespaces -------------------------------------------------------------------------------------------------


async def wraps(site: Registry, data: bytes) -> set[str]:
    """The namespaces that have a copy of a blob's key."""
    rows = await site.metadata.scan(
        lambda tx: tx.all(
            "SELECT namespace_key.namespace FROM blob JOIN blob_key ON blob_key.blob_id = blob.id"
            " JOIN namespace_key ON namespace_key.id = blob_key.key_id WHERE blob.digest = :digest",
            digest=sha256(data),
        )
    )
    return {row[0] for row in rows}


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_each_namespace_that_links_a_blob_has_its_key(
    site: Registry, client: Client, clock: FakeClock, folder: Path, data: bytes
) -> None:
    """Pushed, mounted or pushed again: stored once, and the copy goes with the namespace's last link."""
    for repository in ("orgs/acme/app", "orgs/acme/tool", "users/alice/x"):
        assert (await client.push_blob(repository, data)).status == 201
    mounted = await client.request("POST", f"/v2/library/blobs/uploads/?mount={sha256(data)}&from=orgs/acme/app")
    assert mounted.status == 201
    assert await wraps(site, data) == {"orgs/acme", "users/alice", "library"}
    assert sum(path.is_file() for path in (folder / "blobs").rglob("*")) == (data is LARGE)
    for repository, left in (
        ("orgs/acme/app", {"orgs/acme", "users/alice", "library"}),
        ("orgs/acme/tool", {"users/alice", "library"}),
        ("library", {"users/alice"}),
    ):
        assert (await client.request("DELETE", f"/v2/{repository}/blobs/{sha256(data)}")).status == 202
        assert await wraps(site, data) == left
    assert await body(client, "users/alice/x", data) == data
    for wait in (GRACE + 1, UNDO + 1, READERS + 1):
        clock.advance(wait)
        await site.collector.run(strays=False)
    assert await wraps(site, data) == set()
    for table in ("blob", "encrypted_blob", "blob_key"):
        assert await site.metadata.scan(lambda tx: tx.all(f"SELECT * FROM {table}")) == []  # noqa: B023


async def test_the_collector_takes_a_namespaces_copy_away(site: Registry, client: Client, clock: FakeClock) -> None:
    for repository in ("orgs/acme/app", "users/alice/x"):
        assert (await client.push_blob(repository, LARGE)).status == 201
        assert (await client.push_blob(repository, SMALL)).status == 201
    assert (await client.push_manifest("users/alice/x", "v1", image(SMALL, LARGE))).status == 201
    for wait in (GRACE + 1, UNDO + 1):
        clock.advance(wait)
        await site.collector.run(strays=False)
    assert await wraps(site, LARGE) == await wraps(site, SMALL) == {"users/alice"}
    assert await body(client, "users/alice/x", LARGE) == LARGE


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_blob_moves_with_its_repository(site: Registry, client: Client, data: bytes) -> None:
    assert (await client.push_blob("orgs/acme/app", data)).status == 201
    assert site.keys is not None
    renamed = await site.metadata.write(
        lambda tx: tx.repositories.rename(RepositoryName("orgs/acme/app"), RepositoryName("orgs/other/app"))
    )
    assert renamed
    assert await wraps(site, data) == {"orgs/other"}
    destroyed = await site.keys.destroy("orgs/acme")
    assert destroyed is not None
    assert (destroyed.blobs, destroyed.lost) == (0, 0)
    assert await body(client, "orgs/other/app", data) == data


async def test_a_namespace_without_its_key_loses_what_is_its_alone(
    site: Registry, client: Client, settings: Settings, folder: Path, clock: FakeClock
) -> None:
    """At once and in every process; what another namespace links stays; what is pushed again is there again."""
    assert site.keys is not None
    alone, shared = [SMALL, LARGE], [SMALL[::-1], LARGE[::-1]]
    for data in (*alone, *shared):
        assert (await client.push_blob("orgs/acme/app", data)).status == 201
        assert await body(client, "orgs/acme/app", data) == data
    for data in shared:
        assert (await client.push_blob("users/alice/x", data)).status == 201
    async with registry(folder, clock, settings) as replica:
        other = Client(replica.app)
        for data in alone:
            assert await body(other, "orgs/acme/app", data) == data
        destroyed = await site.keys.destroy("orgs/acme")
        assert destroyed is not None
        assert (destroyed.blobs, destroyed.lost) == (4, 2)
        assert await site.keys.destroy("orgs/acme") is None
        for reader in (client, other):
            for data in alone:
                assert await body(reader, "orgs/acme/app", data) is None
            for data in shared:
                assert await body(reader, "orgs/acme/app", data) == data
                assert await body(reader, "users/alice/x", data) == data
        # No key that could open them is left in the database.
        assert await wraps(site, SMALL) == await wraps(site, LARGE) == set()
        rows = await site.metadata.scan(
            lambda tx: tx.all("SELECT wrapped FROM namespace_key WHERE destroyed_at IS NOT NULL")
        )
        assert [bytes(row[0]).strip(b"\0") for row in rows] == [b""]
        for data in alone:
            assert (await other.push_blob("orgs/acme/app", data)).status == 201
            assert await body(client, "orgs/acme/app", data) == data
    clock.advance(READERS + 1)
    assert (await site.collector.run(strays=False)).removed == 1
    assert (await site.verifier.run()).damaged == []


async def test_many_blobs_lose_a_key_in_many_steps(site: Registry, client: Client) -> None:
    from gati_registry.service.keys import BATCH

    for number in range(BATCH + 1):
        assert (await client.push_blob("orgs/acme/app", b"%d" % number)).status == 201
    assert site.keys is not None
    destroyed = await site.keys.destroy("orgs/acme")
    assert destroyed is not None
    assert destroyed.lost == BATCH + 1
    assert await body(client, "orgs/acme/app", b"%d" % BATCH) is None


# --- plain and encrypted side by side ---------------------------------------------------------------------------


async def test_a_registry_begins_to_encrypt_and_ends_to(
    folder: Path, clock: FakeClock, settings: Settings, keys_file: Path
) -> None:
    """What was stored before stays readable either way; without the master key there is no start."""
    before, during, after = ([MARK * 5 + sign, LARGE + sign] for sign in (b"b", b"d", b"a"))
    plain = configure(folder)
    encrypting = {"master": "file", "file": keys_file}
    ended = plain.model_copy(update={"encryption": Encryption(**encrypting, new=False)})  # type: ignore[arg-type]
    async with registry(folder, clock, plain) as site:
        client = Client(site.app)
        for data in before:
            assert (await client.push_blob("a", data)).status == 201
        begun = await client.start_upload("a")
        assert (await client.request("PATCH", begun, LARGE)).status == 202
        small = await client.start_upload("a")
        assert (await client.request("PATCH", small, SMALL)).status == 202
    async with registry(folder, clock, settings) as site:
        client = Client(site.app)
        # Bytes that lie there in the clear do not become an encrypted blob; they are asked for again.
        assert (await client.request("PUT", f"{begun}?digest={sha256(LARGE)}")).status == 404
        assert (await client.request("PUT", f"{small}?digest={sha256(SMALL)}")).status == 201
        for data in during:
            assert (await client.push_blob("b", data)).status == 201
        for data in before:
            assert await body(client, "a", data) == data
            assert (await client.push_blob("b", data)).status == 201
            assert await body(client, "b", data) == data
        resumed = await client.start_upload("b")
        assert (await client.request("PATCH", resumed, during[1][::-1])).status == 202
        assert (await site.verifier.run()).damaged == []
    async with registry(folder, clock, ended) as site:
        client = Client(site.app)
        for data in (*before, *during):
            assert await body(client, "b", data) == data
        for data in after:
            assert (await client.push_blob("b", data)).status == 201
            assert await body(client, "b", data) == data
            assert await wraps(site, data) == set()
        assert (await client.request("PUT", f"{resumed}?digest={sha256(during[1][::-1])}")).status == 201
        assert await body(client, "b", during[1][::-1]) == during[1][::-1]
        assert (await site.verifier.run()).damaged == []
    with pytest.raises(SettingsError, match=r"encryption\.master"):
        async with registry(folder, clock, plain):
            pass
