"""Models of the audit API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from gati_registry.extension import Model, Paging

Category = Literal["read", "write", "delete", "admin"]
Outcome = Literal["allow", "deny", "challenge"]
_ID = r"^[0-9]{1,18}(\.[0-9]{1,9})?$"


class Entry(Model):
    """Something that happened. A person who was erased is shown by pseudonym, and what was sealed for them is gone."""

    id: str = Field(description="The leaf's number; for one of several in a leaf also the place there, as in 17.3.")
    event_id: str
    time: str
    category: Category
    action: str = Field(description="manifest.put, pull, identity.key.create, …; of a refusal what was asked for.")
    actor: str | None = Field(description="Name of the account; null for anonymous callers and the registry itself.")
    credential: str | None
    method: str = Field(description="How the caller proved who it is; none, or internal for the registry itself.")
    ip: str | None
    user_agent: str | None
    path: str | None = Field(description="Path of a refused request.")
    resource: str
    namespace: str
    subject: str | None = Field(description="The account that an administrative act is about.")
    changes: list[dict[str, Any]] | None = Field(description="JSON Patch (RFC 6902) from before to after.")
    detail: dict[str, Any] | None
    request_id: str
    decision: Outcome
    status: int
    duration_ms: float


class Filter(Model):
    """Which entries; all that is given must fit."""

    actor: str | None = Field(None, max_length=100, description="Name or pseudonym of an account.")
    action: str | None = Field(None, max_length=200)
    category: Category | None = None
    resource: str | None = Field(None, max_length=600, description="Beginning of the resource; a user's name whole.")
    namespace: str | None = Field(None, max_length=300, description="A namespace and all below it.")
    decision: Outcome | None = None
    status: int | None = Field(None, ge=0, le=999)
    request_id: str | None = Field(None, max_length=200)
    since: AwareDatetime | None = Field(None, description="RFC 3339, inclusive.")
    until: AwareDatetime | None = Field(None, description="RFC 3339, exclusive.")


class EntriesQuery(Filter, Paging):
    """The query of a list of entries, newest first. A page may be short, or empty, and still have a `next`."""


class ExportQuery(Filter):
    """The query of an export."""

    format: Literal["jsonl", "csv"] = "jsonl"


class CheckpointAnswer(Model):
    """The newest checkpoint. `note` is the signed note (C2SP tlog-checkpoint), which is also the text/plain answer."""

    origin: str
    size: int
    root: str = Field(description="Base64.")
    time: str
    note: str


class InclusionQuery(Model):
    """Which entry, in the tree of which size."""

    entry: str = Field(pattern=_ID, description="The entry's id.")
    size: int | None = Field(None, ge=1, le=2**62, description="Leaves of the tree; absent: the newest checkpoint's.")


class InclusionProof(Model):
    """Leads from a leaf to the root of the tree (RFC 9162, section 2.1.3); hashes are in base64, lowest first."""

    entry: str
    index: int
    size: int
    leaf: str | None = Field(description="The leaf's bytes (ASCII); null where retention has removed them.")
    leaf_hash: str
    hashes: list[str]
    root: str


class ConsistencyQuery(Model):
    """Sizes of two trees."""

    first: int = Field(ge=1, le=2**62)
    second: int | None = Field(None, ge=1, le=2**62, description="Absent: that of the newest checkpoint.")


class ConsistencyProof(Model):
    """Shows that one tree is the beginning of another (RFC 9162, section 2.1.4); hashes are in base64."""

    first: int
    second: int
    hashes: list[str]
    first_root: str
    second_root: str


class KeyAnswer(Model):
    """A public key; `verifier` is its text form for other programs (C2SP signed-note)."""

    name: str
    verifier: str
    algorithm: Literal["ed25519"] = "ed25519"
    public: str = Field(description="Base64 of the 32 bytes.")


class KeysAnswer(Model):
    """All keys of the log, newest first."""

    items: list[KeyAnswer]
    next: None = None


class Erased(Model):
    """Pseudonyms whose persons are forgotten now."""

    pseudonyms: list[str]
