"""What every index does, in OpenSearch."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence

import apsw
import pytest

from gati_extensions.search.opensearch import Server
from gati_extensions.search.ports import SearchIndex
from gati_registry.extension import Visible
from tests.extensions.search.contract import *  # noqa: F403 - all of them
from tests.extensions.search.support import Refreshing
from tests.support.opensearch import OpenSearchNode

pytestmark = pytest.mark.anyio


async def existing(names: Sequence[str], visible: Visible) -> Sequence[str]:
    """The database's part, where all artifacts are there: the condition decides."""
    condition, values = visible.where("name")
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE artifact (name TEXT)")
    connection.executemany("INSERT INTO artifact VALUES (?)", [(name,) for name in names])
    rows = connection.execute(f"SELECT name FROM artifact WHERE {condition}", values).fetchall()
    return [str(row[0]) for row in rows]


@pytest.fixture
async def index(opensearch_node: OpenSearchNode) -> AsyncIterator[SearchIndex]:
    """An empty one that serves."""
    server = Server.parse(f"opensearch+{opensearch_node.url}", timeout=30)
    prefix = f"c{uuid.uuid4().hex}"
    made = Refreshing(server, existing, prefix=prefix)
    await made.begin()
    await made.switch()
    yield made
    await made.client.indices.delete(index=f"{prefix}-*")
    await made.close()
