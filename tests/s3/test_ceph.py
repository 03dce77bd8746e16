"""The same over Ceph's radosgw: the contract of the blob store, what only S3 has, and the server's own pushes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.contract_blobs import BlobsContract
from tests.encryption.conftest import keys_file
from tests.s3.test_contract import (
    address,
    another,
    sizes,
    store,
    test_a_large_download_asks_for_few_ranges_and_holds_little,
    test_a_name_whose_bytes_may_be_put_together_late_is_not_free,
    test_a_writer_that_was_taken_over_can_do_no_harm,
    test_an_object_of_an_upload_under_way_is_no_stray,
    test_names_of_another_store_are_nothing_here,
    test_parts_outlive_their_publication,
)
from tests.s3.test_encrypted import test_an_upload_goes_on_in_another_replica
from tests.s3.test_serving import (
    test_crane_and_oras_push_and_pull,
    test_odd_chunks_go_on_after_kill_9_and_in_another_process,
)
from tests.support.ceph import CephServer, running_ceph

__all__ = [
    "address",
    "another",
    "keys_file",
    "sizes",
    "store",
    "test_a_large_download_asks_for_few_ranges_and_holds_little",
    "test_a_name_whose_bytes_may_be_put_together_late_is_not_free",
    "test_a_writer_that_was_taken_over_can_do_no_harm",
    "test_an_object_of_an_upload_under_way_is_no_stray",
    "test_an_upload_goes_on_in_another_replica",
    "test_crane_and_oras_push_and_pull",
    "test_names_of_another_store_are_nothing_here",
    "test_odd_chunks_go_on_after_kill_9_and_in_another_process",
    "test_parts_outlive_their_publication",
]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CephServer]:
    """Here it is radosgw."""
    with running_ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server


class TestCeph(BlobsContract):
    """radosgw."""
