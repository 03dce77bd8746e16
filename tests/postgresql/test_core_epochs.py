"""One writer of a session at a time, over PostgreSQL: the core's own tests."""

import pytest

from tests.core.test_epochs import *  # noqa: F403 - the tests


@pytest.fixture(autouse=True)
def _shared(on_postgresql: None) -> None:
    """Their registries have databases of the server."""
