"""Verification: damage is found, told, set aside and never served; and it heals when the content comes again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gati_registry.bootstrap import Registry
from gati_registry.ports import Transaction
from gati_registry.service.verify import BATCH, MANIFESTS, Findings
from tests.core.support import INDEX, INLINE, Client, FakeClock, files, image, index, sha256, sha512

pytestmark = pytest.mark.anyio

SMALL, LARGE, OTHER = b"small", b"large" * INLINE, b"other" * INLINE
MANIFEST = image(SMALL, LARGE)


@pytest.fixture
async def filled(site: Registry, client: Client) -> Registry:
    """A registry with a little of everything."""
    for data in (SMALL, LARGE, OTHER):
        assert (await client.push_blob("a", data)).status == 201
        assert (await client.push_blob("b", data)).status == 201
    assert (await client.push_manifest("a", "v1", MANIFEST)).status == 201
    assert (await client.push_manifest("b", "v1", index(), INDEX)).status == 201
    assert (await client.push_blob("a", LARGE, sha512(LARGE))).status == 201
    return site


async def file_of(site: Registry, digest: str) -> Path:
    """Where a blob's bytes are."""
    rows = await site.metadata.scan(lambda tx: tx.all("SELECT stored_name FROM blob WHERE digest = :d", d=digest))
    return site.settings.blobs_path / "blobs" / str(rows[0][0])


def flip(path: Path) -> None:
    """One bit is another."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """The end is missing."""
    path.write_bytes(path.read_bytes()[:-1])


def grow(path: Path) -> None:
    """There is more."""
    path.write_bytes(path.read_bytes() + b"\x00")


def lose(path: Path) -> None:
    """It is not there."""
    path.unlink()


def unreadable(path: Path) -> None:
    """It cannot be read."""
    path.unlink()
    path.mkdir()


def unopenable(path: Path) -> None:
    """It cannot even be opened."""
    path.unlink()
    path.symlink_to(path.name)


async def test_a_sound_registry_is_found_sound(filled: Registry) -> None:
    findings = await filled.verifier.run()
    size = len(SMALL) + 2 * len(LARGE) + len(OTHER) + len(MANIFEST) + len(index())
    assert findings == Findings(blobs=4, manifests=2, bytes=size, damaged=[])


@pytest.mark.parametrize("damage", [flip, cut, grow, lose, unreadable, unopenable])
@pytest.mark.parametrize("digest", [sha256(LARGE), sha512(LARGE)], ids=["sha256", "sha512"])
async def test_a_damaged_file_is_set_aside_until_it_comes_again(
    filled: Registry, client: Client, damage: Callable[[Path], None], digest: str
) -> None:
    path = await file_of(filled, digest)
    damage(path)
    damaged = path.read_bytes() if path.is_file() else None
    findings = await filled.verifier.run()
    (found,) = findings.damaged
    assert (found.kind, found.digest, found.repository) == ("blob", digest, None)
    assert found.problem
    for repository in ("a", "b"):
        for method in ("GET", "HEAD"):
            assert (await client.request(method, f"/v2/{repository}/blobs/{digest}")).status == 404
    quarantine = filled.settings.blobs_path / "quarantine"
    assert [file.read_bytes() for file in quarantine.iterdir() if file.is_file()] == ([damaged] if damaged else [])
    assert not path.exists()
    assert (await filled.verifier.run()).damaged == []
    for data in (SMALL, OTHER):
        assert (await client.get(f"/v2/a/blobs/{sha256(data)}")).body == data
    # Mounting what is damaged is no way to get it; pushing it anywhere heals it everywhere.
    assert (await client.request("POST", f"/v2/c/blobs/uploads/?mount={digest}&from=a")).status == 202
    assert (await client.push_blob("c", LARGE, digest)).status == 201
    for repository in ("a", "c"):
        assert (await client.get(f"/v2/{repository}/blobs/{digest}")).body == LARGE
    assert (await filled.verifier.run()).damaged == []
    if damaged:
        assert len(list(quarantine.iterdir())) == 1  # for people to look at


async def test_a_damaged_small_blob_is_set_aside_until_it_comes_again(filled: Registry, client: Client) -> None:
    await filled.metadata.write(
        lambda tx: tx.run("UPDATE blob SET data = :data WHERE digest = :digest", data=b"smalL", digest=sha256(SMALL))
    )
    (found,) = (await filled.verifier.run()).damaged
    assert (found.kind, found.digest) == ("blob", sha256(SMALL))
    assert (await client.get(f"/v2/a/blobs/{sha256(SMALL)}")).status == 404
    # What needs it cannot be pushed before it is there again.
    again = await client.push_manifest("b", "v2", MANIFEST)
    assert (again.status, again.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])
    assert (await client.push_blob("b", SMALL)).status == 201
    assert (await client.push_manifest("b", "v2", MANIFEST)).status == 201
    assert (await client.get(f"/v2/a/blobs/{sha256(SMALL)}")).body == SMALL
    assert (await filled.verifier.run()).damaged == []


@pytest.mark.parametrize("served_before", [False, True], ids=["unseen", "already asked for"])
async def test_a_damaged_manifest_is_never_served_and_heals(
    filled: Registry, client: Client, served_before: bool
) -> None:
    digest = sha256(MANIFEST)
    await filled.metadata.write(
        lambda tx: tx.run("UPDATE manifest SET data = :d WHERE digest = :digest", d=MANIFEST[:-1] + b" ", digest=digest)
    )
    if served_before:
        for reference in ("v1", digest):
            answer = await client.get(f"/v2/a/manifests/{reference}")
            assert (answer.status, answer.codes) == (500, ["UNKNOWN"])
    (found,) = (await filled.verifier.run()).damaged
    assert (found.kind, found.digest, found.repository) == ("manifest", digest, "a")
    for reference in ("v1", digest):
        for method in ("GET", "HEAD"):
            assert (await client.request(method, f"/v2/a/manifests/{reference}")).status == 404
    assert (await filled.verifier.run()).damaged == []
    assert (await client.push_manifest("a", digest, MANIFEST)).status == 201
    for reference in ("v1", digest):
        assert (await client.get(f"/v2/a/manifests/{reference}")).body == MANIFEST


async def test_what_a_damaged_manifest_names_is_not_garbage(filled: Registry, client: Client, clock: FakeClock) -> None:
    await filled.metadata.write(
        lambda tx: tx.run("UPDATE manifest SET data = x'00' WHERE digest = :digest", digest=sha256(MANIFEST))
    )
    assert len((await filled.verifier.run()).damaged) == 1
    for _ in range(3):
        clock.advance(5000)
        await filled.collector.run(strays=False)
    assert (await client.push_manifest("a", "v1", MANIFEST)).status == 201
    assert (await client.get(f"/v2/a/blobs/{sha256(LARGE)}")).body == LARGE


async def test_a_damaged_blob_that_nobody_needs_goes_like_any_other(
    filled: Registry, client: Client, clock: FakeClock, folder: Path
) -> None:
    (await file_of(filled, sha256(OTHER))).unlink()
    assert len((await filled.verifier.run()).damaged) == 1
    for _ in range(3):
        clock.advance(5000)
        await filled.collector.run(strays=False)
    rows = await filled.metadata.scan(lambda tx: tx.all("SELECT digest FROM blob"))
    assert {digest for (digest,) in rows} == {sha256(SMALL), sha256(LARGE)}
    assert len(files(folder / "blobs")) == 1


async def test_more_than_a_batch_is_read_and_progress_told(site: Registry, client: Client) -> None:
    number = BATCH + 30
    for at in range(number):
        assert (await client.push_blob("a", b"%d" % at)).status == 201
    for at in range(MANIFESTS * 2 + 1):
        data = index(annotations={"n": str(at)})
        assert (await client.push_manifest("a", sha256(data), data, INDEX)).status == 201

    async def spoil(tx: Transaction) -> None:
        await tx.run("UPDATE blob SET data = x'00' WHERE id % 40 = 0")
        await tx.run("UPDATE manifest SET data = x'00' WHERE id % 7 = 0")

    await site.metadata.write(spoil)
    told = list[tuple[int, int]]()
    findings = await site.verifier.run(lambda found: told.append((found.blobs, found.manifests)))
    assert (findings.blobs, findings.manifests) == (number, MANIFESTS * 2 + 1)
    assert len([found for found in findings.damaged if found.kind == "blob"]) == number // 40
    assert len([found for found in findings.damaged if found.kind == "manifest"]) == (MANIFESTS * 2 + 1) // 7
    assert told == sorted(told)
    assert told[-1] == (number, MANIFESTS * 2 + 1)
