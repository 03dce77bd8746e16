"""What the extension audit says and wants to hear. Generated from its OpenAPI; do not edit:

python -m tests.client.generate
"""

from __future__ import annotations

from typing import Any

from gati_client.models.base import Model


class CheckpointAnswer(Model):
    """The newest checkpoint. `note` is the signed note (C2SP tlog-checkpoint), which is also the text/plain
    answer.
    """

    origin: str
    size: int
    root: str
    time: str
    note: str


class ConsistencyProof(Model):
    """Shows that one tree is the beginning of another (RFC 9162, section 2.1.4); hashes are in base64."""

    first: int
    second: int
    hashes: list[str]
    first_root: str
    second_root: str


class Entry(Model):
    """Something that happened. A person who was erased is shown by pseudonym, and what was sealed for them is
    gone.
    """

    id: str
    event_id: str
    time: str
    category: str
    action: str
    actor: str | None
    credential: str | None
    method: str
    ip: str | None
    user_agent: str | None
    path: str | None
    resource: str
    namespace: str
    subject: str | None
    changes: list[dict[str, Any]] | None
    detail: dict[str, Any] | None
    request_id: str
    decision: str
    status: int
    duration_ms: float


class Erased(Model):
    """Pseudonyms whose persons are forgotten now."""

    pseudonyms: list[str]


class InclusionProof(Model):
    """Leads from a leaf to the root of the tree (RFC 9162, section 2.1.3); hashes are in base64, lowest
    first.
    """

    entry: str
    index: int
    size: int
    leaf: str | None
    leaf_hash: str
    hashes: list[str]
    root: str


class KeyAnswer(Model):
    """A public key; `verifier` is its text form for other programs (C2SP signed-note)."""

    name: str
    verifier: str
    algorithm: str = "ed25519"
    public: str


class KeysAnswer(Model):
    """All keys of the log, newest first."""

    items: list[KeyAnswer]
    next: None = None
