"""What a statement costs does not grow with what is stored, counted in the steps of SQLite's virtual machine.

Steps are the same in each run, on a busy machine too: times are for the proofs (`tests/proofs/test_scale.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from bench.filling import Filler, SqliteTarget

from gati_registry.bootstrap import build
from gati_registry.service.collect import BATCH
from tests.core.scale import PAGE, sizes, walk
from tests.core.support import Client, FakeClock, configure

pytestmark = pytest.mark.anyio

SMALL = (BATCH + 20, 5, 2 * PAGE)
LARGE = (3_000, 5, 4_000)
"""Repositories, manifests in each, manifests in the one that holds most. Whole pages are to be had in both."""

Steps = dict[str, int]


@contextlib.contextmanager
def counted() -> Iterator[Steps]:
    """The most steps that each statement takes on connections opened within the block."""
    steps: Steps = {}

    def profile(event: dict[str, object]) -> None:
        status = event["stmt_status"]
        assert isinstance(status, dict)
        sql = str(event["sql"])
        steps[sql] = max(steps.get(sql, 0), status["SQLITE_STMTSTATUS_VM_STEP"])

    def hook(connection: apsw.Connection) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, profile)

    apsw.connection_hooks.append(hook)
    try:
        yield steps
    finally:
        apsw.connection_hooks.remove(hook)


def grown(small: Steps, large: Steps) -> list[str]:
    """The statements that cost more in the second, in words."""
    return [
        f"{small.get(sql, 0)} -> {steps} steps: {sql}"
        for sql, steps in large.items()
        if steps > 1.2 * small.get(sql, 0) + 50
    ]


async def _steps(data: Path, size: tuple[int, int, int]) -> Steps:
    repositories, manifests, large = size
    settings, clock = configure(data, page=PAGE), FakeClock()
    async with build(settings, clock=clock):
        pass  # makes the schema
    target = SqliteTarget(settings.metadata_path)
    Filler(target).fill(sizes(repositories, manifests, large))
    target.close()
    with counted() as steps:
        async with build(settings, clock=clock) as registry:
            client = Client(registry.app)
            for number, held in ((1, manifests), (repositories // 2, large)):
                await walk(registry, client, number, held)
                clock.advance(1_000_000)
                await registry.collector.run()
    return steps


async def test_no_statement_costs_more_where_more_is_stored(folder: Path) -> None:
    small, large = await _steps(folder / "small", SMALL), await _steps(folder / "large", LARGE)
    assert small.keys() == large.keys()
    assert not grown(small, large)
