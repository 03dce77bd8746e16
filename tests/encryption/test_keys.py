"""The master key as operators handle it: its file, a wrong one, and rotating it beside a server that serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gati_registry.errors import Unavailable
from gati_registry.keys import FileMasterKey
from gati_registry.ports import Wrapped
from tests.clients.registry import Registry, digest_of
from tests.core.contract_blobs import content
from tests.support.server import RegistryProcess, running

LARGE, OTHER, SMALL = content(300_000), content(300_000, 1), content(3000)
KEY = "00112233445566778899aabbccddeeff" * 2


def environment(path: Path) -> dict[str, str]:
    """Settings of a registry that encrypts."""
    return {"GATI_ENCRYPTION__MASTER": "file", "GATI_ENCRYPTION__FILE": str(path)}


def command(data: Path, path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`gati-registry` on a data folder."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("GATI_")}
    return subprocess.run(
        [sys.executable, "-m", "gati_registry", *words, "--data", str(data)],
        env=bare | environment(path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextlib.contextmanager
def serving(data: Path, path: Path) -> Iterator[tuple[RegistryProcess, Registry]]:
    """A server that encrypts, and a client of it."""
    with running(data, env=environment(path)) as server, contextlib.closing(Registry(server.url)) as client:
        yield server, client


def push(client: Registry, repository: str, data: bytes) -> None:
    """A blob in one request."""
    answer = client.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest_of(data)}", content=data)
    assert answer.status_code == 201, answer.text


def pull(client: Registry, repository: str, data: bytes) -> bool:
    """Whether a blob is served as it was pushed."""
    return client.request("GET", f"/v2/{repository}/blobs/{digest_of(data)}").content == data


# --- the file ---------------------------------------------------------------------------------------------------


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """A keys file."""
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        (f"one {KEY}\n", 0o640, "chmod 600"),
        (f"one {KEY}\n", 0o604, "chmod 600"),
        ("", 0o600, "holds no key"),
        ("# one\n\n", 0o600, "holds no key"),
        (f"one {KEY[:-1]}\n", 0o600, "line 1"),
        (f"one {KEY}\none {KEY}\n", 0o600, "line 2"),
        (f"one {KEY}\ntwo words {KEY}\n", 0o600, "line 2"),
        ("x" * 100_000, 0o600, "bytes"),
        (None, 0o600, "keys rotate"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, text: str | None, mode: int, complaint: str) -> None:
    path = tmp_path / "master"
    if text is not None:
        write(path, text, mode)
    with pytest.raises(Unavailable) as refused:
        asyncio.run(FileMasterKey(path).current())
    assert complaint in refused.value.message
    assert str(path) in refused.value.message
    assert KEY[:16] not in refused.value.message


def test_the_last_line_wraps_and_all_unwrap(tmp_path: Path) -> None:
    path = write(tmp_path / "master", f"# first\n  one   {KEY}  \n\ntwo {KEY[::-1].upper()}")

    async def use() -> None:
        master = FileMasterKey(path)
        first = await FileMasterKey(write(tmp_path / "old", f"one {KEY}\n")).wrap(b"k" * 32, "orgs/acme")
        assert await master.current() == "file:two"
        assert await master.unwrap(first, "orgs/acme") == b"k" * 32
        second = await master.wrap(b"k" * 32, "orgs/acme")
        assert (first.master, second.master) == ("file:one", "file:two")
        assert b"k" * 32 not in second.data
        made = await master.rotate()
        assert await master.current() == made
        assert await master.unwrap(first, "orgs/acme") == await master.unwrap(second, "orgs/acme") == b"k" * 32
        assert path.read_text().startswith(f"# first\n  one   {KEY}  \n\ntwo {KEY[::-1].upper()}\n")
        assert path.stat().st_mode & 0o777 == 0o600
        for wrong in (
            (second, "orgs/other"),
            (Wrapped("file:one", second.data), "orgs/acme"),
            (Wrapped("file:three", second.data), "orgs/acme"),
            (Wrapped("file:two", b""), "orgs/acme"),
        ):
            with pytest.raises(Unavailable):
                await master.unwrap(*wrong)

    asyncio.run(use())


# --- the server -------------------------------------------------------------------------------------------------


def test_the_wrong_master_key_stops_the_start_with_one_line(tmp_path: Path, keys_file: Path) -> None:
    data = tmp_path / "data"
    with serving(data, keys_file) as (_, client):
        push(client, "a", LARGE)
    name = keys_file.read_text().split()[0]
    for wrong in (
        write(tmp_path / "same-id", f"{name} {KEY}\n"),
        write(tmp_path / "another-id", f"another {KEY}\n"),
        tmp_path / "not-there",
    ):
        ended = command(data, wrong, "serve", "--open", "--listen", "127.0.0.1:0")
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert (name if wrong.exists() else "keys rotate") in line
    assert command(data, write(tmp_path / "same-id", f"{name} {KEY}\n"), "check").returncode == 1
    assert command(data, keys_file, "check").returncode == 0


def test_the_master_key_rotates_while_the_server_serves(tmp_path: Path, keys_file: Path) -> None:
    """Its blobs' bytes stay as they are; afterwards the old key is of no use any more."""
    data, old = tmp_path / "data", keys_file.read_text()
    with serving(data, keys_file) as (_, client):
        push(client, "orgs/acme/app", LARGE)
        push(client, "orgs/acme/app", SMALL)
        before = {path: path.read_bytes() for path in (data / "blobs").rglob("*") if path.is_file()}
        rotated = command(data, keys_file, "keys", "rotate")
        assert rotated.returncode == 0, rotated.stderr
        assert pull(client, "orgs/acme/app", LARGE)
        push(client, "users/alice/x", OTHER)  # a namespace whose key is made by the new one
        push(client, "users/alice/x", LARGE)
        status = json.loads(command(data, keys_file, "keys", "status", "--output", "json").stdout)
        assert len(status["keys"]) == 2
        assert status["keys"][status["current"]] == 1
        assert json.loads(command(data, keys_file, "keys", "rewrap", "--output", "json").stdout) == {"rewrapped": 2}
        write(keys_file, keys_file.read_text().removeprefix(old))
        push(client, "orgs/third/app", LARGE)
        for repository in ("orgs/acme/app", "users/alice/x", "orgs/third/app"):
            assert pull(client, repository, LARGE)
        assert {path: path.read_bytes() for path in before} == before
    with serving(data, keys_file) as (_, client):
        for repository, blob in (("orgs/acme/app", LARGE), ("orgs/acme/app", SMALL), ("users/alice/x", OTHER)):
            assert pull(client, repository, blob)


def test_a_namespaces_key_is_destroyed_beside_a_server(tmp_path: Path, keys_file: Path) -> None:
    data = tmp_path / "data"
    with serving(data, keys_file) as (_, client):
        push(client, "orgs/acme/app", LARGE)
        push(client, "orgs/acme/app", OTHER)
        push(client, "users/alice/x", OTHER)
        assert pull(client, "orgs/acme/app", LARGE)
        unsaid = command(data, keys_file, "keys", "destroy", "orgs/acme")
        assert unsaid.returncode == 1
        assert pull(client, "orgs/acme/app", LARGE)
        done = command(data, keys_file, "keys", "destroy", "orgs/acme", "--yes", "--output", "json")
        assert json.loads(done.stdout) == {"namespace": "orgs/acme", "blobs": 2, "lost": 1}
        assert client.request("GET", f"/v2/orgs/acme/app/blobs/{digest_of(LARGE)}").status_code == 404
        assert pull(client, "orgs/acme/app", OTHER)
        push(client, "orgs/acme/app", LARGE)
        assert pull(client, "orgs/acme/app", LARGE)


def test_words_that_do_not_fit_are_refused(tmp_path: Path, keys_file: Path) -> None:
    data = tmp_path / "data"
    ended = command(data, keys_file, "keys", "destroy")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
