"""What holds for all tests."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgresql import PostgresServer, running_postgresql
from tests.support.spread import Spread, longest_first

# The tests start Python thousands of times: without the bytecode caches each start compiles every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# On a busy machine an example may take any time: that says nothing of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """With `-n`, folders of our own: each further run of pytest, and tests make such, removes older numbered ones, and
    nothing tells it that workers are in them."""
    if getattr(config.option, "numprocesses", None) and config.option.basetemp is None:
        folder = tempfile.mkdtemp(prefix="gati-tests-")
        os.chmod(folder, 0o711)  # PostgreSQL's account may pass
        config.option.basetemp = os.path.join(folder, "t")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A server for all that want a database of it and leave the server as it is."""
    with running_postgresql() as running:
        yield running


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n`, after fixtures of a wide scope have put their tests together."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto`: one more than there are cores, since tests wait for other processes a lot; a few at most, since
    each starts servers of its own."""
    return min(len(os.sched_getaffinity(0)) + 1, 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Spread:
    """With `-n`: who runs what."""
    config.option.loadscopereorder = False
    return Spread(config, log)
