"""What every database adapter promises of its rows: repositories, blobs, manifests, tags and uploads.

A driver's test module subclasses `RowsContract` and provides the fixture `metadata`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from gati_registry.domain.access import EVERYTHING, Visible
from gati_registry.domain.manifest import parse
from gati_registry.domain.upload import Upload
from gati_registry.ports import ManifestRow, Metadata, StoredBlob, Transaction
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag
from tests.core.support import IMAGE, INDEX, image, index

A, B, ABSENT = RepositoryName("a"), RepositoryName("b/c"), RepositoryName("absent")
ONE, TWO, CONFIG = b"one", b"two" * 200, b"config"
SUBJECT = Digest.of(b"subject")


async def listed(metadata: Metadata, after: str, limit: int, visible: Visible = EVERYTHING) -> list[str]:
    """Names of a page, without repositories that hold no manifests."""
    found = await metadata.read(lambda tx: tx.repositories.page(after, limit, visible))
    return [name for name, holds in found if holds]


async def put_blob(tx: Transaction, data: bytes, repository: RepositoryName = A, now: int = 100) -> int:
    """A small blob, linked in a repository."""
    stored = await tx.blobs.stored(Digest.of(data))
    blob_id = stored.id if stored else await tx.blobs.add(Digest.of(data), len(data), None, data, now)
    await tx.blobs.link(await tx.repositories.ensure(repository, now), blob_id, now)
    return blob_id


async def put_file(tx: Transaction, data: bytes, stored_name: str, repository: RepositoryName = A) -> int:
    """A large blob, linked in a repository."""
    blob_id = await tx.blobs.add(Digest.of(data), len(data), stored_name, None, 100)
    await tx.blobs.link(await tx.repositories.ensure(repository, 100), blob_id, 100)
    return blob_id


async def put_manifest(
    tx: Transaction, data: bytes, *tags: str, repository: RepositoryName = A, now: int = 100
) -> Digest:
    """A manifest with tags."""
    repository_id = await tx.repositories.ensure(repository, now)
    digest = Digest.of(data)
    manifest_id = await tx.manifests.add(repository_id, digest, parse(data, None), data, now)
    for tag in tags:
        await tx.tags.point(repository_id, Tag(tag), manifest_id, now)
    return digest


class RowsContract:
    """The suite."""

    # --- repositories -------------------------------------------------------------------------------------------

    async def test_a_repository_is_made_once(self, metadata: Metadata) -> None:
        assert await metadata.read(lambda tx: tx.repositories.find(A)) is None
        made = await metadata.write(lambda tx: tx.repositories.ensure(A, 1))
        assert await metadata.write(lambda tx: tx.repositories.ensure(A, 2)) == made
        assert await metadata.write(lambda tx: tx.repositories.ensure(B, 2)) != made
        assert await metadata.read(lambda tx: tx.repositories.find(A)) == made

    async def test_repositories_page_bytewise_and_only_those_with_manifests(self, metadata: Metadata) -> None:
        names = ["b", "a/b", "a-b", "a", "a.b", "a__b", "b0"]

        async def fill(tx: Transaction) -> None:
            for name in names:
                await put_manifest(tx, index(), repository=RepositoryName(name))
            await put_blob(tx, ONE, RepositoryName("only-blobs"))

        await metadata.write(fill)
        expected = sorted(names, key=str.encode)
        assert await listed(metadata, "", 99) == expected
        assert await listed(metadata, "a", 2) == expected[1:3]
        assert await listed(metadata, "b0", 9) == []
        # One who sees few asks for those alone; several lists of them are one.
        few = (
            "SELECT name FROM repository WHERE name > :visible_low AND name > :after ORDER BY name LIMIT :limit",
            "SELECT name FROM repository WHERE name = :visible_at AND name > :after",
        )
        visible = Visible("name >= :visible_low", (("visible_low", "a/b"), ("visible_at", "a/b")), few)
        assert await listed(metadata, "", 9, visible) == ["a/b", "a__b", "b", "b0"]
        assert await listed(metadata, "a/b", 2, visible) == ["a__b", "b"]

    async def test_only_repositories_that_hold_nothing_are_dropped(self, metadata: Metadata) -> None:
        async def fill(tx: Transaction) -> None:
            await put_blob(tx, ONE, A)
            await put_manifest(tx, index(), repository=B)
            for name in ("x", "y", "z"):
                await tx.repositories.ensure(RepositoryName(name), 1)

        await metadata.write(fill)
        first = await metadata.read(lambda tx: tx.repositories.holding(0, 3))
        rest = await metadata.read(lambda tx: tx.repositories.holding(first[-1][0], 9))
        assert [holds for _, holds in (*first, *rest)] == [True, True, False, False, False]
        every = [repository_id for repository_id, _ in (*first, *rest)]
        assert await metadata.write(lambda tx: tx.repositories.drop_empty(every)) == 3
        assert await metadata.write(lambda tx: tx.repositories.drop_empty(every)) == 0
        for name in (A, B):
            assert await metadata.read(lambda tx: tx.repositories.find(name)) is not None  # noqa: B023

    # --- blobs --------------------------------------------------------------------------------------------------

    async def test_a_blob_is_seen_where_it_is_linked_and_nowhere_else(self, metadata: Metadata) -> None:
        one = await metadata.write(lambda tx: put_blob(tx, ONE, A, now=5))
        two = await metadata.write(lambda tx: put_file(tx, TWO, "sha256/00/two.1", B))
        row = await metadata.read(lambda tx: tx.blobs.find(A, Digest.of(ONE)))
        assert row is not None
        assert (row.id, row.digest, row.size, row.stored_name, row.data) == (one, Digest.of(ONE), 3, None, ONE)
        assert (row.pending_since, row.condemned) == (5, False)
        row = await metadata.read(lambda tx: tx.blobs.find(B, Digest.of(TWO)))
        assert row is not None
        assert (row.id, row.size, row.stored_name, row.data) == (two, len(TWO), "sha256/00/two.1", None)
        for name, data in ((A, TWO), (B, ONE), (ABSENT, ONE)):
            assert await metadata.read(lambda tx: tx.blobs.find(name, Digest.of(data))) is None  # noqa: B023
        assert await metadata.read(lambda tx: tx.blobs.stored(Digest.of(TWO))) == StoredBlob(
            two, Digest.of(TWO), len(TWO), "sha256/00/two.1"
        )
        assert await metadata.read(lambda tx: tx.blobs.stored(Digest.of(CONFIG))) is None

    async def test_an_empty_blob_is_a_blob(self, metadata: Metadata) -> None:
        await metadata.write(lambda tx: put_blob(tx, b""))
        row = await metadata.read(lambda tx: tx.blobs.find(A, Digest.of(b"")))
        assert row is not None
        assert (row.size, row.data, row.stored_name) == (0, b"", None)

    async def test_a_lease_is_renewed_by_linking_again_and_by_name(self, metadata: Metadata) -> None:
        await metadata.write(lambda tx: put_blob(tx, ONE, now=5))
        await metadata.write(lambda tx: put_blob(tx, ONE, now=7))
        row = await metadata.read(lambda tx: tx.blobs.find(A, Digest.of(ONE)))
        assert row is not None
        assert row.pending_since == 7
        assert await metadata.write(lambda tx: tx.blobs.renew(A, Digest.of(ONE), 9))
        row = await metadata.read(lambda tx: tx.blobs.find(A, Digest.of(ONE)))
        assert row is not None
        assert row.pending_since == 9
        assert not await metadata.write(lambda tx: tx.blobs.renew(B, Digest.of(ONE), 9))
        assert not await metadata.write(lambda tx: tx.blobs.renew(A, Digest.of(TWO), 9))

    async def test_missing_is_what_is_neither_a_linked_blob_nor_a_manifest_here(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> Sequence[Digest]:
            await put_blob(tx, ONE, A)
            await put_blob(tx, TWO, B)
            child = await put_manifest(tx, index(), repository=A)
            elsewhere = await put_manifest(tx, index(annotations={"a": "b"}), repository=B)
            a = await tx.repositories.ensure(A, 1)
            wanted = [Digest.of(CONFIG), Digest.of(ONE), child, Digest.of(TWO), elsewhere]
            assert await tx.blobs.missing(a, []) == []
            assert await tx.blobs.missing(a, wanted) == [wanted[0], wanted[3], wanted[4]]
            return await tx.blobs.missing(-1, [Digest.of(ONE)])

        assert await metadata.write(work) == [Digest.of(ONE)]

    async def test_missing_among_many_are_told_in_the_order_asked(self, metadata: Metadata) -> None:
        wanted = [Digest.of(b"%d" % number) for number in range(3000)]

        async def work(tx: Transaction) -> Sequence[Digest]:
            a = await tx.repositories.ensure(A, 1)
            for number in range(0, 3000, 100):
                await put_blob(tx, b"%d" % number)
            return await tx.blobs.missing(a, wanted)

        missing = await metadata.write(work)
        assert missing == [digest for number, digest in enumerate(wanted) if number % 100]
        assert all(isinstance(digest, Digest) for digest in missing)

    async def test_unlinking_is_seen_at_once_and_leaves_other_repositories_alone(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            blob_id = await put_blob(tx, ONE, A)
            await put_blob(tx, ONE, B)
            assert set(await tx.blobs.linking(Digest.of(ONE), 5)) == {A, B}
            assert len(await tx.blobs.linking(Digest.of(ONE), 1)) == 1
            await tx.blobs.unlink(await tx.repositories.ensure(A, 1), blob_id, 200)
            assert await tx.blobs.find(A, Digest.of(ONE)) is None
            assert await tx.blobs.find(B, Digest.of(ONE)) is not None
            assert await tx.garbage.orphans(9) == []
            await tx.blobs.unlink(await tx.repositories.ensure(B, 1), blob_id, 200)
            assert [blob.digest for blob in await tx.garbage.orphans(9)] == [Digest.of(ONE)]
            assert await tx.blobs.linking(Digest.of(ONE), 5) == []

        await metadata.write(work)

    # --- manifests and tags -------------------------------------------------------------------------------------

    async def test_a_manifest_is_found_by_digest_and_by_tag(self, metadata: Metadata) -> None:
        data = image(CONFIG)
        digest = await metadata.write(lambda tx: put_manifest(tx, data, "v1", "latest"))
        expected = ManifestRow(digest, IMAGE, len(data))
        for reference in (digest, Tag("v1"), Tag("latest")):
            assert await metadata.read(lambda tx: tx.manifests.find(A, reference)) == expected  # noqa: B023
        assert await metadata.read(lambda tx: tx.manifests.data(A, digest)) == data
        for name, reference in ((A, Tag("v2")), (B, digest), (B, Tag("v1")), (A, SUBJECT)):
            assert await metadata.read(lambda tx: tx.manifests.find(name, reference)) is None  # noqa: B023
        assert await metadata.read(lambda tx: tx.manifests.data(B, digest)) is None

    async def test_a_tag_moves_and_goes(self, metadata: Metadata) -> None:
        old = await metadata.write(lambda tx: put_manifest(tx, image(CONFIG), "v1"))
        new = await metadata.write(lambda tx: put_manifest(tx, index(), "v1"))
        row = await metadata.read(lambda tx: tx.manifests.find(A, Tag("v1")))
        assert row is not None
        assert (row.digest, row.media_type) == (new, INDEX)
        assert await metadata.read(lambda tx: tx.manifests.find(A, old)) is not None

        async def remove(tx: Transaction) -> list[bool]:
            a = await tx.repositories.ensure(A, 1)
            return [await tx.tags.remove(a, Tag("v1")) for _ in range(2)]

        assert await metadata.write(remove) == [True, False]
        assert await metadata.read(lambda tx: tx.manifests.find(A, Tag("v1"))) is None
        assert await metadata.read(lambda tx: tx.manifests.find(A, new)) is not None

    async def test_tags_page_bytewise(self, metadata: Metadata) -> None:
        names = ["b", "B", "_", "a.b", "a-b", "a", "0", "a_b", "ab"]
        await metadata.write(lambda tx: put_manifest(tx, index(), *names))

        async def page(tx: Transaction, after: str, limit: int) -> list[str]:
            return list(await tx.tags.page(await tx.repositories.find(A) or 0, after, limit))

        expected = sorted(names, key=str.encode)
        assert await metadata.read(lambda tx: page(tx, "", 99)) == expected
        assert await metadata.read(lambda tx: page(tx, "a", 3)) == expected[expected.index("a") + 1 :][:3]
        assert await metadata.read(lambda tx: page(tx, "zz", 3)) == []

    async def test_a_manifest_pushed_again_is_the_same_one_with_its_new_type(self, metadata: Metadata) -> None:
        data = b'{"layers":[]}'

        async def work(tx: Transaction) -> list[int]:
            a = await tx.repositories.ensure(A, 1)
            types = ["application/x+json", "application/y+json"]
            return [await tx.manifests.add(a, Digest.of(data), parse(data, kind), data, 1) for kind in types]

        first, second = await metadata.write(work)
        assert first == second
        row = await metadata.read(lambda tx: tx.manifests.find(A, Digest.of(data)))
        assert row == ManifestRow(Digest.of(data), "application/y+json", len(data))

    async def test_removing_a_manifest_takes_its_tags_and_its_entry_as_referrer(self, metadata: Metadata) -> None:
        subject = {"mediaType": IMAGE, "digest": SUBJECT, "size": 7}
        digest = await metadata.write(lambda tx: put_manifest(tx, index(subject=subject), "v1", "v2"))
        kept = await metadata.write(lambda tx: put_manifest(tx, index(), "v3"))

        async def remove(tx: Transaction) -> list[bool]:
            a = await tx.repositories.ensure(A, 1)
            assert len(await tx.manifests.referrers(A, SUBJECT, None, "", 9)) == 1
            removed = [await tx.manifests.remove(a, digest, 300) for _ in range(2)]
            assert await tx.manifests.referrers(A, SUBJECT, None, "", 9) == []
            assert await tx.tags.page(a, "", 9) == ["v3"]
            return removed

        assert await metadata.write(remove) == [True, False]
        assert await metadata.read(lambda tx: tx.manifests.find(A, digest)) is None
        assert await metadata.read(lambda tx: tx.manifests.find(A, kept)) is not None

    async def test_holders_are_the_manifests_that_refer(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            a = await tx.repositories.ensure(A, 1)
            first = await put_manifest(tx, image(CONFIG, ONE))
            second = await put_manifest(tx, image(CONFIG))
            await put_manifest(tx, image(CONFIG, TWO), repository=B)
            assert set(await tx.manifests.holders(a, Digest.of(CONFIG))) == {first, second}
            assert await tx.manifests.holders(a, Digest.of(TWO)) == []

        await metadata.write(work)

    async def test_referrers_come_by_digest_and_filtered(self, metadata: Metadata) -> None:
        subject = {"mediaType": IMAGE, "digest": SUBJECT, "size": 7}

        async def work(tx: Transaction) -> None:
            pushed = {
                await put_manifest(tx, index(subject=subject, artifactType=f"a/{number % 2}", annotations={"n": "é"}))
                if number < 2
                else await put_manifest(tx, index(subject=subject, artifactType="a/0", annotations={"n": str(number)}))
                for number in range(6)
            }
            await put_manifest(tx, index(subject=subject), repository=B)
            found = list(await tx.manifests.referrers(A, SUBJECT, None, "", 99))
            assert [digest for digest, _ in found] == sorted(pushed)
            for digest, text in found:
                entry = json.loads(text)
                assert (entry["digest"], entry["mediaType"], "n" in entry["annotations"]) == (digest, INDEX, True)
            assert list(await tx.manifests.referrers(A, SUBJECT, None, found[1][0], 2)) == found[2:4]
            odd = [digest for digest, _ in await tx.manifests.referrers(A, SUBJECT, "a/1", "", 9)]
            assert len(odd) == 1
            assert await tx.manifests.referrers(A, SUBJECT, "a/2", "", 9) == []
            assert await tx.manifests.referrers(ABSENT, SUBJECT, None, "", 9) == []

        await metadata.write(work)

    # --- uploads ------------------------------------------------------------------------------------------------

    async def test_an_upload_has_one_writer(self, metadata: Metadata) -> None:
        issued = Upload("id-1", A, "sha512", 5)
        assert await metadata.read(lambda tx: tx.uploads.find("id-1", A)) is None
        assert await metadata.write(lambda tx: tx.uploads.claim(issued, 6, make=False)) is None
        first = await metadata.write(lambda tx: tx.uploads.claim(issued, 6, make=True))
        assert first is not None
        assert first == Upload("id-1", A, "sha512", 5, 0, 1, None, b"")
        assert await metadata.read(lambda tx: tx.uploads.find("id-1", A)) == first
        assert await metadata.read(lambda tx: tx.uploads.find("id-1", B)) is None
        assert await metadata.read(lambda tx: tx.uploads.find("id-2", A)) is None

        second = await metadata.write(lambda tx: tx.uploads.claim(issued, 7, make=True))
        assert second is not None
        assert second == replace(first, epoch=2)

        async def advance(tx: Transaction, upload: Upload, received: int) -> bool:
            return await tx.uploads.advance(upload, received=received, staged="f", data=None, now=8)

        assert not await metadata.write(lambda tx: advance(tx, first, 10))
        assert await metadata.write(lambda tx: advance(tx, second, 20))
        third = await metadata.write(lambda tx: tx.uploads.claim(issued, 9, make=False))
        assert third is not None
        assert third == Upload("id-1", A, "sha512", 5, 20, 3, "f", None)
        assert not await metadata.write(lambda tx: tx.uploads.close(second))
        assert await metadata.write(lambda tx: tx.uploads.close(third))

    async def test_an_upload_that_ended_stays_ended(self, metadata: Metadata) -> None:
        issued = Upload("id-1", A, "sha256", 5)

        async def work(tx: Transaction) -> None:
            upload = await tx.uploads.claim(issued, 6, make=True)
            assert upload is not None
            assert await tx.uploads.advance(upload, received=3, staged=None, data=b"abc", now=7)
            assert await tx.uploads.close(upload)
            assert not await tx.uploads.close(upload)
            assert not await tx.uploads.advance(upload, received=4, staged=None, data=b"abcd", now=8)
            for make in (True, False):
                assert await tx.uploads.claim(issued, 9, make=make) is None
            found = await tx.uploads.find("id-1", A)
            assert found is not None
            assert (found.ended, found.staged, found.data) == (True, None, None)
            assert await tx.uploads.count(A) == 0
            assert await tx.uploads.idle(99, 9) == []
            assert await tx.uploads.known(["id-1"]) == set()

        await metadata.write(work)

    async def test_tombstones_are_forgotten_by_the_age_of_their_ids(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            for number in range(6):
                upload = await tx.uploads.claim(Upload(f"id-{number}", A, "sha256", number), 100, make=True)
                assert upload is not None
                assert number == 0 or await tx.uploads.close(upload)
            assert [await tx.uploads.forget(5, 3), await tx.uploads.forget(5, 3)] == [3, 1]
            assert [await tx.uploads.find(f"id-{number}", A) is None for number in range(6)] == [
                False, True, True, True, True, False,
            ]  # fmt: skip
            assert await tx.uploads.known(["id-0", "id-5"]) == {"id-0"}

        await metadata.write(work)

    async def test_uploads_are_counted_and_the_idle_ones_found(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            for number in range(4):
                issued = Upload(f"id-{number}", A if number < 3 else B, "sha256", 0)
                assert await tx.uploads.claim(issued, number, make=True)
            assert (await tx.uploads.count(A), await tx.uploads.count(B), await tx.uploads.count(ABSENT)) == (3, 1, 0)
            assert [upload.id for upload in await tx.uploads.idle(2, 9)] == ["id-0", "id-1"]
            assert [upload.id for upload in await tx.uploads.idle(9, 3)] == ["id-0", "id-1", "id-2"]
            assert await tx.uploads.known(["id-0", "x", "id-3"]) == {"id-0", "id-3"}
            assert await tx.uploads.known([]) == set()

        await metadata.write(work)
