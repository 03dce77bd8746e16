"""What every database adapter promises of its transactions: `ports.Metadata`.

A driver's test module subclasses `TransactionsContract` and provides the fixtures `metadata`, `another` (a second
object on the same data, as another worker has) and `location` (what `worker.py` opens the same data by).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import pytest

from gati_registry.errors import Code, RegistryError, Unavailable
from gati_registry.ports import Metadata, Transaction, Work


def put(name: str, value: str = "x") -> Work[None]:
    """A unit of work that stores a fact."""
    return lambda tx: tx.leases.set_fact(name, value)


async def facts(metadata: Metadata) -> dict[str, str]:
    """All facts."""
    rows = await metadata.scan(lambda tx: tx.all("SELECT name, value FROM fact"))
    return dict(rows)


async def bump(tx: Transaction) -> None:
    """Read a counter, then write it: right only if nothing comes between."""
    await tx.leases.set_fact("counter", str(int(await tx.leases.get_fact("counter") or 0) + 1))


async def run_worker(*arguments: str) -> tuple[int, str]:
    """Run `worker.py` in a process of its own; its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.core.worker", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


class TransactionsContract:
    """The suite."""

    async def test_a_unit_of_work_is_there_as_a_whole_or_not_at_all(self, metadata: Metadata) -> None:
        async def work(tx: Transaction) -> str:
            await put("a")(tx)
            await put("b")(tx)
            return "done"

        async def failing(tx: Transaction) -> None:
            await put("c")(tx)
            raise RegistryError(Code.DENIED)

        assert await metadata.write(work) == "done"
        with pytest.raises(RegistryError, match="DENIED"):
            await metadata.write(failing)
        assert set(await facts(metadata)) == {"a", "b"}

    async def test_what_is_sent_is_done_in_its_turn(self, metadata: Metadata) -> None:
        async def sent(tx: Transaction, name: str, value: str) -> None:
            await tx.send("INSERT INTO fact (name, value) VALUES (:name, :value)", name=name, value=value)

        async def work(tx: Transaction) -> list[tuple[Any, ...]]:
            await sent(tx, "a", "first")
            await tx.send("UPDATE fact SET value = value || :more WHERE name = 'a'", more=", second")
            seen = await tx.all("SELECT value FROM fact WHERE name = 'a'")
            await tx.send("UPDATE fact SET value = value || :more WHERE name = 'a'", more=", third")
            await sent(tx, "b", "last")
            return seen

        assert await metadata.write(work) == [("first, second",)]
        await metadata.write(lambda tx: sent(tx, "c", "alone"))
        assert await facts(metadata) == {"a": "first, second, third", "b": "last", "c": "alone"}

        async def refused(tx: Transaction) -> None:
            await sent(tx, "d", "x")
            await put("e")(tx)
            await sent(tx, "f", "x")
            await sent(tx, "a", "twice")

        with pytest.raises(Exception, match=r"(?i)unique"):
            await metadata.write(refused)
        assert set(await facts(metadata)) == {"a", "b", "c"}
        with pytest.raises(Exception, match="no_such_table"):
            await metadata.write(lambda tx: tx.send("INSERT INTO no_such_table (name) VALUES (:name)", name="x"))
        await metadata.write(put("g"))
        assert set(await facts(metadata)) == {"a", "b", "c", "g"}

    async def test_a_units_own_error_undoes_it_alone(self, metadata: Metadata) -> None:
        async def own(tx: Transaction) -> None:
            raise ValueError("mine")

        async def constraint(tx: Transaction) -> None:
            for _ in range(2):
                await tx.run("INSERT INTO fact (name, value) VALUES (:name, :value)", name="twice", value="x")

        async def statement(tx: Transaction) -> None:
            await tx.run("INSERT INTO no_such_table (name) VALUES (:name)", name="x")

        async def parameter(tx: Transaction) -> None:
            await tx.run("INSERT INTO fact (name, value) VALUES (:name, :value)", name="x")

        async def text(tx: Transaction) -> None:
            await put("x", "\ud800")(tx)

        async def number(tx: Transaction) -> None:
            await tx.leases.acquire("x", "x", 0, 2**64)

        failing: list[Work[None]] = [own, constraint, statement, parameter, text, number]

        def spoilt(failure: Work[None], name: str) -> Work[None]:
            async def work(tx: Transaction) -> None:
                await put(name)(tx)
                await failure(tx)

            return work

        works: list[Work[None]] = []
        for turn in range(60):
            works.append(put(f"good {turn}"))
            works.append(spoilt(failing[turn % len(failing)], f"bad {turn}"))
        outcomes = await asyncio.gather(*(metadata.write(work) for work in works), return_exceptions=True)
        assert outcomes[0::2] == [None] * 60
        assert all(isinstance(outcome, Exception) for outcome in outcomes[1::2])
        assert not any(isinstance(outcome, Unavailable) for outcome in outcomes)
        assert isinstance(outcomes[1], ValueError)
        assert set(await facts(metadata)) == {f"good {turn}" for turn in range(60)}

    async def test_a_unit_that_fails_before_it_changes_anything_costs_no_other(self, metadata: Metadata) -> None:
        async def refused(tx: Transaction) -> None:
            assert await tx.leases.get_fact("nothing") is None
            raise RegistryError(Code.DENIED)

        works = [put(f"good {number}") if number % 2 else refused for number in range(20)]
        outcomes = await asyncio.gather(*(metadata.write(work) for work in works), return_exceptions=True)
        assert [isinstance(outcome, RegistryError) for outcome in outcomes] == [True, False] * 10
        assert set(await facts(metadata)) == {f"good {number}" for number in range(1, 20, 2)}

    async def test_a_unit_that_waits_for_something_else_is_refused(self, metadata: Metadata) -> None:
        async def waiting(tx: Transaction) -> None:
            await put("a")(tx)
            await asyncio.sleep(0)

        good, refused, also_good = await asyncio.gather(
            metadata.write(put("b")), metadata.write(waiting), metadata.write(put("c")), return_exceptions=True
        )
        assert isinstance(refused, RuntimeError)
        assert (good, also_good) == (None, None)
        assert set(await facts(metadata)) == {"b", "c"}
        for ask in (metadata.read, metadata.scan):
            with pytest.raises(RuntimeError, match="awaited something other"):
                await ask(waiting_only)
        assert set(await facts(metadata)) == {"b", "c"}

    async def test_reading_changes_nothing(self, metadata: Metadata) -> None:
        for ask in (metadata.read, metadata.scan):
            with pytest.raises(Exception, match=r".+"):
                await ask(put("a"))
        assert await facts(metadata) == {}

    async def test_a_committed_write_is_read_at_once_by_everyone(self, metadata: Metadata, another: Metadata) -> None:
        for turn in range(20):
            writer, reader = (metadata, another) if turn % 2 else (another, metadata)
            await writer.write(put("a", str(turn)))
            for side in (writer, reader):
                assert await side.read(lambda tx: tx.leases.get_fact("a")) == str(turn)
                assert await side.scan(lambda tx: tx.leases.get_fact("a")) == str(turn)

    async def test_the_revision_moves_with_every_commit_and_stands_still_without(
        self, metadata: Metadata, another: Metadata
    ) -> None:
        if metadata.revision() is None:
            pytest.skip("this database has no revision; nothing is cached")
        for turn, writer in enumerate((metadata, another, metadata)):
            before = metadata.revision(), another.revision()
            await facts(metadata)
            assert (metadata.revision(), another.revision()) == before
            await writer.write(put("a", str(turn)))
            assert metadata.revision() != before[0]
            assert another.revision() != before[1]

    async def test_the_revision_moves_with_the_commit_of_another_process(
        self, metadata: Metadata, location: str
    ) -> None:
        if metadata.revision() is None:
            pytest.skip("this database has no revision; nothing is cached")
        before = metadata.revision()
        assert await run_worker("bump", location, "10") == (0, "")
        assert metadata.revision() != before
        assert await metadata.read(lambda tx: tx.leases.get_fact("counter")) == "10"

    async def test_the_callers_cancellation_breaks_nothing(self, metadata: Metadata) -> None:
        tasks = [asyncio.ensure_future(metadata.write(put(f"{number}"))) for number in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [True, False] * 10
        await metadata.write(put("last"))
        assert {f"{number}" for number in range(1, 20, 2)} | {"last"} <= set(await facts(metadata))

    async def test_reading_and_then_writing_is_one_step(self, metadata: Metadata, another: Metadata) -> None:
        await asyncio.gather(*(side.write(bump) for _ in range(50) for side in (metadata, another)))
        assert (await facts(metadata))["counter"] == "100"

    async def test_processes_write_side_by_side(self, metadata: Metadata, location: str) -> None:
        workers = [run_worker("bump", location, "60") for _ in range(2)]
        ours: list[Coroutine[Any, Any, Any]] = [metadata.write(bump) for _ in range(40)]
        done = await asyncio.gather(*workers, *ours)
        assert done[:2] == [(0, ""), (0, "")]
        assert (await facts(metadata))["counter"] == "160"

    async def test_closing_finishes_what_was_begun_and_then_nothing_goes(
        self, metadata: Metadata, another: Metadata
    ) -> None:
        begun = [asyncio.ensure_future(metadata.write(put(f"{number}"))) for number in range(30)]
        await asyncio.sleep(0)
        await metadata.check()
        await metadata.close()
        await metadata.close()
        assert await asyncio.gather(*begun) == [None] * 30
        assert len(await facts(another)) == 30
        for refused in (metadata.write(put("x")), metadata.read(count), metadata.scan(count), metadata.check()):
            with pytest.raises(Unavailable):
                await refused


async def waiting_only(tx: Transaction) -> None:
    """A unit of work that waits for something else."""
    await asyncio.sleep(0)


async def count(tx: Transaction) -> int:
    """The number of facts."""
    return len(await tx.all("SELECT name FROM fact"))
