"""The whole server on PostgreSQL, with real clients, while processes end and the database is restarted."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from gati_registry.metadata.migrate import Migration, MigrationError, load
from gati_registry.metadata.postgresql import Limits, PostgresMetadata, Server
from tests.clients import images
from tests.clients.client import Client
from tests.clients.programs import require
from tests.clients.registry import INDEX
from tests.support.postgresql import PASSWORD, PostgresServer, running_postgresql
from tests.support.server import RegistryProcess, free_port, wait_for

PIECE = 300_000


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A server to restart."""
    with running_postgresql() as running:
        yield running


@pytest.fixture
def url(own: PostgresServer) -> Iterator[str]:
    """A database without anything."""
    with own.database() as name:
        yield own.url(name)


def process(folder: Path, url: str, *arguments: str) -> RegistryProcess:
    """A server on the database."""
    short = {"GATI_POSTGRESQL__POOL_WAIT": "2", "GATI_POSTGRESQL__UNIT_TIMEOUT": "5"}
    return RegistryProcess(folder / "data", args=("--open", *arguments), env={"GATI_METADATA_URL": url, **short})


def ask(host: str, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own; header names in lower case."""
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def sha256(data: bytes) -> str:
    """The digest."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.client
@pytest.mark.parametrize("workers", ["1", "2"])
def test_clients_push_and_pull(tmp_path: Path, url: str, workers: str) -> None:
    crane, oras = Client(require("crane"), tmp_path), Client(require("oras"), tmp_path)
    (tmp_path / "file").write_bytes(os.urandom(PIECE))
    index = images.two_platforms()
    server = process(tmp_path, url, "--workers", workers).start()
    try:
        layout = images.write_layout(tmp_path / "layout", "v1", index)
        crane("push", "--index", layout, f"{server.host}/a/b:v1")
        assert "PASS" in crane("validate", "--remote", f"{server.host}/a/b@{index.digest}")
        crane("copy", f"{server.host}/a/b@{index.digest}", f"{server.host}/c:v2")
        oras("push", "--plain-http", f"{server.host}/d:v1", "file:application/octet-stream")
        oras("attach", "--plain-http", "--artifact-type", "a/b", f"{server.host}/d:v1", "--annotation", "x=y")
        assert "a/b" in oras("discover", "--plain-http", f"{server.host}/d:v1")
        (tmp_path / "out").mkdir()
        oras("pull", "--plain-http", f"{server.host}/d:v1", "-o", tmp_path / "out")
        assert (tmp_path / "out" / "file").read_bytes() == (tmp_path / "file").read_bytes()
        assert crane("catalog", server.host).split() == ["a/b", "c", "d"]
        crane("delete", f"{server.host}/c@{index.digest}")
        assert server.terminate() == 0
    finally:
        server.kill()


def test_an_upload_goes_on_after_its_server_was_killed(tmp_path: Path, url: str) -> None:
    server = process(tmp_path, url).start()
    first, rest = os.urandom(PIECE), os.urandom(PIECE)
    try:
        location = ask(server.host, "POST", "/v2/a/blobs/uploads/")[1]["location"]
        assert ask(server.host, "PATCH", location, first)[0] == 202
        # Half of the rest is on its way when everything ends.
        connection = http.client.HTTPConnection(server.host)
        connection.putrequest("PATCH", location)
        connection.putheader("Content-Length", str(len(rest)))
        connection.endheaders(rest[: PIECE // 2])
        server.kill()
        connection.close()
        server.start()
        status, headers, _ = ask(server.host, "GET", location)
        assert (status, headers["range"]) == (204, f"0-{PIECE - 1}")
        data = first + rest
        assert ask(server.host, "PUT", f"{location}?digest={sha256(data)}", rest)[0] == 201
        assert ask(server.host, "GET", f"/v2/a/blobs/{sha256(data)}")[2] == data
    finally:
        server.kill()


def test_a_restart_of_the_database_under_load_loses_nothing(tmp_path: Path, own: PostgresServer) -> None:
    """While it is away: 503 with Retry-After, or success; what was acknowledged is there afterwards.

    Whatever is logged of it, the password is not.
    """
    own.execute("CREATE DATABASE theirs OWNER guarded")
    url = own.url("theirs", user="guarded", password=PASSWORD)
    server = process(tmp_path, url, "--workers", "2").start()
    acknowledged: list[bytes] = []
    odd: list[object] = []
    refused = 0
    finished = threading.Event()

    def push(worker: int) -> None:
        nonlocal refused
        number = 0
        while not finished.is_set():
            number += 1
            data = f"{worker} {number} ".encode() * 50
            try:
                status, headers, body = ask(
                    server.host, "POST", f"/v2/r{worker}/blobs/uploads/?digest={sha256(data)}", data
                )
            except OSError as error:
                odd.append(error)
                continue
            if status == 201:
                acknowledged.append(data)
            elif status == 503 and int(headers["retry-after"]) > 0:
                refused += 1
                time.sleep(0.05)
            else:
                odd.append((status, body))

    workers = [threading.Thread(target=push, args=(number,)) for number in range(6)]
    try:
        for worker in workers:
            worker.start()
        for end in (own.stop, own.kill):
            enough = len(acknowledged) + 20
            deadline = time.monotonic() + 60
            while len(acknowledged) < enough:
                assert time.monotonic() < deadline, odd
                time.sleep(0.01)
            end()
            while ask(server.host, "GET", "/readyz")[0] != 503:
                time.sleep(0.01)
            assert ask(server.host, "GET", "/livez")[0] == 200
            own.start()
            while ask(server.host, "GET", "/readyz")[0] != 200:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finished.set()
        for worker in workers:
            worker.join()
        assert odd == []
        assert refused > 0
        for data in acknowledged:
            name = f"r{data.split()[0].decode()}"
            assert ask(server.host, "GET", f"/v2/{name}/blobs/{sha256(data)}")[2] == data
        assert server.terminate() == 0
    finally:
        finished.set()
        server.kill()
    logged = server.stderr()
    assert "error connecting" in logged
    for secret in (PASSWORD, PASSWORD.replace(" ", "%20"), PASSWORD.split()[0]):
        assert secret not in logged


def test_the_version_before_serves_on_while_a_migration_runs(tmp_path: Path, url: str) -> None:
    """A later version changes tables that are in use, waits for locks, and takes its time: nobody is turned away."""
    server = process(tmp_path, url, "--workers", "2").start()
    finished = threading.Event()
    odd: list[object] = []
    pushed = [0, 0, 0]

    def use(worker: int) -> None:
        while not finished.is_set():
            data = f"{worker} {pushed[worker]}".encode()
            index = (
                f'{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"annotations":{{"a":"{data.decode()}"}}}}'
            )
            target = f"/v2/r{worker}/blobs"
            for status, method, path, body in (
                (201, "POST", f"{target}/uploads/?digest={sha256(data)}", data),
                (201, "PUT", f"/v2/r{worker}/manifests/v1", index.encode()),
                (200, "GET", f"{target}/{sha256(data)}", b""),
                (200, "GET", f"/v2/r{worker}/manifests/v1", b""),
                (200, "GET", f"/v2/r{worker}/tags/list", b""),
            ):
                answer = ask(server.host, method, path, body, **{"Content-Type": INDEX, "Accept": INDEX})
                if answer[0] != status:
                    odd.append((method, path, answer))
            pushed[worker] += 1

    def more() -> None:
        enough = [count + 3 for count in pushed]
        wait_for(lambda: odd or all(count >= least for count, least in zip(pushed, enough, strict=True)), timeout=60)
        assert odd == []

    later = [
        Migration("x", 1, "ALTER TABLE manifest ADD COLUMN x TEXT; ALTER TABLE blob ADD COLUMN x BIGINT DEFAULT 1"),
        Migration("x", 2, "CREATE TABLE x_one (id BIGINT); SELECT pg_sleep(2); CREATE INDEX x_tag ON tag (moved_at)"),
        Migration(
            "x", 3, "ALTER TABLE repository ADD COLUMN x TEXT; UPDATE repository SET x = name; SELECT pg_sleep(1)"
        ),
    ]

    async def migrate() -> None:
        """As whoever starts it would: again, where a migration did not get its locks."""
        while True:
            with contextlib.suppress(MigrationError):
                known = [*load("postgresql"), *later]
                await (await PostgresMetadata.open(Server.parse(url, Limits(lock=0.2)), known)).close()
                return

    users = [threading.Thread(target=use, args=(number,)) for number in range(3)]
    try:
        for user in users:
            user.start()
        more()
        with psycopg.connect(url) as long:  # somebody's long transaction keeps the first one waiting, and nobody else
            long.execute("SELECT * FROM manifest LIMIT 1")
            with ThreadPoolExecutor() as pool:
                migrating = pool.submit(asyncio.run, migrate())
                more()
                long.rollback()
                migrating.result(120)
            made = long.execute("SELECT number FROM schema_migration WHERE owner = 'x' ORDER BY number").fetchall()
            assert made == [(1,), (2,), (3,)]
        more()
    finally:
        finished.set()
        for user in users:
            user.join()
        server.kill()
    assert odd == []


# --- bad input --------------------------------------------------------------------------------------------------


def command(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the server on a database."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
    return subprocess.run(
        [sys.executable, "-m", "gati_registry", *arguments, "--data", folder / "data"],
        env={**inherited, "GATI_METADATA_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_keeps_a_start_back_is_said_in_one_line(tmp_path: Path, own: PostgresServer, url: str) -> None:
    serve = ("serve", "--open", "--listen", f"127.0.0.1:{free_port()}")
    absent, refused = own.url("absent"), f"postgresql://u:secret@127.0.0.1:{free_port()}/d"
    asyncio.run(migrated(url))
    own.execute("INSERT INTO schema_migration VALUES ('core', 9999, 'x', 0)", url.rpartition("/")[2])
    for bad, arguments, code, words in (
        (own.url("postgres", user="guarded", password="secret"), serve, 1, "password authentication failed"),
        (absent, ("migrate",), 1, "metadata_url: no connection to database absent at 127.0.0.1"),
        (refused, ("check",), 1, "Connection refused"),
        (url, serve, 1, "core 9999, which this version lacks; run the newer version"),
        ("postgresql://u:s%zecret@h/d", serve, 2, "metadata_url: it is no connection URI"),
    ):
        result = command(tmp_path, bad, *arguments)
        said = result.stdout if arguments == ("check",) else result.stderr
        assert result.returncode == code
        assert words in said
        assert "secret" not in result.stdout + result.stderr
        assert "zecret" not in result.stdout + result.stderr
        if arguments != ("check",):
            assert (result.stdout, len(said.strip().splitlines())) == ("", 1)


async def migrated(url: str) -> None:
    """Make the schema."""
    await (await PostgresMetadata.open(Server.parse(url, Limits()))).close()


def test_commands_work_on_it(tmp_path: Path, url: str) -> None:
    assert "migrations run at the next start" in command(tmp_path, url, "check").stdout
    migrate = command(tmp_path, url, "migrate")
    assert (migrate.returncode, migrate.stdout.startswith("applied core 0001")) == (0, True)
    assert "schema is current" in command(tmp_path, url, "check").stdout
    for arguments in (("gc",), ("verify",)):
        assert command(tmp_path, url, *arguments).returncode == 0
