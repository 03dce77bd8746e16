"""The same over Ceph's radosgw: the contract of the blob store, what only S3 has, and the server's own pushes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gati_registry.storage.s3 import S3Blobs
from gati_registry.storage.s3.client import MIN_PART
from gati_registry.values.digest import Digest
from tests.clients.registry import digest_of
from tests.core.contract_blobs import MIB, BlobsContract, TakingContract, content, names, new_name, stage
from tests.encryption.conftest import keys_file
from tests.s3.conftest import serving
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
from tests.support.minio import BUCKET

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


class TestCeph(BlobsContract, TakingContract):
    """radosgw."""


async def test_a_multipart_upload_without_a_trace_is_given_up(
    store: S3Blobs, minio: CephServer, prefix: str, sizes: list[int]
) -> None:
    """S3 may begin one after we gave up waiting, when all else of its name is gone."""
    name, kept = new_name(), new_name()
    await stage(store, kept, content(MIN_PART))

    def unfinished() -> set[str]:
        found = minio.client._list_multipart_uploads(BUCKET, prefix=f"{prefix}/")
        return {str(upload.object_name).split("/")[-1].partition(".")[0] for upload in found.uploads}

    minio.client._create_multipart_upload(BUCKET, f"{prefix}/blobs/{name}.0123", {})
    assert unfinished() == {name, kept}
    assert name not in await names(store.staged(older_than=3_600_000))
    assert await names(store.staged(older_than=-60_000)) == {name, kept}
    await store.discard(name)
    assert unfinished() == {kept}
    assert await store.digest_staged(kept, MIN_PART, "sha256") == Digest.of(content(MIN_PART)).encoded


def test_namespaces_have_keys_of_their_own(minio: CephServer, prefix: str, tmp_path: Path) -> None:
    """By the longest prefix, for whole objects and parts; a key that S3 does not have is no key."""
    env = {"GATI_S3__KMS_KEYS": "orgs=key-1,orgs/acme=key-2,orgs/gone=absent"}
    expected = {"orgs/acme/app": "key-2", "orgs/acmee/app": "key-1", "library": None}
    with serving(tmp_path / "data", minio, prefix, **env) as (_, client):
        for number, (repository, key) in enumerate(expected.items()):
            before = minio.keys(prefix)
            for data in (content(1000, number), content(12 * MIB, number)):
                assert client.blob(repository, client.push_blob(repository, data)) == data
            made = minio.keys(prefix) - before
            assert len(made) == 2
            for name in made:
                headers = minio.headers(prefix, name)
                assert headers.get("x-amz-server-side-encryption-aws-kms-key-id") == key
        digest = digest_of(content(1000, 99))
        refused = client.request("POST", f"/v2/orgs/gone/x/blobs/uploads/?digest={digest}", content=content(1000, 99))
        assert refused.status_code == 503
