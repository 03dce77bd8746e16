"""A black-box fuzzer: clients that push, read and delete while they and others send nonsense.

Each worker has repositories of its own, of which it knows exactly what they must hold, and one that all share, where
anything may be sent. A worker's requests follow from the seed and the server's answers alone.

What must hold whatever is sent: no 5xx but 503 with Retry-After (and 501 for a transfer coding that is not known);
every other refusal is an error of the specification, unless the request was no HTTP at all; every answer comes in time;
what was acknowledged is there, byte for byte; what was refused is not.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from threading import Event
from typing import Any

from tests.hostile.content import OCI_MANIFEST, digest_of, encode
from tests.hostile.grammar import MEDIA_TYPES, METHODS, STRANGE_METHODS
from tests.hostile.model import Manifest, Repository, Session
from tests.hostile.speaker import HANGS, Failure, Speaker
from tests.hostile.wire import BadAnswer, NoAnswer, head
from tests.support.server import RegistryProcess

SILENT = 0.25
"""Seconds to wait for an answer to bytes that may not be a whole request."""


class Worker(Speaker):
    """One client. Runs until told to stop; then everything it knows of is read again."""

    def __init__(self, server: RegistryProcess, number: int, seed: int) -> None:
        super().__init__(server, random.Random(f"{seed}/{number}"))
        self._own = [Repository(f"own{number}/{name}") for name in ("a", "b/c")]
        self._actions: list[tuple[Callable[[Repository], None], int]] = [
            (self._push_blob, 10), (self._open_session, 5), (self._use_session, 14), (self._push_manifest, 10),
            (self._push_broken_manifest, 8), (self._read_blob, 10), (self._read_manifest, 10), (self._list_tags, 5),
            (self._list_referrers, 5), (self._delete_blob, 2), (self._delete_manifest, 3), (self._mount, 3),
            (self._wild, 25), (self._raw, 6), (self._vanish, 4), (self._pipeline, 3),
        ]  # fmt: skip

    def run(self, until: float, stop: Event) -> None:
        """Fuzz until a time of the monotonic clock.

        Raises:
            Failure: with the last exchanges.
        """
        try:
            actions, weights = zip(*self._actions, strict=True)
            while time.monotonic() < until and not stop.is_set():
                action = self.chance.choices(actions, weights)[0]
                action(self.chance.choice(self._own))
            for repository in self._own:
                self.check_all(repository)
        except (Failure, BadAnswer, NoAnswer, OSError) as error:
            stop.set()
            raise Failure(f"{type(error).__name__}: {error}\nthe last exchanges:\n{self.told()}") from error
        finally:
            self.close()

    def check_all(self, repository: Repository) -> None:
        """Everything that was acknowledged is there, and nothing else."""
        for digest in repository.blobs:
            self._check_blob(repository, digest)
        for digest in repository.manifests:
            self._check_manifest(repository, digest)
        for tag in repository.tags:
            self._check_manifest(repository, tag)
        answer = self.ask("GET", f"/v2/{repository.name}/tags/list")
        if answer.status == 200:
            self.expect(answer.json()["tags"] == repository.tag_page(None, ""), "tags", answer)
        else:
            self.expect(answer.status == 404 and not repository.tags, "tags", answer)
        for session in repository.sessions:
            self._check_session(session)

    # --- blobs --------------------------------------------------------------------------------------------------

    def _push_blob(self, repository: Repository) -> None:
        data = self.say.content()
        right = not self.say.odds(5)
        digest = digest_of(data, self.chance.choice(("sha256", "sha512"))) if right else self.say.random_digest()
        answer = self.ask("POST", f"/v2/{repository.name}/blobs/uploads/?digest={digest}", body=data)
        self.expect(answer.status == (201 if right else 400), "monolithic upload", answer)
        if right:
            repository.blobs[digest] = data
        else:
            self._check_absent(repository, digest)

    def _open_session(self, repository: Repository) -> None:
        answer = self.ask("POST", f"/v2/{repository.name}/blobs/uploads/")
        self.expect(answer.status == 202, "new session", answer)
        repository.sessions.append(Session(answer.header("location") or ""))

    def _use_session(self, repository: Repository) -> None:
        if not repository.sessions:
            return self._open_session(repository)
        session = self.chance.choice(repository.sessions)
        kind = self.chance.randrange(10)
        if kind < 5:
            self._append(session)
        elif kind < 8:
            self._close(repository, session)
        elif kind < 9:
            self._check_session(session)
        else:
            answer = self.ask("DELETE", session.path)
            self.expect(answer.status == 204, "cancel", answer)
            repository.sessions.remove(session)
            answer = self.ask("GET", session.path)
            self.expect(answer.status == 404, "cancelled session", answer)
        return None

    def _append(self, session: Session) -> None:
        data = self.say.content()
        headers: dict[str, str] = {}
        offset, right = len(session.data), True
        if data and self.say.odds(2):
            right = not self.say.odds(3)
            first = offset if right else offset + self.chance.choice((-1, 1, 5, 10**12))
            headers["Content-Range"] = f"{first}-{first + len(data) - 1}"
        answer = self.ask("PATCH", session.path, headers, data)
        if right:
            self.expect(answer.status == 202, "chunk", answer)
            session.data += data
            self.expect(answer.header("range") == _range(session), "range of the chunk", answer)
        else:
            self.expect(answer.status == 416, "chunk out of order", answer)
            self._check_session(session)

    def _close(self, repository: Repository, session: Session) -> None:
        last = self.say.content() if self.say.odds(2) else b""
        data = session.data + last
        right = not self.say.odds(4)
        digest = digest_of(data, self.chance.choice(("sha256", "sha512"))) if right else self.say.random_digest()
        answer = self.ask("PUT", f"{session.path}?digest={digest}", body=last)
        self.expect(answer.status == (201 if right else 400), "close", answer)
        repository.sessions.remove(session)
        if right:
            repository.blobs[digest] = data
        else:
            self._check_absent(repository, digest)
            answer = self.ask("GET", session.path)
            self.expect(answer.status == 404, "session after a wrong digest", answer)

    def _check_session(self, session: Session) -> None:
        answer = self.ask("GET", session.path)
        self.expect((answer.status, answer.header("range")) == (204, _range(session)), "session", answer)

    def _read_blob(self, repository: Repository) -> None:
        known = list(repository.blobs)
        if not known or self.say.odds(6):
            return self._check_absent(repository, self.say.random_digest())
        digest = self.chance.choice(known)
        if self.say.odds(2):
            return self._check_blob(repository, digest)
        data = repository.blobs[digest]
        answer = self.ask("GET", f"/v2/{repository.name}/blobs/{digest}", {"Range": self.say.range(len(data))})
        self.expect(answer.status in (200, 206, 416), "range", answer)
        if answer.status == 200:
            self.expect(answer.body == data, "whole for a range", answer)
        elif (content_range := answer.header("content-range")) is not None and answer.status == 206:
            first, last = content_range.removeprefix("bytes ").partition("/")[0].split("-")
            self.expect(answer.body == data[int(first) : int(last) + 1], "part", answer)
        return None

    def _check_blob(self, repository: Repository, digest: str) -> None:
        data, target = repository.blobs[digest], f"/v2/{repository.name}/blobs/{digest}"
        answer = self.ask("GET", target)
        self.expect((answer.status, answer.body) == (200, data), "acknowledged blob", answer)
        answer = self.ask("HEAD", target)
        self.expect((answer.status, answer.header("content-length")) == (200, str(len(data))), "HEAD of a blob", answer)

    def _check_absent(self, repository: Repository, digest: str) -> None:
        for kind, known in (("blobs", repository.blobs), ("manifests", repository.manifests)):
            if digest in known:  # the same bytes as the other kind, such as none at all
                continue
            answer = self.ask(self.chance.choice(("GET", "HEAD", "DELETE")), f"/v2/{repository.name}/{kind}/{digest}")
            self.expect(answer.status == 404, "something that nobody pushed", answer)

    def _delete_blob(self, repository: Repository) -> None:
        if not repository.blobs:
            return
        digest = self.chance.choice(list(repository.blobs))
        answer = self.ask("DELETE", f"/v2/{repository.name}/blobs/{digest}")
        if answer.status == 202:
            self.expect(not repository.needed(digest), "deleted a blob that a manifest needs", answer)
            del repository.blobs[digest]
            self._check_absent(repository, digest)
        else:
            named = any(digest.encode() in manifest.data for manifest in repository.manifests.values())
            self.expect(answer.status == 405 and named, "deletion of a blob", answer)

    def _mount(self, repository: Repository) -> None:
        source = self.chance.choice(self._own)
        if not source.blobs:
            return
        digest = self.chance.choice(list(source.blobs))
        query = f"mount={digest}&from={source.name}" if self.say.odds(2) else f"mount={digest}"
        answer = self.ask("POST", f"/v2/{repository.name}/blobs/uploads/?{query}")
        if answer.status == 202:
            self.expect("from=" not in query, "mount of a blob that is there", answer)
            repository.sessions.append(Session(answer.header("location") or ""))
        else:
            self.expect(answer.status == 201, "mount", answer)
            repository.blobs[digest] = source.blobs[digest]

    # --- manifests ----------------------------------------------------------------------------------------------

    def _push_manifest(self, repository: Repository) -> None:
        if not repository.blobs:
            return self._push_blob(repository)
        document = self._document(repository)
        data = encode(document)
        needs = {entry["digest"] for entry in document.get("layers", ())}
        needs |= {document["config"]["digest"]} if "config" in document else set()
        tags: list[str] = []
        if self.say.odds(2):
            reference = self.say.tag()
            digest, tags = digest_of(data), [reference]
            target = reference
        else:
            digest = digest_of(data, self.chance.choice(("sha256", "sha512")))
            tags = [self.say.tag() for _ in range(self.chance.choice((0, 0, 1, 3)))]
            target = f"{digest}?{'&'.join(f'tag={tag}' for tag in tags)}"
        media_type = document["mediaType"]
        answer = self.ask("PUT", f"/v2/{repository.name}/manifests/{target}", {"Content-Type": media_type}, data)
        self.expect(answer.status == 201, "good manifest", answer)
        subject = document["subject"]["digest"] if "subject" in document else None
        self.expect(answer.header("oci-subject") == subject, "OCI-Subject", answer)
        self.expect(answer.header("docker-content-digest") == digest, "digest of a manifest", answer)
        repository.put_manifest(digest, Manifest(data, media_type, subject, frozenset(needs)), tags)
        return None

    def _document(self, repository: Repository) -> dict[str, Any]:
        images = {d: m.data for d, m in repository.manifests.items() if m.media_type == OCI_MANIFEST}
        subjects = [*repository.manifests, digest_of(repository.name.encode())]
        return self.say.manifest(repository.blobs, images, subjects)

    def _push_broken_manifest(self, repository: Repository) -> None:
        data = self.say.broken_json(self._document(repository) if repository.blobs else {"schemaVersion": 2})
        declared = self.chance.choice(MEDIA_TYPES)
        by_digest = self.say.odds(2)
        digest, tag = digest_of(data), self.say.tag()
        target = f"/v2/{repository.name}/manifests/{digest if by_digest else tag}"
        answer = self.ask("PUT", target, {"Content-Type": declared} if declared else {}, data)
        self.expect(answer.status in (201, 400), "any manifest", answer)
        if answer.status == 201:
            repository.put_manifest(
                digest, Manifest(data, None, answer.header("oci-subject")), [] if by_digest else [tag]
            )
            self._check_manifest(repository, digest)
        elif digest not in repository.manifests:
            self._check_absent(repository, digest)

    def _read_manifest(self, repository: Repository) -> None:
        known = [*repository.manifests, *repository.tags]
        if known and not self.say.odds(6):
            return self._check_manifest(repository, self.chance.choice(known))
        tag = f"absent{self.chance.randrange(100)}"
        answer = self.ask(self.chance.choice(("GET", "HEAD", "DELETE")), f"/v2/{repository.name}/manifests/{tag}")
        return self.expect(answer.status == 404, "a tag that nobody pushed", answer)

    def _check_manifest(self, repository: Repository, reference: str) -> None:
        digest = repository.tags.get(reference, reference)
        manifest, target = repository.manifests[digest], f"/v2/{repository.name}/manifests/{reference}"
        answer = self.ask("GET", target)
        self.expect((answer.status, answer.body) == (200, manifest.data), "acknowledged manifest", answer)
        self.expect(manifest.media_type in (None, answer.header("content-type")), "type of a manifest", answer)
        answer = self.ask("HEAD", target)
        expected = (200, str(len(manifest.data)))
        self.expect((answer.status, answer.header("content-length")) == expected, "HEAD of a manifest", answer)

    def _delete_manifest(self, repository: Repository) -> None:
        if not repository.manifests:
            return
        if repository.tags and self.say.odds(2):
            tag = self.chance.choice(list(repository.tags))
            answer = self.ask("DELETE", f"/v2/{repository.name}/manifests/{tag}")
            self.expect(answer.status == 202, "deletion of a tag", answer)
            del repository.tags[tag]
            return
        digest = self.chance.choice(list(repository.manifests))
        answer = self.ask("DELETE", f"/v2/{repository.name}/manifests/{digest}")
        self.expect(answer.status == 202, "deletion of a manifest", answer)
        repository.delete_manifest(digest)
        self._check_absent(repository, digest)

    # --- lists --------------------------------------------------------------------------------------------------

    def _list_tags(self, repository: Repository) -> None:
        n, last = self.chance.choice((None, 0, 1, 3, 1000, 10**30)), self.chance.choice(("", "t", "t5", "z", "%00"))
        query = f"last={last}" if n is None else f"n={n}&last={last}"
        answer = self.ask("GET", f"/v2/{repository.name}/tags/list?{query}")
        if answer.status == 404 and not repository.tags:
            return
        expected = repository.tag_page(n, last.replace("%00", "\0"))
        self.expect(answer.status == 200 and answer.json()["tags"] == expected, f"page {expected}", answer)

    def _list_referrers(self, repository: Repository) -> None:
        subject = self.chance.choice([*repository.manifests, digest_of(repository.name.encode())])
        target, found = f"/v2/{repository.name}/referrers/{subject}", set[str]()
        while target:
            answer = self.ask("GET", target)
            self.expect(answer.status == 200, "referrers", answer)
            found |= {entry["digest"] for entry in answer.json()["manifests"]}
            target = (answer.header("link") or "").partition(">")[0].removeprefix("<")
        expected = repository.referrers(subject)
        self.expect(found == expected, f"referrers: {len(found ^ expected)} differ", answer)

    # --- nonsense -----------------------------------------------------------------------------------------------

    def _wild(self, repository: Repository) -> None:
        """A well-framed request of any meaning to a repository that all share."""
        say, chance = self.say, self.chance
        own = [*repository.blobs, *repository.manifests]
        digest = chance.choice(own) if own and say.odds(2) else say.random_digest()
        digest = say.mutated(digest) if say.odds(3) else digest
        reference = chance.choice((digest, say.tag(), say.mutated(say.tag())))
        path = chance.choice(
            (
                "", "_catalog", "_oci/ext/discover", f"{say.name()}/tags/list", f"{say.name()}/manifests/{reference}",
                f"{say.name()}/blobs/{digest}", f"{say.name()}/referrers/{digest}", f"{say.name()}/blobs/uploads/",
                f"{say.name()}/blobs/uploads/{say.mutated('00000000-0000-0000-0000-000000000000')}", say.name(),
            )
        )  # fmt: skip
        target = f"/v2/{path}" + (f"?{say.query(own)}" if say.odds(2) else "")
        method = chance.choice(METHODS if not say.odds(8) else STRANGE_METHODS)
        body = chance.choice((b"", say.content(), say.broken_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST})))
        target = "".join(c if 32 < ord(c) < 127 else f"%{ord(c) % 256:02X}" for c in target)
        answer = self.ask(
            method, target, say.noise(), body if method in ("PUT", "POST", "PATCH") else b"", strange=True
        )
        if answer.status == 202 and method == "POST" and say.odds(2):
            self.ask("DELETE", answer.header("location") or "")

    def _raw(self, repository: Repository) -> None:
        """A request whose bytes were damaged: whatever it has become, it is answered or the connection ends."""
        say = self.say
        fields = [("Content-Type", OCI_MANIFEST), *say.noise()]
        if say.odds(3):
            fields.append(("Transfer-Encoding", self.chance.choice(("chunked", "gzip", "chunked, chunked", "x"))))
        body = say.content()[:2000]
        method = self.chance.choice(["PUT", "POST", "PATCH", "GET"])
        data = head(method, f"/v2/wild/raw/manifests/{say.tag()}", fields, body)
        data = say.broken_bytes(data + body)
        with self.connect() as wire:
            wire.send(data)
            self.note(f"raw {data[:300]!r}")
            for patience in (SILENT, HANGS):
                if patience == HANGS:
                    with contextlib.suppress(OSError):
                        wire.half_close()
                try:
                    while True:
                        answer = wire.answer(patience=patience)
                        self.judge(answer, method="", strange=True)
                except NoAnswer:
                    return
                except BadAnswer as error:
                    # An answer to HEAD reads like one that breaks off; a GET may have become one.
                    if patience == HANGS and "within the time" in str(error):
                        raise

    def _vanish(self, repository: Repository) -> None:
        """Go away in the middle of a chunk: the session holds what it held, and perhaps what came."""
        if not repository.sessions:
            return
        session = self.chance.choice(repository.sessions)
        data = self.say.content()
        request = head("PATCH", session.path, {"Content-Length": str(len(data) + 1 + self.chance.randrange(9))}) + data
        with self.connect() as wire:
            wire.send(request[: self.chance.randrange(1, len(request))] if self.say.odds(2) else request)
            self.note(f"vanish {session.path} {len(data)}")
            if self.say.odds(2):
                wire.abort()
        self._take_over(session, data)

    def _take_over(self, session: Session, data: bytes) -> None:
        """Go on where the session is now; from then on what came of `data` before cannot grow any more."""
        for _ in range(100):
            answer = self.ask("GET", session.path)
            kept = int((answer.header("range") or "").removeprefix("0-"))
            kept += kept > 0 or len(session.data) == 1
            self.expect(answer.status == 204 and (session.data + data)[:kept].startswith(session.data), "kept", answer)
            answer = self.ask("PATCH", session.path, {"Content-Range": f"{kept}-{kept + 1}"}, b"on")
            if answer.status == 202:
                session.data = (session.data + data)[:kept] + b"on"
                self._check_session(session)
                return
            self.expect(answer.status == 416, "taken over", answer)
        self.expect(False, "a session that goes on and on", answer)

    def _pipeline(self, repository: Repository) -> None:
        """Several reads at once: answered in their order."""
        known = list(repository.blobs)
        if not known:
            return
        digests = [self.chance.choice(known) for _ in range(self.chance.randint(2, 8))]
        with self.connect() as wire:
            wire.send(b"".join(head("GET", f"/v2/{repository.name}/blobs/{digest}") for digest in digests))
            self.note(f"pipeline {repository.name} {digests}")
            if self.say.odds(6):
                return  # and wait for none of it
            for digest in digests:
                answer = wire.answer()
                self.judge(answer, method="GET", strange=False)
                self.expect(answer.body == repository.blobs[digest], "pipelined blob", answer)


def _range(session: Session) -> str:
    return f"0-{max(len(session.data) - 1, 0)}"
