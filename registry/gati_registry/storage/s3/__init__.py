"""Blobs as objects of an S3 bucket, written without touching a local disk.

    <prefix>blobs/<staged name>.<generation>       published, or in parts that are still being uploaded
    <prefix>staged/<name>/state                    which multipart upload holds the staged bytes
    <prefix>staged/<name>/tail-<offset>            the staged bytes before that offset that make no part yet
    <prefix>staged/<name>/writer-<generation>      somebody writes, or died at it; renewed while he does
    <prefix>quarantine/<stored name>               damaged, kept for people to look at

A blob's parts are uploaded under the key that it keeps, so nothing is copied at the end: the database maps its digest
to that key. Parts of less than 5 MiB are refused by S3 except as the last one; what is left of a chunk is an object of
its own, written before the offset is acknowledged and read again when the upload goes on, here or in another replica.

S3 has no locks. A writer's object keeps others off while it is there, and stays if the writer dies or if S3 did not
say whether a write happened. Who finds one goes on under another name: what was acknowledged is put together, which
ends the multipart upload, so whatever the earlier writer still sends is refused by S3 itself; and it is copied to the
new name within S3.

Parts that were put together can be read; until then S3 shows them to nobody. So bytes that are read again for their
digest are put together first, and if the upload goes on after all, copied within S3 to a new key.

Crash points of a push: a writer's object, a state, tails, parts without a row; or an object without one. Nothing of it
is served. The collector finds names below `staged/` and objects below `blobs/` and removes them once they are old; an
object whose staged name is still there belongs to an upload under way and is left alone.
"""

from gati_registry.storage.s3.client import Address, Bucket, Options, encryption
from gati_registry.storage.s3.store import S3Blobs

__all__ = ["Address", "Bucket", "Options", "S3Blobs", "encryption"]
