"""What a statement costs does not grow with the number of namespaces; on SQLite, by its own count of steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.filling import Filler, SqliteTarget, even

from tests.core.conftest import anyio_backend, folder
from tests.core.test_scale import Steps, counted, grown
from tests.extensions.access.support import configured, world
from tests.extensions.scale import Few

__all__ = ["anyio_backend", "folder"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SMALL, LARGE, HELD = 700, 3_000, 5
"""Namespaces: more than one look at them takes in both."""


async def _steps(data: Path, namespaces: int) -> Steps:
    data.mkdir()
    async with world(data):
        pass  # makes the schema
    target = SqliteTarget(configured(data).metadata_path)
    Filler(target, namespaces=True).fill(even(range(namespaces), HELD))
    target.close()
    with counted() as steps:
        async with world(data) as site:
            few = Few(site, namespaces, HELD)
            await few.join()
            for _, operation in few.operations():
                await operation()
    return steps


async def test_no_statement_costs_more_where_more_namespaces_are(folder: Path) -> None:
    small, large = await _steps(folder / "small", SMALL), await _steps(folder / "large", LARGE)
    assert not grown(small, large)
