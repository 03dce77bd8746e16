"""A real PostgreSQL server on loopback, in a folder of its own, from the binaries of the machine."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from tests.support.server import free_port, wait_for

ACCOUNT = "postgres"
"""Runs the server where we are root, which it refuses to be."""

PASSWORD = "right horse"

_ACCESS = """
local all all trust
host all guarded 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""

_SETTINGS = """
listen_addresses = '127.0.0.1'
shared_buffers = 32MB
max_connections = 200
deadlock_timeout = 50ms
lc_messages = 'C'
"""


def binaries() -> Path:
    """The folder of `initdb` and `postgres`. Skips the test where there is none; under CI=true that fails it."""
    found = shutil.which("initdb")
    # Resolved: where one program is linked to, all of them are.
    folders = [Path(found).resolve().parent] if found else list(map(Path, glob.glob("/usr/lib/postgresql/*/bin")))
    if folders:
        return max(folders)
    reason = "PostgreSQL is missing; run: apt-get install postgresql"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class PostgresServer:
    """One server; it can be stopped, killed, frozen and started again on the same data and port."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: str = "",
        programs: Path | None = None,
        addresses: Sequence[str] = (),
        primary: PostgresServer | None = None,
    ) -> None:
        """`programs` is the folder of another version's `initdb` and `postgres`; `addresses` are listened on too.

        With a `primary` it is made of that one, by pg_basebackup, and follows it as a standby.
        """
        self.port = free_port()
        self._bin = programs or binaries()
        self._folder = folder
        self._data = folder / "data"
        self._account = ACCOUNT if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        if self._account:
            shutil.chown(folder, self._account)
        if primary is not None:
            source = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres")
            self._run("pg_basebackup", *source, "-D", self._data, "-R", "-X", "stream", "-c", "fast")
            self._configure("")
            self.start()
            return
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        networks = "".join(f"host all all {address}/30 trust\n" for address in addresses)
        (self._data / "pg_hba.conf").write_text(_ACCESS + networks)
        if addresses:
            settings = f"{settings}\nlisten_addresses = '{','.join(['127.0.0.1', *addresses])}'"
        self._configure(settings)
        self.start()
        self.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")

    def _configure(self, settings: str) -> None:
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{_SETTINGS}port = {self.port}\nunix_socket_directories = '{self._folder}'\n{settings}\n")

    def _run(self, program: str | Path, *arguments: str | Path) -> None:
        subprocess.run(
            [self._bin / program, *arguments], user=self._account, cwd=self._folder, check=True, capture_output=True
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data], user=self._account, cwd=self._folder, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 120
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, "the server does not come up"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """At once: connections are ended, commits are kept. No error if it is stopped."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As it were by a crash: all its processes go without a word."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self.thaw()
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def freeze(self) -> None:
        """Stand still: connections stay and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def configure(self, setting: str) -> None:
        """Change a setting that needs no restart: `name = value`."""
        self.execute(f"ALTER SYSTEM SET {setting}")
        self.execute("SELECT pg_reload_conf()")
        name, _, value = setting.partition(" = ")
        wait_for(lambda: self.execute(f"SHOW {name}") == [(value.strip("'"),)])

    def url(
        self,
        database: str = "postgres",
        *,
        user: str = "postgres",
        password: str | None = None,
        host: str = "127.0.0.1",
    ) -> str:
        """A database's URL."""
        secret = f":{password.replace(' ', '%20')}" if password else ""
        return f"postgresql://{user}{secret}@{host}:{self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the superuser; its rows."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=30) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The name of a new database, for the length of a `with` block."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def running_postgresql(
    *,
    settings: str = "",
    installed: Path | None = None,
    addresses: Sequence[str] = (),
    primary: PostgresServer | None = None,
) -> Iterator[PostgresServer]:
    """A server for the length of a `with` block, in memory where that is possible.

    `installed` is where a package has another version (`bin`, `lib`, `share`). With a `primary` it is its standby.
    """
    if installed is None:
        binaries()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="gati-pg-", dir=memory if memory.is_dir() else None) as folder:
        Path(folder).chmod(0o755)
        if installed is not None:  # copied: the server's account may not enter every folder of ours
            copy = shutil.copytree(installed, Path(folder) / "installed", symlinks=True)
            # A package that may hold no symbolic links lists them, relative to its own folder.
            for link in json.loads((copy / "pg-symlinks.json").read_text()):
                (copy / Path(link["target"]).relative_to("native")).symlink_to(Path(link["source"]).name)
        programs = Path(folder) / "installed" / "bin" if installed is not None else None
        server = PostgresServer(
            Path(folder), settings=settings, programs=programs, addresses=addresses, primary=primary
        )
        try:
            yield server
        finally:
            server.stop()
