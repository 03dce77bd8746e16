"""Pushes at once under one limit: on PostgreSQL nobody waits for another's commit, as long as something is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gati_registry.domain.access import Caller
from gati_registry.extension import Change, Operation, Transaction
from gati_registry.values.reference import RepositoryName
from tests.core.support import FakeClock
from tests.extensions.access.support import World, peopled
from tests.extensions.namespaces.test_quotas import quota
from tests.postgresql.interleaving import WAIT_FOR_GATE, Gate
from tests.support.postgresql import PostgresServer

pytestmark = pytest.mark.anyio

REPOSITORY = RepositoryName("orgs/acme/app")


@dataclass(frozen=True, slots=True)
class Shared:
    """A registry on PostgreSQL, and where its database is."""

    site: World
    location: str

    async def standing(self, size: int, *, removed: bool = False) -> None:
        """A push (or a deletion) of so many bytes that has passed all gates and stands still before its commit."""
        kernel = self.site.registry.extensions.kernels["namespaces"]
        operation = Operation.BLOB_DELETE if removed else Operation.BLOB_COMMIT
        caller = Caller(await self.site.identity("alice"))

        async def work(tx: Transaction) -> None:
            repository_id = await tx.repositories.ensure(REPOSITORY, 0)
            await kernel.core.emit(tx, Change(operation, REPOSITORY, repository_id, caller, 0, size=size, new=True))
            await tx.one(WAIT_FOR_GATE)

        await self.site.registry.metadata.write(work)


@pytest.fixture
async def shared(folder: Path, clock: FakeClock, postgresql: PostgresServer) -> AsyncIterator[Shared]:
    """A registry whose organization acme has a limit and holds a repository."""
    async with peopled(folder, clock, "alice", "bob", server=postgresql) as site:
        await site.admin.done("PUT", "namespaces/orgs/acme/quota", {"bytes": 100_000, "artifacts": 100})
        await site.user("alice").done("PUT", "namespaces/orgs/acme/team/quota", {"bytes": 50_000})
        assert (await site.user("alice").push(REPOSITORY)).status == 201
        yield Shared(site, str(site.registry.settings.metadata_url))


async def used(site: World) -> int:
    """Bytes of acme."""
    return (await quota(site.admin, "orgs/acme"))["bytes"][0]


async def test_pushes_do_not_wait_for_those_before_their_commit(shared: Shared) -> None:
    """Into the same repository: four stand still with all their locks, and others come and go."""
    site, alice = shared.site, shared.site.user("alice")
    before = await used(site)
    async with asyncio.timeout(120), Gate(shared.location) as gate:
        halted = [asyncio.create_task(shared.standing(100)) for _ in range(3)]
        halted.append(asyncio.create_task(shared.standing(50, removed=True)))
        await gate.waiting(4, *halted)
        for number in range(6):
            assert (await alice.client.push_blob(REPOSITORY, f"{number:0100}".encode())).status == 201
        assert (await alice.push(REPOSITORY, "v2", b"another")).status == 201
        assert (await alice.push("orgs/acme/team/app")).status == 201
        assert not any(task.done() for task in halted)
        between = await used(site)
        assert between > before + 600
        await gate.open()
        await asyncio.gather(*halted)
    assert await used(site) == between + 3 * 100 - 50


async def test_what_others_hold_is_waited_for_where_it_decides(shared: Shared) -> None:
    """The last bytes: the one that commits first has them, and nobody is refused for what is not used in the end."""
    site, alice = shared.site, shared.site.user("alice")
    left = 100_000 - await used(site)
    async with asyncio.timeout(120), Gate(shared.location) as gate:
        halted = asyncio.create_task(shared.standing(left - 1000))
        await gate.waiting(1, halted)
        pushes = [
            asyncio.create_task(alice.client.push_blob(REPOSITORY, str(number).encode() * 1000)) for number in range(3)
        ]
        await gate.waiting(4, halted, *pushes)
        await gate.open()
        answers = [answer.status for answer in await asyncio.gather(*pushes)]
        await halted
    assert sorted(answers) == [201, 403, 403]
    assert await used(site) == 100_000


async def test_a_recount_beside_pushes_finds_nothing_wrong(shared: Shared) -> None:
    """It waits for nobody, and what is not committed yet is in none of its sums."""
    site, alice = shared.site, shared.site.user("alice")
    (recount,) = [job for job in site.registry.extensions.all("jobs") if job.name == "namespaces.recount"]
    blob = b"x" * 100
    async with asyncio.timeout(120), Gate(shared.location) as gate:
        halted = asyncio.create_task(shared.standing(0))
        await gate.waiting(1, halted)
        before = await used(site)
        await recount.run()
        assert await used(site) == before
        assert (await alice.client.push_blob(REPOSITORY, blob)).status == 201
        await gate.open()
        await halted
    await recount.run()
    assert await used(site) == before + len(blob)


async def test_the_same_bytes_at_once_count_once(shared: Shared) -> None:
    """A layer that many builds push at the same moment, and that the registry has already."""
    site, alice = shared.site, shared.site.user("alice")
    layer = b"L" * 5000
    assert (await alice.client.push_blob("users/alice/app", layer)).status == 201
    before = await used(site)
    answers = await asyncio.gather(*(alice.client.push_blob(REPOSITORY, layer) for _ in range(16)))
    assert {answer.status for answer in answers} == {201}
    assert await used(site) == before + len(layer)


async def test_a_name_that_is_taken_while_something_moves_there(shared: Shared) -> None:
    """Who comes second is told that it is there, and nothing of the move has happened."""
    site, alice, target = shared.site, shared.site.user("alice"), RepositoryName("orgs/acme/new")

    async def taking(tx: Transaction) -> None:
        await tx.repositories.ensure(target, 0)
        await tx.one(WAIT_FOR_GATE)

    async with asyncio.timeout(120), Gate(shared.location) as gate:
        other = asyncio.create_task(site.registry.metadata.write(taking))
        await gate.waiting(1, other)
        moving = asyncio.create_task(alice.post(f"namespaces/{REPOSITORY}/transfer", {"to": target}))
        await gate.waiting(2, other, moving)
        await gate.open()
        await other
        answer = await moving
    assert (answer.status, answer.codes) == (409, ["CONFLICT"])
    assert (await alice.pull(REPOSITORY)).status == 200


async def test_of_two_last_manifests_deleted_at_once_one_is_the_last(shared: Shared) -> None:
    site, alice = shared.site, shared.site.user("alice")
    second = await alice.push(REPOSITORY, "v2", b"another")
    first = await alice.pull(REPOSITORY)
    assert (await quota(site.admin, "orgs/acme"))["artifacts"] == (1, 100)
    answers = await asyncio.gather(
        *(
            alice.delete(f"/v2/{REPOSITORY}/manifests/{found.headers['docker-content-digest']}")
            for found in (first, second)
        )
    )
    assert [answer.status for answer in answers] == [202, 202]
    assert (await quota(site.admin, "orgs/acme"))["artifacts"] == (0, 100)
