"""Garbage collection beside a serving registry. The rules are drawn in `domain.gc`.

Nothing is locked beyond a short transaction for each batch, and each step asks its question again within it, so a
push, a mount or a HEAD that comes between wins. Crash points: between any two batches everything is consistent; a
claimed name stays in the trash until its bytes are gone, so a crash there costs a second attempt, never an orphan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence

from gati_registry.domain.access import NOBODY
from gati_registry.domain.events import Change, Operation
from gati_registry.domain.gc import Candidate, Policy, Report
from gati_registry.domain.upload import CLOCK_SKEW
from gati_registry.ports import (
    BlobStore,
    Clock,
    Housekeeping,
    Metadata,
    PendingLink,
    StoredBlob,
    Transaction,
    Work,
)
from gati_registry.service.hooks import NO_HOOKS, Hooks
from gati_registry.values.reference import RepositoryName

BATCH = 200
"""Rows a transaction touches: short enough to let pushes through."""

PLANNED = 100_000
"""Items of each kind that a plan tells of."""

STRAY_AGE = 3_600_000
"""Milliseconds before a file that no row names counts as left behind by a crash; far beyond any commit's duration."""


class Collector:
    """Finds and removes what nothing refers to."""

    def __init__(
        self,
        metadata: Metadata,
        blobs: BlobStore,
        housekeeping: Housekeeping,
        clock: Clock,
        policy: Policy,
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._housekeeping = housekeeping
        self._clock = clock
        self._policy = policy
        self._hooks = hooks

    async def run(self, *, strays: bool = True) -> Report:
        """One full run; `strays` also walks the store's folders for files that a crash left behind."""
        report = Report()
        await self._expire_uploads(report)
        await self._mark(report)
        await self._unlink(report)
        await self._claim(report)
        await self._empty_trash(report)
        if strays:
            await self._remove_strays(report)
        await self._drop_empty(report)
        return report

    async def undo(self) -> int:
        """Revive everything that is condemned and not unlinked yet; how many links."""
        now = self._clock.now()
        return await self._metadata.write(lambda tx: tx.garbage.revive(now))

    async def plan(self, *, strays: bool = True) -> AsyncIterator[Candidate]:
        """What a run now would act on, and why; changes nothing."""
        now, policy = self._clock.now(), self._policy
        for upload in await self._metadata.scan(lambda tx: tx.uploads.idle(now - policy.uploads, PLANNED)):
            why = f"upload untouched for {policy.uploads // 1000} s"
            yield Candidate("expire", upload.repository, upload.id, upload.received, why)
        condemned = [link async for link in self._pending(now - policy.grace) if not link.referenced]
        for link in condemned:
            why = f"no manifest of the repository refers to it and it was not used for {policy.grace // 1000} s"
            yield Candidate("condemn", link.repository, link.digest, link.size, why)
        before = _since(now, policy.undo)
        unlinked = list(await self._metadata.scan(lambda tx: tx.garbage.condemned(before, PLANNED)))
        if policy.undo == 0:
            unlinked += condemned
        for link in unlinked:
            why = f"soft-deleted more than {policy.undo // 1000} s ago"
            yield Candidate("unlink", link.repository, link.digest, link.size, why)
        orphans = await self._orphans_after(unlinked)
        for blob in orphans:
            yield Candidate("claim", None, blob.digest, blob.size, "no repository links it")
        thrown = list(await self._metadata.scan(lambda tx: tx.garbage.trash(_since(now, policy.readers), PLANNED)))
        if policy.readers == 0:
            thrown += [(blob.stored_name, blob.size) for blob in orphans if blob.stored_name is not None]
        for name, size in thrown:
            yield Candidate("remove", None, name, size, "its row is gone; waited for readers")
        if strays:
            async for name in self._stray_blobs():
                yield Candidate("stray", None, name, 0, "no row names this file; a crash left it behind")
            async for name in self._stray_uploads():
                yield Candidate("stray", None, name, 0, "no upload writes to this file; a crash left it behind")

    async def _orphans_after(self, unlinked: Sequence[PendingLink]) -> Sequence[StoredBlob]:
        """The blobs that nothing links once these links are gone."""
        links = Counter(link.blob_id for link in unlinked)
        blobs = {link.blob_id: link for link in unlinked}

        async def work(tx: Transaction) -> Sequence[StoredBlob]:
            found = list(await tx.garbage.orphans(PLANNED))
            for blob_id, link in blobs.items():
                if len(await tx.blobs.linking(link.digest, links[blob_id] + 1)) == links[blob_id]:
                    stored = await tx.blobs.stored(link.digest)
                    found.append(StoredBlob(blob_id, link.digest, link.size, stored.stored_name if stored else None))
            return found

        return await self._metadata.scan(work)

    # --- steps --------------------------------------------------------------------------------------------------

    async def _expire_uploads(self, report: Report) -> None:
        before = self._clock.now() - self._policy.uploads
        while True:

            async def work(tx: Transaction) -> list[str]:
                return [
                    upload.staged or upload.id
                    for upload in await tx.uploads.idle(before, BATCH)
                    if await tx.uploads.close(upload)
                ]

            names = await self._metadata.write(work)
            for name in names:
                await self._blobs.discard(name)
            report.expired_uploads += len(names)
            if len(names) < BATCH:
                break
        # Tombstones of ended sessions, once their ids alone would be refused anyway.
        while await self._metadata.write(lambda tx: tx.uploads.forget(before - CLOCK_SKEW, BATCH)) == BATCH:
            pass

    async def _pending(self, before: int) -> AsyncIterator[PendingLink]:
        after = (0, 0)
        while True:
            last = after
            batch = await self._metadata.scan(lambda tx: tx.garbage.pending(before, last, BATCH))  # noqa: B023
            for link in batch:
                yield link
            if len(batch) < BATCH:
                return
            after = (batch[-1].repository_id, batch[-1].blob_id)

    async def _mark(self, report: Report) -> None:
        now = self._clock.now()
        before = now - self._policy.grace
        waiting: list[PendingLink] = []

        async def condemn() -> None:
            links = waiting.copy()
            waiting.clear()

            async def work(tx: Transaction) -> list[bool | None]:
                return [await tx.garbage.condemn(link, before, now) for link in links]

            outcomes = await self._metadata.write(work)
            report.condemned += outcomes.count(True)
            report.revived += outcomes.count(False)

        async for link in self._pending(before):
            waiting.append(link)
            if len(waiting) >= BATCH:
                await condemn()
        if waiting:
            await condemn()

    async def _unlink(self, report: Report) -> None:
        now = self._clock.now()
        before = _since(now, self._policy.undo)

        async def step(tx: Transaction) -> Sequence[bool]:
            done = []
            for link in await tx.garbage.condemned(before, BATCH):
                done.append(await tx.garbage.drop(link, before, now))
                if done[-1] and self._hooks.hears(Operation.BLOB_DELETE):
                    await self._hooks.commit(tx, _unlinking(link, now), gated=False)
            return done

        report.unlinked += await self._until_done(step)
        self._hooks.committed(Operation.BLOB_DELETE)

    async def _claim(self, report: Report) -> None:
        async def step(tx: Transaction) -> Sequence[bool]:
            now = self._clock.now()  # of each batch: readers of the last one need their grace too
            return [await tx.garbage.claim(blob, now) for blob in await tx.garbage.orphans(BATCH)]

        report.claimed += await self._until_done(step)

    async def _until_done(self, step: Work[Sequence[bool]]) -> int:
        done = 0
        while True:
            outcomes = await self._metadata.write(step)
            done += sum(outcomes)
            if len(outcomes) < BATCH or not any(outcomes):
                return done

    async def _empty_trash(self, report: Report) -> None:
        before = _since(self._clock.now(), self._policy.readers)
        while thrown := await self._metadata.scan(lambda tx: tx.garbage.trash(before, BATCH)):
            for name, _ in thrown:
                await self._blobs.remove(name)
            names = [name for name, _ in thrown]
            await self._metadata.write(lambda tx: tx.inventory.forget_trash(names))  # noqa: B023 - awaited here
            report.removed += len(thrown)
            report.freed_bytes += sum(size for _, size in thrown)

    async def _drop_empty(self, report: Report) -> None:
        """Looked for beside the writer, who would stand still for as long as it takes to look at every repository."""
        after = 0
        while batch := await self._metadata.scan(lambda tx: tx.repositories.holding(after, BATCH)):  # noqa: B023
            empty = [repository_id for repository_id, holds in batch if not holds]
            if empty:
                report.empty_repositories += await self._metadata.write(lambda tx: tx.repositories.drop_empty(empty))  # noqa: B023
            after = batch[-1][0]

    async def _remove_strays(self, report: Report) -> None:
        async for name in self._stray_blobs():
            await self._blobs.remove(name)
            report.stray_files += 1
        async for name in self._stray_uploads():
            await self._blobs.discard(name)
            report.stray_files += 1

    async def _stray_blobs(self) -> AsyncIterator[str]:
        async for names in self._housekeeping.strays(older_than=STRAY_AGE):
            used = await self._metadata.scan(lambda tx: tx.inventory.names_in_use(names))  # noqa: B023
            for name in names:
                if name not in used:
                    yield name

    async def _stray_uploads(self) -> AsyncIterator[str]:
        async for names in self._housekeeping.staged(older_than=STRAY_AGE):
            owners = {name: name.partition("_")[0] for name in names}
            open_ids = await self._metadata.scan(lambda tx: tx.uploads.known(list(owners.values())))  # noqa: B023
            for name, owner in owners.items():
                if owner not in open_ids:
                    yield name


def _since(now: int, wait: int) -> int:
    """What happened before this time is more than `wait` ago; without a wait, what happens now is past too."""
    return now - wait if wait else now + 1


def _unlinking(link: PendingLink, now: int) -> Change:
    repository = RepositoryName(link.repository)
    return Change(
        Operation.BLOB_DELETE, repository, link.repository_id, NOBODY, now, digest=link.digest, size=link.size
    )
