"""What stops a start on PostgreSQL: one clear line from the command, each on a real server that is like that.

Wrong credentials, a missing database, nobody there, a newer schema, another encoding: test_opening, test_serving.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gati_registry.metadata.migrate import load
from tests.clients.programs import require
from tests.postgresql.test_serving import ask, command, process
from tests.support.postgresql import PASSWORD, PostgresServer, running_postgresql
from tests.support.server import RegistryProcess, free_port


@pytest.fixture
def empty(server: PostgresServer) -> Iterator[str]:
    """The name of a database without anything."""
    with server.database() as name:
        yield name


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that a start ended with."""
    assert (result.returncode, result.stdout) == (1, ""), result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("gati-registry: ")
    assert PASSWORD not in line
    return line


def serve(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Try to start a server."""
    return command(folder, url, "serve", "--open", "--listen", f"127.0.0.1:{free_port()}")


def as_guarded(server: PostgresServer, database: str) -> str:
    """The database's URL for a user who has no right but those given."""
    return server.url(database, user="guarded", password=PASSWORD)


def test_a_user_who_may_only_read(server: PostgresServer, empty: str, tmp_path: Path) -> None:
    assert command(tmp_path, server.url(empty), "migrate").returncode == 0
    url = as_guarded(server, empty)
    assert "reading which migrations ran: permission denied" in refused(serve(tmp_path, url))
    server.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guarded", empty)
    line = refused(serve(tmp_path, url))
    assert "as user guarded: the user may not read and change blob, blob_key, encrypted_blob, fact, lease, " in line
    checked = command(tmp_path, url, "check")
    assert (checked.returncode, "grant it SELECT, INSERT, UPDATE and DELETE" in checked.stdout) == (1, True)
    server.execute("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guarded", empty)
    assert command(tmp_path, url, "check").returncode == 0
    registry = process(tmp_path, url).start()
    try:
        assert ask(registry.host, "POST", "/v2/a/blobs/uploads/")[0] == 202
        # A right that is taken away while it runs: said as what it is, and not by a 500.
        server.execute("REVOKE INSERT ON repository FROM guarded", empty)
        status, headers, body = ask(registry.host, "POST", f"/v2/new/blobs/uploads/?digest={_EMPTY}", b"{}")
        assert (status, headers["retry-after"], b"refuses the registry a right" in body) == (503, "30", True)
    finally:
        registry.kill()


_EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_database_that_only_reads(server: PostgresServer, empty: str, tmp_path: Path) -> None:
    """As one is made read-only for maintenance: our transactions ask for writing by themselves."""
    server.execute(f"ALTER DATABASE {empty} SET default_transaction_read_only = on")
    registry = process(tmp_path, server.url(empty)).start()
    try:
        assert ask(registry.host, "POST", f"/v2/new/blobs/uploads/?digest={_EMPTY}", b"{}")[0] == 201
    finally:
        registry.kill()


@pytest.mark.parametrize("offset", ["+20m", "-20m"])
def test_a_clock_that_is_wrong(server: PostgresServer, empty: str, tmp_path: Path, offset: str) -> None:
    faketime = str(require("faketime"))
    registry = RegistryProcess(
        tmp_path / "data", env={"GATI_METADATA_URL": server.url(empty)}, wrapper=(faketime, "-m", "-f", offset)
    )
    with pytest.raises(AssertionError, match="did not start"):
        registry.start()
    (line,) = registry.stderr().splitlines()
    assert "its clock and this machine's differ by 1" in line  # 1,200 s, or a little less
    assert line.endswith("set both by NTP")


def test_a_server_that_is_too_old(tmp_path: Path) -> None:
    installed = require("postgresql-12").parent.parent
    with running_postgresql(installed=installed) as old:
        line = refused(serve(tmp_path, old.url()))
        assert line.endswith("the server is PostgreSQL 12, 13 or newer is needed")


def test_an_older_schema_is_brought_up_to_date(server: PostgresServer, empty: str, tmp_path: Path) -> None:
    """A database of the first version: `check` tells what would be done, and a start does it."""
    first = load("postgresql")[0]
    columns = "owner TEXT, number BIGINT, checksum TEXT, applied_at BIGINT NOT NULL, PRIMARY KEY (owner, number)"
    for statement in (f"CREATE TABLE schema_migration ({columns})", *first.sql.split(";\n")):
        if statement.strip():
            server.execute(statement, empty)
    server.execute(f"INSERT INTO schema_migration VALUES ('core', 1, '{first.checksum}', 0)", empty)
    checked = command(tmp_path, server.url(empty), "check")
    assert (checked.returncode, "migrations run at the next start" in checked.stdout) == (0, True)
    # Who may not do it is told so; nothing is half done.
    server.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO guarded", empty)
    line = refused(serve(tmp_path, as_guarded(server, empty)))
    assert "preparing migrations: permission denied" in line
    assert "grant the user of metadata_url CREATE on the schema" in line
    registry = process(tmp_path, server.url(empty)).start()
    try:
        assert ask(registry.host, "POST", f"/v2/new/blobs/uploads/?digest={_EMPTY}", b"{}")[0] == 201
    finally:
        registry.kill()


def test_another_collation_changes_no_order(server: PostgresServer, tmp_path: Path) -> None:
    """A database that sorts text as people do: names and tags still come bytewise, page by page."""
    server.execute(
        "CREATE DATABASE sorted TEMPLATE template0 LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ENCODING 'UTF8'"
    )
    assert server.execute("SELECT 'a' < 'B', '-a' < '.b'", "sorted") == [(True, True)]
    registry = process(tmp_path, server.url("sorted")).start()
    tags = sorted(["B", "a", "Z", "b", "_", "A.1", "a-1", "a.1", "a_1", "1", "É".encode().hex()])
    names = sorted(["b", "a-b", "a/b", "a.b", "a_b", "a0", "a", "z/a", "aa"])
    try:
        with httpx.Client(base_url=registry.url, trust_env=False, timeout=60) as client:
            manifest = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
            media_type = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
            for name, tag in [("a", tag) for tag in tags] + [(name, "v1") for name in names]:
                put = client.put(f"/v2/{name}/manifests/{tag}", content=manifest, headers=media_type)
                assert put.status_code == 201, put.text
            for first, key, expected in (
                ("/v2/a/tags/list?n=2", "tags", sorted([*tags, "v1"])),
                ("/v2/_catalog?n=2", "repositories", names),
            ):
                found: list[str] = []
                following: str | None = first
                while following is not None:
                    page = client.get(following)
                    assert page.status_code == 200, page.text
                    found += page.json()[key]
                    following = page.links["next"]["url"] if "next" in page.links else None
                assert found == expected
    finally:
        registry.kill()
