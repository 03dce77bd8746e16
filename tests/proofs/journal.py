"""What a registry acknowledged to one client, and so what must be there after any crash.

Every change is announced in the journal before its request and confirmed after a 2xx answer. A client has one
request under way at a time, and no two clients change the same key. So after a crash each key has its
confirmed value, except that the change under way may have happened, as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Value = str | int | None  # None: not there


class Key(NamedTuple):
    """Something that a registry keeps.

    Values: "stored" for a blob, the media type for a manifest, the digest for a tag, "listed" for a referrer,
    the offset for an upload.
    """

    kind: Literal["blob", "manifest", "tag", "referrer", "upload"]
    repository: str
    name: str  # digest, tag, or an upload's location (path and query)
    subject: str = ""


Change = Mapping[Key, Value]


class Answer(NamedTuple):
    """Status, headers (names in lower case), the body's length and SHA-256; `text`: the body, if short."""

    status: int
    headers: Mapping[str, str]
    length: int
    sha256: str
    text: bytes = b""


Ask = Callable[[str], Answer]  # GET of a path, with its query


@dataclass(slots=True)
class Journal:
    """Confirmed values, the change under way, and what failed changes may have left behind."""

    confirmed: dict[Key, Value] = field(default_factory=dict)
    under_way: Change = field(default_factory=dict)
    doubtful: dict[Key, list[Value]] = field(default_factory=dict)

    def begin(self, change: Change) -> None:
        """A request that will bring this change is about to be sent."""
        self.under_way = dict(change)

    def confirm(self) -> None:
        """It was answered with success."""
        self.confirmed.update(self.under_way)
        for key in self.under_way:
            self.doubtful.pop(key, None)
        self.under_way = {}

    def doubt(self) -> None:
        """It failed: until a later change is confirmed, each part of it may have happened or not."""
        for key, value in self.under_way.items():
            self.doubtful.setdefault(key, []).append(value)
        self.under_way = {}

    def mistakes(self, seen: Mapping[Key, Value]) -> list[str]:
        """How what is there differs from what must or may be there."""
        wrong = [
            f"{key}: confirmed {self.confirmed.get(key)!r}, found {value!r}"
            for key, value in seen.items()
            if key not in self.under_way and not self._possible(key, value)
        ]
        changing = {key: seen[key] for key in self.under_way if key in seen and key not in self.doubtful}
        before = all(value == self.confirmed.get(key) for key, value in changing.items())
        after = all(_reached(value, self.confirmed.get(k), self.under_way[k]) for k, value in changing.items())
        if not before and not after:
            states = {key: (self.confirmed.get(key), self.under_way[key], value) for key, value in changing.items()}
            wrong.append(f"neither before nor after the change under way: {states}")
        return wrong

    def _possible(self, key: Key, found: Value) -> bool:
        before = self.confirmed.get(key)
        return found == before or any(_reached(found, before, after) for after in self.doubtful.get(key, ()))

    def settle(self, seen: Mapping[Key, Value], *, certain: bool = True) -> None:
        """Take for confirmed what became of the change under way: after a crash, or a failure.

        After a failure that is not certain: SQLite may find a commit whose sync failed when it opens the next time.
        """
        found = {key: seen[key] for key in self.under_way}
        if not certain:
            self.doubt()
        self.confirmed.update(found)
        self.under_way = {}


def _reached(found: Value, before: Value, after: Value) -> bool:
    """Whether a change happened; an upload's chunk may have arrived in part."""
    if isinstance(found, int) and isinstance(before, int) and isinstance(after, int):
        return before <= found <= after
    return found == after


def look(ask: Ask, key: Key) -> Value:
    """What the registry has under a key.

    Raises AssertionError if it serves something that is not whole and exact.
    """
    if key.kind == "upload":
        return _upload(ask(key.name), key)
    if key.kind == "referrer":
        answer = ask(f"/v2/{key.repository}/referrers/{key.subject}")
        assert answer.status == 200, f"{key}: {answer}"
        listed = [descriptor["digest"] for descriptor in json.loads(answer.text)["manifests"]]
        return "listed" if key.name in listed else None
    if key.kind == "blob":
        answer = ask(f"/v2/{key.repository}/blobs/{key.name}")
    else:
        answer = ask(f"/v2/{key.repository}/manifests/{key.name}")
    if answer.status == 404:
        return None
    digest = f"sha256:{answer.sha256}"
    assert answer.status == 200, f"{key}: {answer}"
    assert int(answer.headers["content-length"]) == answer.length, f"{key}: {answer}"
    assert answer.headers["docker-content-digest"] == digest, f"{key}: {answer}"
    assert key.kind == "tag" or key.name == digest, f"{key}: {answer}"
    return {"blob": "stored", "manifest": answer.headers["content-type"], "tag": digest}[key.kind]


def _upload(answer: Answer, key: Key) -> int | None:
    if answer.status == 404:
        return None
    assert answer.status == 204, f"{key}: {answer}"
    last = int(answer.headers["range"].removeprefix("0-"))
    return last + 1 if last else 0  # an empty session says 0-0; no client here sends a chunk of one byte


def sha256(data: bytes) -> str:
    """The digest of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
