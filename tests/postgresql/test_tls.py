"""TLS to PostgreSQL: whom it is checked against, and which versions are spoken."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gati_registry.bootstrap import inspect_postgresql
from gati_registry.errors import Unavailable
from gati_registry.settings import Settings
from gati_registry.settings.model import Tls
from tests.serving.conftest import certificate
from tests.support.postgresql import ACCOUNT, PostgresServer, running_postgresql

__all__ = ["certificate"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def old(certificate: tuple[Path, Path], folder: Path) -> Iterator[PostgresServer]:
    """A server that speaks TLS 1.2 at most."""
    folder.chmod(0o755)
    files = [folder / path.name for path in certificate]
    for path, copy in zip(certificate, files, strict=True):
        shutil.copy(path, copy)
        copy.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(copy, ACCOUNT)
    cert, key = files
    tls = f"ssl = on\nssl_cert_file = '{cert}'\nssl_key_file = '{key}'\nssl_max_protocol_version = 'TLSv1.2'"
    with running_postgresql(settings=tls) as running:
        yield running


async def test_a_server_is_trusted_and_speaks_a_version_that_is_accepted(
    old: PostgresServer, certificate: tuple[Path, Path]
) -> None:
    def settings(oldest: str, ca: Path | None, parameters: str = "") -> Settings:
        url = f"postgresql://postgres@127.0.0.1:{old.port}/postgres?sslmode=verify-full{parameters}"
        return Settings(metadata_url=url, tls=Tls.model_validate({"min_version": oldest, "ca": ca}))

    assert "run at the next start" in await inspect_postgresql(settings("1.2", certificate[0]))
    with pytest.raises(Unavailable, match="SSL error"):
        await inspect_postgresql(settings("1.3", certificate[0]))
    with pytest.raises(Unavailable, match=r"root certificate|certificate verify failed"):
        await inspect_postgresql(settings("1.2", None))
    own = f"&sslrootcert={certificate[0]}&ssl_min_protocol_version=TLSv1.2"  # the URL's own word goes first
    assert "run at the next start" in await inspect_postgresql(settings("1.3", None, own))
