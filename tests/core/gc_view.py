"""What is stored, as the collector's tests look at it: rows, files, and what a collector says that it would do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gati_registry.bootstrap import Registry
from gati_registry.service.collect import Collector
from tests.core.gc_model import Place
from tests.core.support import AgedHousekeeping, FakeClock

STEPS = ("condemn", "unlink", "claim", "remove", "expire", "stray")


@dataclass(frozen=True, slots=True)
class View:
    """What a run may change: links, condemned links, digests, and the names of files, trash, uploads."""

    links: set[Place]
    condemned: set[Place]
    blobs: set[str]
    files: set[str]
    trash: set[str]
    uploads: set[str]


async def select(site: Registry, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the database."""
    return await site.metadata.scan(lambda tx: tx.all(sql))


async def view(site: Registry) -> View:
    """The rows as they are."""
    links = await select(
        site,
        "SELECT repository.name, blob.digest, condemned_at FROM link"
        " JOIN repository ON repository.id = repository_id JOIN blob ON blob.id = blob_id",
    )
    stored = await select(site, "SELECT digest, stored_name FROM blob")
    return View(
        links={(name, digest) for name, digest, _ in links},
        condemned={(name, digest) for name, digest, condemned_at in links if condemned_at is not None},
        blobs={digest for digest, _ in stored},
        files={name for _, name in stored if name is not None},
        trash={name for (name,) in await select(site, "SELECT stored_name FROM trash")},
        uploads={name for (name,) in await select(site, "SELECT id FROM upload WHERE touched_at IS NOT NULL")},
    )


async def strays(site: Registry, clock: FakeClock, seen: View) -> set[str]:
    """Files older than an hour that no row names."""
    aged = AgedHousekeeping(site.blobs, clock)
    published = {name async for batch in aged.strays(older_than=3_600_000) for name in batch}
    staged = {name async for batch in aged.staged(older_than=3_600_000) for name in batch}
    return {name for name in staged if name.partition("_")[0] not in seen.uploads} | (
        published - seen.files - seen.trash
    )


async def plan(collector: Collector, *, strays: bool = False) -> dict[str, set[Any]]:
    """What the collector says that it would do, by step: places, digests or names. Nothing is told twice."""
    found: dict[str, set[Any]] = {step: set() for step in STEPS}
    async for candidate in collector.plan(strays=strays):
        in_repository = candidate.step in ("condemn", "unlink")
        subject = (candidate.repository, candidate.subject) if in_repository else candidate.subject
        assert subject not in found[candidate.step]
        found[candidate.step].add(subject)
    return found


async def run_as_planned(
    collector: Collector, site: Registry, clock: FakeClock, *, strays_too: bool = False
) -> dict[str, set[Any]]:
    """A whole run, compared with what it told before and reports afterwards; what it did."""
    before, told = await view(site), await plan(collector, strays=strays_too)
    left_behind = await strays(site, clock, before) if strays_too else set()
    report = await collector.run(strays=strays_too)
    after = await view(site)
    removed = (before.trash | before.files) - (after.trash | after.files)
    assert told["condemn"] == (after.condemned | (before.links - after.links)) - before.condemned
    assert told["unlink"] == before.links - after.links
    assert told["claim"] == before.blobs - after.blobs
    assert told["remove"] == removed
    assert told["expire"] == before.uploads - after.uploads
    assert told["stray"] == left_behind
    counts = {
        "condemn": report.condemned, "unlink": report.unlinked, "claim": report.claimed,
        "remove": report.removed, "expire": report.expired_uploads, "stray": report.stray_files,
    }  # fmt: skip
    assert counts == {step: len(subjects) for step, subjects in told.items()}
    return told
