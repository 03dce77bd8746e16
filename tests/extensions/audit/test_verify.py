"""Whatever is done to the stored log behind its back is found, and where."""

from __future__ import annotations

from typing import Any

import pytest

from gati_extensions.audit import merkle, store
from gati_extensions.audit.notes import Signer, make_key
from gati_extensions.audit.record import COLUMNS
from gati_extensions.audit.sequencer import StoredTiles
from gati_extensions.audit.verify import Report, Verifier
from gati_registry.ports import Transaction
from tests.core.support import FakeClock
from tests.extensions.audit.support import Log

pytestmark = pytest.mark.anyio


@pytest.fixture
async def full(log: Log) -> Log:
    """A log of entries and segments, with checkpoints."""
    alice = await log.user("alice")
    for number in range(3):
        await log.push("library/app", f"v{number}", annotations={"n": str(number)})
        await log.client.get(f"/v2/library/app/manifests/v{number}")
        await alice.get(f"/v2/library/app/manifests/v{number}")
        await log.settle()
        await log.sequencer.step(checkpoint=True)
    return log


async def check(log: Log, kept: str | None = None) -> Report:
    return await Verifier(log.site.extensions.kernels["audit"].database, kept).run()


async def kinds(log: Log) -> set[tuple[str, int]]:
    """(kind, leaf) of what is found."""
    return {(problem["kind"], problem.get("leaf", -1)) for problem in (await check(log)).problems}


async def segment(log: Log) -> int:
    """The leaf of a segment."""
    return int((await log.all("SELECT max(leaf) FROM audit_segment"))[0][0])


async def test_an_honest_log_fits(full: Log) -> None:
    report = await check(full, (await full.get("checkpoint"))["note"])
    assert report.problems == []
    assert (report.entries > 6, report.segments, report.checkpoints) == (True, 3, 3)
    assert report.entries + report.segments == report.leaves


async def test_a_changed_column_is_found(full: Log) -> None:
    for column in (column for column in COLUMNS if column != "leaf"):
        ((old,),) = await full.all(f"SELECT {column} FROM audit_entry WHERE leaf = 1")
        new: Any = old + 1 if isinstance(old, int) else b"x" if column in {"origin", "changes"} else "x"
        await full.run(f"UPDATE audit_entry SET {column} = :value WHERE leaf = 1", value=new)
        assert await kinds(full) == {("changed", 1)}, column
        await full.run(f"UPDATE audit_entry SET {column} = :value WHERE leaf = 1", value=old)
        assert await kinds(full) == set(), column


async def test_a_removed_row_is_found(full: Log) -> None:
    await full.run("DELETE FROM audit_entry WHERE leaf = 2")
    leaf = await segment(full)
    await full.run("DELETE FROM audit_segment WHERE leaf = :leaf", leaf=leaf)
    await full.run("DELETE FROM audit_mention WHERE leaf = :leaf", leaf=leaf)
    assert await kinds(full) == {("removed", 2), ("removed", leaf)}


async def test_an_inserted_row_is_found(full: Log) -> None:
    others = ", ".join(column for column in COLUMNS if column != "leaf")
    for leaf in (-1, 100_000, await segment(full)):
        await full.run(
            f"INSERT INTO audit_entry (leaf, {others}) SELECT {leaf}, {others} FROM audit_entry WHERE leaf = 1"
        )
    found = await kinds(full)
    assert found >= {("inserted", -1), ("inserted", 100_000), ("inserted", await segment(full))}


async def test_exchanged_rows_are_found(full: Log) -> None:
    for old, new in ((1, -7), (2, 1), (-7, 2)):
        await full.run("UPDATE audit_entry SET leaf = :new WHERE leaf = :old", old=old, new=new)
    assert [(p["kind"], p["leaf"], p["other"]) for p in (await check(full)).problems] == [
        ("reordered", 1, 2),
        ("reordered", 2, 1),
    ]


async def test_a_changed_segment_is_found(full: Log) -> None:
    leaf = await segment(full)
    (other,) = (await full.all("SELECT body FROM audit_segment WHERE leaf <> :leaf", leaf=leaf))[0]
    await full.run("UPDATE audit_segment SET body = :body WHERE leaf = :leaf", body=other, leaf=leaf)
    assert ("changed", leaf) in await kinds(full)
    await full.run("UPDATE audit_segment SET body = :body WHERE leaf = :leaf", body=b"none", leaf=leaf)
    assert await kinds(full) >= {("changed", leaf)}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_segment SET last_time = last_time - 1000000 WHERE leaf = :leaf",
        "UPDATE audit_segment SET lines = 0 WHERE leaf = :leaf",
        "DELETE FROM audit_mention WHERE leaf = :leaf AND term LIKE 'actor%'",
        "INSERT INTO audit_mention (term, last_time, leaf) SELECT 'namespace x', last_time, leaf FROM audit_segment"
        " WHERE leaf = :leaf",
    ],
)
async def test_a_segment_that_is_hidden_from_queries_is_found(full: Log, sql: str) -> None:
    leaf = await segment(full)
    await full.run(sql, leaf=leaf)
    assert await kinds(full) == {("changed", leaf)}


async def rewrite(log: Log, leaf: int) -> None:
    """Change a row and make every tile fit it again."""

    async def work(tx: Transaction) -> None:
        await tx.run("UPDATE audit_entry SET action = 'nothing' WHERE leaf = :leaf", leaf=leaf)
        row = await tx.one("SELECT size FROM audit_tree")
        assert row is not None
        hashes = []
        for number in range(row[0]):
            data = await store.leaf_bytes(tx, number)
            assert data is not None
            hashes.append(merkle.leaf_hash(data))
        await merkle.append(StoredTiles(tx), 0, hashes)

    await log.site.metadata.write(work)


async def test_a_tree_that_was_made_to_fit_is_not_the_one_that_was_signed(full: Log) -> None:
    sizes = [row[0] for row in await full.all("SELECT size FROM audit_checkpoint ORDER BY size")]
    await rewrite(full, sizes[0])
    (problem,) = (await check(full)).problems
    assert (problem["kind"], problem["first"], problem["size"]) == ("checkpoint", sizes[0], sizes[1])


async def test_who_signs_anew_is_told_by_a_checkpoint_kept_elsewhere(full: Log) -> None:
    kept = (await full.get("checkpoint"))["note"]
    await rewrite(full, 1)
    await full.run("DELETE FROM audit_checkpoint")
    await full.sequencer.step(checkpoint=True)
    assert (await check(full)).problems == []
    assert {problem["kind"] for problem in (await check(full, kept)).problems} == {"checkpoint"}
    assert [problem["kind"] for problem in (await check(full, "nonsense")).problems] == ["checkpoint"]


async def test_a_log_that_was_cut_is_found(full: Log) -> None:
    await full.run("UPDATE audit_tree SET size = 3")
    for table in ("audit_entry", "audit_segment", "audit_mention"):
        await full.run(f"DELETE FROM {table} WHERE leaf >= 3")
    assert {problem["kind"] for problem in (await check(full)).problems} == {"checkpoint"}


async def test_a_checkpoint_that_was_changed_or_signed_by_another_is_found(full: Log) -> None:
    await full.run("UPDATE audit_checkpoint SET note = replace(note, 'gati.audit', 'gati.other')")
    assert {problem["kind"] for problem in (await check(full)).problems} == {"checkpoint"}
    name = (await full.get("keys"))["items"][0]["name"]
    stranger = Signer.from_bytes(name, make_key())
    (size,) = (await full.all("SELECT max(size) FROM audit_checkpoint"))[0]
    await full.run("UPDATE audit_checkpoint SET note = :note", note=stranger.sign(size, bytes(32)))
    assert {problem["kind"] for problem in (await check(full)).problems} == {"checkpoint"}


async def test_a_pseudonym_given_to_somebody_else_is_found(full: Log) -> None:
    await full.run("UPDATE audit_person SET name = 'mallory' WHERE name = 'alice'")
    (problem,) = (await check(full)).problems
    assert problem["kind"] == "person"


async def test_a_removal_that_calls_itself_retention_is_found(full: Log) -> None:
    await full.run("UPDATE audit_tree SET pruned = 2")
    await full.run("DELETE FROM audit_entry WHERE leaf < 2")
    assert await kinds(full) == {("removed", 0)}


async def test_upper_tiles_are_looked_at(log: Log, clock: FakeClock) -> None:
    for number in range(600):
        await log.emit("admin", subject="x.y", action="z", id=number)
    await log.settle()
    assert (await check(log)).problems == []
    await log.run("UPDATE audit_tile SET hashes = :hashes WHERE level = 1", hashes=bytes(64))
    assert {problem["kind"] for problem in (await check(log)).problems} == {"tile"}
