"""One server for all attacks: at the end of each test it must be the same process, with nothing to complain of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite(
    "tests.hostile.content", "tests.hostile.spec", "tests.hostile.trace", "tests.hostile.health"
)

from tests.hostile.content import SEED  # noqa: E402
from tests.hostile.core import core  # noqa: E402
from tests.hostile.health import Watch, assert_whole  # noqa: E402
from tests.support.server import RegistryProcess  # noqa: E402


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """The server; after the last attack its content is whole."""
    with core(tmp_path_factory.mktemp("hostile") / "data") as server:
        SEED.plant(server)
        yield server
        SEED.check(server)
        data = server.data
    assert_whole(data)


@pytest.fixture
def registry(attacked: RegistryProcess) -> Iterator[RegistryProcess]:
    """The server, watched for one test."""
    watch = Watch(attacked)
    yield attacked
    watch.check()
