"""What every database adapter promises of garbage, inventory, leases and facts.

A driver's test module subclasses `GarbageContract` and provides the fixture `metadata`.
"""

from __future__ import annotations

from gati_registry.ports import Metadata, PendingLink, StoredBlob, Transaction
from gati_registry.values.digest import Digest
from gati_registry.values.reference import Tag
from tests.core.contract_rows import CONFIG, ONE, SUBJECT, TWO, A, B, put_blob, put_file, put_manifest
from tests.core.support import IMAGE, image, index


async def pending(tx: Transaction, before: int) -> list[tuple[str, Digest, bool]]:
    """The pending links as (repository, digest, referenced)."""
    found = await tx.garbage.pending(before, (0, 0), 100)
    return [(link.repository, link.digest, link.referenced) for link in found]


class GarbageContract:
    """The suite."""

    # --- garbage ------------------------------------------------------------------------------------------------

    async def test_a_link_is_pending_until_a_manifest_needs_it_and_after_that_one_goes(
        self, metadata: Metadata
    ) -> None:
        async def work(tx: Transaction) -> None:
            await put_blob(tx, ONE, now=100)
            assert await pending(tx, 100) == []
            assert await pending(tx, 101) == [(A, Digest.of(ONE), False)]
            digest = await put_manifest(tx, image(ONE))
            assert await pending(tx, 999) == []
            await tx.manifests.remove(await tx.repositories.ensure(A, 1), digest, 300)
            assert await pending(tx, 300) == []
            assert await pending(tx, 301) == [(A, Digest.of(ONE), False)]

        await metadata.write(work)

    async def test_pending_links_page_by_repository_and_blob(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            for name in (A, B):
                for number in range(5):
                    await put_blob(tx, b"%d" % number, name)
            after, found = (0, 0), list[PendingLink]()
            while batch := await tx.garbage.pending(999, after, 3):
                assert len(batch) <= 3
                found += batch
                after = (batch[-1].repository_id, batch[-1].blob_id)
            places = [(link.repository_id, link.blob_id) for link in found]
            assert places == sorted(set(places))
            assert len(places) == 10

        await metadata.write(work)

    async def test_condemning_asks_again(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            await put_blob(tx, ONE)
            (link,) = await tx.garbage.pending(200, (0, 0), 9)
            assert await tx.garbage.condemn(link, 100, 500) is None  # renewed meanwhile
            digest = await put_manifest(tx, image(ONE))
            assert await tx.garbage.condemn(link, 200, 500) is None  # held meanwhile
            await tx.manifests.remove(link.repository_id, digest, 100)
            assert await tx.garbage.condemn(link, 200, 500) is True
            assert await tx.garbage.condemn(link, 200, 600) is None  # already
            row = await tx.blobs.find(A, Digest.of(ONE))
            assert row is not None
            assert row.condemned
            assert await pending(tx, 999) == []

        await metadata.write(work)

    async def test_a_link_that_a_manifest_needs_is_held_not_condemned(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            await put_manifest(tx, image(ONE))  # sparse: the blob comes later
            await put_blob(tx, ONE)
            (link,) = await tx.garbage.pending(200, (0, 0), 9)
            assert link.referenced
            assert await tx.garbage.condemn(link, 200, 500) is False
            row = await tx.blobs.find(A, Digest.of(ONE))
            assert row is not None
            assert (row.pending_since, row.condemned) == (None, False)

        await metadata.write(work)

    async def test_a_condemned_link_is_dropped_unless_it_was_used(self, metadata: Metadata) -> None:
        async def condemned(tx: Transaction, data: bytes) -> PendingLink:
            await put_blob(tx, data)
            (link,) = await tx.garbage.pending(200, (0, 0), 9)
            assert await tx.garbage.condemn(link, 200, 500)
            return link

        async def work(tx: Transaction) -> None:
            used = [await condemned(tx, b"%d" % number) for number in range(4)]
            digests = [link.digest for link in used]
            assert {link.digest for link in await tx.garbage.condemned(501, 9)} == set(digests)
            assert len(await tx.garbage.condemned(501, 2)) == 2
            assert await tx.garbage.condemned(500, 9) == []
            await tx.blobs.link(used[0].repository_id, used[0].blob_id, 600)
            assert await tx.blobs.renew(A, digests[1], 600)
            await put_manifest(tx, image(b"2"))
            assert [await tx.garbage.drop(link, 501, 700) for link in used] == [False, False, False, True]
            assert [blob.digest for blob in await tx.garbage.orphans(9)] == [digests[3]]
            assert await tx.blobs.find(A, digests[3]) is None

        await metadata.write(work)

    async def test_undo_revives_what_is_condemned_and_renews_it(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            await put_blob(tx, ONE)
            (link,) = await tx.garbage.pending(200, (0, 0), 9)
            await tx.garbage.condemn(link, 200, 500)
            assert await tx.garbage.revive(900) == 1
            assert await tx.garbage.revive(901) == 0
            assert await tx.garbage.condemned(9999, 9) == []
            assert await pending(tx, 900) == []
            assert await pending(tx, 901) == [(A, Digest.of(ONE), False)]

        await metadata.write(work)

    async def test_an_orphan_is_claimed_into_the_trash_unless_it_was_linked_again(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            a = await tx.repositories.ensure(A, 1)
            ids = [await put_file(tx, data, f"sha256/00/{data[:3]!r}") for data in (TWO, CONFIG)]
            ids.append(await put_blob(tx, ONE))
            for blob_id in ids:
                await tx.blobs.unlink(a, blob_id, 200)
            orphans = {blob.id: blob for blob in await tx.garbage.orphans(9)}
            assert set(orphans) == set(ids)
            await tx.blobs.link(a, ids[1], 300)
            assert {blob.id for blob in await tx.garbage.orphans(9)} == {ids[0], ids[2]}
            assert [await tx.garbage.claim(orphans[blob_id], 400) for blob_id in ids] == [True, False, True]
            name = orphans[ids[0]].stored_name
            assert name is not None
            assert list(await tx.garbage.trash(401, 9)) == [(name, len(TWO))]
            assert list(await tx.garbage.trash(400, 9)) == []
            other = orphans[ids[1]].stored_name
            assert other is not None
            assert await tx.inventory.names_in_use([name, other, "x"]) == {name, other}
            await tx.inventory.forget_trash([name, "x"])
            assert await tx.inventory.names_in_use([name]) == set()
            assert await tx.blobs.stored(Digest.of(TWO)) is None

        await metadata.write(work)

    # --- inventory ----------------------------------------------------------------------------------------------

    async def test_a_quarantined_blob_is_served_no_more_until_it_comes_again(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            one, two = await put_blob(tx, ONE), await put_file(tx, TWO, "sha256/00/old")
            found = list(await tx.inventory.blobs(0, 9))
            assert [(blob.id, data) for blob, data in found] == [(one, ONE), (two, None)]
            assert [blob.id for blob, _ in await tx.inventory.blobs(one, 1)] == [two]
            for blob, _ in found:
                await tx.inventory.quarantine_blob(blob, 500)
            a = await tx.repositories.ensure(A, 1)
            for data in (ONE, TWO):
                assert await tx.blobs.find(A, Digest.of(data)) is None
                assert await tx.blobs.stored(Digest.of(data)) is None
                assert await tx.blobs.missing(a, [Digest.of(data)]) == [Digest.of(data)]
                assert not await tx.blobs.renew(A, Digest.of(data), 500)
            assert list(await tx.inventory.blobs(0, 9)) == []
            assert await tx.inventory.names_in_use(["sha256/00/old"]) == set()
            assert await tx.blobs.add(Digest.of(TWO), len(TWO), "sha256/00/new", None, 600) == two
            row = await tx.blobs.find(A, Digest.of(TWO))
            assert row is not None
            assert row.stored_name == "sha256/00/new"

        await metadata.write(work)

    async def test_a_blob_that_changed_meanwhile_is_not_quarantined(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            two = await put_file(tx, TWO, "sha256/00/new")
            await tx.inventory.quarantine_blob(StoredBlob(two, Digest.of(TWO), len(TWO), "sha256/00/old"), 500)
            assert await tx.blobs.find(A, Digest.of(TWO)) is not None

        await metadata.write(work)

    async def test_a_quarantined_manifest_is_served_no_more_until_it_comes_again(self, metadata: Metadata) -> None:
        subject = {"mediaType": IMAGE, "digest": SUBJECT, "size": 7}
        data = index(subject=subject)

        async def work(tx: Transaction) -> None:
            digest = await put_manifest(tx, data, "v1")
            a = await tx.repositories.ensure(A, 1)
            ((manifest_id, name, found, content),) = await tx.inventory.manifests(0, 9)
            assert (name, found, content) == (A, digest, data)
            await tx.inventory.quarantine_manifest(manifest_id, 500)
            assert await tx.manifests.find(A, digest) is None
            assert await tx.manifests.find(A, Tag("v1")) is None
            assert await tx.manifests.data(A, digest) is None
            assert await tx.manifests.referrers(A, SUBJECT, None, "", 9) == []
            assert await tx.blobs.missing(a, [digest]) == [digest]
            assert list(await tx.inventory.manifests(0, 9)) == []
            await put_manifest(tx, data)
            assert await tx.manifests.find(A, Tag("v1")) is not None
            assert list(await tx.inventory.manifests(manifest_id, 9)) == []

        await metadata.write(work)

    async def test_an_orphan_that_was_quarantined_is_none_when_it_is_pushed_again(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            blob_id = await put_blob(tx, ONE)
            a = await tx.repositories.ensure(A, 1)
            await tx.blobs.unlink(a, blob_id, 200)
            stored = await tx.blobs.stored(Digest.of(ONE))
            assert stored is not None
            await tx.inventory.quarantine_blob(stored, 300)
            assert [blob.id for blob in await tx.garbage.orphans(9)] == [blob_id]
            assert await tx.blobs.add(Digest.of(ONE), len(ONE), None, ONE, 400) == blob_id
            await tx.blobs.link(a, blob_id, 400, fresh=True)
            assert await tx.garbage.orphans(9) == []
            assert not await tx.garbage.claim(stored, 500)

        await metadata.write(work)

    # --- leases and facts ---------------------------------------------------------------------------------------

    async def test_a_lease_has_one_holder_until_it_ends(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> None:
            assert await tx.leases.acquire("gc", "me", 100, 200)
            assert not await tx.leases.acquire("gc", "you", 150, 250)
            assert not await tx.leases.acquire("gc", "you", 200, 300)
            assert await tx.leases.acquire("gc", "me", 150, 400)
            assert not await tx.leases.acquire("gc", "you", 399, 500)
            assert await tx.leases.acquire("other", "you", 100, 200)
            assert await tx.leases.acquire("gc", "you", 401, 500)
            await tx.leases.release("gc", "me")
            assert not await tx.leases.acquire("gc", "me", 402, 500)
            await tx.leases.release("gc", "you")
            assert await tx.leases.acquire("gc", "me", 403, 500)

        await metadata.write(work)

    async def test_a_fact_is_what_was_last_said(self, metadata: Metadata) -> None:
        assert await metadata.read(lambda tx: tx.leases.get_fact("x")) is None
        for value in ("one", "two", ""):
            await metadata.write(lambda tx: tx.leases.set_fact("x", value))  # noqa: B023
            assert await metadata.read(lambda tx: tx.leases.get_fact("x")) == value
        assert await metadata.read(lambda tx: tx.leases.get_fact("y")) is None

    async def test_a_fact_that_is_ensured_is_made_once(self, metadata: Metadata) -> None:
        for value in ("one", "two"):
            assert await metadata.write(lambda tx: tx.leases.ensure_fact("x", value)) == "one"  # noqa: B023
        await metadata.write(lambda tx: tx.leases.set_fact("x", "three"))
        assert await metadata.write(lambda tx: tx.leases.ensure_fact("x", "four")) == "three"
