"""A transaction's parts: repositories, blobs, manifests, tags, uploads, garbage, the inventory, leases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gati_registry.domain.access import EVERYTHING, Visible
from gati_registry.domain.manifest import Manifest
from gati_registry.domain.upload import Upload
from gati_registry.ports.rows import Before, BlobRow, ManifestRow, PendingLink, StoredBlob
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag


class Repositories(Protocol):
    """Repositories exist from their first blob or manifest on."""

    async def find(self, name: RepositoryName) -> int | None:
        """The repository's id, if it exists."""

    async def ensure(self, name: RepositoryName, now: int) -> int:
        """The repository's id; made if it does not exist."""

    async def page(self, after: str, limit: int, visible: Visible = EVERYTHING) -> Sequence[tuple[str, bool]]:
        """The next names after `after` of repositories that may be visible, bytewise, and whether each holds manifests.

        Fewer than `limit` come at the end alone. What is in the list is not decided by `visible`, only looked for.
        """

    async def holding(self, after: int, limit: int) -> Sequence[tuple[int, bool]]:
        """The next repositories by id, and whether each holds anything."""

    async def drop_empty(self, repository_ids: Sequence[int]) -> int:
        """Remove those of these repositories that hold nothing; how many went."""

    async def rename(self, name: RepositoryName, new: RepositoryName) -> bool:
        """Give a repository with all it holds another name; False if it is not there, or the other one is."""


class Blobs(Protocol):
    """Blobs and the links that make them visible in a repository."""

    async def find(self, repository: RepositoryName, digest: Digest) -> BlobRow | None:
        """The blob, if linked in the repository and not quarantined."""

    async def stored(self, digest: Digest) -> StoredBlob | None:
        """The sound blob with this digest, linked anywhere or nowhere."""

    async def add(self, digest: Digest, size: int, stored_name: str | None, data: bytes | None, now: int) -> int:
        """Store a blob, or give a quarantined one sound bytes again; its id. To be linked at once: it is no orphan."""

    async def link(self, repository_id: int, blob_id: int, now: int, *, fresh: bool = False) -> bool:
        """Make the blob visible in the repository and renew its lease; `fresh` if it was added just before.

        Whether it was not visible there: of several at once only the first is told so.
        """

    async def renew(self, repository: RepositoryName, digest: Digest, now: int) -> bool:
        """Renew the lease of a link that exists; False if it does not."""

    async def missing(self, repository_id: int, digests: Sequence[Digest]) -> Sequence[Digest]:
        """Those that are neither a linked blob nor a manifest of the repository."""

    async def unlink(self, repository_id: int, blob_id: int, now: int) -> None:
        """Take the blob out of the repository at once."""

    async def linking(self, digest: Digest, limit: int) -> Sequence[RepositoryName]:
        """Some repositories that link the blob."""


class Manifests(Protocol):
    """Manifests of a repository, with what they refer to."""

    async def find(self, repository: RepositoryName, reference: Tag | Digest) -> ManifestRow | None:
        """The manifest under a tag or digest."""

    async def data(self, repository: RepositoryName, digest: Digest) -> bytes | None:
        """A manifest's bytes."""

    async def before(self, repository: RepositoryName, digest: Digest, tags: Sequence[Tag]) -> Before | None:
        """What a push of the manifest under these tags finds; None where there is no such repository."""

    async def add(self, repository_id: int, digest: Digest, manifest: Manifest, data: bytes, now: int) -> int:
        """Store a manifest and its references, and hold the blobs it needs; its id. Again is no error."""

    async def remove(self, repository_id: int, digest: Digest, now: int) -> bool:
        """Remove a manifest, its tags and its entry as referrer; release its blobs. False if unknown."""

    async def holders(self, repository_id: int, digest: Digest) -> Sequence[Digest]:
        """Some manifests here that refer to the digest."""

    async def referrers(
        self,
        repository: RepositoryName,
        subject: Digest,
        artifact_type: str | None,
        after: str,
        limit: int,
        hidden: str | None = None,
    ) -> Sequence[tuple[str, str]]:
        """(digest, encoded descriptor) of manifests with this subject, by digest, after `after`.

        Without those that are `hidden`, a condition as `MembersOnly` has it. At most `limit`, and none after those that
        fill a page of `domain.referrers.MAX_BODY` bytes.
        """


class Tags(Protocol):
    """Tags of a repository."""

    async def point(self, repository_id: int, tag: Tag, manifest_id: int, now: int) -> None:
        """Make the tag name the manifest."""

    async def remove(self, repository_id: int, tag: Tag) -> bool:
        """Remove a tag; False if unknown."""

    async def page(self, repository_id: int, after: str, limit: int, hidden: str | None = None) -> Sequence[str]:
        """Tags, bytewise, after `after`; without those of manifests that are `hidden`."""

    async def naming(self, repository: RepositoryName, digest: Digest, limit: int) -> Sequence[str]:
        """Tags that name a manifest."""


class Uploads(Protocol):
    """Rows of upload sessions, from their first claim on; those that ended remain as tombstones for a while."""

    async def find(self, upload_id: str, repository: RepositoryName) -> Upload | None:
        """A session of the repository that has a row, ended or not."""

    async def claim(self, upload: Upload, now: int, *, make: bool) -> Upload | None:
        """Become its one writer; the session as it stands, with its new epoch. None where it has ended.

        One without a row gets it with `make`; otherwise it counts as ended.
        """

    async def advance(self, upload: Upload, *, received: int, staged: str | None, data: bytes | None, now: int) -> bool:
        """Acknowledge bytes, held under `staged` or in `data`, as the holder of its epoch.

        False if another took over or it has ended.
        """

    async def close(self, upload: Upload) -> bool:
        """End the session as the holder of its epoch, leaving a tombstone; False if another took over or ended it."""

    async def count(self, repository: RepositoryName) -> int:
        """Open sessions of a repository that have a row."""

    async def idle(self, before: int, limit: int) -> Sequence[Upload]:
        """Open sessions not touched since `before`."""

    async def forget(self, before: int, limit: int) -> int:
        """Remove tombstones of sessions issued before `before`; how many."""

    async def known(self, upload_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are open sessions with a row."""


class Garbage(Protocol):
    """Garbage collection's questions and steps; every step checks its condition again."""

    async def pending(self, before: int, after: tuple[int, int], limit: int) -> Sequence[PendingLink]:
        """Links pending since before `before`, in the order of (repository, blob)."""

    async def condemn(self, link: PendingLink, before: int, now: int) -> bool | None:
        """Soft-delete an unreferenced link: True; hold a referenced one: False; leave a renewed one: None."""

    async def condemned(self, before: int, limit: int) -> Sequence[PendingLink]:
        """Links condemned before `before`."""

    async def drop(self, link: PendingLink, before: int, now: int) -> bool:
        """Unlink a link still condemned."""

    async def revive(self, now: int) -> int:
        """Undo: lift every condemnation; how many."""

    async def orphans(self, limit: int) -> Sequence[StoredBlob]:
        """Blobs that no repository links."""

    async def claim(self, blob: StoredBlob, now: int) -> bool:
        """Remove an orphan's row and put its stored name in the trash; False if it was linked meanwhile."""

    async def trash(self, before: int, limit: int) -> Sequence[tuple[str, int]]:
        """(stored name, size) thrown away before `before`."""


class Inventory(Protocol):
    """What verification walks through, and what it may mark; also the trash's bookkeeping."""

    async def blobs(self, after: int, limit: int) -> Sequence[tuple[StoredBlob, bytes | None]]:
        """Blobs with their inline bytes, in the order of their ids."""

    async def manifests(self, after: int, limit: int) -> Sequence[tuple[int, str, Digest, bytes]]:
        """(id, repository, digest, bytes) in the order of ids."""

    async def quarantine_blob(self, blob: StoredBlob, now: int) -> None:
        """Serve the blob no more until it is pushed again."""

    async def quarantine_manifest(self, manifest_id: int, now: int) -> None:
        """Serve the manifest no more until it is pushed again."""

    async def quarantined(self) -> Sequence[StoredBlob]:
        """Blobs that were found damaged and did not come again."""

    async def quarantined_manifests(self) -> Sequence[tuple[int, str, Digest]]:
        """(id, repository, digest) of manifests that were found damaged and did not come again."""

    async def mend_blob(self, digest: Digest, stored_name: str) -> bool:
        """Give a quarantined blob sound bytes; False if it is none any more."""

    async def mend_manifest(self, manifest_id: int, data: bytes) -> None:
        """Give a quarantined manifest sound bytes."""

    async def names_in_use(self, stored_names: Sequence[str]) -> set[str]:
        """Those of the names that a blob or the trash holds."""

    async def forget_trash(self, stored_names: Sequence[str]) -> None:
        """The bytes of these names are gone."""


class Leases(Protocol):
    """Named locks that expire; and small facts that all workers share."""

    async def acquire(self, name: str, holder: str, now: int, until: int) -> bool:
        """Take or renew a lease; False while another holds it."""

    async def release(self, name: str, holder: str) -> None:
        """Give a lease back."""

    async def held(self, name: str, now: int) -> bool:
        """Whether anybody has the lease."""

    async def get_fact(self, name: str) -> str | None:
        """A stored fact."""

    async def set_fact(self, name: str, value: str) -> None:
        """Store a fact."""

    async def ensure_fact(self, name: str, value: str) -> str:
        """The stored fact; `value` becomes it where there is none, once for all replicas."""
