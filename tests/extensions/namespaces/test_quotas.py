"""Quotas: taken in the push's transaction, from every namespace on the way, and never passed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gati_extensions.namespaces.usage import usage
from gati_registry.bootstrap import build
from tests.core.support import Answer, Client, FakeClock, image, sha256
from tests.extensions.access.support import CONFIG, LAYER, User, World, configured, peopled, world
from tests.support.postgresql import PostgresServer

pytestmark = pytest.mark.anyio


async def quota(user: User, path: str) -> dict[str, tuple[int, int | None]]:
    """Used and limit."""
    found = await user.done("GET", f"namespaces/{path}/quota")
    return {what: (found[what]["used"], found[what]["limit"]) for what in ("bytes", "artifacts")}


async def patient(client: Client, repository: str, blob: bytes) -> Answer:
    """Push a blob as clients do: a 503 (no connection to PostgreSQL is free for seconds) says when to come again."""
    async with asyncio.timeout(120):
        while True:
            answer = await client.push_blob(repository, blob)
            if answer.status != 503:
                return answer
            await asyncio.sleep(int(answer.headers["retry-after"]))


async def test_the_defaults(site: World) -> None:
    limits = {path: (await quota(site.admin, path))["artifacts"] for path in ("library", "orgs/acme", "users/alice")}
    assert limits == {"library": (0, 1000), "orgs/acme": (0, 5000), "users/alice": (0, 100)}


async def test_repositories_are_counted_and_refused(folder: Path) -> None:
    async with peopled(folder, None, "alice", "bob", settings={"namespaces.user_artifacts": 2}) as site:
        alice = site.user("alice")
        for name in ("one", "two"):
            assert (await alice.push(f"users/alice/{name}")).status == 201
        assert (await alice.push("users/alice/one", "v2", b"more")).status == 201
        refused = await alice.push("users/alice/three")
        assert (refused.status, refused.codes) == (403, ["DENIED"])
        detail = refused.json()["errors"][0]["detail"]
        expected = {"namespace": "users/alice", "quota": "artifacts", "limit": 2, "used": 2, "requested": 1}
        assert {key: detail[key] for key in expected} == expected
        assert "2 repositories" in refused.json()["errors"][0]["message"]
        digest = sha256(image(CONFIG, LAYER))
        for name in ("one", "two"):
            assert (await alice.delete(f"/v2/users/alice/{name}/manifests/{digest}")).status == 202
        assert (await quota(alice, "users/alice"))["artifacts"] == (1, 2)
        assert (await alice.push("users/alice/three")).status == 201


async def test_bytes_are_those_of_blobs_and_manifests(site: World) -> None:
    alice = site.user("alice")
    assert (await alice.push("orgs/acme/app")).status == 201
    held = len(CONFIG) + len(LAYER) + len(image(CONFIG, LAYER))
    assert (await quota(alice, "orgs/acme"))["bytes"] == (held, None)
    assert (await alice.push("orgs/acme/app")).status == 201
    assert (await quota(alice, "orgs/acme"))["bytes"] == (held, None)
    target = f"/v2/orgs/acme/other/blobs/uploads/?mount={sha256(LAYER)}&from=orgs/acme/app"
    assert (await alice.client.request("POST", target)).status == 201
    assert (await quota(alice, "orgs/acme"))["bytes"] == (held + len(LAYER), None)
    assert (await alice.delete(f"/v2/orgs/acme/other/blobs/{sha256(LAYER)}")).status == 202
    assert (await alice.delete(f"/v2/orgs/acme/app/manifests/{sha256(image(CONFIG, LAYER))}")).status == 202
    assert (await quota(alice, "orgs/acme"))["bytes"] == (len(CONFIG) + len(LAYER), None)


async def test_a_part_draws_from_the_whole(site: World) -> None:
    alice = site.user("alice")
    assert (await alice.push("orgs/acme/team/before")).status == 201
    await site.admin.done("PUT", "namespaces/orgs/acme/quota", {"bytes": 9000, "artifacts": 10})
    assert (await alice.put("namespaces/orgs/acme/team/quota", {"bytes": 9001})).status == 400
    assert (await alice.put("namespaces/orgs/acme/team/quota", {"bytes": -1})).status == 400
    assert (await alice.put("namespaces/orgs/acme/team/quota", {"calls": 5})).status == 400
    await alice.done("PUT", "namespaces/orgs/acme/team/quota", {"artifacts": 2})
    assert (await quota(alice, "orgs/acme/team"))["artifacts"] == (1, 2)
    assert (await alice.push("orgs/acme/team/two")).status == 201
    refused = await alice.push("orgs/acme/team/three")
    assert refused.json()["errors"][0]["detail"]["namespace"] == "orgs/acme/team"
    assert (await quota(alice, "orgs/acme"))["artifacts"] == (2, 10)
    big = await alice.client.push_blob("orgs/acme/app", b"x" * 9000)
    assert (big.status, big.json()["errors"][0]["detail"]["namespace"]) == (403, "orgs/acme")
    assert (await alice.get(f"/v2/orgs/acme/app/blobs/{sha256(b'x' * 9000)}")).status == 404


@pytest.mark.parametrize("size", [10, 1000])  # kept in the database, and in files
async def test_64_pushes_at_once_never_pass_the_limit(site: World, size: int) -> None:
    alice, limit = site.user("alice"), 20 * size
    await site.admin.done("PUT", "namespaces/orgs/acme/quota", {"bytes": limit})
    blobs = [f"{number:04}".encode() * (size // 4) + b"x" * (size % 4) for number in range(64)]
    assert {len(blob) for blob in blobs} == {size}
    answers = await asyncio.gather(
        *(patient(alice.client, f"orgs/acme/app{number % 8}", blob) for number, blob in enumerate(blobs))
    )
    assert sorted(answer.status for answer in answers) == [201] * 20 + [403] * 44
    assert (await quota(alice, "orgs/acme"))["bytes"] == (limit, limit)
    stored = await site.registry.metadata.read(
        lambda tx: tx.one("SELECT sum(blob.size) FROM link JOIN blob ON blob.id = link.blob_id")
    )
    assert stored == (limit,)


async def test_a_recount_mends_what_drifted(site: World) -> None:
    alice = site.user("alice")
    assert (await alice.push("orgs/acme/app")).status == 201
    right = await quota(alice, "orgs/acme")
    await site.registry.metadata.write(lambda tx: tx.run("UPDATE namespaces_usage SET bytes = 7, artifacts = 9"))
    await site.registry.metadata.write(lambda tx: tx.run("UPDATE namespaces_repository SET bytes = 1, manifests = 5"))
    (recount,) = [job for job in site.registry.extensions.all("jobs") if job.name == "namespaces.recount"]
    await recount.run()
    assert await quota(alice, "orgs/acme") == right
    found = await site.registry.metadata.read(lambda tx: usage(tx, "orgs/acme"))
    assert found is not None
    assert found.artifacts == 1


async def test_what_was_pushed_while_open_is_counted_later(folder: Path) -> None:
    async with world(folder, open=True) as site:
        assert (await site.nobody.push("library/app")).status == 201
    async with world(folder) as site:
        assert (await quota(site.admin, "library"))["artifacts"] == (1, 1000)
        assert (await site.nobody.pull("library/app")).status == 200


@contextlib.asynccontextmanager
async def uncounted(folder: Path, database: PostgresServer | None) -> AsyncIterator[World]:
    """A registry into which three repositories were pushed while it was open, as if its start had counted nothing."""
    async with peopled(folder, None, "alice", "bob", server=database) as first:
        more = {"metadata_url": first.registry.settings.metadata_url} if database else {}
        async with world(folder, open=True, **more) as site:
            for name in ("users/alice/one", "users/alice/two", "library/app"):
                assert (await site.nobody.push(name)).status == 201
        async with build(configured(folder, **more)) as registry:
            yield World(registry)


async def test_what_a_start_has_no_time_to_count_is_counted_beside_serving(
    folder: Path, database: PostgresServer | None
) -> None:
    async with uncounted(folder, database) as site:
        job, recount = (
            next(one for one in site.registry.extensions.all("jobs") if one.name == f"namespaces.{name}")
            for name in ("count", "recount")
        )
        assert job.due is not None
        assert await job.due()
        assert not (await site.admin.done("GET", "namespaces/users/alice/quota"))["complete"]
        assert (await site.nobody.pull("library/app")).status == 200
        # A push counts itself, a move what it moves, and what is not counted yet is not overlooked.
        assert (await site.admin.push("users/alice/one", "v2", b"more")).status == 201
        await site.admin.done("PUT", "namespaces/users/alice/two", {"visibility": "private"})
        assert (await site.admin.delete("namespaces/users/alice/two")).status == 409
        await site.admin.done("POST", "namespaces/users/alice/two/transfer", {"to": "library/two"})
        await asyncio.gather(job.run(), recount.run())  # what both find missing is added once
        assert not await job.due()
        assert (await site.admin.done("GET", "namespaces/users/alice/quota"))["complete"]
        manifests = [image(CONFIG, LAYER), image(CONFIG, b"more")]
        held = len(CONFIG + LAYER + b"more") + sum(map(len, manifests))
        assert await quota(site.admin, "users/alice") == {"bytes": (held, None), "artifacts": (1, 100)}
        held = 2 * len(CONFIG + LAYER + manifests[0])
        assert await quota(site.admin, "library") == {"bytes": (held, None), "artifacts": (2, 1000)}
        listed = await site.user("bob").done("GET", "/v2/_catalog")  # library/two took its visibility along
        assert listed == {"repositories": ["library/app", "users/alice/one"]}


async def test_a_count_goes_on_where_it_was_stopped(folder: Path) -> None:
    async with world(folder, open=True) as site:
        for name in ("library/a", "library/b", "library/c"):
            assert (await site.nobody.push(name)).status == 201
    async with build(configured(folder)) as registry:
        await registry.metadata.write(lambda tx: tx.leases.set_fact("namespaces.counted", "0 library/b"))
    async with world(folder) as site:
        assert (await quota(site.admin, "library"))["artifacts"] == (1, 1000)
    async with world(folder, open=True):  # from now on that may have changed again
        pass
    async with world(folder) as site:
        assert (await quota(site.admin, "library"))["artifacts"] == (3, 1000)


async def until(status: int, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until the answer has this status: workers learn of the month's use every few seconds."""
    async with asyncio.timeout(60):
        while True:
            answer = await ask()
            if answer.status == status:
                return answer
            await asyncio.sleep(0.1)


async def traffic(site: World, path: str, what: str, enough: int) -> int:
    """What is counted of a namespace's month, once it is so much: workers add it up every few seconds."""
    async with asyncio.timeout(60):
        while True:
            await site.registry.observers.flush()
            found = await site.admin.done("GET", f"namespaces/{path}/quota")
            if found[what]["used"] >= enough:
                return int(found[what]["used"])
            await asyncio.sleep(0.1)


async def test_a_month_of_calls(folder: Path, clock: FakeClock) -> None:
    async with peopled(folder, clock, "alice", "bob") as site:
        assert (await site.user("alice").push("users/alice/app")).status == 201
        await site.admin.done("PUT", "namespaces/users/alice/quota", {"calls": 10})
        for _ in range(10):
            assert (await site.nobody.pull("users/alice/app")).status == 200
        refused = await until(429, lambda: site.nobody.pull("users/alice/app"))
        assert refused.codes == ["TOOMANYREQUESTS"]
        counted = await traffic(site, "users/alice", "calls", 10)
        assert 0 < int(refused.headers["retry-after"]) <= 31 * 86400
        # What is refused is no call: more of them leave the month as it is.
        for _ in range(50):
            assert (await site.nobody.pull("users/alice/app")).status == 429
        await site.admin.done("PUT", "namespaces/users/alice/quota", {"calls": counted + 20})
        await until(200, lambda: site.nobody.pull("users/alice/app"))
        await site.admin.done("PUT", "namespaces/users/alice/quota", {"calls": 10})
        refused = await until(429, lambda: site.nobody.pull("users/alice/app"))
        clock.advance(int(refused.headers["retry-after"]))
        assert (await site.nobody.pull("users/alice/app")).status == 200


async def test_bandwidth_is_what_was_sent(site: World) -> None:
    """A part counts as a part, a HEAD not at all, a download that was broken off as far as it came."""
    alice, blob = site.user("alice"), b"x" * 2_000_000
    assert (await alice.client.push_blob("users/alice/app", blob)).status == 201
    target = f"/v2/users/alice/app/blobs/{sha256(blob)}"
    await alice.client.request("HEAD", target)
    part = await alice.client.get(target, Range="bytes=100-1099")
    assert (part.status, len(part.body)) == (206, 1000)
    assert await traffic(site, "users/alice", "bandwidth", 1000) == 1000
    broken = alice.client.begin("GET", target)
    broken.feed(b"", more=False)
    await broken.breaks_off(after=300_000)
    so_far = await traffic(site, "users/alice", "bandwidth", 301_000)
    assert so_far < len(blob)
    whole = await alice.client.get(target)
    assert len(whole.body) == len(blob)
    assert await traffic(site, "users/alice", "bandwidth", so_far + len(blob)) == so_far + len(blob)
    await site.admin.done("PUT", "namespaces/users/alice/quota", {"bandwidth": 10})
    refused = await until(429, lambda: alice.client.get(target, Range="bytes=0-0"))
    assert refused.json()["errors"][0]["detail"] == {"namespace": "users/alice", "quota": "bandwidth"}
