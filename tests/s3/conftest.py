"""Fixtures: one MinIO for all tests of this folder, a prefix of its own for each."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.clients.registry import Registry
from tests.support.minio import MinioServer, S3Server, running_minio
from tests.support.server import RegistryProcess


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that the server runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A server that nobody stops."""
    with running_minio(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A prefix of the test's own."""
    return f"t-{secrets.token_hex(6)}"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, minio: S3Server) -> None:
    """As an operator gives them."""
    for name, value in minio.credentials.items():
        monkeypatch.setenv(name, value)


@contextlib.contextmanager
def serving(
    data: Path, minio: S3Server, prefix: str, *, args: Sequence[str] = (), **env: str
) -> Iterator[tuple[RegistryProcess, Registry]]:
    """An open registry whose blobs are in S3, and a client of it."""
    settings = {"GATI_BLOBS_URL": minio.url(prefix), "GATI_BLOBS__INLINE_BYTES": "0", **env}
    server = RegistryProcess(data, args=("--open", *args), env=settings).start()
    try:
        with contextlib.closing(Registry(server.url)) as client:
            yield server, client
    finally:
        server.kill()
