"""Blobs encrypted before they leave the process, over any blob store and any database.

    master key (a port: file, Vault, KMS)
      wraps  a key of each namespace            namespace_key
        wraps  a key of each blob               blob_key, one copy for every namespace that links the blob
          encrypts  the blob's frames           in the store, or in the blob's row where it is small

A blob is stored once however many namespaces link it: linking it adds a copy of its key under the namespace's, in the
same transaction; unlinking removes the copy. Rotating the master key wraps the namespaces' keys anew and touches no
blob. Destroying a namespace's key makes its blobs unreadable, but for those that another namespace links.

Two adapters, both around others: `EncryptedBlobs` around the store, `EncryptedMetadata` around the database. The
services know neither. Manifests, tags and names stay readable in the database.

An upload's own key is kept, wrapped, with each offset that was acknowledged (`staged_key`), together with the rest of
the bytes that makes no whole frame yet: the store holds whole frames only, and appends. So any replica goes on from
there, and acknowledged bytes are never written over.

Crash points of a push, beside those of the store: the key and rest of an offset that was never acknowledged, which the
next writer's replace; or those of a name whose bytes are gone, which cannot be: they go first.
"""

from gati_registry.storage.encrypted.keyring import Keyring
from gati_registry.storage.encrypted.metadata import EncryptedMetadata
from gati_registry.storage.encrypted.store import EncryptedBlobs

__all__ = ["EncryptedBlobs", "EncryptedMetadata", "Keyring"]
