"""The database goes away, comes back, hangs, or is full: an answer comes in bounded time, and nothing is done twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from gati_registry.errors import Unavailable
from gati_registry.metadata.postgresql import Limits, PostgresMetadata, Server
from gati_registry.ports import Metadata, Transaction
from tests.core.contract_metadata import bump, count, facts, put
from tests.postgresql.interleaving import GATE, Gate, Halting
from tests.support.postgresql import PostgresServer, running_postgresql

pytestmark = pytest.mark.anyio

LIMITS = Limits(pool_min=2, pool_max=4, wait=2, unit=2, connect=2)
PATIENCE = 30
"""Seconds after which a test says that something hangs."""


@pytest.fixture(scope="module")
def fragile() -> Iterator[PostgresServer]:
    """A server to stop, kill and freeze."""
    with running_postgresql() as running:
        yield running


@pytest.fixture
def url(fragile: PostgresServer) -> Iterator[str]:
    """A database of it."""
    with fragile.database() as name:
        yield fragile.url(name)


@pytest.fixture
async def shaken(url: str) -> AsyncIterator[PostgresMetadata]:
    """The adapter under test."""
    opened = await PostgresMetadata.open(Server.parse(url, LIMITS))
    yield opened
    await opened.close()


async def refused(metadata: Metadata) -> None:
    """Nothing goes; it is said soon."""
    asked = (metadata.write(bump), metadata.read(count), metadata.scan(count), metadata.check())
    async with asyncio.timeout(PATIENCE):
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, Unavailable)
            assert int(outcome.headers["Retry-After"]) > 0


async def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def counter(metadata: Metadata) -> int:
    """The counter, as soon as it can be read again."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(Unavailable):
                return int((await facts(metadata)).get("counter", 0))


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_the_server_is_gone_and_comes_back(fragile: PostgresServer, shaken: PostgresMetadata, how: str) -> None:
    await asyncio.gather(*(shaken.write(bump) for _ in range(8)))  # all connections of the pool are open
    {"stop": fragile.stop, "kill": fragile.kill}[how]()
    try:
        await refused(shaken)
    finally:
        fragile.start()
    assert await counter(shaken) == 8
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(shaken.write(bump) for _ in range(8)))
    assert await counter(shaken) == 16


async def test_a_restart_between_two_units_is_not_noticed(fragile: PostgresServer, shaken: PostgresMetadata) -> None:
    await asyncio.gather(*(shaken.write(bump) for _ in range(8)))
    fragile.stop()
    fragile.start()
    await shaken.write(bump)
    assert await shaken.read(count) == 1
    assert await counter(shaken) == 9


async def test_no_acknowledged_write_is_lost_when_the_server_is_restarted_under_load(
    fragile: PostgresServer, shaken: PostgresMetadata
) -> None:
    acknowledged, unknown = 0, 0
    finished = False

    async def write() -> None:
        nonlocal acknowledged, unknown
        while not finished:
            try:
                await shaken.write(bump)
            except Unavailable:
                unknown += 1
                await asyncio.sleep(0.05)
            else:
                acknowledged += 1

    writing = [asyncio.ensure_future(write()) for _ in range(8)]
    for restart in (fragile.stop, fragile.kill):
        await asyncio.sleep(0.2)
        restart()
        await asyncio.sleep(0.1)
        await asyncio.to_thread(fragile.start)
        enough = acknowledged + 20
        await until(lambda: acknowledged >= enough)  # noqa: B023 - awaited here
    finished = True
    await asyncio.gather(*writing)
    assert acknowledged <= await counter(shaken) <= acknowledged + unknown


async def test_a_server_that_hangs_is_cut_off(fragile: PostgresServer, shaken: PostgresMetadata) -> None:
    await shaken.write(bump)
    fragile.freeze()
    try:
        await refused(shaken)
    finally:
        fragile.thaw()
    assert await counter(shaken) >= 1
    await shaken.write(put("after"))


async def test_a_server_that_hangs_does_not_keep_a_process_from_ending(fragile: PostgresServer, url: str) -> None:
    opened = await PostgresMetadata.open(Server.parse(url, LIMITS))
    await opened.write(bump)
    fragile.freeze()
    try:
        writing = asyncio.ensure_future(opened.write(bump))
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            await opened.close()
        with pytest.raises(Unavailable):
            await writing
    finally:
        fragile.thaw()


async def test_a_unit_that_takes_too_long_is_ended(shaken: PostgresMetadata, url: str) -> None:
    async with asyncio.timeout(PATIENCE):
        asked = [ask(lambda tx: tx.one("SELECT pg_sleep(60)")) for ask in (shaken.write, shaken.read)]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(outcome, Unavailable)
    await shaken.write(bump)


async def test_a_connection_lost_before_the_commit_costs_nothing(
    fragile: PostgresServer, shaken: PostgresMetadata, url: str
) -> None:
    halting = Halting(shaken)
    halting.halt_before("INSERT INTO fact")
    async with Gate(url) as gate:
        writing = asyncio.ensure_future(halting.write(bump))
        await gate.waiting(1, writing)
        fragile.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
            f" AND objid = {GATE}"
        )
        await writing
    assert await counter(shaken) == 1


async def test_a_commit_whose_outcome_is_unknown_is_not_done_twice(
    fragile: PostgresServer, shaken: PostgresMetadata, url: str
) -> None:
    """The commit waits for a standby that there is not, and its connection ends meanwhile."""
    await shaken.write(put("a"))
    fragile.configure("synchronous_standby_names = 'absent'")
    try:
        writing = asyncio.ensure_future(shaken.write(bump))
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        await until(lambda: fragile.execute(end))
        with pytest.raises(Unavailable, match="during a commit"):
            await writing
    finally:
        fragile.configure("synchronous_standby_names = ''")
    assert await counter(shaken) == 1


async def test_who_finds_no_free_connection_is_told_so(url: str) -> None:
    limits = Limits(pool_min=1, pool_max=1, wait=0.2, unit=20)
    narrow = await PostgresMetadata.open(Server.parse(url, limits))
    halting = Halting(narrow)
    halting.halt_before("INSERT INTO fact")
    async with Gate(url) as gate:
        writing = asyncio.ensure_future(halting.write(bump))
        await gate.waiting(1, writing)
        await refused(narrow)
        await gate.open()
        await writing
    assert await counter(narrow) == 1
    await narrow.close()


async def test_a_caller_that_is_gone_leaves_a_sound_connection(shaken: PostgresMetadata) -> None:
    for ask in (shaken.write, shaken.read, shaken.scan):
        asking = [asyncio.ensure_future(ask(lambda tx: tx.one("SELECT pg_sleep(0.3)"))) for _ in range(8)]
        await asyncio.sleep(0.05)
        for task in asking:
            task.cancel()
        outcomes: list[Any] = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        await shaken.write(bump)
    assert await counter(shaken) == 3


async def test_a_unit_does_not_go_on_after_a_statement_that_failed(shaken: PostgresMetadata) -> None:
    async def careless(tx: Transaction) -> None:
        await put("a")(tx)
        with contextlib.suppress(Exception):
            await tx.one("SELECT 1 / 0")

    with pytest.raises(RuntimeError, match="after a statement that failed"):
        await shaken.write(careless)
    assert await facts(shaken) == {}


async def test_a_scan_sees_one_moment(shaken: PostgresMetadata, url: str) -> None:
    await shaken.write(put("a", "old"))
    async with Gate(url) as gate:

        async def twice(tx: Transaction) -> list[str | None]:
            first = await tx.leases.get_fact("a")
            await tx.one(f"SELECT 1 FROM pg_advisory_xact_lock({GATE})")
            return [first, await tx.leases.get_fact("a")]

        scanning = asyncio.ensure_future(shaken.scan(twice))
        await gate.waiting(1, scanning)
        await shaken.write(put("a", "new"))
        await gate.open()
        assert await scanning == ["old", "old"]


async def test_lists_go_on_after_a_name_with_a_nul(shaken: PostgresMetadata) -> None:
    """As SQLite has it; text of PostgreSQL cannot hold one."""
    for name in ("a", "b"):
        await shaken.write(put(name))

    async def after(tx: Transaction, last: str) -> list[tuple[Any, ...]]:
        return await tx.all("SELECT name FROM fact WHERE name > :last ORDER BY name", last=last)

    for last, expected in (("\0", ["a", "b"]), ("a\0", ["b"]), ("a\0z", ["b"]), ("b\0", [])):
        assert [name for (name,) in await shaken.read(lambda tx: after(tx, last))] == expected  # noqa: B023
    with pytest.raises(Exception, match="NUL"):
        await shaken.write(put("a\0", "x"))
