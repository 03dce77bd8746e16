"""Reads and refusals: what one worker saw in about a second becomes one leaf.

A segment is a JSON document, compressed. What many of its lines have in common is written once:

    actors   [[pseudonym or null, sealed list of origins]]
    groups   [[actor, origin, category, action, method, resource, namespace, decision, status, detail]]
    rows     columns: group, time, request, duration, count

An anonymous request that is merely told how to log in (401, every login of every client begins so) is no line of its
own: the segment counts such requests, by address and resource.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import struct
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gati_extensions.audit.merkle import leaf_hash
from gati_extensions.audit.persons import Missing, Person, Persons, encoded, seal
from gati_extensions.audit.record import Line, canonical, method_of, namespace_of
from gati_extensions.identity.api import Accounts
from gati_registry.extension import Clock, Database, Event, Operation, Transaction

MAX_LINES = 5000
"""Lines of one segment."""

MAX_SPAN = 5000
"""Milliseconds between the first and the last line of one."""

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a segment, inflated; a larger one was not made here."""

_INLINE = 200
"""Events up to which a segment is put together on the event loop; more go to a thread."""

_MAX_TEXT = 256
"""Characters of a user agent or path that are kept: an anonymous caller may send a new one each time."""

_Who = tuple[str | None, int | None]
"""Name and number of an account."""

_LEVEL = 3
_HEAD = struct.Struct(">I")

_CATEGORY = {"push": "write", "maintain": "write", "publish": "write", "delete": "delete"} | dict.fromkeys(
    ("administer", "operate"), "admin"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment on its way to its leaf. `terms` are what it can be found by, `hash` is the leaf's, in hexadecimal."""

    first_time: int
    last_time: int
    lines: int
    terms: tuple[str, ...]
    hash: str
    body: bytes

    def packed(self) -> bytes:
        """As it waits in the inbox."""
        head = canonical([self.first_time, self.last_time, self.lines, self.terms, self.hash])
        return _HEAD.pack(len(head)) + head + self.body

    @classmethod
    def unpacked(cls, data: bytes) -> Segment:
        """The reverse."""
        end = _HEAD.size + _HEAD.unpack_from(data)[0]
        first, last, lines, terms, leaf = json.loads(data[_HEAD.size : end])
        return cls(first, last, lines, tuple(terms), leaf, data[end:])


def inflated(body: bytes) -> bytes:
    """The leaf's bytes.

    Raises:
        ValueError: it is no segment.
    """
    try:
        engine = zlib.decompressobj()
        data = engine.decompress(body, MAX_BODY)
    except zlib.error:
        raise ValueError("not compressed as a segment is") from None
    if not engine.eof or engine.unused_data:
        raise ValueError("cut short, or followed by something else")
    return data


def summary(data: bytes) -> tuple[int, int, int, tuple[str, ...]]:
    """Times of the first and the last line, number of lines and terms of a segment, from its leaf's bytes."""
    return _summary(json.loads(data))


def lines(leaf: int, body: bytes, wanted: Callable[[Line], bool], low: int = 0, high: int = 2**63) -> Iterator[Line]:
    """The lines of a segment from `low` to before `high` (times) that fit.

    `wanted` is asked once for each group, with the times and ids of nobody.
    """
    document = json.loads(inflated(body))
    groups = [_group(leaf, document, values) for values in document["groups"]]
    fits = [wanted(group) for group in groups]
    rows = document["rows"]
    columns = zip(rows["group"], rows["time"], rows["request"], rows["duration"], rows["count"], strict=True)
    for number, (group, time, request, duration, count) in enumerate(columns):
        if fits[group] and low <= time < high:
            yield _line(groups[group], number, document["event"], time, request, duration, count)


def _group(leaf: int, document: Mapping[str, Any], values: Sequence[Any]) -> Line:
    actor, place, category, action, method, resource, namespace, decision, status, detail = values
    pseudonym, sealed = document["actors"][actor]
    return Line(
        leaf=leaf,
        event_id="",
        time=0,
        category=category,
        action=action,
        actor=pseudonym,
        subject=None,
        method=method,
        resource=resource,
        namespace=namespace,
        decision=decision,
        status=status,
        duration_us=0,
        request_id="",
        detail=detail,
        origin=None,
        changes=None,
        number=0,
        shared=(base64.b64decode(sealed), place, document["event"]) if sealed else None,
    )


def _line(group: Line, number: int, event: str, time: int, request: str, duration: int, count: int) -> Line:
    detail = group.detail
    if count > 1:
        detail = canonical((json.loads(detail) if detail else {}) | {"count": count}).decode()
    return Line(
        group.leaf, f"{event}.{number}", time, group.category, group.action, group.actor, None, group.method,
        group.resource, group.namespace, group.decision, group.status, duration, request, detail, None, None, number,
        group.shared,
    )  # fmt: skip


class ReadLog:
    """`Observer`: takes down what passed. `share` of the pulls are logged, and all refusals."""

    def __init__(self, database: Database, accounts: Accounts, clock: Clock, share: float) -> None:
        self._database = database
        self._accounts = accounts
        self._clock = clock
        self._share = share

    async def __call__(self, events: Sequence[Event]) -> None:
        pull, refusal, share = Operation.PULL, Operation.REFUSAL, self._share
        kept = [
            event
            for event in events
            if (event.operation is pull and (share >= 1 or random.random() < share))  # noqa: S311 - no secret
            or event.operation is refusal
        ]
        for part in _split(kept):
            await self._log(part)

    async def _log(self, events: Sequence[Event]) -> None:
        now = self._clock.now()

        async def look(tx: Transaction, make: bool) -> tuple[dict[_Who, Person], dict[str, str]]:
            persons = Persons(tx, self._accounts, now, make=make)
            actors = {who: await persons.actor(*who) for who in {(event.actor, event.actor_id) for event in events}}
            paths = {path: await persons.path(path) for path in {event.repository for event in events}}
            return actors, paths

        try:
            # Aside from the short look-ups: whoever is refused chooses how many names there are.
            actors, paths = await self._database.scan(lambda tx: look(tx, make=False))
        except Missing:
            actors, paths = await self._database.write(lambda tx: look(tx, make=True))

        def encode() -> bytes:
            encoder = _Encoder(actors, paths)
            encoder.add(events)
            return encoder.segment().packed()

        body = encode() if len(events) <= _INLINE else await asyncio.to_thread(encode)
        await self._database.write(
            lambda tx: tx.run("INSERT INTO audit_inbox (kind, body) VALUES ('segment', :body)", body=body)
        )


def _split(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    start = 0
    for at, event in enumerate(events):
        if at - start >= MAX_LINES or abs(event.time - events[start].time) > MAX_SPAN:
            yield events[start:at]
            start = at
    if start < len(events):
        yield events[start:]


class _Table:
    """Values with their numbers, in the order in which they came."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}

    def __call__(self, value: Any) -> int:
        return self.numbers.setdefault(value, len(self.numbers))


_REPOSITORY, _STATUS = Event._fields.index("repository"), Event._fields.index("status")
_CONTENT = slice(Event._fields.index("digest"), Event._fields.index("request_id"))
"""Places in an event: all that makes its group but for its detail."""


class _Encoder:
    """Puts one segment together."""

    def __init__(self, persons: Mapping[_Who, Person], paths: Mapping[str, str]) -> None:
        self._persons = persons
        self._paths = paths
        self._actors = _Table()
        self._origins: list[_Table] = []
        self._groups = _Table()
        self._described: list[list[Any]] = []
        self._challenged: dict[int, int] = {}
        self._rows: dict[str, list[Any]] = {name: [] for name in ("group", "time", "request", "duration", "count")}

    def add(self, events: Sequence[Event]) -> None:
        """A line each, or one more of the same."""
        rows = self._rows
        groups, times, requests, durations, counts = (
            rows[name].append for name in ("group", "time", "request", "duration", "count")
        )
        # Most events say the same as one before, but for when: slices of them and the identity of what hashes slowly
        # find its group at a fifth of the cost.
        same: dict[tuple[Any, ...], int] = {}
        pull = Operation.PULL
        for event in events:
            if event.operation is pull:
                key = (event[_REPOSITORY], event[_CONTENT], event[_STATUS], id(event.detail))
                group = same.get(key)
                if group is None:
                    group = same[key] = self._group(event, challenge=False)
            else:
                challenge = _is_challenge(event)
                group = self._group(event, challenge)
                if challenge:
                    row = self._challenged.setdefault(group, len(rows["count"]))
                    if row < len(rows["count"]):
                        rows["count"][row] += 1
                        continue
            groups(group)
            times(event.time)
            requests(event.request_id)
            durations(int(event.duration_ms * 1000))
            counts(1)

    def _group(self, event: Event, challenge: bool) -> int:
        actor = self._actors((event.actor, event.actor_id))
        if actor == len(self._origins):
            self._origins.append(_Table())
        told = event.detail
        refused = event.operation is Operation.REFUSAL
        path = told.get("path", "") if refused and not challenge else ""
        agent = event.user_agent[:_MAX_TEXT]
        origin = self._origins[actor]((event.address, agent, event.credential, path[:_MAX_TEXT]))
        key = (
            actor, origin, event.operation, event.repository, event.tag, event.digest, event.status, event.method,
            told.get("method"), told.get("action"), told.get("code"), challenge,
        )  # fmt: skip
        number = self._groups(key)
        if number == len(self._described):
            self._described.append([actor, origin, *_asked(event, self._paths[event.repository], challenge)])
        return number

    def segment(self) -> Segment:
        """All lines."""
        event = str(uuid.uuid4())
        people = [self._persons[who] for who in self._actors.numbers]
        actors = []
        for who, person, origins in zip(self._actors.numbers, people, self._origins, strict=True):
            sealed = seal(person, [_origin(*origin) for origin in origins.numbers], event)
            actors.append([None if who[0] is None else person.id, encoded(sealed)])
        document = {
            "v": 1,
            "kind": "segment",
            "event": event,
            "actors": actors,
            "groups": self._described,
            "rows": self._rows,
        }
        data = canonical(document)
        return Segment(*_summary(document), leaf_hash(data).hex(), zlib.compress(data, _LEVEL))


def _summary(document: Mapping[str, Any]) -> tuple[int, int, int, tuple[str, ...]]:
    terms = {actor_term(pseudonym) for pseudonym, _ in document["actors"] if pseudonym is not None}
    terms |= {namespace_term(group[_NAMESPACE]) for group in document["groups"]}
    terms |= {DENIALS for group in document["groups"] if group[_DECISION] == "deny"}
    times = document["rows"]["time"]
    return min(times), max(times), len(times), tuple(sorted(terms))


_NAMESPACE, _DECISION = 6, 7
"""Places in a group."""

DENIALS = "denials"
"""The term of segments that tell of refusals."""


def actor_term(pseudonym: str) -> str:
    """The term of segments that an actor is in."""
    return f"actor {pseudonym}"


def namespace_term(namespace: str) -> str:
    """The term of segments that tell of a namespace."""
    return f"namespace {namespace}"


def _origin(address: str, agent: str, credential: str | None, path: str) -> dict[str, str]:
    found = {"ip": address, "user_agent": agent, "credential": credential or "", "path": path}
    return {key: value for key, value in found.items() if value}


def _is_challenge(event: Event) -> bool:
    return event.status == 401 and event.actor is None and event.detail.get("credentials") == "none"


def _asked(event: Event, path: str, challenge: bool) -> list[Any]:
    """The part of a group that says what was asked and how it ended."""
    told = event.detail
    method = method_of(event.method, event.address)
    if event.operation is Operation.PULL:
        resource = path + (f":{event.tag}" if event.tag else f"@{event.digest}")
        detail = {"digest": event.digest, "size": event.size, "method": told.get("method", "GET")}
        return ["read", "pull", method, resource, namespace_of(path), "allow", event.status, _text(detail)]
    action, http = told.get("action", "request"), told.get("method", "GET")
    category = _CATEGORY.get(action, "read" if http in {"GET", "HEAD"} else "write")
    decision = "challenge" if challenge else "deny"
    if challenge:
        category, action = "read", "challenge"
    detail = {"code": told.get("code", ""), "method": http}
    return [category, action, method, path, namespace_of(path), decision, event.status, _text(detail)]


def _text(detail: Mapping[str, Any]) -> str:
    return canonical(detail).decode()
