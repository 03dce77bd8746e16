"""Three replicas behind nginx as deploy/ has it are replaced one by one, under load, and nobody is turned away.

Clients (crane, oras) never fail. Of single requests only the body of a blob may find no answer (502), which its client
sends again: it has the bytes, nginx has not. All else nginx repeats by itself: reads, the start of an upload, the close
of one that sent its bytes before, manifests and with them tags, deletions.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.clients import images
from tests.clients.client import Client
from tests.clients.programs import require
from tests.clients.registry import Registry, digest_of
from tests.deploy.nginx import Nginx, running_nginx
from tests.support.minio import running_minio
from tests.support.postgresql import running_postgresql
from tests.support.server import RegistryProcess, wait_for

pytestmark = [pytest.mark.client, pytest.mark.timeout(900)]

ROUNDS = int(os.environ.get("GATI_PROOF_ROLLING_ROUNDS", "1"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Nginx, list[RegistryProcess]]]:
    """PostgreSQL, MinIO, three replicas, nginx."""
    require("nginx")
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(running_postgresql())
        minio = stack.enter_context(running_minio(tmp_path))
        settings = {
            **minio.credentials,
            "GATI_METADATA_URL": database.url(),
            "GATI_BLOBS_URL": minio.url("replicas"),
            "GATI_PROXY__TRUSTED": "127.0.0.1/32",
            "GATI_SHUTDOWN__DELAY": "2",
        }
        replicas = [RegistryProcess(tmp_path / f"data-{turn}", env=settings) for turn in range(3)]
        for replica in replicas:
            stack.callback(replica.kill)
            replica.start()
        hosts = [replica.host for replica in replicas]
        how = "max_fails=1 fail_timeout=1s;"
        third = {f"server {hosts[1]} {how}": f"server {hosts[1]} {how} server {hosts[2]} {how}"}
        yield stack.enter_context(running_nginx(tmp_path / "nginx", hosts[:2], third)), replicas


class Users:
    """Everything that goes on meanwhile; each kind of work in a thread of its own."""

    def __init__(self, nginx: Nginx, folder: Path) -> None:
        self._nginx = nginx
        self._folder = folder
        self._done = threading.Event()
        self.rounds: Counter[str] = Counter()
        self.repeated = 0
        self.pushed: list[tuple[str, str]] = []

    def _turns(self, what: str) -> Iterator[int]:
        for turn in itertools.takewhile(lambda _: not self._done.is_set(), itertools.count()):
            yield turn
            self.rounds[what] += 1

    def work(self) -> list[Callable[[], None]]:
        """What is done at the same time."""
        return [self.requests, lambda: self.requests("second"), self.crane, self.oras]

    def further(self, since: Counter[str]) -> bool:
        """Whether everybody has done something from beginning to end that they had not begun then."""
        return all(self.rounds[what] >= since[what] + 2 for what in ("first", "second", "crane", "oras"))

    def stop(self) -> None:
        """Everybody ends what they are at."""
        self._done.set()

    def requests(self, name: str = "first") -> None:
        """Single requests, no one of which is ever turned away."""
        with httpx.Client(timeout=120, trust_env=False) as connections:
            client = Registry(self._nginx.url, http=connections)
            for turn in self._turns(name):
                image = images.image({"turn": str(turn).encode(), "rest": os.urandom(100_000)})
                for data in image.blobs.values():
                    self._put_blob(client, name, data)
                assert client.push_manifest(name, "latest", image.manifest, image.media_type) == image.digest
                self.pushed.append((name, image.digest))
                assert images.holds(client, name, "latest", image)
                assert client.tags(name) == ["latest"]
                chunk = os.urandom(5000)
                location = self._chunk(client, name, chunk)
                closed = client.request("PUT", f"{location}?digest={digest_of(chunk)}")
                # It may have been closed when its replica ended; then the blob is there.
                assert closed.status_code == 201 or client.has_blob(name, digest_of(chunk)), closed.text

    def _begin(self, client: Registry, name: str) -> str:
        started = client.request("POST", f"/v2/{name}/blobs/uploads/")
        assert started.status_code == 202, started.text
        return str(started.headers["location"])

    def _put_blob(self, client: Registry, name: str, data: bytes) -> None:
        digest = digest_of(data)
        for last in (False, True):
            put = client.request("PUT", f"{self._begin(client, name)}?digest={digest}", content=data)
            if put.status_code == 201:
                break
            assert (put.status_code, last) == (502, False), put.text
            self.repeated += 1

    def _chunk(self, client: Registry, name: str, data: bytes) -> str:
        for last in (False, True):
            location = self._begin(client, name)
            sent = client.request("PATCH", location, content=data)
            if sent.status_code == 202:
                return str(sent.headers["location"])
            assert (sent.status_code, last) == (502, False), sent.text
            self.repeated += 1
        raise AssertionError("the second time it is taken")

    def crane(self) -> None:
        """Push and check an index."""
        (self._folder / "crane").mkdir()
        crane = Client(require("crane"), self._folder / "crane")
        for turn in self._turns("crane"):
            index = images.index([images.image({"turn": str(turn).encode()}, layers=2)])
            layout = images.write_layout(self._folder / "crane" / f"layout-{turn}", "v1", index)
            crane("push", "--index", layout, f"{self._nginx.host}/crane:v{turn}")
            assert "PASS" in crane("validate", "--remote", f"{self._nginx.host}/crane@{index.digest}")

    def oras(self) -> None:
        """Push, attach and pull."""
        home = self._folder / "oras"
        home.mkdir()
        oras = Client(require("oras"), home)
        for turn in self._turns("oras"):
            (home / "file").write_bytes(os.urandom(300_000))
            target = f"{self._nginx.host}/oras:v{turn}"
            pushed = oras("push", "--plain-http", "--format", "json", target, "file:application/octet-stream")
            oras("attach", "--plain-http", "--artifact-type", "a/b", target, "--annotation", "x=y")
            oras("pull", "--plain-http", "-o", home / "out", f"{self._nginx.host}/oras@{json.loads(pushed)['digest']}")
            assert (home / "out" / "file").read_bytes() == (home / "file").read_bytes()


def test_a_rolling_restart_turns_nobody_away(site: tuple[Nginx, list[RegistryProcess]], tmp_path: Path) -> None:
    nginx, replicas = site
    users = Users(nginx, tmp_path)
    with ThreadPoolExecutor() as pool:
        working = [pool.submit(work) for work in users.work()]

        def all_go_on() -> None:
            since = users.rounds.copy()
            wait_for(lambda: any(one.done() for one in working) or users.further(since), timeout=240)
            for one in working:
                if one.done():
                    one.result()

        try:
            for _ in range(ROUNDS):
                for replica in replicas:
                    all_go_on()
                    assert replica.terminate() == 0
                    replica.start()
            all_go_on()
        finally:
            users.stop()
        for one in working:
            one.result(120)
    with contextlib.closing(Registry(nginx.url)) as client:
        assert all(client.has_manifest(name, digest) for name, digest in users.pushed)
    served = {entry["replica"] for entry in nginx.requests()}
    assert {replica.host for replica in replicas} <= served
    print(f"\n{3 * ROUNDS} replicas replaced: {dict(users.rounds)}, {users.repeated} bodies of blobs sent again")
