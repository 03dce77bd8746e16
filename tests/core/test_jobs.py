"""Work on an interval: one of all workers does it, another takes over, and a failure is not the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gati_registry.errors import Unavailable
from gati_registry.jobs import LEASE, Job, run_forever
from gati_registry.metadata.sqlite import SqliteMetadata
from tests.core.support import FakeClock

pytestmark = pytest.mark.anyio

INTERVAL = 0.02


class Worker:
    """A worker with its own connection to the database, and what it did."""

    def __init__(self, path: Path, clock: FakeClock) -> None:
        self.metadata = SqliteMetadata(path)
        self.clock = clock
        self.runs = 0
        self.task: asyncio.Task[None] | None = None

    def start(self, work: Callable[[], Awaitable[None]] | None = None) -> None:
        """Do the job on its interval."""

        async def run() -> None:
            self.runs += 1
            if work is not None:
                await work()

        self.task = asyncio.ensure_future(run_forever(Job("tidy", INTERVAL, run), self.metadata, self.clock))

    async def stop(self) -> None:
        """End at once, as a worker does that is told to."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
            self.task = None


@pytest.fixture
async def workers(folder: Path, clock: FakeClock) -> AsyncIterator[list[Worker]]:
    """Three workers on one database."""
    made = [Worker(folder / "metadata.sqlite", clock) for _ in range(3)]
    yield made
    for worker in made:
        await worker.stop()
        await worker.metadata.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something; the test's own time limit ends it."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in the application
        await asyncio.sleep(INTERVAL / 4)


async def test_one_of_the_workers_does_it(workers: list[Worker], clock: FakeClock) -> None:
    for worker in workers:
        worker.start()
    await until(lambda: max(worker.runs for worker in workers) >= 5)
    assert sorted(worker.runs > 0 for worker in workers) == [False, False, True]


async def test_another_takes_over_when_it_is_gone(workers: list[Worker], clock: FakeClock) -> None:
    for worker in workers:
        worker.start()
    await until(lambda: any(worker.runs for worker in workers))
    (first,) = [worker for worker in workers if worker.runs]
    await first.stop()
    others = [worker for worker in workers if worker is not first]
    await asyncio.sleep(INTERVAL * 3)
    assert not any(worker.runs for worker in others)  # the interval's lease still stands
    clock.advance(INTERVAL)
    await until(lambda: any(worker.runs for worker in others))
    assert sum(worker.runs > 0 for worker in others) == 1


async def test_while_it_runs_no_other_begins_until_the_lease_ends(workers: list[Worker], clock: FakeClock) -> None:
    first, second, _ = workers
    first.start(_forever)
    await until(lambda: first.runs == 1)
    second.start()
    clock.advance(LEASE / 1000 - 1)
    await asyncio.sleep(INTERVAL * 3)
    assert second.runs == 0
    clock.advance(2)
    await until(lambda: second.runs > 0)


async def _forever() -> None:
    await asyncio.Event().wait()


async def test_a_failure_is_told_and_it_is_done_again(workers: list[Worker], caplog: pytest.LogCaptureFixture) -> None:
    failures = iter([ValueError("a mistake"), Unavailable("the disk is full")])

    async def work() -> None:
        for failure in failures:
            raise failure

    with caplog.at_level(logging.WARNING):
        workers[0].start(work)
        await until(lambda: workers[0].runs >= 4)
    assert "a mistake" in caplog.text
    assert "the disk is full" in caplog.text
