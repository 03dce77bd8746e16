"""Three replicas on PostgreSQL and S3 under load: they are killed, the database is restarted, S3 goes away."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.load import PATIENCE, Load, check, ready
from tests.proofs.sizes import size
from tests.support.minio import MinioServer, running_minio
from tests.support.postgresql import PostgresServer, running_postgresql
from tests.support.server import RegistryProcess, wait_for

pytestmark = [pytest.mark.proof, pytest.mark.client, pytest.mark.timeout(1800)]

SECONDS = size("FAULT_SECONDS", 30)
ROUNDS = size("FAULT_ROUNDS", 20)


@dataclass(frozen=True, slots=True)
class Site:
    """Open replicas and what they stand on."""

    database: PostgresServer
    minio: MinioServer
    replicas: list[RegistryProcess]

    @property
    def urls(self) -> list[str]:
        """Of the replicas."""
        return [replica.url for replica in self.replicas]

    def well(self) -> None:
        """Wait until every replica is ready."""
        wait_for(lambda: all(map(ready, self.urls)), timeout=PATIENCE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Nothing but the database's rows of manifests is kept in PostgreSQL: all blobs go to S3."""
    folder = tmp_path_factory.mktemp("site")
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(running_postgresql())
        minio = stack.enter_context(running_minio(folder))
        settings = {
            **minio.credentials,
            "GATI_METADATA_URL": database.url(),
            "GATI_BLOBS_URL": minio.url("replicas"),
            "GATI_BLOBS__INLINE_BYTES": "0",
            "GATI_POSTGRESQL__POOL_WAIT": "1",
            "GATI_POSTGRESQL__UNIT_TIMEOUT": "5",
            "GATI_POSTGRESQL__CONNECT_TIMEOUT": "2",
            "GATI_S3__TIMEOUT": "2",
        }
        replicas = [RegistryProcess(folder / f"data-{turn}", env=settings) for turn in range(3)]
        for replica in replicas:
            stack.callback(replica.kill)
            replica.start()
        yield Site(database, minio, replicas)


@pytest.fixture
def load(site: Site) -> Iterator[Load]:
    """Clients at work; whatever becomes of the test, they end."""
    site.well()
    load = Load(site.urls)
    load.start()
    try:
        load.more()
        yield load
    finally:
        load.finish()


def test_replicas_are_killed(site: Site, load: Load) -> None:
    """In the middle of whatever they do: clients get no answer, go on through another one, and finish."""
    for _ in range(ROUNDS):
        victim = random.choice(site.replicas)
        broken = load.books.broken
        victim.kill()
        load.more()
        victim.start()
        load.more()
        assert load.books.broken > broken
    books = load.finish()
    site.well()
    check(books, site.urls)
    assert books.resumed > 0
    print(f"\n{ROUNDS} times one of three replicas killed: {books}")


def test_the_database_is_restarted(site: Site, load: Load) -> None:
    """At once, without waiting for anybody (pg_ctl restart -m immediate), and in the middle of what it does."""
    for _ in range(ROUNDS):
        site.database.kill()
        site.database.start()
        load.more()
    books = load.finish()
    site.well()
    check(books, site.urls)
    assert books.broken == 0
    print(f"\n{ROUNDS} times PostgreSQL restarted: {books}")


@pytest.mark.parametrize("how", ["gone", "silent"])
def test_s3_is_away(site: Site, load: Load, how: str) -> None:
    """Nobody listens any more, or nobody answers. What needs no blob store goes on."""
    {"gone": site.minio.kill, "silent": site.minio.pause}[how]()
    began = time.monotonic()
    try:
        load.refusals()
        looks = sum(len(register.looks) for register in load.books.registers)
        time.sleep(max(0.0, began + SECONDS - time.monotonic()))
        load.refusals()
        assert sum(len(register.looks) for register in load.books.registers) > looks
    finally:
        if how == "gone":
            site.minio.start()
        else:
            site.minio.resume()
    site.well()
    load.more()
    books = load.finish()
    check(books, site.urls)
    assert books.broken == 0
    print(f"\nS3 {how} for {SECONDS} s: {books}")
