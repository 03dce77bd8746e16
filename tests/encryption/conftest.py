"""Fixtures of the tests of encryption."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gati_registry.keys import FileMasterKey
from gati_registry.settings import Encryption
from tests.core.conftest import anyio_backend, client, clock, folder, site
from tests.core.support import encrypting

__all__ = ["anyio_backend", "client", "clock", "folder", "site"]


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    """A file with a master key."""
    path = tmp_path / "master"
    asyncio.run(FileMasterKey(path).rotate())
    return path


@pytest.fixture
def with_encryption(keys_file: Path) -> Iterator[None]:
    """The core's tests have registries that encrypt."""
    with encrypting(Encryption(master="file", file=keys_file)):
        yield
