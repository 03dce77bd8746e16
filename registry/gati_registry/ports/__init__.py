"""Floor 2: what the services need from the outside, as Protocols named by intent.

Times are milliseconds since the epoch, UTC; sizes and offsets are bytes. Methods of a `Transaction`'s parts await
nothing but the database, so a unit of work may be driven by hand in a writer thread and may run again.
"""

from __future__ import annotations

from gati_registry.ports.access import Admission, Alias, Authenticator, Authorizer, Request, Steady
from gati_registry.ports.clock import Clock
from gati_registry.ports.database import Metadata, Transaction, Work
from gati_registry.ports.hooks import Gate, Inspector, MembersOnly, Observer, Projection, PullGate, React
from gati_registry.ports.keys import (
    BlobKeys,
    EncryptedBlob,
    Keys,
    MasterKey,
    NamespaceKey,
    StagedKey,
    StagedKeys,
    Wrapped,
)
from gati_registry.ports.outbox import Delivery, Outbox
from gati_registry.ports.parts import Blobs, Garbage, Inventory, Leases, Manifests, Repositories, Tags, Uploads
from gati_registry.ports.rows import BlobRow, ManifestRow, PendingLink, StoredBlob
from gati_registry.ports.storage import (
    BlobReader,
    BlobStore,
    Busy,
    FileBacked,
    Fillable,
    Housekeeping,
    Receiving,
    Redirects,
    StagedReading,
    StagedWriter,
)

__all__ = [
    "Admission",
    "Alias",
    "Authenticator",
    "Authorizer",
    "BlobKeys",
    "BlobReader",
    "BlobRow",
    "BlobStore",
    "Blobs",
    "Busy",
    "Clock",
    "Delivery",
    "EncryptedBlob",
    "FileBacked",
    "Fillable",
    "Garbage",
    "Gate",
    "Housekeeping",
    "Inspector",
    "Inventory",
    "Keys",
    "Leases",
    "ManifestRow",
    "Manifests",
    "MasterKey",
    "MembersOnly",
    "Metadata",
    "NamespaceKey",
    "Observer",
    "Outbox",
    "PendingLink",
    "Projection",
    "PullGate",
    "React",
    "Receiving",
    "Redirects",
    "Repositories",
    "Request",
    "StagedKey",
    "StagedKeys",
    "StagedReading",
    "StagedWriter",
    "Steady",
    "StoredBlob",
    "Tags",
    "Transaction",
    "Uploads",
    "Work",
    "Wrapped",
]
