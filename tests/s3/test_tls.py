"""TLS to the S3 server: whom it is checked against, and which versions are spoken."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gati_registry.bootstrap import inspect_s3
from gati_registry.errors import Unavailable
from gati_registry.settings import Settings
from gati_registry.settings.model import Tls
from tests.serving.conftest import certificate
from tests.support.minio import BUCKET, MinioServer

__all__ = ["certificate"]

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def terminating(port: int, files: tuple[Path, Path], newest: ssl.TLSVersion) -> AsyncIterator[int]:
    """A TLS server before a plain one, which speaks no newer version than this; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    context.maximum_version = newest

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, forth), pipe(back, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("newest", "oldest", "trusted", "answers"),
    [
        (ssl.TLSVersion.TLSv1_3, "1.3", True, True),
        (ssl.TLSVersion.TLSv1_3, "1.3", False, False),
        (ssl.TLSVersion.TLSv1_2, "1.3", True, False),
        (ssl.TLSVersion.TLSv1_2, "1.2", True, True),
    ],
)
async def test_a_server_is_trusted_and_speaks_a_version_that_is_accepted(
    minio: MinioServer,
    prefix: str,
    certificate: tuple[Path, Path],
    newest: ssl.TLSVersion,
    oldest: str,
    trusted: bool,
    answers: bool,
) -> None:
    async with terminating(minio.port, certificate, newest) as port:
        settings = Settings(
            blobs_url=f"s3://{BUCKET}/{prefix}?endpoint=https://127.0.0.1:{port}&region=us-east-1",
            tls=Tls.model_validate({"min_version": oldest, "ca": certificate[0] if trusted else None}),
        )
        if answers:
            assert await inspect_s3(settings) == "the bucket answers"
        else:
            with pytest.raises(Unavailable, match="S3 does not answer"):
                await inspect_s3(settings)


async def test_authorities_that_cannot_be_read_are_named(minio: MinioServer, prefix: str, tmp_path: Path) -> None:
    settings = Settings(blobs_url=minio.url(prefix), tls=Tls(ca=tmp_path / "absent"))
    with pytest.raises(Unavailable, match=r"absent; see tls\.ca"):
        await inspect_s3(settings)
