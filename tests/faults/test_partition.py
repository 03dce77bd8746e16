"""The network between replicas and their database is cut, packets vanish without a word, and it heals.

Three replicas live in namespaces of their own; their database listens on the near ends of their wires. Whoever is cut
off says 503 in bounded time; the others go on; after the heal nothing acknowledged is missing and nothing old is read.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.load import PATIENCE, Load, check, ready
from tests.faults.network import Direction, Island, island
from tests.proofs.sizes import size
from tests.support.postgresql import PostgresServer, running_postgresql
from tests.support.server import RegistryProcess, wait_for

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

SECONDS = size("FAULT_SECONDS", 30)
AUTH = ("admin", "correct horse battery")


@dataclass(frozen=True, slots=True)
class Site:
    """Replicas, each on an island, and the database."""

    database: PostgresServer
    islands: list[Island]
    replicas: list[RegistryProcess]

    @property
    def urls(self) -> list[str]:
        """Of the replicas."""
        return [replica.url for replica in self.replicas]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """PostgreSQL and a shared folder of blobs."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "password").write_text(AUTH[1])
    with contextlib.ExitStack() as stack:
        islands = [stack.enter_context(island()) for _ in range(3)]
        database = stack.enter_context(running_postgresql(addresses=[one.ours for one in islands]))
        replicas = []
        for number, one in enumerate(islands):
            settings = {
                "GATI_METADATA_URL": database.url(host=one.ours),
                "GATI_BLOBS_URL": f"file://{folder}/blobs",
                "GATI_ADMIN_PASSWORD_FILE": str(folder / "password"),
                # So that it shows within a short cut what a longer one would.
                "GATI_POSTGRESQL__POOL_WAIT": "1",
                "GATI_POSTGRESQL__UNIT_TIMEOUT": "2",
                "GATI_POSTGRESQL__CONNECT_TIMEOUT": "2",
            }
            data = folder / f"data-{number}"
            replica = RegistryProcess(data, args=(), env=settings, wrapper=one.wrapper, address=one.theirs)
            stack.callback(replica.kill)
            replicas.append(replica.start())
        yield Site(database, islands, replicas)


def outage(load: Load, seconds: float) -> None:
    """Stay so long, and until clients have noticed."""
    began = time.monotonic()
    load.refusals()
    time.sleep(max(0.0, began + seconds - time.monotonic()))


@pytest.mark.parametrize("direction", ["both", "there", "back"])
def test_one_replica_is_cut_off(site: Site, direction: Direction) -> None:
    """Silence in both directions; what it sends is lost; what it is sent is lost, so that commits go unanswered."""
    load = Load(site.urls, AUTH)
    load.start()
    try:
        load.more()
        for lonely in site.islands[:2]:
            lonely.cut(site.database.port, direction)
            try:
                outage(load, SECONDS / 2)
                load.more()  # through the others
            finally:
                lonely.heal()
            wait_for(lambda: all(map(ready, site.urls)), timeout=PATIENCE)
            load.more()
    finally:
        books = load.finish()
    check(books, site.urls, AUTH)
    assert books.broken == 0
    print(f"\na replica cut off from the database ({direction}), 2 × {SECONDS / 2:.0f} s: {books}")


def test_all_replicas_are_cut_off(site: Site) -> None:
    """Nobody can do anything; when the network is back everybody can."""
    load = Load(site.urls, AUTH)
    load.start()
    try:
        load.more()
        for one in site.islands:
            one.cut(site.database.port)
        try:
            outage(load, SECONDS)
            assert not any(map(ready, site.urls))
        finally:
            for one in site.islands:
                one.heal()
        wait_for(lambda: all(map(ready, site.urls)), timeout=PATIENCE)
        load.more()
    finally:
        books = load.finish()
    check(books, site.urls, AUTH)
    assert books.broken == 0
    print(f"\nall replicas cut off from the database for {SECONDS} s: {books}")


def test_a_lock_outlives_its_holder_by_little(site: Site) -> None:
    """A replica is lost between two packets of a statement: no time limit of the server's runs then, and nobody ever
    tells it that the connection has ended."""
    lonely = site.islands[0]
    site.database.execute("CREATE TABLE held (id BIGINT); INSERT INTO held VALUES (1)")
    command = (*lonely.wrapper, sys.executable, "-m", "tests.faults.holder", site.database.url(host=lonely.ours))
    free = "SELECT count(*) FROM (SELECT 1 FROM held FOR UPDATE SKIP LOCKED) AS free"
    with subprocess.Popen([*command, "SELECT 1 FROM held FOR UPDATE"], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        assert site.database.execute(free) == [(0,)]
        lonely.cut(site.database.port)
        try:
            holder.kill()
            holder.wait(PATIENCE)
            wait_for(lambda: site.database.execute(free) == [(1,)], timeout=PATIENCE)
        finally:
            lonely.heal()
    wait_for(lambda: all(map(ready, site.urls)), timeout=PATIENCE)
