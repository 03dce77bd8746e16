"""Fixtures of the search tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.opensearch import OpenSearchNode, opensearch


@pytest.fixture(scope="session")
def opensearch_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchNode]:
    """One node for all tests; each takes a prefix of its own."""
    with opensearch(tmp_path_factory.mktemp("opensearch")) as node:
        yield node
