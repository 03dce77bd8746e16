"""The core's own tests of crashes, over a registry that encrypts."""

import pytest

from tests.core.test_crashes import *  # noqa: F403 - the tests


@pytest.fixture(autouse=True)
def _encrypted(with_encryption: None) -> None:
    """Their registries encrypt."""
