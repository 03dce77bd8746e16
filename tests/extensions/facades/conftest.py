"""Fixtures of the façades' tests."""

from __future__ import annotations

import pytest

from tests.extensions.facades.support import EXTENSIONS


@pytest.fixture
def extensions() -> str:
    """The façades too."""
    return EXTENSIONS
