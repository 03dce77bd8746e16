"""What other replicas are told by NOTIFY: soon, together, and never so that anything depends on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest

from gati_extensions.access.recent import Recent
from gati_extensions.identity.revision import Revision
from gati_extensions.namespaces import store as namespaces
from gati_extensions.namespaces.counter import Counter
from gati_registry.loader import declared, migrations
from gati_registry.metadata.postgresql import PostgresMetadata, Server
from gati_registry.ports import Metadata, Transaction
from tests.core.contract_metadata import count, put
from tests.postgresql.conftest import LIMITS
from tests.support.postgresql import PostgresServer

pytestmark = pytest.mark.anyio

PATIENCE = 30
HOURS = 10_000.0
"""Seconds for which something is believed, where nothing but a hint may be what makes it new."""


async def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def eventually(ask: Callable[[], Coroutine[None, None, object]], expected: object) -> None:
    """Ask until that is the answer."""
    async with asyncio.timeout(PATIENCE):
        while await ask() != expected:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


async def listening(metadata: Metadata) -> int:
    """What was heard when there was somebody who listens."""
    await until(metadata.heard)
    return metadata.heard()


@pytest.fixture
async def pair(server: PostgresServer) -> AsyncIterator[tuple[PostgresMetadata, PostgresMetadata]]:
    """Two replicas with all extensions."""
    steps = migrations(declared(None), "postgresql")
    with server.database() as name:
        parsed = Server.parse(server.url(name), LIMITS)
        one, two = await PostgresMetadata.open(parsed, steps), await PostgresMetadata.open(parsed, steps)
        yield one, two
        await one.close()
        await two.close()


async def test_what_many_tell_is_heard_once_and_not_by_themselves(metadata: Metadata, another: Metadata) -> None:
    before, own = await listening(another), await listening(metadata)
    for _ in range(1000):
        metadata.tell()
    await until(lambda: another.heard() > before)
    another.tell()
    await until(lambda: metadata.heard() > own)
    assert (another.heard(), metadata.heard()) == (before + 1, own + 1)


async def test_a_hint_goes_out_before_the_end(location: str, another: Metadata) -> None:
    """As of a command that changes an account and is done."""
    before = await listening(another)
    short = await PostgresMetadata.open(Server.parse(location, LIMITS))
    short.tell()
    await short.close()
    await until(lambda: another.heard() > before)


async def test_a_lost_connection_is_made_anew_and_counts_as_a_hint(
    server: PostgresServer, metadata: Metadata, another: Metadata
) -> None:
    before = await listening(another)
    ears = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gati-registry hints'"
    assert server.execute(ears)
    await until(lambda: another.heard() > before)
    before = another.heard()
    metadata.tell()
    await until(lambda: another.heard() > before)


async def test_nothing_depends_on_it(server: PostgresServer, metadata: Metadata) -> None:
    """Who can neither tell nor hear works on; what is remembered lasts for its time."""
    heard, asked = metadata.heard(), 0

    async def load() -> int:
        nonlocal asked
        asked += 1
        return asked

    brief: Recent[str, int] = Recent(metadata, 10, fresh=0.05)
    await brief.get("a", load)
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    metadata.tell()
    await metadata.write(put("a"))
    assert await metadata.read(count) == 1
    await asyncio.sleep(0.1)
    await brief.get("a", load)
    assert (asked, heard) == (2, 0)


async def test_hints_make_what_is_remembered_new(pair: tuple[PostgresMetadata, PostgresMetadata]) -> None:
    """Accounts, rules of namespaces, capabilities: all that replicas remember by time."""
    one, two = pair
    await listening(two)
    here, there = Revision(one, longest=HOURS), Revision(two, longest=HOURS)
    number = await there.get()

    async def change(tx: Transaction) -> None:
        await tx.run("UPDATE identity_revision SET number = number + 1")

    await here.write(change)
    await eventually(there.get, number + 1)

    mine, theirs = Counter(one, "rules", fresh=HOURS), Counter(two, "rules", fresh=HOURS)
    rules = await theirs.get()
    await one.write(lambda tx: namespaces.changed(tx, "rules"))
    assert await theirs.get() == rules
    mine.forget()
    await eventually(theirs.get, rules + 1)

    known: Recent[str, str | None] = Recent(two, 10, fresh=HOURS)

    async def look() -> str | None:
        return await known.get("fact", lambda: two.read(lambda tx: tx.leases.get_fact("fact")))

    assert await look() is None
    await one.write(put("fact", "told"))
    assert await look() is None
    Recent[str, str | None](one, 10).forget()
    await eventually(look, "told")
