"""Nothing is lost, doubled or half done, wherever the sequencer stops and however many there are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gati_extensions.audit.keys import Keys
from gati_extensions.audit.sequencer import BATCH, Sequencer
from gati_extensions.audit.verify import Verifier
from gati_registry.extension import Database
from gati_registry.ports import Metadata, Transaction, Work
from tests.core.support import FakeClock
from tests.extensions.audit.support import Log, opened

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Stopped(Exception):
    """The sequencer came no further."""


class _Counted:
    """A transaction that ends after some statements."""

    def __init__(self, tx: Transaction, most: int) -> None:
        self._tx = tx
        self._left = most

    def _count(self) -> None:
        if not self._left:
            raise Stopped
        self._left -= 1

    async def one(self, sql: str, **values: Any) -> tuple[Any, ...] | None:
        self._count()
        return await self._tx.one(sql, **values)

    async def all(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        self._count()
        return await self._tx.all(sql, **values)

    async def run(self, sql: str, **values: Any) -> int:
        self._count()
        return await self._tx.run(sql, **values)

    async def send(self, sql: str, **values: Any) -> None:
        self._count()
        await self._tx.send(sql, **values)


class Stopping:
    """A database whose transactions end after `most` statements."""

    def __init__(self, inner: Metadata, most: int) -> None:
        self._inner = inner
        self.most = most

    async def write(self, work: Work[T]) -> T:
        return await self._inner.write(lambda tx: work(_Counted(tx, self.most)))  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def state(log: Log) -> list[list[tuple[Any, ...]]]:
    """All that the sequencer writes."""
    tables = {"audit_inbox": "id", "audit_tree": "id", "audit_tile": "level, number", "audit_entry": "leaf"}
    tables |= {"audit_segment": "leaf", "audit_mention": "leaf, term", "audit_checkpoint": "size", "audit_person": "id"}
    return [await log.all(f"SELECT * FROM {table} ORDER BY {order}") for table, order in tables.items()]


async def problems(log: Log) -> list[dict[str, Any]]:
    return (await Verifier(log.site.extensions.kernels["audit"].database).run()).problems


def stopping(log: Log, most: int) -> Sequencer:
    database: Database = Stopping(log.site.metadata, most)
    accounts = log.site.extensions.kernels["audit"].apis["identity"]
    return Sequencer(database, accounts, log.clock, Keys(None), interval=1, entries=1)


async def test_wherever_it_stops_nothing_has_happened(log: Log) -> None:
    await log.user("alice")
    await log.emit("alice", subject="x.y", action="z", id="alice", before={"a": 1}, after={"a": 2})
    await log.anonymous.get("/v2/")
    await log.site.observers.flush()
    before = await state(log)
    most = 0
    while True:
        try:
            made = await stopping(log, most).step()
        except Stopped:
            assert await state(log) == before, f"after {most} statements"
            most += 1
        else:
            break
    assert most > 15
    assert made == 3
    assert (await log.all("SELECT count(*) FROM audit_inbox"))[0][0] == 0
    assert (await log.all("SELECT size FROM audit_tree"))[0][0] == 3
    assert await problems(log) == []


async def test_many_workers_at_once(folder: Path, location: str, clock: FakeClock) -> None:
    async with opened(folder, location, clock) as one, opened(folder, location, clock) as two:
        total = 3 * BATCH

        async def write(log: Log, half: int) -> None:
            for number in range(half, total, 2):
                await log.emit("admin", subject="x.y", action="z", id=f"n{number}")

        async def sequence(log: Log) -> None:
            for _ in range(40):
                await log.sequencer.step(checkpoint=True)
                await asyncio.sleep(0)

        await asyncio.gather(write(one, 0), write(two, 1), sequence(one), sequence(two))
        await asyncio.gather(one.sequencer.run(), two.sequencer.run())
        found = await two.entries(limit=1000)
        assert {entry["resource"] for entry in found} == {f"#x.y/n{number}" for number in range(total)}
        assert sorted(int(entry["id"]) for entry in found) == list(range(total))
        assert await problems(one) == []


async def test_the_job_has_nothing_to_do_on_an_idle_registry(log: Log, clock: FakeClock) -> None:
    due = log.job("audit.sequence").due
    assert due is not None
    await log.settle()
    await log.sequencer.step(checkpoint=True)
    assert not await due()
    await log.emit("admin", subject="x.y", action="z", id="1")
    assert await due()
    await log.settle()
    assert not await due()
    await log.emit("admin", subject="x.y", action="z", id="2")
    await log.settle()
    assert not await due()
    clock.advance(11)
    assert await due(), "a checkpoint is due"
    await log.settle()
    assert not await due()


async def test_checkpoints_come_in_time_and_by_number(folder: Path, location: str, clock: FakeClock) -> None:
    async with opened(folder, location, clock, audit__checkpoint_entries=5) as log:
        sizes = []
        for number in range(12):
            await log.emit("admin", subject="x.y", action="z", id=str(number))
            await log.settle()
            sizes = [row[0] for row in await log.all("SELECT size FROM audit_checkpoint ORDER BY size")]
        assert sizes == [1, 6, 11]
        clock.advance(10)
        await log.emit("admin", subject="x.y", action="z", id="late")
        await log.settle()
        assert [row[0] for row in await log.all("SELECT size FROM audit_checkpoint ORDER BY size")] == [1, 6, 11, 13]
