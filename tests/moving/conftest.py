"""One MinIO and one PostgreSQL for the tests that want them; a prefix and a database for each."""

from __future__ import annotations

import pytest

from tests.postgresql.conftest import server
from tests.s3.conftest import anyio_backend, minio, prefix
from tests.support.minio import PASSWORD, USER

__all__ = ["anyio_backend", "minio", "prefix", "server"]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an operator gives them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
