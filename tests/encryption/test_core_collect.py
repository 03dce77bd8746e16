"""The core's own tests of collect, over a registry that encrypts."""

import pytest

from gati_registry.bootstrap import Registry
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName
from tests.core.support import READERS, Client, FakeClock, sha256
from tests.core.test_collect import *  # noqa: F403 - the tests
from tests.core.test_collect import LARGE, push


@pytest.fixture(autouse=True)
def _encrypted(with_encryption: None) -> None:
    """Their registries encrypt."""


async def test_a_reader_finishes_what_it_began(  # type: ignore[no-redef]
    site: Registry, client: Client, clock: FakeClock
) -> None:
    """But a blob's key goes with its row: who looked it up just before and opens it after is told that it is gone."""
    assert await push(client, LARGE)
    row = await site.metadata.read(lambda tx: tx.blobs.find(RepositoryName("a"), Digest.of(LARGE)))
    assert row is not None
    assert row.stored_name is not None
    early = await site.blobs.open(row.stored_name)
    assert (await client.request("DELETE", f"/v2/a/blobs/{sha256(LARGE)}")).status == 202
    assert (await site.collector.run(strays=False)).claimed == 1
    with pytest.raises(FileNotFoundError):
        await site.blobs.open(row.stored_name)
    clock.advance(READERS + 1)
    assert (await site.collector.run(strays=False)).freed_bytes == len(LARGE)
    assert bytes(await early.read(0, len(LARGE))) == LARGE
    early.close()
