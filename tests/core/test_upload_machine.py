"""Upload sessions as a state machine over HTTP, beside a model in plain Python.

Two workers share the data; requests go to either. A request may hang with its session claimed: whoever comes next
takes the session over, and the one that hung is refused when it goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gati_registry.bootstrap import Registry
from tests.core.support import (
    EXPIRY,
    INLINE,
    Answer,
    Call,
    Client,
    FakeClock,
    registry,
    scratch,
    sha256,
    sha512,
)

REPOSITORIES = ("a", "b/uploads")


@dataclass(eq=False)
class Session:
    """What the model knows of a session."""

    location: str
    repository: str
    data: bytes = b""
    touched: int = 0
    stored: bool = False  # something was written to it: it has a row
    holder: Hanging | None = None


@dataclass(eq=False)
class Hanging:
    """A request that stopped half-way through its body."""

    call: Call
    session: Session
    sent: bytes
    extra: bytes
    digest: str | None
    kept: bool  # what came of it, if it breaks off: it said where it belongs


chunks = st.one_of(
    st.binary(max_size=8),
    st.integers(1, INLINE * 3).map(lambda length: b"%d" % length * (length // 3 + 1)),
    st.sampled_from([b"", b"x" * INLINE, b"y" * (INLINE + 1)]),
)
workers = st.integers(0, 1)
picks = st.integers(0, 3)
hashes = st.sampled_from([sha256, sha512])
Hashing = Callable[[bytes], str]


def acknowledged(data: bytes) -> str:
    """The `Range` of a session that holds these bytes."""
    return f"0-{max(len(data) - 1, 0)}"


class UploadMachine(RuleBasedStateMachine):
    """The rules."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.scratch = contextlib.ExitStack()
        self.folder = self.scratch.enter_context(scratch())
        self.clock = FakeClock()
        self.opened: list[contextlib.AsyncExitStack] = []
        self.sites: list[Registry] = []
        self.live: list[Session] = []
        self.over: list[Session] = []
        self.hanging: list[Hanging] = []
        self.blobs: dict[tuple[str, str], bytes] = {}

    # --- plumbing -----------------------------------------------------------------------------------------------

    @initialize()
    def open(self) -> None:
        """Two workers begin."""
        for _ in range(2):
            stack = contextlib.AsyncExitStack()
            self.opened.append(stack)
            self.sites.append(self.runner.run(stack.enter_async_context(registry(self.folder, self.clock))))

    def client(self, worker: int) -> Client:
        """Sends to one of the workers."""
        return Client(self.sites[worker].app)

    def send(self, worker: int, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """One whole request."""
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.runner.run(self.client(worker).request(method, target, body, headers))

    def unknown(self, answer: Answer) -> None:
        """The session is over."""
        assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])

    def session(self, pick: int) -> Session:
        """One of the open sessions."""
        return self.live[pick % len(self.live)]

    def append(self, session: Session, data: bytes) -> None:
        """The model takes a chunk."""
        session.data += data
        self.claimed(session)
        session.holder = None

    def claimed(self, session: Session) -> None:
        """A request began to write to it."""
        session.touched = self.clock.now()
        session.stored = True

    def end(self, session: Session) -> None:
        """The model ends a session."""
        self.live.remove(session)
        self.over.append(session)
        session.holder = None

    # --- rules --------------------------------------------------------------------------------------------------

    @rule(worker=workers, repository=st.sampled_from(REPOSITORIES), wide=st.booleans())
    def start(self, worker: int, repository: str, wide: bool) -> None:
        query = "?digest-algorithm=sha512" if wide else ""
        answer = self.send(worker, "POST", f"/v2/{repository}/blobs/uploads/{query}")
        assert (answer.status, answer.headers["range"]) == (202, "0-0")
        self.live.append(Session(answer.headers["location"], repository, touched=self.clock.now()))

    @precondition(lambda self: self.live)
    @rule(pick=picks, worker=workers, data=chunks, declared=st.booleans())
    def in_order(self, pick: int, worker: int, data: bytes, declared: bool) -> None:
        session = self.session(pick)
        first = len(session.data)
        headers = {"Content_Range": f"{first}-{first + len(data) - 1}"} if declared and data else {}
        answer = self.send(worker, "PATCH", session.location, data, **headers)
        self.append(session, data)
        assert (answer.status, answer.headers["range"]) == (202, acknowledged(session.data))

    @precondition(lambda self: self.live)
    @rule(pick=picks, worker=workers, data=chunks.filter(bool), shift=st.integers(-5, 5), closing=st.booleans())
    def out_of_order(self, pick: int, worker: int, data: bytes, shift: int, closing: bool) -> None:
        session = self.session(pick)
        first = max(0, len(session.data) + shift)
        if first == len(session.data):
            first += 1
        span = f"{first}-{first + len(data) - 1}"
        target = f"{session.location}?digest={sha256(data)}" if closing else session.location
        answer = self.send(worker, "PUT" if closing else "PATCH", target, data, Content_Range=span)
        assert (answer.status, answer.codes) == (416, ["BLOB_UPLOAD_INVALID"])
        assert answer.headers["range"] == acknowledged(session.data)

    @precondition(lambda self: self.live)
    @rule(pick=picks, worker=workers, data=chunks.filter(bool), more=st.integers(1, 3))
    def lying_length(self, pick: int, worker: int, data: bytes, more: int) -> None:
        session = self.session(pick)
        first = len(session.data)
        span = f"{first}-{first + len(data) - 1 + more}"
        answer = self.send(worker, "PATCH", session.location, data, Content_Range=span)
        assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])

    @precondition(lambda self: self.live)
    @rule(pick=picks, worker=workers, data=chunks, hashing=hashes, declared=st.booleans())
    def close(self, pick: int, worker: int, data: bytes, hashing: Hashing, declared: bool) -> None:
        session = self.session(pick)
        first, whole = len(session.data), session.data + data
        headers = {"Content_Range": f"{first}-{first + len(data) - 1}"} if declared and data else {}
        digest = hashing(whole)
        answer = self.send(worker, "PUT", f"{session.location}?digest={digest}", data, **headers)
        assert (answer.status, answer.headers["docker-content-digest"]) == (201, digest)
        self.blobs[session.repository, digest] = whole
        if session.stored or len(whole) > INLINE:
            self.end(session)

    @precondition(lambda self: self.live)
    @rule(pick=picks, worker=workers, data=chunks, how=st.sampled_from(["another digest", "cancel"]))
    def give_up(self, pick: int, worker: int, data: bytes, how: str) -> None:
        session = self.session(pick)
        if how == "cancel":
            assert self.send(worker, "DELETE", session.location).status == 204
        else:
            digest = sha256(session.data + data + b"!")
            answer = self.send(worker, "PUT", f"{session.location}?digest={digest}", data)
            assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
        self.end(session)

    @precondition(lambda self: self.over)
    @rule(pick=picks, worker=workers, data=chunks, method=st.sampled_from(["GET", "PATCH", "PUT", "DELETE"]))
    def too_late(self, pick: int, worker: int, data: bytes, method: str) -> None:
        location = self.over[pick % len(self.over)].location
        target = f"{location}?digest={sha256(data)}" if method == "PUT" else location
        self.unknown(self.send(worker, method, target, b"" if method == "GET" else data))

    @precondition(lambda self: self.live)
    @rule(pick=picks, worker=workers, closing=st.booleans(), declared=st.booleans())
    def hang(self, pick: int, worker: int, closing: bool, declared: bool) -> None:
        session = self.session(pick)
        first, sent, extra = len(session.data), b"h" * (INLINE + 1), b"e" * 10
        headers = {"Content-Range": f"{first}-{first + len(sent + extra) - 1}"} if declared else {}
        digest = sha256(session.data + sent + extra) if closing else None
        target = f"{session.location}?digest={digest}" if digest else session.location

        async def begin() -> Call:
            call = self.client(worker).begin("PUT" if digest else "PATCH", target, headers)
            call.feed(sent)
            await call.taken()
            return call

        session.holder = Hanging(self.runner.run(begin()), session, sent, extra, digest, declared and not closing)
        self.claimed(session)
        self.hanging.append(session.holder)

    @precondition(lambda self: self.hanging)
    @rule(pick=picks)
    def go_on(self, pick: int) -> None:
        held = self.hanging.pop(pick % len(self.hanging))
        session = held.session
        held.call.feed(held.extra, more=False)
        answer = self.runner.run(held.call.answer())
        if session.holder is not held:
            assert (answer.status, answer.codes) == (409, ["BLOB_UPLOAD_INVALID"])
            return
        self.append(session, held.sent + held.extra)
        if held.digest is None:
            assert (answer.status, answer.headers["range"]) == (202, acknowledged(session.data))
        else:
            assert answer.status == 201
            self.blobs[session.repository, held.digest] = session.data
            self.end(session)

    @precondition(lambda self: self.hanging)
    @rule(pick=picks)
    def break_off(self, pick: int) -> None:
        held = self.hanging.pop(pick % len(self.hanging))
        held.call.disconnect()
        assert not self.runner.run(held.call.finished())
        if held.session.holder is held:
            held.session.holder = None
            if held.kept and len(held.sent) > INLINE:
                self.append(held.session, held.sent)  # what came of a large chunk is kept

    @rule(data=chunks, repository=st.sampled_from(REPOSITORIES), worker=workers, hashing=hashes, wrong=st.booleans())
    def one_request(self, data: bytes, repository: str, worker: int, hashing: Hashing, wrong: bool) -> None:
        digest = hashing(data + b"!" * wrong)
        answer = self.send(worker, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)
        if wrong:
            assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
        else:
            assert answer.status == 201
            self.blobs[repository, digest] = data

    @precondition(lambda self: self.live)
    @rule(seconds=st.sampled_from([1, EXPIRY // 2, EXPIRY + 1]), worker=workers)
    def time_passes(self, seconds: int, worker: int) -> None:
        self.clock.advance(seconds)
        for repository, digest in self.blobs:  # keep what the collector would take
            assert self.send(worker, "HEAD", f"/v2/{repository}/blobs/{digest}").status == 200
        report = self.runner.run(self.sites[worker].collector.run(strays=False))
        before = self.clock.now() - EXPIRY * 1000
        expired = [session for session in self.live if session.touched < before]
        assert report.expired_uploads == sum(session.stored for session in expired)
        for session in expired:
            self.end(session)

    @precondition(lambda self: self.live)
    @rule(worker=workers)
    def restart(self, worker: int) -> None:
        """A worker goes, with what hangs in it left alone, and a new one comes."""
        stack = contextlib.AsyncExitStack()
        self.opened.append(stack)
        self.sites[worker] = self.runner.run(stack.enter_async_context(registry(self.folder, self.clock)))

    # --- what always holds --------------------------------------------------------------------------------------

    @invariant()
    def sessions_are_as_acknowledged(self) -> None:
        for number, session in enumerate(self.live):
            answer = self.send(number % 2, "GET", session.location)
            assert (answer.status, answer.headers["range"]) == (204, acknowledged(session.data))

    def teardown(self) -> None:
        try:
            for (repository, digest), data in self.blobs.items():
                for worker in range(2):
                    answer = self.send(worker, "GET", f"/v2/{repository}/blobs/{digest}")
                    assert (answer.status, answer.body) == (200, data)
            if self.sites:
                findings = self.runner.run(self.sites[0].verifier.run())
                assert (findings.damaged, findings.blobs) == ([], len({digest for _, digest in self.blobs}))
        finally:
            self.runner.run(self._close())
            self.runner.close()
            self.scratch.close()

    async def _close(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stack in self.opened:
            await stack.aclose()


TestUploads = UploadMachine.TestCase
TestUploads.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
