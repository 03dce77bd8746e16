"""What happens in the registry, as extensions see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from gati_registry.domain.access import Caller
from gati_registry.domain.manifest import Manifest
from gati_registry.errors import Code, RegistryError
from gati_registry.values.digest import Digest
from gati_registry.values.reference import RepositoryName, Tag


class Operation(Enum):
    """The kinds of things that hooks are told of."""

    BLOB_COMMIT = "blob.commit"
    BLOB_MOUNT = "blob.mount"
    MANIFEST_PUT = "manifest.put"
    TAG_MOVE = "tag.move"
    BLOB_DELETE = "blob.delete"
    MANIFEST_DELETE = "manifest.delete"
    TAG_DELETE = "tag.delete"
    PULL = "pull"
    STATE_CHANGE = "state.change"
    REFUSAL = "refusal"  # for observers: a request answered 401, 403, 429, or 404 to hide a repository


@dataclass(frozen=True, slots=True)
class Push:
    """A manifest about to be stored, for inspectors: nothing of it is visible yet."""

    repository: RepositoryName
    digest: Digest
    tags: tuple[Tag, ...]
    media_type: str
    manifest: Manifest
    data: bytes
    caller: Caller


@dataclass(frozen=True, slots=True)
class Change:
    """One operation inside its transaction, for gates and projections.

    `size` is in bytes, of the blob or the manifest; `previous` is what a tag named before; `new` tells whether the
    repository lacked this content until now. `facts` are what inspectors found, by extension. `subject` and `detail`
    describe a state change: what changed and how (JSON). `unit` is one dictionary for all changes of a unit of work:
    what an extension has asked for one of them it can keep there, under a key of its own, for the next.
    """

    operation: Operation
    repository: RepositoryName
    repository_id: int
    caller: Caller
    time: int
    digest: Digest | None = None
    tag: Tag | None = None
    previous: Digest | None = None
    size: int = 0
    new: bool = False
    manifest: Manifest | None = None
    data: bytes | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    unit: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)


class Event(NamedTuple):
    """An operation that has happened, for reactions and observers. One is made for every pull: a tuple takes a third of
    a frozen dataclass's time.

    `id` is the same at every delivery: a reaction that has seen it does nothing. `time` is in milliseconds, UTC. `size`
    is the content's, `sent` what went out of it: less for a part, or where the client went away.
    """

    id: str
    operation: Operation
    repository: str
    time: int
    digest: str | None = None
    tag: str | None = None
    media_type: str | None = None
    artifact_type: str | None = None
    subject: str | None = None
    size: int = 0
    sent: int = 0
    actor: str | None = None
    actor_id: int | None = None
    credential: str | None = None
    method: str = ""
    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    status: int = 0
    duration_ms: float = 0.0
    detail: Mapping[str, Any] = {}


def event_of(change: Change, event_id: str) -> Event:
    """The event that a committed change is."""
    manifest, identity = change.manifest, change.caller.identity
    return Event(
        id=event_id,
        operation=change.operation,
        repository=change.repository,
        time=change.time,
        digest=change.digest,
        tag=change.tag,
        media_type=manifest.media_type if manifest else None,
        artifact_type=manifest.artifact_type if manifest else None,
        subject=manifest.subject if manifest else None,
        size=change.size,
        actor=identity.name,
        actor_id=identity.id,
        credential=identity.credential,
        method=identity.method,
        address=change.caller.address,
        user_agent=change.caller.user_agent,
        request_id=change.caller.request_id,
        detail=change.detail,
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an operation does not happen; `message` says what to do about it."""

    code: Code
    message: str
    detail: Any = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def error(self) -> RegistryError:
        """As the protocol writes it."""
        return RegistryError(self.code, self.message, detail=self.detail, status=self.status, headers=self.headers)


@dataclass(frozen=True, slots=True)
class Pull:
    """Content about to be served, for pull gates."""

    repository: RepositoryName
    digest: Digest
    media_type: str
    tag: Tag | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A pull gate's answer: serve, with warnings and headers if there are any; or refuse.

    With `members` it is served to members of the repository's namespace alone; for others it is not there.
    """

    warnings: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    refusal: Refusal | None = None
    members: bool = False


SERVE = Verdict()
