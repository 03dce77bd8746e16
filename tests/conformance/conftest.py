"""One open server of ours for all tests that look at the suite rather than at the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import RegistryProcess, running


@pytest.fixture(scope="package")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """Our server, open, one worker; references that are missing are refused."""
    with running(tmp_path_factory.mktemp("conformance") / "data") as server:
        yield server
