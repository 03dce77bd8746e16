"""The contract of the database, run over SQLite; and what only SQLite has."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from gati_registry.errors import Unavailable
from gati_registry.metadata.migrate import Migration, MigrationError, load, outstanding
from gati_registry.metadata.sqlite import SqliteMetadata
from gati_registry.metadata.sqlite.connection import check_version
from gati_registry.metadata.sqlite.engine import MAX_BATCH
from gati_registry.ports import Metadata, Transaction, Work
from tests.core.contract_garbage import GarbageContract
from tests.core.contract_metadata import TransactionsContract, facts, put, run_worker
from tests.core.contract_rows import RowsContract

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(folder: Path) -> Path:
    """The database's file."""
    return folder / "metadata.sqlite"


@pytest.fixture
def location(path: Path) -> str:
    """How another process finds it."""
    return f"sqlite://{path}"


@pytest.fixture
async def metadata(path: Path) -> AsyncIterator[Metadata]:
    """A database."""
    opened = SqliteMetadata(path)
    yield opened
    await opened.close()


@pytest.fixture
async def another(metadata: Metadata, path: Path) -> AsyncIterator[Metadata]:
    """The same one, as another worker has it."""
    opened = SqliteMetadata(path)
    yield opened
    await opened.close()


class TestRows(RowsContract, GarbageContract):
    """Its rows."""


class TestTransactions(TransactionsContract):
    """Its transactions."""


# --- batches ----------------------------------------------------------------------------------------------------


def commits(metadata: Metadata) -> int:
    """How many there were, by the counter in the WAL index (https://sqlite.org/walformat.html, iChange)."""
    revision = metadata.revision()
    assert revision is not None
    return int.from_bytes(revision[8:12], sys.byteorder)


async def test_what_one_turn_of_the_loop_writes_is_one_commit_and_runs_once(metadata: Metadata) -> None:
    before, runs = commits(metadata), list[int]()

    def good(number: int) -> Work[None]:
        async def work(tx: Transaction) -> None:
            runs.append(number)
            await put(f"{number}")(tx)

        return work

    async def refused(tx: Transaction) -> None:
        assert await tx.leases.get_fact("nothing") is None
        raise ValueError

    works = [good(number) if number % 2 else refused for number in range(20)]
    outcomes = await asyncio.gather(*(metadata.write(work) for work in works), return_exceptions=True)
    assert [isinstance(outcome, ValueError) for outcome in outcomes] == [True, False] * 10
    assert (runs, commits(metadata) - before) == (list(range(1, 20, 2)), 1)


async def test_one_that_fails_half_way_is_undone_alone_in_the_same_commit(metadata: Metadata) -> None:
    before = commits(metadata)

    async def spoilt(tx: Transaction) -> None:
        await put("spoilt")(tx)
        raise ValueError

    outcomes = await asyncio.gather(
        *(metadata.write(work) for work in (put("a"), spoilt, put("b"))), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]
    assert set(await facts(metadata)) == {"a", "b"}
    assert commits(metadata) - before == 1


async def test_more_than_a_batch_at_once_is_several_commits(metadata: Metadata) -> None:
    before, many = commits(metadata), MAX_BATCH * 4
    await asyncio.gather(*(metadata.write(put(f"{number}")) for number in range(many)))
    assert len(await facts(metadata)) == many
    assert commits(metadata) - before >= 2


# --- threads ----------------------------------------------------------------------------------------------------


async def test_reading_does_not_wait_for_the_writer(metadata: Metadata) -> None:
    await metadata.write(put("a", "old"))
    reached, go_on = threading.Event(), threading.Event()

    async def slow(tx: Transaction) -> None:
        await put("a", "new")(tx)
        reached.set()
        assert go_on.wait(30)

    writing = asyncio.ensure_future(metadata.write(slow))
    await asyncio.to_thread(reached.wait, 30)
    waiting = asyncio.ensure_future(metadata.write(put("b")))
    assert await metadata.read(lambda tx: tx.leases.get_fact("a")) == "old"
    assert await facts(metadata) == {"a": "old"}
    assert not writing.done()
    assert not waiting.done()
    go_on.set()
    await asyncio.gather(writing, waiting)
    assert await facts(metadata) == {"a": "new", "b": "x"}


async def test_a_scan_sees_one_moment(metadata: Metadata) -> None:
    await metadata.write(put("a", "old"))
    begun, go_on = threading.Event(), threading.Event()

    async def twice(tx: Transaction) -> list[str | None]:
        first = await tx.leases.get_fact("a")
        begun.set()
        assert go_on.wait(30)
        return [first, await tx.leases.get_fact("a")]

    scanning = asyncio.ensure_future(metadata.scan(twice))
    await asyncio.to_thread(begun.wait, 30)
    await metadata.write(put("a", "new"))
    go_on.set()
    assert await scanning == ["old", "old"]
    assert await facts(metadata) == {"a": "new"}


async def test_what_gathers_behind_the_writer_shares_a_commit(metadata: Metadata, path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    async def slow(tx: Transaction) -> None:
        reached.set()
        assert go_on.wait(30)

    first = asyncio.ensure_future(metadata.write(slow))
    await asyncio.to_thread(reached.wait, 30)
    others = [asyncio.ensure_future(metadata.write(put(f"{number}"))) for number in range(100)]
    await asyncio.sleep(0)
    before = metadata.revision()
    go_on.set()
    revisions = set()
    for other in asyncio.as_completed([first, *others]):
        await other
        revisions.add(metadata.revision())
    assert len(revisions - {before}) <= 2


async def test_a_writer_waits_for_another_process_s_commit(metadata: Metadata, path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE; INSERT INTO fact VALUES ('a', 'theirs')")
    writing = asyncio.ensure_future(metadata.write(put("a", "ours")))
    await asyncio.sleep(0.05)
    assert not writing.done()
    assert await facts(metadata) == {}
    other.execute("COMMIT")
    other.close()
    await writing
    assert await facts(metadata) == {"a": "ours"}


async def test_a_full_disk_fails_the_batch_and_nothing_else(metadata: Metadata) -> None:
    async def limit(tx: Transaction, spare: int) -> None:
        row = await tx.one("PRAGMA page_count")
        assert row is not None
        await tx.one(f"PRAGMA max_page_count = {row[0] + spare}")

    await metadata.write(put("a"))
    await metadata.write(lambda tx: limit(tx, 0))
    outcomes = await asyncio.gather(
        *(metadata.write(put(f"{number}", "x" * 50_000)) for number in range(5)), return_exceptions=True
    )
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert "full" in str(outcomes[0])
    assert await facts(metadata) == {"a": "x"}
    await metadata.write(lambda tx: limit(tx, 1000))
    await metadata.write(put("b", "x" * 50_000))
    assert set(await facts(metadata)) == {"a", "b"}


# --- how it is opened -------------------------------------------------------------------------------------------


async def test_commits_are_durable_and_the_file_is_not_mapped(metadata: Metadata) -> None:
    expected = {"journal_mode": "wal", "synchronous": 2, "mmap_size": 0, "foreign_keys": 1}
    for name, value in expected.items():
        row = await metadata.write(lambda tx: tx.one(f"PRAGMA {name}"))  # noqa: B023
        assert row == (value,), name


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.9.0"])
def test_an_sqlite_with_the_wal_reset_bug_is_refused(version: str) -> None:
    with pytest.raises(Unavailable, match=rf"{version} is too old; 3\.51\.3"):
        check_version(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.54.1", "4.0", apsw.sqlite_lib_version()])
def test_a_newer_sqlite_is_taken(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("content", [b"x" * 10_000, b"SQLite format 3\x00" + b"\xff" * 10_000])
def test_a_file_that_is_no_database_stops_the_start(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(Unavailable):
        SqliteMetadata(path)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_stops_the_start(path: Path) -> None:
    with pytest.raises(Unavailable):
        SqliteMetadata(path / "below" / "metadata.sqlite")


async def test_the_integrity_check_tells_what_is_damaged(path: Path) -> None:
    metadata = SqliteMetadata(path)
    assert list(metadata.integrity_problems()) == []

    async def fill(tx: Transaction) -> None:
        for number in range(500):
            await put(f"{number}", "x" * 500)(tx)

    await metadata.write(fill)
    await metadata.close()
    content = bytearray(path.read_bytes())
    for page in range(len(content) // 2 // 4096, len(content) // 4096, 7):
        content[page * 4096 : page * 4096 + 100] = b"\xa5" * 100
    path.write_bytes(content)
    damaged = SqliteMetadata(path)
    assert list(damaged.integrity_problems())
    await damaged.close()


# --- migrations -------------------------------------------------------------------------------------------------


async def test_migrations_run_once(path: Path) -> None:
    for expected in ([str(migration) for migration in load("sqlite")], []):
        opened = SqliteMetadata(path)
        assert opened.migrations_run == expected
        await opened.close()


async def test_processes_that_start_together_migrate_once(path: Path, location: str) -> None:
    done = await asyncio.gather(*(run_worker("migrate", location) for _ in range(4)))
    assert [code for code, _ in done] == [0] * 4
    ran = [line for _, output in done for line in output.split("\n") if line]
    assert ran == [str(migration) for migration in load("sqlite")]


async def test_a_new_database_has_all_migrations_or_none_and_an_old_one_those_that_went_well(path: Path) -> None:
    good, better = Migration("core", 1, "CREATE TABLE one (x)"), Migration("core", 2, "CREATE TABLE two (x)")
    for ran, broken, mended in (
        ([str(good), str(better)], better, better),
        (["core 0004"], Migration("core", 4, ""), Migration("core", 4, "CREATE TABLE four (x)")),
    ):
        known = [good] if broken is better else [good, better, Migration("core", 3, "CREATE TABLE three (x)")]
        with pytest.raises(apsw.SQLError):
            SqliteMetadata(path, [*known, Migration("core", broken.number, "CREATE TABLE nothing")])
        opened = SqliteMetadata(path, [*known, mended])
        assert opened.migrations_run == ran
        await opened.close()


async def alter(path: Path, sql: str) -> None:
    """Make a database and change its history."""
    await SqliteMetadata(path).close()
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


async def test_a_database_of_a_newer_version_stops_the_start(path: Path) -> None:
    await alter(path, "INSERT INTO schema_migration VALUES ('core', 9999, 'x', 0)")
    with pytest.raises(MigrationError, match=r"core 9999.*newer version"):
        SqliteMetadata(path)


async def test_a_migration_that_was_changed_stops_the_start(path: Path) -> None:
    await alter(path, "UPDATE schema_migration SET checksum = 'x' WHERE number = 1")
    with pytest.raises(MigrationError, match=r"core 0001 differs"):
        SqliteMetadata(path)


async def test_the_history_of_an_extension_that_is_off_does_not_matter(path: Path) -> None:
    await alter(path, "INSERT INTO schema_migration VALUES ('search', 7, 'x', 0)")
    opened = SqliteMetadata(path)
    assert opened.migrations_run == []
    await opened.close()


def test_outstanding_are_those_that_did_not_run_in_their_order() -> None:
    known = [Migration("core", number, f"SELECT {number}") for number in (1, 2, 3)] + [Migration("x", 1, "SELECT 1")]
    applied = {("core", 1): known[0].checksum, ("gone", 1): "y"}
    assert outstanding(known, applied) == known[1:]
    assert outstanding(known, {}) == known
    with pytest.raises(MigrationError, match="core 0002 differs"):
        outstanding(known, {("core", 2): "other"})
    with pytest.raises(MigrationError, match="core 0004"):
        outstanding(known, {("core", 4): "other"})


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [migration.number for migration in load("sqlite")]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_what_is_closed_is_let_go_of(tmp_path: Path) -> None:
    """Of the index too, once nobody in the process watches it; and not before."""
    first = SqliteMetadata(tmp_path / "metadata.sqlite")
    await first.write(put("one"))
    again = SqliteMetadata(tmp_path / "metadata.sqlite")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        await SqliteMetadata(tmp_path / f"{number}.sqlite").close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    await again.close()
    revision = first.revision()
    assert revision is not None
    await first.write(put("two"))
    assert first.revision() != revision
    await first.close()
    assert first.revision() is None
