"""PostgreSQL's own archiving, as docs/moving.md has it: the registry as it was before somebody deleted everything."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.moving.support import Site, told
from tests.support.postgresql import PostgresServer, binaries
from tests.support.server import wait_for

pytestmark = pytest.mark.proof


class Archived(PostgresServer):
    """A server that archives its log, and can become what a base backup and the archive make."""

    def __init__(self, folder: Path) -> None:
        self.archive = folder / "archive"
        self.archive.mkdir()
        self.base = folder / "base"
        archiving = f"archive_mode = on\narchive_command = 'test ! -f {self.archive}/%f && cp %p {self.archive}/%f'"
        for made in (folder, self.archive):
            made.chmod(0o777)
        super().__init__(folder, settings=f"{archiving}\nwal_level = replica")
        with (self._data / "pg_hba.conf").open("a") as file:
            file.write("host replication all 127.0.0.1/32 trust\n")
        self.execute("SELECT pg_reload_conf()")

    def back_up(self) -> None:
        """Make the base backup."""
        connection = ("--host", "127.0.0.1", "--port", str(self.port), "--username", "postgres")
        wait_for(
            lambda: self.execute("SELECT count(*) FROM pg_hba_file_rules WHERE database = '{replication}'")[0][0],
            timeout=60,
        )
        program = (self._bin / "initdb").resolve().with_name("pg_basebackup")
        self._run(program, *connection, "--pgdata", self.base, "--checkpoint", "fast", "--wal-method", "fetch")

    def archived(self) -> None:
        """Wait until all that was written so far is in the archive."""
        ((name,),) = self.execute("SELECT pg_walfile_name(pg_switch_wal())")
        wait_for(lambda: (self.archive / str(name)).exists(), timeout=120)

    def become(self, moment: str) -> None:
        """The disk is lost: start from the base backup and the archive, up to this moment."""
        self.kill()
        shutil.rmtree(self._data)
        shutil.move(self.base, self._data)
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"restore_command = 'cp {self.archive}/%f %p'\n")
            file.write(f"recovery_target_time = '{moment}'\nrecovery_target_action = 'promote'\n")
        (self._data / "recovery.signal").touch()
        if self._account:
            shutil.chown(self._data / "recovery.signal", self._account)
        self.start()
        wait_for(lambda: self.execute("SELECT pg_is_in_recovery()") == [(False,)], timeout=120)


@contextmanager
def archiving() -> Iterator[Archived]:
    """Such a server."""
    binaries()
    with tempfile.TemporaryDirectory(prefix="gati-pitr-") as folder:
        server = Archived(Path(folder))
        try:
            yield server
        finally:
            server.stop()


def test_back_to_the_moment_before_everything_was_deleted(tmp_path: Path) -> None:
    with archiving() as server:
        server.execute("CREATE DATABASE registry")
        here = Site(tmp_path / "here", server.url("registry"))
        with here.serving() as (_, client):
            here.fill(client, 2)
            server.back_up()
            here.fill(client, 2)
            kept = dict(here.pushed)
            time.sleep(1)
            ((moment,),) = server.execute("SELECT now()::text")
            time.sleep(1)
            for (repository, _), digest in kept.items():
                assert client.request("DELETE", f"/v2/{repository}/manifests/{digest}").status_code == 202
            server.archived()
        server.become(str(moment))
        here.pushed = kept
        assert told("verify", env=here.env)["damaged"] == []
        with here.serving() as (_, client):
            here.compare(client)
            here.fill(client, 1)
