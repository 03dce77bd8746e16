"""Fixtures of the identity tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock
from tests.extensions.identity.support import Site, prepared, started, worker
from tests.support.templates import copied_folder


@pytest.fixture
async def site(folder: Path, clock: FakeClock) -> AsyncIterator[Site]:
    """A registry where everybody may sign up."""
    await copied_folder("identity", folder, started)
    settings = await prepared(folder, signup="open")
    async with worker(settings, clock) as built:
        yield built
