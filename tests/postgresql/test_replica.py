"""Reads that may lag go to a real streaming standby as long as it follows, and to the primary otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gati_registry.metadata.migrate import Migration, load
from gati_registry.metadata.postgresql import Limits, PostgresMetadata, Server
from gati_registry.ports import Transaction
from tests.core.contract_metadata import count, put
from tests.postgresql.test_serving import ask, process
from tests.support.postgresql import PostgresServer, running_postgresql
from tests.support.server import wait_for

pytestmark = pytest.mark.anyio

LIMITS = Limits(wait=10, unit=20, lag=1)
PATIENCE = 60
KIND = "application/vnd.oci.image.index.v1+json"
INDEX = f'{{"schemaVersion":2,"mediaType":"{KIND}","manifests":[]}}'.encode()


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgresServer]:
    """The one that is written to."""
    with running_postgresql() as running:
        yield running


@pytest.fixture
def standby(primary: PostgresServer) -> Iterator[PostgresServer]:
    """One that follows it."""
    with running_postgresql(primary=primary) as running:
        yield running


@pytest.fixture
async def metadata(primary: PostgresServer, standby: PostgresServer) -> AsyncIterator[PostgresMetadata]:
    """On both."""
    with primary.database() as name:
        ours, theirs = (Server.parse(server.url(name), LIMITS) for server in (primary, standby))
        opened = await PostgresMetadata.open(ours, replica=theirs)
        yield opened
        await opened.close()


async def by_standby(metadata: PostgresMetadata, *, may_lag: bool = True) -> bool:
    """Whether a scan goes there."""

    async def where(tx: Transaction) -> bool:
        row = await tx.one("SELECT pg_is_in_recovery()")
        assert row is not None
        return bool(row[0])

    return await metadata.scan(where, may_lag=may_lag)


async def becomes(metadata: PostgresMetadata, expected: bool) -> None:
    """Wait until scans go there, or go there no more; none of them fails."""
    async with asyncio.timeout(PATIENCE):
        while await by_standby(metadata) is not expected:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.05)


async def test_only_reads_that_may_lag_go_there(metadata: PostgresMetadata, standby: PostgresServer) -> None:
    await becomes(metadata, True)
    standby.execute("SELECT pg_wal_replay_pause()")
    await metadata.write(put("new"))
    assert await metadata.scan(count) == 1
    assert not await by_standby(metadata, may_lag=False)


@pytest.mark.parametrize("how", ["stop", "kill", "freeze"])
async def test_one_that_is_away_is_not_missed(metadata: PostgresMetadata, standby: PostgresServer, how: str) -> None:
    await becomes(metadata, True)
    {"stop": standby.stop, "kill": standby.kill, "freeze": standby.freeze}[how]()
    try:
        await metadata.write(put("new"))
        async with asyncio.timeout(PATIENCE):
            for _ in range(5):
                assert await metadata.scan(count, may_lag=True) == 1
    finally:
        if how == "freeze":
            standby.thaw()
        else:
            standby.start()
    await becomes(metadata, True)


async def test_one_that_is_too_far_behind(metadata: PostgresMetadata, standby: PostgresServer) -> None:
    await becomes(metadata, True)
    standby.execute("SELECT pg_wal_replay_pause()")
    await metadata.write(put("new"))
    await becomes(metadata, False)
    assert await metadata.scan(count, may_lag=True) == 1
    standby.execute("SELECT pg_wal_replay_resume()")
    await becomes(metadata, True)


async def test_one_that_follows_nobody(
    metadata: PostgresMetadata, primary: PostgresServer, standby: PostgresServer
) -> None:
    """Its connection to the primary is refused: it would show the same for ever."""
    await becomes(metadata, True)
    standby.configure("primary_conninfo = 'host=127.0.0.1 port=1'")
    await becomes(metadata, False)


async def test_one_that_was_promoted(metadata: PostgresMetadata, standby: PostgresServer) -> None:
    """It is another database from then on."""
    await becomes(metadata, True)
    standby.execute("SELECT pg_promote()")
    await becomes(metadata, False)
    await metadata.write(put("new"))
    assert await metadata.scan(count, may_lag=True) == 1


async def test_one_of_an_older_schema(
    metadata: PostgresMetadata, primary: PostgresServer, standby: PostgresServer
) -> None:
    """A migration has not arrived there: what fails for it goes to the primary."""
    await becomes(metadata, True)
    standby.execute("SELECT pg_wal_replay_pause()")
    row = await metadata.read(lambda tx: tx.one("SELECT current_database()"))
    assert row is not None
    patient = replace(LIMITS, lag=1000)
    ours, theirs = (Server.parse(server.url(str(row[0])), patient) for server in (primary, standby))
    steps = [*load("postgresql"), Migration("x", 1, "CREATE TABLE x_one (id BIGINT)")]
    newer = await PostgresMetadata.open(ours, steps, replica=theirs)
    assert await by_standby(newer)
    assert await newer.scan(lambda tx: tx.all("SELECT id FROM x_one"), may_lag=True) == []
    await newer.close()


def test_the_catalog_may_lag_and_a_push_is_seen_at_once(
    primary: PostgresServer, standby: PostgresServer, tmp_path: Path
) -> None:
    with primary.database() as name:
        registry = process(tmp_path, primary.url(name))
        registry.env |= {"GATI_METADATA_READ_URL": standby.url(name), "GATI_POSTGRESQL__MAX_LAG": "1000"}
        registry.start()
        try:
            for first, name in ((True, "old"), (False, "new")):
                status, _, body = ask(registry.host, "PUT", f"/v2/{name}/manifests/v1", INDEX, **{"Content-Type": KIND})
                assert status == 201, body
                if first:
                    wait_for(lambda: b"old" in ask(registry.host, "GET", "/v2/_catalog")[2], timeout=PATIENCE)
                    standby.execute("SELECT pg_wal_replay_pause()")
            assert b"new" not in ask(registry.host, "GET", "/v2/_catalog")[2]
            assert ask(registry.host, "GET", "/v2/new/tags/list")[2] == b'{"name":"new","tags":["v1"]}'
            assert ask(registry.host, "GET", "/v2/new/manifests/v1", accept=KIND)[2] == INDEX
            standby.stop()
            assert b"new" in ask(registry.host, "GET", "/v2/_catalog")[2]
            assert ask(registry.host, "GET", "/readyz")[0] == 200
        finally:
            registry.kill()
