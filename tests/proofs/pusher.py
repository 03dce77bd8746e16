"""A client that pushes, tags, mounts and deletes at random, and journals what was acknowledged."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from tests.proofs.journal import Answer, Change, Journal, Key, look, sha256

KIB = 1024
INLINE = 64 * KIB  # blobs up to this size stay in the database: `blobs.inline_bytes` as it is by default
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Interrupted(Exception):
    """The server went away before it answered."""


class Refused(Exception):
    """The server did not do what it was asked; `answer` is what it said."""

    def __init__(self, request: str, answer: Answer) -> None:
        super().__init__(f"{request}: {answer}")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are made again from a seed when they are needed."""

    seed: int
    size: int

    def data(self) -> bytes:
        return random.Random(self.seed).randbytes(self.size)


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answered request: the `ordinal`-th on the client's port, and what it changed, or failed to."""

    port: int
    ordinal: int
    change: Change
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the blobs that are pushed: `small` fit into the database, `large` become files."""

    small: tuple[int, int] = (2, INLINE)
    large: tuple[int, int] = (64 * KIB + 1, 8 * KIB * KIB)


def local(path: str, answer: Answer) -> str:
    """Path and query of the Location in the answer to a request for `path`."""
    where = urlsplit(urljoin(path, answer.headers["location"]))
    return where.path + (f"?{where.query}" if where.query else "")


@dataclass
class Pusher:
    """One client with one connection and repositories of its own; not to be shared between threads.

    `chance` decides all; with the same seed the same requests are made, until the server goes away.
    """

    host: str
    name: str
    chance: random.Random
    sizes: Sizes = field(default_factory=Sizes)
    journal: Journal = field(default_factory=Journal)
    exchanges: list[Exchange] = field(default_factory=list)
    uploads: dict[Key, Content] = field(default_factory=dict)  # those that are open
    contents: dict[Key, Content] = field(default_factory=dict)  # of every upload, by its location
    held: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # (repository, blob): manifests with it
    manifests: dict[str, bytes] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    recent: deque[Key] = field(default_factory=lambda: deque(maxlen=80))
    common: list[Content] = field(default_factory=list)  # what other clients push too, perhaps just now
    _connection: http.client.HTTPConnection | None = None
    _port: int = 0
    _ordinal: int = 0

    # Requests.

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request and its whole answer.

        Raises Interrupted if the connection breaks.
        """
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self.host, timeout=60)
                self._connection.connect()
                self._port = self._connection.sock.getsockname()[1]
                self._ordinal = 0
            chunked = body is not None and not isinstance(body, bytes)
            more = {"Transfer-Encoding": "chunked"} if chunked else {}
            self._connection.request(method, path, body, {**(headers or {}), **more}, encode_chunked=chunked)
            return self._answer(self._connection)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Interrupted(f"{method} {path}: {error!r}") from error

    def _answer(self, connection: http.client.HTTPConnection) -> Answer:
        response = connection.getresponse()
        digest, length, text = hashlib.sha256(), 0, b""
        while piece := response.read(KIB * KIB):
            digest.update(piece)
            length += len(piece)
            text = piece if length == len(piece) else b""
        headers = {name.lower(): value for name, value in response.getheaders()}
        self._ordinal += 1
        if response.will_close:
            self.close()
        return Answer(response.status, headers, length, digest.hexdigest(), text)

    def ask(self, path: str) -> Answer:
        """GET; see journal.look."""
        return self.request("GET", path)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def change(
        self,
        method: str,
        path: str,
        change: Change,
        *,
        expect: int,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request that changes something; journaled.

        Raises Interrupted, and Refused on any answer but the expected one.
        """
        self.journal.begin(change)
        answer = self.request(method, path, body=body, headers=headers)
        self._note(change, failed=answer.status != expect)
        if answer.status != expect:
            raise Refused(f"{method} {path}: expected {expect}", answer)
        self.journal.confirm()
        return answer

    def _note(self, change: Change, *, failed: bool = False) -> None:
        self.exchanges.append(Exchange(self._port, self._ordinal, dict(change), failed))
        self.recent.extend(key for key, value in change.items() if value is not None)

    # What it works with.

    @property
    def repositories(self) -> tuple[str, str]:
        """Nobody else changes these."""
        return f"proof/{self.name}", f"proof/{self.name}-b"

    def _pick(self, kind: str, repository: str | None = None) -> Key | None:
        found = [
            key
            for key in self.recent
            if key.kind == kind and self.journal.confirmed.get(key) is not None and repository in (None, key.repository)
        ]
        return self.chance.choice(found) if found else None

    def _content(self) -> Content:
        if self.common and self.chance.random() < 0.3:
            return self.chance.choice(self.common)
        bounds = self.chance.choice((self.sizes.small, self.sizes.large))
        return Content(self.chance.getrandbits(64), self.chance.randint(*bounds))

    def _stored(self, repository: str, data: bytes) -> Change:
        self.lengths[sha256(data)] = len(data)
        return {Key("blob", repository, sha256(data)): "stored"}

    # Blobs.

    def push_at_once(self) -> None:
        """POST with the digest and all bytes."""
        repository, data = self.chance.choice(self.repositories), self._content().data()
        path = f"/v2/{repository}/blobs/uploads/?digest={sha256(data)}"
        self.change("POST", path, self._stored(repository, data), expect=201, body=data)

    def push_in_two(self) -> None:
        """POST, then PUT with all bytes."""
        key = self._open()
        self._finish(key, self.uploads[key].data())

    def push_in_chunks(self) -> None:
        """POST, PATCH with ranges, PUT."""
        self.resume(self._open())

    def push_as_stream(self) -> None:
        """POST, one PATCH whose length is not announced, PUT."""
        key = self._open()
        data = self.uploads[key].data()
        pieces = (data[start : start + 37 * KIB] for start in range(0, len(data), 37 * KIB))
        self.change("PATCH", key.name, {key: len(data)}, expect=202, body=pieces)
        self._finish(key, b"")

    def begin_upload(self) -> None:
        """POST and one chunk; left for later, perhaps after a crash."""
        key = self._open()
        self._chunk(key, self.uploads[key].data(), 0)

    def go_on(self) -> None:
        """Finish an upload that was begun earlier."""
        if self.uploads:
            self.resume(self.chance.choice(list(self.uploads)))

    def cancel(self) -> None:
        """Give up an upload."""
        if self.uploads:
            key = self.chance.choice(list(self.uploads))
            self.change("DELETE", key.name, {key: None}, expect=204)
            del self.uploads[key]

    def resume(self, key: Key) -> None:
        """Send the rest of an upload in chunks, from the acknowledged byte on, and close it."""
        data, offset = self.uploads[key].data(), self.journal.confirmed[key]
        assert isinstance(offset, int)
        while offset < len(data):
            offset = self._chunk(key, data, offset)
        self._finish(key, b"")

    def _open(self) -> Key:
        repository = self.chance.choice(self.repositories)
        path = f"/v2/{repository}/blobs/uploads/"
        answer = self.request("POST", path, headers={"Content-Length": "0"})
        if answer.status != 202:
            raise Refused(f"POST {path}: expected 202", answer)
        key = Key("upload", repository, local(path, answer))
        self.uploads[key] = self.contents[key] = self._content()
        self.journal.confirmed[key] = 0
        self._note({key: 0})
        return key

    def _chunk(self, key: Key, data: bytes, offset: int) -> int:
        end = min(len(data), offset + max(2, self.chance.randint(len(data) // 5, len(data) // 2 + 1)))
        if end == len(data) - 1:
            end = len(data)
        headers = {"Content-Range": f"{offset}-{end - 1}", "Content-Type": "application/octet-stream"}
        answer = self.change("PATCH", key.name, {key: end}, expect=202, body=data[offset:end], headers=headers)
        if local(key.name, answer) != key.name:  # the journal knows an upload by its location
            raise Refused(f"{key.name} moved", answer)
        return end

    def _finish(self, key: Key, rest: bytes) -> None:
        data = self.uploads[key].data()
        path = f"{key.name}{'&' if '?' in key.name else '?'}digest={sha256(data)}"
        change = self._stored(key.repository, data)
        if self.journal.confirmed[key] or len(rest) > INLINE:
            change = {key: None, **change}  # else nothing was ever stored of the upload, and that does not change
        self.change("PUT", path, change, expect=201, body=rest)
        del self.uploads[key]

    def mount(self) -> None:
        """Link a blob of one repository into the other."""
        blob = self._pick("blob")
        if blob is None:
            return
        target = next(name for name in self.repositories if name != blob.repository)
        path = f"/v2/{target}/blobs/uploads/?mount={blob.name}&from={blob.repository}"
        self.change("POST", path, {Key("blob", target, blob.name): "stored"}, expect=201, body=b"")

    def delete_blob(self) -> None:
        """Unlink a blob that no manifest holds."""
        blob = self._pick("blob")
        if blob is not None and not self.held.get((blob.repository, blob.name)):
            self.change("DELETE", f"/v2/{blob.repository}/blobs/{blob.name}", {blob: None}, expect=202)

    # Manifests.

    def _put(self, repository: str, data: bytes, *, tags: list[str]) -> None:
        digest, document = sha256(data), json.loads(data)
        change: dict[Key, str] = {Key("manifest", repository, digest): MANIFEST}
        if "subject" in document:
            change[Key("referrer", repository, digest, document["subject"]["digest"])] = "listed"
        change.update({Key("tag", repository, tag): digest for tag in tags})
        if len(tags) == 1:
            path = f"/v2/{repository}/manifests/{tags[0]}"
        else:
            path = f"/v2/{repository}/manifests/{digest}?" + "&".join(f"tag={tag}" for tag in tags)
        for part in (document["config"], *document["layers"]):
            self.held.setdefault((repository, part["digest"]), set()).add(digest)
        self.manifests[digest] = data
        self.lengths[digest] = len(data)
        self.change("PUT", path.rstrip("?"), change, expect=201, body=data, headers={"Content-Type": MANIFEST})

    def push_manifest(self) -> None:
        """An image of a few blobs, with or without a subject, under no, one or several tags."""
        repository = self.chance.choice(self.repositories)
        blobs = [blob.name for _ in range(3) if (blob := self._pick("blob", repository))]
        if not blobs:
            return
        subject = self._pick("manifest", repository) if self.chance.random() < 0.3 else None
        parts = [{"mediaType": LAYER, "digest": name, "size": self.lengths[name]} for name in blobs]
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {**parts[0], "mediaType": CONFIG},
            "layers": parts[1:],
            "annotations": {"org.example.number": str(self.chance.getrandbits(32))},
        }
        if subject is not None:
            size = len(self.manifests[subject.name])
            document["subject"] = {"mediaType": MANIFEST, "digest": subject.name, "size": size}
        self._put(repository, json.dumps(document).encode(), tags=self._tags())

    def _tags(self) -> list[str]:
        return [f"t{number}" for number in self.chance.sample(range(8), self.chance.choice((0, 1, 1, 1, 3)))]

    def move_tag(self) -> None:
        """Push a known manifest again under another tag."""
        manifest = self._pick("manifest")
        if manifest is not None:
            self._put(manifest.repository, self.manifests[manifest.name], tags=[f"t{self.chance.randrange(8)}"])

    def delete_tag(self) -> None:
        """Take a tag away; the manifest stays."""
        tag = self._pick("tag")
        if tag is not None:
            self.change("DELETE", f"/v2/{tag.repository}/manifests/{tag.name}", {tag: None}, expect=202)

    def delete_manifest(self) -> None:
        """Delete by digest: its tags and its entry as a referrer go with it."""
        manifest = self._pick("manifest")
        if manifest is None:
            return
        repository, digest = manifest.repository, manifest.name
        gone: dict[Key, None] = {
            key: None
            for key, value in self.journal.confirmed.items()
            if key.repository == repository
            and (
                (key.kind == "tag" and value == digest) or (key.kind in ("manifest", "referrer") and key.name == digest)
            )
        }
        self.change("DELETE", f"/v2/{repository}/manifests/{digest}", gone, expect=202)
        for (where, _), holders in self.held.items():
            if where == repository:
                holders.discard(digest)

    # Work.

    def step(self) -> None:
        """One operation."""
        blobs = [self.push_at_once, self.push_in_two, self.push_in_chunks, self.push_as_stream, self.begin_upload]
        others = [self.go_on, self.cancel, self.mount, self.move_tag, self.delete_tag]
        rare = [self.delete_blob, self.delete_manifest]
        self.chance.choice(blobs * 2 + [self.push_manifest] * 6 + others * 2 + rare)()

    def work(self, steps: int) -> None:
        """Some operations."""
        for _ in range(steps):
            self.step()

    def work_until_interrupted(self) -> None:
        """Work until the server goes away."""
        with contextlib.suppress(Interrupted):
            while True:
                self.step()

    def work_with_faults(self, steps: int) -> int:
        """Operations of which some may fail with 5xx; how many did. What became of those is looked up."""
        failed = 0
        for _ in range(steps):
            try:
                self.step()
            except Refused as refused:
                if refused.answer.status < 500:
                    raise
                failed += 1
                self.check((), certain=False)
        return failed

    # Checks.

    def check(self, keys: Iterable[Key], *, certain: bool = True) -> None:
        """After a crash or failure: look at what was under way, at every open upload, and at these keys.

        `certain`: see Journal.settle.

        Raises AssertionError if something acknowledged is not there, or something is there in part.
        """
        seen = {key: look(self.ask, key) for key in {*keys, *self.uploads, *self.journal.under_way}}
        mistakes = self.journal.mistakes(seen)
        assert not mistakes, mistakes
        self.journal.settle(seen, certain=certain)
        self.uploads = {key: content for key, content in self.uploads.items() if seen[key] is not None}
