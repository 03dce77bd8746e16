"""What we rely on in the S3 client beyond its public methods."""

from __future__ import annotations

import inspect

from minio import Minio

from gati_registry.storage.s3.client import PRIVATE

KNOWN = {
    "_abort_multipart_upload": "(self, bucket_name, object_name, upload_id)",
    "_complete_multipart_upload": "(self, bucket_name, object_name, upload_id, parts, ssec=None)",
    "_create_multipart_upload": "(self, bucket_name, object_name, headers)",
    "_list_multipart_uploads": "(self, bucket_name, delimiter=None, encoding_type=None, key_marker=None,"
    " max_uploads=None, prefix=None, upload_id_marker=None, extra_headers=None, extra_query_params=None)",
    "_list_parts": "(self, bucket_name, object_name, upload_id, max_parts=None, part_number_marker=None,"
    " extra_headers=None, extra_query_params=None)",
    "_put_object": "(self, bucket_name, object_name, data, headers=None, query_params=None)",
    "_upload_part": "(self, bucket_name, object_name, data, headers, upload_id, part_number)",
    "_upload_part_copy": "(self, bucket_name, object_name, upload_id, part_number, headers)",
}
"""As of minio 7.2.20. Where a new version differs, look at `storage/s3/client.py` before this is changed."""


def test_the_clients_private_methods_are_as_they_were() -> None:
    assert set(KNOWN) == set(PRIVATE)
    for name, expected in KNOWN.items():
        signature = inspect.signature(getattr(Minio, name))
        bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
        assert str(inspect.Signature(bare)) == expected, name
