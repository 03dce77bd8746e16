"""What a start looks at: the URL, the server's settings, and the schema; and how migrations run beside others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from gati_registry.errors import Unavailable
from gati_registry.metadata.migrate import Migration, MigrationError, load
from gati_registry.metadata.postgresql import Limits, PostgresMetadata, Server, inspect
from gati_registry.ports import Metadata
from tests.core.contract_metadata import put, run_worker
from tests.support.postgresql import PASSWORD, PostgresServer
from tests.support.server import free_port

pytestmark = pytest.mark.anyio

LIMITS = Limits(wait=10, unit=20, lock=0.05)


async def opened(url: str, *more: Migration) -> list[str]:
    """Open the database and close it; the migrations that were run."""
    metadata = await PostgresMetadata.open(Server.parse(url, LIMITS), [*load("postgresql"), *more])
    await metadata.close()
    return metadata.migrations_run


@pytest.fixture
def empty(server: PostgresServer) -> Iterator[str]:
    """The URL of a database without anything."""
    with server.database() as name:
        yield server.url(name)


# --- migrations -------------------------------------------------------------------------------------------------


def test_both_engines_have_the_same_migrations() -> None:
    steps = [migration.number for migration in load("postgresql")]
    assert steps == [migration.number for migration in load("sqlite")] == sorted(set(steps))


async def test_migrations_run_once(empty: str) -> None:
    assert await inspect(Server.parse(empty, LIMITS), load("postgresql")) == (
        f"{Server.parse(empty, LIMITS)}: {len(load('postgresql'))} migrations run at the next start"
    )
    assert await opened(empty) == [str(migration) for migration in load("postgresql")]
    assert await opened(empty) == []
    assert (await inspect(Server.parse(empty, LIMITS), load("postgresql"))).endswith(": schema is current")


async def test_replicas_that_start_together_migrate_once(empty: str) -> None:
    done = await asyncio.gather(*(run_worker("migrate", empty) for _ in range(4)))
    assert [code for code, _ in done] == [0] * 4
    # Each in its turn, but not all of them by one replica.
    ran = sorted(line for _, output in done for line in output.split("\n") if line)
    assert ran == [str(migration) for migration in load("postgresql")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("INSERT INTO schema_migration VALUES ('core', 9999, 'x', 0)", r"core 9999.*newer version"),
        ("UPDATE schema_migration SET checksum = 'x' WHERE number = 1", r"core 0001 differs"),
    ],
)
async def test_a_history_that_does_not_fit_stops_the_start(
    server: PostgresServer, location: str, change: str, words: str
) -> None:
    server.execute(change, location.rpartition("/")[2])
    with pytest.raises(MigrationError, match=words):
        await opened(location)
    with pytest.raises(MigrationError, match=words):
        await inspect(Server.parse(location, LIMITS), load("postgresql"))


async def test_a_migration_that_fails_leaves_nothing_behind(location: str) -> None:
    broken = Migration("x", 1, "CREATE TABLE x_one (id BIGINT); CREATE TABLE x_one (id BIGINT)")
    with pytest.raises(MigrationError, match=r"migration x 0001 failed: .*already exists"):
        await opened(location, broken)
    assert await opened(location, Migration("x", 1, "CREATE TABLE x_one (id BIGINT)")) == ["x 0001"]


async def test_a_migration_does_not_block_those_who_work_while_it_waits_for_its_lock(
    location: str, metadata: Metadata
) -> None:
    change = Migration("x", 1, "ALTER TABLE fact ADD COLUMN x TEXT")
    async with await psycopg.AsyncConnection.connect(location) as long:
        await long.execute("SELECT * FROM fact")
        migrating = asyncio.ensure_future(opened(location, change))
        for number in range(20):
            await metadata.write(put(f"{number}"))
        with pytest.raises(MigrationError, match=r"migration x 0001 did not get its locks in time"):
            await migrating
    assert await opened(location, change) == ["x 0001"]
    await metadata.write(put("after"))  # the old program on the new schema


async def test_a_migration_that_gets_its_lock_later_runs(location: str) -> None:
    async with await psycopg.AsyncConnection.connect(location) as long:
        await long.execute("SELECT * FROM fact")
        migrating = asyncio.ensure_future(opened(location, Migration("x", 1, "ALTER TABLE fact ADD COLUMN x TEXT")))
        await asyncio.sleep(LIMITS.lock)
    assert await migrating == ["x 0001"]


async def test_prepared_statements_outlive_a_migration(location: str, metadata: Metadata) -> None:
    await metadata.write(put("a"))
    for columns in (2, 3):
        for ask in (metadata.read, metadata.write) * 5:
            row = await ask(lambda tx: tx.one("SELECT * FROM fact"))
            assert row is not None
            assert len(row) == columns
        await opened(location, Migration("x", 1, "ALTER TABLE fact ADD COLUMN x TEXT"))


async def test_a_user_who_may_not_create_tables_is_told_so(server: PostgresServer, empty: str) -> None:
    url = server.url(empty.rpartition("/")[2], user="guarded", password=PASSWORD)
    with pytest.raises(MigrationError, match=r"permission denied.*grant the user of metadata_url CREATE"):
        await opened(url)


# --- the URL and the server -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s%zecret@h/d",
        "postgresql://u:secret@h:port/d?nonsense=1",
        "postgresql://[::1/secret",
        "postgresql://u@h/d?secret",
    ],
)
def test_a_url_that_cannot_be_read_is_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="it is no connection URI") as caught:
        Server.parse(url, LIMITS)
    assert "secret" not in str(caught.value)


def test_a_server_is_named_without_its_password() -> None:
    server = Server.parse("postgresql://me:secret@db.example:6543/registry?sslmode=verify-full", LIMITS)
    assert str(server) == "database registry at db.example:6543 as user me"
    assert "secret" not in repr(server)
    assert server.parameters["sslmode"] == "verify-full"
    assert str(Server.parse("postgresql:///", LIMITS)) == "database (default) at the local socket as user (default)"


async def refusal(url: str) -> str:
    """Why it does not open: one line, without the password."""
    with pytest.raises(Unavailable) as caught:
        await opened(url)
    with pytest.raises(Unavailable) as seen:
        await inspect(Server.parse(url, LIMITS), load("postgresql"))
    assert str(seen.value) == str(caught.value)
    assert caught.value.message.startswith("metadata_url: ")
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message
    return caught.value.message


async def test_wrong_credentials_a_missing_database_and_no_server(server: PostgresServer) -> None:
    wrong = await refusal(server.url("postgres", user="guarded", password="secret"))
    assert wrong.startswith(f"metadata_url: no connection to database postgres at 127.0.0.1:{server.port} as user guar")
    assert 'password authentication failed for user "guarded"' in wrong
    assert 'database "absent" does not exist' in await refusal(server.url("absent"))
    assert "Connection refused" in await refusal(f"postgresql://u:secret@127.0.0.1:{free_port()}/d")
    assert "server does not support SSL" in await refusal(server.url("postgres") + "?sslmode=require")


async def test_a_database_in_another_encoding_is_refused(server: PostgresServer) -> None:
    server.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    assert "the database's encoding is LATIN1" in await refusal(server.url("latin"))


async def test_a_server_without_fsync_is_refused(server: PostgresServer, location: str) -> None:
    server.configure("fsync = off")
    try:
        assert "runs with fsync=off, a power cut would lose acknowledged pushes" in await refusal(location)
    finally:
        server.configure("fsync = on")


async def test_commits_are_durable_whatever_the_database_says(
    server: PostgresServer, location: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = location.rpartition("/")[2]
    for setting, expected in (("off", "on"), ("remote_apply", "remote_apply"), ("local", "local")):
        server.execute(f"ALTER DATABASE {name} SET synchronous_commit = {setting}")
        metadata = await PostgresMetadata.open(Server.parse(location, LIMITS))
        try:
            row = await metadata.write(lambda tx: tx.one("SELECT current_setting('synchronous_commit')"))
        finally:
            await metadata.close()
        assert row == (expected,)
    assert "synchronous_commit is off; it is turned on" in caplog.text
