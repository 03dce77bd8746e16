"""Encrypted blobs in S3: the contract of the blob store, and a push that goes on in another replica."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gati_registry.metadata.sqlite import SqliteMetadata
from gati_registry.storage.encrypted.frames import FRAME
from gati_registry.storage.encrypted.writer import BATCH
from gati_registry.storage.s3 import Address, Options, S3Blobs
from gati_registry.storage.s3.client import MIN_PART
from tests.clients.registry import Registry
from tests.core.contract_blobs import MIB, BlobsContract, Store, content
from tests.encryption.conftest import keys_file
from tests.encryption.support import encrypted, master_in
from tests.s3.test_serving import Pushing
from tests.support.minio import BUCKET, S3Server
from tests.support.server import RegistryProcess, wait_for

__all__ = ["keys_file"]

OPTIONS = Options(connections=16, timeout=20)


class TestEncryptedS3(BlobsContract):
    """MinIO, encrypted."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def address(self, minio: S3Server, prefix: str) -> Address:
        """Where this test's blobs are."""
        return Address(BUCKET, f"{prefix}/", minio.endpoint, "us-east-1")

    @pytest.fixture
    async def store(self, address: Address, tmp_path: Path) -> AsyncIterator[Store]:
        """A store."""
        inner, rows = S3Blobs(address, OPTIONS, part_bytes=MIN_PART), SqliteMetadata(tmp_path / "metadata.sqlite")
        async with encrypted(inner, rows, await master_in(tmp_path / "master")) as opened:
            yield opened

    @pytest.fixture
    async def another(self, store: Store, address: Address, tmp_path: Path) -> AsyncIterator[Store]:
        """The same one, as another replica has it, with another size of parts."""
        inner = S3Blobs(address, OPTIONS, part_bytes=MIN_PART + MIB)
        rows = SqliteMetadata(tmp_path / "metadata.sqlite")
        async with encrypted(inner, rows, await master_in(tmp_path / "master")) as opened:
            yield opened

    @pytest.fixture
    def sizes(self) -> list[int]:
        """Around every length at which writing changes its ways."""
        return [0, 1, FRAME, BATCH * FRAME + 1, MIN_PART, 2 * MIN_PART + 1]


def test_an_upload_goes_on_in_another_replica(minio: S3Server, prefix: str, tmp_path: Path, keys_file: Path) -> None:
    """Chunks end within frames and parts, one replica dies in the middle of one; nothing lies there in the clear."""
    data = b"nobody else is to read this " * (MIB // 2)
    pushing = Pushing(data + content(1))
    env = {
        "GATI_BLOBS_URL": minio.url(prefix),
        "GATI_ENCRYPTION__MASTER": "file",
        "GATI_ENCRYPTION__FILE": str(keys_file),
    }
    servers = [RegistryProcess(tmp_path / "data", env=env) for _ in range(2)]
    clients = [Registry(server.url) for server in servers]
    try:
        for server in servers:
            server.start()
        pushing.begin(clients[0])
        for turn, length in enumerate((1, 5 * MIB - 1, FRAME, 100_001)):
            assert pushing.send(clients[turn % 2], length).status_code == 202
            pushing.resume(clients[(turn + 1) % 2])
        with contextlib.closing(pushing.half(clients[0], 6 * MIB)):
            wait_for(lambda: any("/writer-" in key for key in minio.keys(prefix)))
            servers[0].kill()
        pushing.resume(clients[1])
        assert pushing.send(clients[1], 2 * MIB + 5).status_code == 202
        servers[0].start()
        digest = pushing.close(clients[0])
        for client in clients:
            assert client.blob("a/b", digest) == pushing.data
        part = clients[1].request("GET", f"/v2/a/b/blobs/{digest}", headers={"Range": f"bytes={FRAME - 3}-{FRAME + 3}"})
        assert part.content == pushing.data[FRAME - 3 : FRAME + 4]
        (key,) = (key for key in minio.keys(prefix) if key.startswith("blobs/"))
        assert pushing.data[:20] not in minio.read(prefix, key)
    finally:
        for server in servers:
            server.kill()
        for client in clients:
            client.close()
