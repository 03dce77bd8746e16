"""What of an operation is logged: taken down in its transaction, made an entry by the sequencer.

    Change ──note()──▶ audit_inbox ──entry()──▶ audit_entry, a leaf

The note is one JSON text in the clear; whoever is named in it has a pseudonym in the entry.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from gati_extensions.audit.patch import difference
from gati_extensions.audit.persons import Person, Persons, encoded, seal
from gati_registry.extension import Change, Operation, Transaction

WRITTEN = frozenset(Operation) - {Operation.PULL, Operation.REFUSAL}
"""What the projection is told of; the others come to the observer."""

CATEGORIES = ("read", "write", "delete", "admin")

_OUTCOME = {
    Operation.BLOB_COMMIT.value: ("write", 201),
    Operation.BLOB_MOUNT.value: ("write", 201),
    Operation.MANIFEST_PUT.value: ("write", 201),
    Operation.TAG_MOVE.value: ("write", 201),
    Operation.BLOB_DELETE.value: ("delete", 202),
    Operation.MANIFEST_DELETE.value: ("delete", 202),
    Operation.TAG_DELETE.value: ("delete", 202),
    Operation.STATE_CHANGE.value: ("admin", 200),
}
"""Category and the status of an operation that commits (distribution-spec end-4 to end-10)."""

_MAX_TEXT = 1000
_MAX_DETAIL = 16 * 1024
_OWN = frozenset({"subject", "action", "id", "before", "after", "category", "account"})
"""Fields of a state change's detail that have their own places in an entry."""


class Line(NamedTuple):
    """One entry, as its row or its place in a segment says; who may see what it seals is decided elsewhere.

    `number` is the place in a segment, None for an entry with a leaf of its own. `shared` are the sealed origins of an
    actor in a segment, the place of this line's among them, and what they are bound to.
    """

    leaf: int
    event_id: str
    time: int
    category: str
    action: str
    actor: str | None
    subject: str | None
    method: str
    resource: str
    namespace: str
    decision: str
    status: int
    duration_us: int
    request_id: str
    detail: str | None
    origin: bytes | None
    changes: bytes | None
    number: int | None = None
    shared: tuple[bytes, int, str] | None = None

    @property
    def id(self) -> str:
        """The entry's name."""
        return str(self.leaf) if self.number is None else f"{self.leaf}.{self.number}"

    @property
    def key(self) -> tuple[int, int, int]:
        """Its place in time."""
        return self.time, self.leaf, self.number or 0

    def leaf_bytes(self) -> bytes:
        """What is hashed: every column but the leaf's own number, which the tree itself tells.

        The same as `canonical` of a dictionary, at a fifth of its time: there is one for each operation of a push.
        """
        quote, text = _quote, _text
        return (
            f'{{"action":{quote(self.action)},"actor":{text(self.actor)},"category":{quote(self.category)},'
            f'"changes":{text(encoded(self.changes))},"decision":{quote(self.decision)},"detail":{text(self.detail)},'
            f'"duration_us":{self.duration_us},"event_id":{quote(self.event_id)},"kind":"entry",'
            f'"method":{quote(self.method)},"namespace":{quote(self.namespace)},"origin":{text(encoded(self.origin))},'
            f'"request_id":{quote(self.request_id)},"resource":{quote(self.resource)},"status":{self.status},'
            f'"subject":{text(self.subject)},"time":{self.time},"v":1}}'
        ).encode("ascii")


_quote = json.encoder.encode_basestring_ascii


def _text(value: str | None) -> str:
    return "null" if value is None else _quote(value)


COLUMNS = Line._fields[:-2]
"""Columns of `audit_entry`."""

_INSERT = f"INSERT INTO audit_entry ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})"  # noqa: S608


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_NOTE = json.JSONEncoder(default=str)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no space, in ASCII: the bytes of leaves."""
    return _CANONICAL.encode(value).encode()


# --- in the operation's transaction -----------------------------------------------------------------------------


class Notes:
    """`Projection`: one row, without an index. One for each worker: it makes ids that no other does."""

    def __init__(self) -> None:
        self._prefix = uuid.uuid4().hex
        self._numbers = itertools.count(1)

    async def __call__(self, tx: Transaction, change: Change) -> None:
        body = note(change, f"{self._prefix}-{next(self._numbers):x}")
        await tx.send("INSERT INTO audit_inbox (kind, body) VALUES ('entry', :body)", body=body)


def note(change: Change, event: str) -> bytes:
    """All that an entry needs to know of an operation."""
    caller, identity = change.caller, change.caller.identity
    values: list[Any] = [
        event,
        change.operation.value,
        change.time,
        int((time.monotonic() - caller.began) * 1e6) if caller.began else 0,
        change.repository,
        identity.name,
        identity.id,
        identity.credential,
        identity.method,
        caller.address,
        caller.user_agent[:_MAX_TEXT],
        caller.request_id,
        change.digest,
        change.tag,
        change.previous,
        change.size,
        change.new,
        change.manifest.media_type if change.manifest else None,
    ]
    if change.operation is Operation.STATE_CHANGE:
        detail = change.detail
        # The difference is what is kept: taken here, so that a long document is not carried further.
        values.append(difference(detail.get("before"), detail.get("after")))
        values.append({key: value for key, value in detail.items() if key in _OWN - {"before", "after"}})
        more = {key: value for key, value in detail.items() if key not in _OWN}
        values.append(more if len(json.dumps(more, default=str)) <= _MAX_DETAIL else {"cut": True})
    return _NOTE.encode(values).encode()


_NOTED = (
    "event", "operation", "time", "duration", "repository", "actor", "actor_id", "credential", "method", "address",
    "agent", "request", "digest", "tag", "previous", "size", "new", "media_type", "changes", "detail", "more",
)  # fmt: skip
"""What a note holds, in this order; the last three are of state changes alone."""


def _read(body: bytes) -> dict[str, Any]:
    # Decoded first: json would guess at the encoding of bytes.
    found = json.loads(body.decode())
    # Notes that an earlier version left behind name each value.
    return found if isinstance(found, dict) else dict(zip(_NOTED, found, strict=False))


# --- in the sequencer's -----------------------------------------------------------------------------------------


async def entry(leaf: int, body: bytes, persons: Persons) -> Line:
    """The entry of a note."""
    noted = _read(body)
    action, subject, changes = noted["operation"], None, None
    category, status = _OUTCOME[action]
    actor = await persons.actor(noted["actor"], noted["actor_id"])
    told = noted.get("detail")
    # First whom it is about: who is named for the first time has a pseudonym in the path, too.
    concerned = await _concerned(noted["repository"], told, persons) if told is not None else None
    path = await persons.path(noted["repository"])
    resource = path + _reference(noted)
    if told is not None:
        category = told["category"] if told.get("category") in CATEGORIES else category
        action = f"{told.get('subject', 'state')}.{told.get('action', 'change')}"[:_MAX_TEXT]
        subject = concerned.id if concerned else None
        resource = path + _thing(told, concerned)
        if noted["changes"] or noted["more"]:
            value = {"patch": noted["changes"], "detail": noted["more"]}
            changes = canonical(value) if concerned is None else seal(concerned, value, noted["event"])
    return Line(
        leaf=leaf,
        event_id=noted["event"],
        time=noted["time"],
        category=category,
        action=action,
        actor=actor.id if noted["actor"] is not None else None,
        subject=subject,
        method=method_of(noted["method"], noted["address"]),
        resource=resource,
        namespace=namespace_of(path),
        decision="allow",
        status=status,
        duration_us=noted["duration"],
        request_id=noted["request"],
        detail=_content(noted),
        origin=persons.origin(actor, noted["address"], noted["agent"], noted["credential"]),
        changes=changes,
    )


async def insert(tx: Transaction, line: Line) -> None:
    """Store an entry's row."""
    await tx.send(_INSERT, **dict(zip(COLUMNS, line, strict=False)))


def method_of(method: str, address: str) -> str:
    """How the caller proved who it is; `none` for an anonymous one, `internal` for the registry itself."""
    return method or ("none" if address else "internal")


def namespace_of(path: str) -> str:
    """The namespace at the top of a path: an organization's, a user's, or the first word."""
    first, _, rest = path.partition("/")
    return f"{first}/{rest.partition('/')[0]}" if first in {"users", "orgs"} and rest else first


def _content(noted: Mapping[str, Any]) -> str | None:
    """What an operation was about, canonical."""
    parts = [f'"{key}":{_quote(noted[key])}' for key in ("digest", "media_type") if noted[key]]
    if noted["new"]:
        parts.append('"new":true')
    if noted["previous"]:
        parts.append(f'"previous":{_quote(noted["previous"])}')
    if noted["size"]:
        parts.append(f'"size":{noted["size"]}')
    return f"{{{','.join(parts)}}}" if parts else None


def _reference(noted: Mapping[str, Any]) -> str:
    if noted["tag"]:
        return f":{noted['tag']}"
    return f"@{noted['digest']}" if noted["digest"] else ""


async def _concerned(path: str, told: Mapping[str, Any], persons: Persons) -> Person | None:
    """The person that a state change is about: `account`, else what `id` names, else in whose namespace it is."""
    about, account = told.get("id"), told.get("account")
    if isinstance(account, str):
        return await persons.named(account)
    accounts = str(told.get("subject", "")).startswith(("identity.user", "identity.account"))
    if isinstance(about, int) and accounts:
        return await persons.numbered(about)
    found = await persons.named(about) if isinstance(about, str) else None
    if found is None and isinstance(about, str) and accounts:
        return await persons.former(about)
    first, _, rest = path.partition("/")
    return found or (await persons.named(rest.partition("/")[0]) if first == "users" else None)


def _thing(told: Mapping[str, Any], concerned: Person | None) -> str:
    about = told.get("id")
    if concerned is not None and about == concerned.name:
        about = concerned.id
    kind = str(told.get("subject", "state"))[:_MAX_TEXT]
    return f"#{kind}" if about is None else f"#{kind}/{str(about)[:_MAX_TEXT]}"
