"""Accounts of a directory on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.support import FakeClock
from tests.extensions.identity.support import Site, prepared, worker
from tests.extensions.identity.test_ldap import (
    certificate,
    ldap,
    person,
    slapd,
    test_a_name_that_is_taken_here_stays_whose_it_is,
    test_all_ways_in,
    test_groups_come_and_go_with_each_login,
    test_whoever_is_disabled_there_is_refused_here,
)
from tests.support.postgresql import PostgresServer
from tests.support.slapd import Slapd

__all__ = [
    "certificate",
    "person",
    "slapd",
    "test_a_name_that_is_taken_here_stays_whose_it_is",
    "test_all_ways_in",
    "test_groups_come_and_go_with_each_login",
    "test_whoever_is_disabled_there_is_refused_here",
]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(
    postgresql: PostgresServer,
    folder: Path,
    clock: FakeClock,
    slapd: Slapd,
    certificate: tuple[Path, Path],
) -> AsyncIterator[Site]:
    """A replica that asks the directory."""
    with postgresql.database() as name:
        settings = await prepared(folder, metadata_url=postgresql.url(name), **ldap(folder, slapd, certificate))
        async with worker(settings, clock) as built:
            yield built
