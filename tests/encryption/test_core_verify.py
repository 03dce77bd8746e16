"""The core's own tests of verify, over a registry that encrypts."""

import pytest

from tests.core.test_verify import *  # noqa: F403 - the tests


@pytest.fixture(autouse=True)
def _encrypted(with_encryption: None) -> None:
    """Their registries encrypt."""
