"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.projects import Workshop
from tests.support.server import RegistryProcess, running


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of the SDK."""
    return "asyncio"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """An open registry, a real process, for a module of tests."""
    with running(tmp_path_factory.mktemp("registry") / "data") as server:
        yield server


@pytest.fixture
def workshop(registry: RegistryProcess, tmp_path: Path) -> Workshop:
    """Publishes there, and opens projects."""
    return Workshop(registry.url, tmp_path)
