"""Which tests one worker takes together when several run side by side (`pytest -n`), and what is begun first.

A worker takes whole files: their tests share servers. Where files share what is dear to start, it takes all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

OPENSEARCH = "tests/extensions/search/test_opensearch"
"""How files begin that share an OpenSearch node: it takes half a minute to start."""

BACKENDS = re.compile(r"tests/clients/.*[\[-](postgresql(?:-s3x3)?)[]-]")
"""Tests of `tests.support.backends` other than the plainest: five servers and more for each."""

LONG: Sequence[str] = (
    "tests/client/cli/test_states.py",
    "tests/extensions/search/test_opensearch.py",
    "tests/moving/test_migrate_storage.py",
    "tests/client/test_init.py",
    "tests/client/cli/test_packing.py",
    "tests/s3/test_serving.py",
    "tests/client/test_how_to.py",
    "tests/clients/test_cosign.py",
    "tests/benchmark/test_smoke.py",
    "tests/conformance/test_replicas.py",
    "tests/conformance/test_suite.py",
    "tests/deploy/test_rolling.py",
    "tests/postgresql/test_serving.py",
    "tests/moving/test_backup.py",
    "tests/extensions/test_contract.py",
    "tests/operating/test_commands.py",
    "tests/s3/test_ceph.py",
    "tests/serving/test_shutdown.py",
    "tests/serving/test_slow_clients.py",
    "tests/serving/test_downloads.py",
    "tests/serving/test_receiving.py",
    "tests/extensions/access/test_matrix.py",
)
"""Files that take longest. They are begun first: begun last, one of them would run alone at the end."""


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out files in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(OPENSEARCH):
            return OPENSEARCH
        if backend := BACKENDS.match(nodeid):
            return backend[1]
        return nodeid.partition("::")[0]


def longest_first(items: list[pytest.Item]) -> None:
    """Sort them; among the others, and within a file, the order stays."""
    rank = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))
