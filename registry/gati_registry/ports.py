"""Floor 2: what the services need from the outside, as Protocols named by intent.

Times are milliseconds since the epoch, UTC; sizes and offsets are bytes. Methods of a `Transaction`'s parts await
nothing but the database, so a unit of work may be driven by hand in a writer thread and may run again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from gati_registry.domain.access import EVERYTHING, Access, Decision, Identity, Visible
from gati_registry.domain.events import Change, Event, Pull, Push, Refusal, Verdict
from gati_registry.domain.manifest import Manifest
from gati_registry.domain.upload import Upload
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag

T = TypeVar("T")


class Clock(Protocol):
    """The time of day."""

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""


# --- rows -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A blob as linked in one repository.

    Exactly one of `stored_name` and `data` is set, unless the blob is `quarantined`. `pending_since` is the last use
    of a link that no manifest was known to need, `condemned` its soft deletion.
    """

    id: int
    digest: Digest
    size: int
    stored_name: str | None
    data: bytes | None
    pending_since: int | None
    condemned: bool


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A stored manifest without its bytes."""

    digest: Digest
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob's place in the store, whatever links it."""

    id: int
    digest: Digest
    size: int
    stored_name: str | None


# --- the database -----------------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class PendingLink:
    """A link that no manifest was known to need."""

    repository_id: int
    repository: str
    blob_id: int
    digest: Digest
    size: int
    referenced: bool


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


@dataclass(frozen=True, slots=True)
class NamespaceKey:
    """A namespace's key, wrapped by the master key of that id."""

    id: int
    namespace: str
    master: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class EncryptedBlob:
    """A blob whose bytes are encrypted in frames of `frame_bytes` plain bytes.

    `wraps` are copies of its key, each with the id of the namespace's key that wraps it.
    """

    blob_id: int
    digest: Digest
    size: int
    frame_bytes: int
    wraps: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class StagedKey:
    """The key of staged bytes as far as `received`, with the encrypted rest of them that makes no frame yet."""

    name: str
    received: int
    wrapped: bytes
    tail: bytes


class Keys(Protocol):
    """Namespaces' keys, as the master key wrapped them."""

    async def live(self, namespace: str) -> NamespaceKey | None:
        """The key that the namespace uses; nobody destroys it before the transaction's end."""

    async def find(self, key_id: int) -> NamespaceKey | None:
        """A key that was not destroyed."""

    async def add(self, namespace: str, master: str, wrapped: bytes, now: int) -> None:
        """Give the namespace a key, unless it has one."""

    async def page(self, after: int, limit: int) -> Sequence[NamespaceKey]:
        """Keys that were not destroyed, in the order of their ids."""

    async def rewrap(self, key: NamespaceKey, master: str, wrapped: bytes) -> bool:
        """Keep the same key under another master key; False if it was changed meanwhile."""

    async def hold(self, key: NamespaceKey) -> None:
        """Let nobody wrap anything with it until the transaction's end."""

    async def shred(self, key: NamespaceKey, limit: int, now: int) -> tuple[int, int]:
        """Drop copies of blobs' keys that it wraps; how many, and how many of the blobs are lost by it.

        A lost blob is served no more until it is pushed again, and its bytes go to the trash.
        """

    async def destroy(self, key: NamespaceKey, now: int) -> None:
        """Forget it."""


class BlobKeys(Protocol):
    """Encrypted blobs' keys, as namespaces' keys wrapped them."""

    async def of(self, blob_id: int) -> EncryptedBlob | None:
        """What opens a blob; None where its bytes are plain."""

    async def of_stored(self, stored_name: str) -> EncryptedBlob | None:
        """The same by its stored name.

        Raises:
            FileNotFoundError: no blob has it, or none any more; whether its bytes are plain nobody knows.
        """

    async def encrypted(self, blob_id: int, frame_bytes: int | None) -> None:
        """Note that a blob has new bytes, encrypted or plain; copies of the former ones' key are forgotten."""

    async def add(self, blob_id: int, key_id: int, wrapped: bytes) -> None:
        """Keep a copy of a blob's key, unless there is one by that namespace's key."""

    async def repository(self, repository_id: int) -> str:
        """A repository's name."""

    async def linking(self, blob_id: int) -> Sequence[str]:
        """Names of all repositories that link a blob."""

    async def linked(self, repository_id: int) -> Sequence[int]:
        """Encrypted blobs that a repository links."""

    async def drop(self, blob_id: int, namespace: str) -> None:
        """Forget a namespace's copies of a blob's key, if repositories link the blob and none is below it."""


class StagedKeys(Protocol):
    """Keys of uploads' staged bytes."""

    async def find(self, name: str, received: int) -> StagedKey | None:
        """The key at an offset that was kept."""

    async def keep(self, key: StagedKey, before: int | None) -> None:
        """Keep it; forget all others of the name but that at the offset `before`."""

    async def forget(self, name: str) -> None:
        """Forget all of a name."""


class Transaction(Protocol):
    """The database's parts within one unit of work, and plain SQL for extensions' own tables."""

    @property
    def repositories(self) -> Repositories:
        """Repositories."""

    @property
    def blobs(self) -> Blobs:
        """Blobs and links."""

    @property
    def manifests(self) -> Manifests:
        """Manifests."""

    @property
    def tags(self) -> Tags:
        """Tags."""

    @property
    def uploads(self) -> Uploads:
        """Upload sessions."""

    @property
    def garbage(self) -> Garbage:
        """The collector's steps."""

    @property
    def inventory(self) -> Inventory:
        """What verification walks."""

    @property
    def leases(self) -> Leases:
        """Leases and facts."""

    @property
    def outbox(self) -> Outbox:
        """Events for reactions."""

    @property
    def keys(self) -> Keys:
        """Namespaces' keys."""

    @property
    def blob_keys(self) -> BlobKeys:
        """Encrypted blobs' keys."""

    @property
    def staged_keys(self) -> StagedKeys:
        """Staged bytes' keys."""

    @property
    def concurrent(self) -> bool:
        """Whether other transactions change rows while this one, which changes some, runs: a SELECT may lock then."""

    async def one(self, sql: str, **values: Any) -> tuple[Any, ...] | None:
        """The first row of a statement with `:name` parameters."""

    async def all(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """All its rows."""

    async def run(self, sql: str, **values: Any) -> int:
        """Execute it; the number of rows changed."""

    def items(self, parameter: str) -> str:
        """A table expression `item` with the column `value`: the strings of a parameter that is a JSON array."""


Work = Callable[[Transaction], Coroutine[Any, Any, T]]


class Metadata(Protocol):
    """The database."""

    async def write(self, work: Work[T]) -> T:
        """Run a unit of work; returns after its commit is durable. `work` may run more than once.

        Raises:
            Unavailable: the database is gone, full or too busy; nothing was written.
        """

    async def read(self, work: Work[T]) -> T:
        """Run short look-ups on committed data; does not block longer than a few index descents."""

    async def scan(self, work: Work[T], *, may_lag: bool = False) -> T:
        """Run look-ups of many rows on one snapshot, aside from the short ones.

        With `may_lag` the snapshot may be some seconds old, of a read replica: for what nobody asks who has just
        changed it.
        """

    def revision(self) -> bytes | None:
        """Something that changes with every commit of any process; None where there is no such cheap thing."""

    def tell(self) -> None:
        """Where there is no revision: let other processes know that what they remember for a moment has changed.

        A hint: they hear of it soon, or never.
        """

    def heard(self) -> int:
        """Grows with what other processes have told."""

    async def check(self) -> None:
        """Raise Unavailable unless the database answers."""

    async def close(self) -> None:
        """Finish what was begun and let go of it."""


# --- the blob store ---------------------------------------------------------------------------------------------


class StagedWriter(Protocol):
    """Appends to staged bytes; one at a time. Must be closed."""

    async def write(self, chunk: bytes) -> None:
        """Append; may return before the bytes are down."""

    async def sync(self) -> None:
        """Return when all that was written is durable."""

    def digest(self, algorithm: str) -> str | None:
        """Hexadecimal digest of all bytes from the first on, where it was kept running; call after `sync`."""

    def acknowledged(self) -> None:
        """What was synced is committed and stays: what is known of it may be kept for the next writer."""

    def give_up(self) -> None:
        """What was not acknowledged is not wanted: its room is free again once this is closed."""

    async def close(self) -> None:
        """Let go; bytes not synced may be lost."""


class BlobReader(Protocol):
    """Reads one blob; must be closed."""

    async def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end."""

    def close(self) -> None:
        """Let go."""


class BlobStore(Protocol):
    """Bytes by name. Names are made by the caller, used once and never again."""

    async def stage(
        self, name: str, offset: int, *, algorithm: str | None, expected: int | None, owner: str = ""
    ) -> StagedWriter:
        """Write to a staged name from `offset` on (0 makes it); `expected` bytes are announced to follow.

        Without an `algorithm` no digest is kept running. `owner` is the repository that the bytes are pushed to, for
        stores that keep those of some apart.

        Raises:
            Busy: an earlier writer of this name is still at it.
            FileNotFoundError: there are no staged bytes to go on from.
        """

    async def digest_staged(self, name: str, size: int, algorithm: str) -> str:
        """Read staged bytes again; their hexadecimal digest."""

    async def copy_staged(self, source: str, target: str, size: int) -> None:
        """Make `target` of the first `size` staged bytes of `source`, durable."""

    async def publish(self, name: str, digest: Digest, size: int) -> str:
        """Make a blob of staged bytes; its stored name, durable. The staged name stays until it is discarded.

        Raises:
            FileNotFoundError: there are no such staged bytes.
        """

    async def discard(self, name: str) -> None:
        """Remove staged bytes; no error if there are none."""

    async def open(self, stored_name: str) -> BlobReader:
        """Open a blob.

        Raises:
            FileNotFoundError: no such bytes.
        """

    async def remove(self, stored_name: str) -> None:
        """Remove a blob's bytes; no error if there are none."""

    async def check(self) -> None:
        """Raise Unavailable unless the store answers."""


class Busy(Exception):
    """An earlier writer of the same staged name is still at it."""


class Housekeeping(Protocol):
    """A second, optional side of a blob store: what verification and the collector need beside the service."""

    def strays(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        """Batches of stored names found in the store, written at least `older_than` milliseconds ago."""

    def staged(self, *, older_than: int) -> AsyncIterator[Sequence[str]]:
        """Batches of staged names without a writer, untouched for `older_than` milliseconds."""

    async def quarantine(self, stored_name: str) -> None:
        """Move a damaged blob's bytes aside; never deletes."""


class StagedReading(Protocol):
    """A capability of a blob store: staged bytes can be looked at."""

    async def open_staged(self, name: str, size: int) -> BlobReader:
        """A reader of the first `size` staged bytes, at an offset that was synced.

        Raises:
            FileNotFoundError: they are not there.
        """


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A key that a master key wrapped; `master` is that one's id."""

    master: str
    data: bytes


class MasterKey(Protocol):
    """The key above all others, which rotates: older versions unwrap what they wrapped, the current one wraps.

    Every method raises Unavailable where the key is not to be had or does not fit.
    """

    async def current(self) -> str:
        """Id of the version that wraps."""

    async def wrap(self, key: bytes, context: str) -> Wrapped:
        """Wrap a key of 32 bytes; `context` is needed again to unwrap it."""

    async def unwrap(self, wrapped: Wrapped, context: str) -> bytes:
        """The key."""

    async def rotate(self) -> str:
        """Make a new version, which wraps from now on; its id."""


class Receiving(Protocol):
    """A capability of a blob store that takes blobs over from another one, under the stored names they have there."""

    async def size(self, stored_name: str) -> int | None:
        """How many bytes a blob has here; None where there is none."""

    async def receive(self, stored_name: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a blob under its name, durable and all at once. Again is no error.

        Where `chunks` raises, or the process ends, the name holds what it held before.
        """


class Redirects(Protocol):
    """A capability of a blob store whose bytes clients may fetch by themselves."""

    async def url(self, stored_name: str) -> str | None:
        """A URL that lets anyone read the blob for a short while; None where it has to be read through us."""


# --- who may ----------------------------------------------------------------------------------------------------


class Request(Protocol):
    """A request's outside, as far as it can tell who sent it."""

    @property
    def method(self) -> str:
        """GET, PUT, …"""

    @property
    def path(self) -> str:
        """The path as it was sent, percent-encoding and all."""

    @property
    def address(self) -> str:
        """The client's address, as far as proxies in front are trusted; empty if unknown."""

    @property
    def origin(self) -> str:
        """Scheme, host and port under which the client reached us: `https://registry.example`."""

    @property
    def certificate(self) -> bytes | None:
        """The client's certificate (DER), checked against the configured authority."""

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""


class Authenticator(Protocol):
    """Turns credentials into an identity."""

    async def authenticate(self, request: Request) -> Identity | None:
        """Who sent this; None where the request holds no credentials of this kind.

        Raises:
            RegistryError: UNAUTHORIZED, the credentials are of this kind and prove nothing.
        """


class Admission(Protocol):
    """Looks at each request after it was decided on and before it is answered: limits of rates and of use."""

    async def __call__(
        self, request: Request, identity: Identity, access: Access, decision: Decision
    ) -> Refusal | None:
        """Why the request is not answered now, if so. Microseconds, no I/O."""


class Alias(Protocol):
    """Knows earlier names of repositories."""

    async def __call__(self, name: RepositoryName) -> RepositoryName:
        """The name under which a repository is read now; the same if it has no other. Microseconds."""


class Authorizer(Protocol):
    """The one decision point."""

    async def decide(self, identity: Identity, access: Access) -> Decision:
        """Whether the identity may."""

    async def visible(self, identity: Identity) -> Visible:
        """Which repositories the identity may see."""

    def challenge(self, accesses: Sequence[Access], request: Request) -> str:
        """The `WWW-Authenticate` value that leads to credentials for these accesses."""


@runtime_checkable
class Steady(Protocol):
    """A capability of an authorizer that knows which of its decisions hold for every request alike."""

    def steady(self, identity: Identity, access: Access) -> bool:
        """Whether what was just decided holds for any request of this identity, as long as nobody commits anything.

        Then neither this nor authenticators are asked again, for requests with byte for byte the same head from the
        same address, for a quarter of a second.
        """


# --- hooks: what extensions do in the course of an operation ----------------------------------------------------


class Inspector(Protocol):
    """Looks at a manifest before its transaction; may read blobs."""

    async def __call__(self, push: Push) -> Mapping[str, Any] | Refusal | None:
        """Facts for gates and projections, or why it is refused."""


class Gate(Protocol):
    """Judges an operation in its transaction; no I/O but `tx`, no side effect, may run again."""

    async def __call__(self, tx: Transaction, change: Change) -> Refusal | None:
        """Why the operation does not happen, if so."""


class Projection(Protocol):
    """Writes what an operation means to its extension's own tables, in the operation's transaction."""

    async def __call__(self, tx: Transaction, change: Change) -> None:
        """May run again."""


class PullGate(Protocol):
    """Judges content before it is served."""

    async def version(self) -> str:
        """Changes whenever a verdict may change; asked for each pull, so it costs microseconds."""

    async def judge(self, pull: Pull) -> Verdict:
        """The verdict; kept by (repository, digest, version)."""


class MembersOnly(Protocol):
    """What of a repository only members of its namespace get to see: to others it is not there."""

    @property
    def manifests(self) -> str:
        """Which manifests, as an SQL condition for lists; `{repository}` and `{digest}` stand for the columns' names.

        A pull gate says the same of a single one.
        """

    async def blob(self, repository: RepositoryName, digest: Digest) -> bool:
        """Whether the blob is for members; asked at every request for one, so usually without a query."""


Observer = Callable[[Sequence[Event]], Awaitable[None]]
"""Is told of what happened in batches, about once a second; a crash may lose the last one."""

React = Callable[[Event], Awaitable[None]]
"""Does something about an event, after its commit; at least once, idempotent by the event's id."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one reaction. `attempts` were made before this one."""

    id: int
    reaction: str
    event: Event
    attempts: int


class Outbox(Protocol):
    """Events that reactions are still to be told of."""

    async def add(self, reaction: str, event: Event, now: int) -> None:
        """Keep an event for a reaction."""

    async def due(self, now: int) -> bool:
        """Whether there may be something to claim."""

    async def claim(self, holder: str, now: int, until: int, limit: int) -> Sequence[Delivery]:
        """Lease what is due; of one reaction and repository only the oldest."""

    async def done(self, delivery: Delivery, holder: str) -> None:
        """It was delivered."""

    async def retry(self, delivery: Delivery, holder: str, due: int, error: str) -> None:
        """It failed and is due again at `due`."""

    async def bury(self, delivery: Delivery, holder: str, now: int, error: str) -> None:
        """It failed too long: a dead letter."""

    async def counts(self) -> tuple[int, int]:
        """Waiting deliveries and dead letters."""

    async def forget(self, before: int) -> int:
        """Remove dead letters buried before `before`; how many."""
