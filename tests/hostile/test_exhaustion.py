"""Clients that want to use the server up: connections, sessions, memory, answers larger than what was asked."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.hostile.content import (
    ABSENT,
    OCI_INDEX,
    OCI_MANIFEST,
    SEED,
    SMALL,
    descriptor,
    digest_of,
    encode,
    image,
    push_blob,
    push_manifest,
)
from tests.hostile.core import core
from tests.hostile.health import Watch
from tests.hostile.spec import assert_error
from tests.hostile.trace import no_trace
from tests.hostile.wire import Answer, Wire, ask, connect, head
from tests.support.server import RegistryProcess, wait_for

MIB = 1024 * 1024
PATIENCE = 2.0
"""Seconds that this server waits for a request's head, and for the next byte of a body."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """A server with short patience and tight limits."""
    env = {
        "GATI_HTTP__KEEP_ALIVE": str(PATIENCE),
        "GATI_HTTP__IDLE_TIMEOUT": str(PATIENCE),
        "GATI_UPLOADS__MAX_OPEN": "20",
    }
    with core(tmp_path_factory.mktemp("impatient") / "data", env=env) as server:
        SEED.plant(server)
        yield server


@pytest.fixture
def impatient(shared: RegistryProcess) -> Iterator[RegistryProcess]:
    """The server, watched for one test."""
    watch = Watch(shared)
    yield shared
    watch.check()


@contextlib.contextmanager
def many(server: RegistryProcess, count: int) -> Iterator[list[Wire]]:
    """Many connections at once."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(server)) for _ in range(count)]


SLOW_STARTS = [
    b"",
    b"GET /v2/",
    b"GET /v2/ HTTP/1.1\r\nHost: a\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-A: ",
    head("PUT", "/v2/seed/app/manifests/slow", {"Content-Length": "1000"}) + b"{",
    head("POST", f"/v2/seed/app/blobs/uploads/?digest={ABSENT}", {"Transfer-Encoding": "chunked"}) + b"5\r\nab",
    head("POST", f"/v2/seed/app/blobs/uploads/?digest={ABSENT}", {"Content-Length": "1000000"}) + bytes(100_000),
]
"""Nothing; parts of a line and of a head; parts of a manifest, a chunk and a blob."""


def test_slow_clients(impatient: RegistryProcess) -> None:
    """Two hundred that begin and say no more: the others are served meanwhile, and the slow are let go of."""
    with no_trace(impatient), many(impatient, 30 * len(SLOW_STARTS)) as wires:
        for number, wire in enumerate(wires):
            wire.send(SLOW_STARTS[number % len(SLOW_STARTS)])
        for _ in range(20):
            assert ask(impatient, "GET", f"/v2/{SEED.repository}/manifests/{SEED.tag}").body == SEED.manifest
        deadline = time.monotonic() + 30
        for wire in wires:
            _drain(wire, deadline)


def _drain(wire: Wire, deadline: float) -> None:
    """Read until the server closes; whatever it says on the way is no 5xx."""
    said = bytearray()
    while True:
        wire.socket.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            data = wire.socket.recv(65536)
        except ConnectionError:
            break
        if not data:
            break
        said += data
    assert not said or re.match(rb"HTTP/1\.1 4\d\d ", said), bytes(said[:100])


def test_slow_readers(impatient: RegistryProcess) -> None:
    """Clients that ask for much and read nothing are let go of as well."""
    big = bytes(8 * MIB)
    assert push_blob(impatient, "big", big).status == 201
    before = impatient.rss()
    with many(impatient, 50) as wires:
        for wire in wires:
            wire.send(head("GET", f"/v2/big/blobs/{digest_of(big)}"))
        for _ in range(20):
            assert ask(impatient, "GET", "/v2/").status == 200
        # Nobody's eight MiB wait in memory.
        assert impatient.rss() - before < 100 * MIB
        wait_for(lambda: _requests(impatient) <= 1, timeout=30)
    assert ask(impatient, "DELETE", f"/v2/big/blobs/{digest_of(big)}").status == 202


def _requests(server: RegistryProcess) -> int:
    found = re.search(
        r"^gati_requests_in_progress(?:\{[^}]*\})? (\S+)$", ask(server, "GET", "/metrics").body.decode(), re.M
    )
    assert found is not None
    return int(float(found[1]))


def test_open_uploads_are_counted(impatient: RegistryProcess) -> None:
    """With its first bytes a session counts: one more than allowed is 429 with Retry-After; another repository has its
    own; what ends makes room."""

    def begin(repository: str, query: str = "") -> tuple[str, Answer]:
        location = ask(impatient, "POST", f"/v2/{repository}/blobs/uploads/{query}").header("location")
        assert location is not None
        return location, ask(impatient, "PATCH", location, body=b"some")

    with no_trace(impatient):
        sessions = [begin("counted")[0] for _ in range(20)]
        for query in ("", f"?mount={digest_of(b'absent')}&from=seed/app", "?digest-algorithm=sha512"):
            location, answer = begin("counted", query)
            assert_error(answer, 429, "TOOMANYREQUESTS")
            assert (answer.header("retry-after") or "").isdigit()
            assert ask(impatient, "GET", location).status == 204, "it may be tried again"
        other, answer = begin("counted2")
        assert answer.status == 202
        assert ask(impatient, "DELETE", other).status == 204
        assert ask(impatient, "DELETE", sessions.pop()).status == 204
        location, answer = begin("counted")
        assert answer.status == 202
        for session in (*sessions, location):
            assert ask(impatient, "DELETE", session).status == 204


def test_pages_have_an_end(impatient: RegistryProcess) -> None:
    """However many are asked for: a page holds what the server says, and the links lead through all of it."""
    assert push_blob(impatient, "tags", SMALL).status == 201
    data = encode(image())
    tags = sorted(f"t{n}" for n in range(1100))
    for start in range(0, 1100, 100):
        query = "&".join(f"tag={tag}" for tag in tags[start : start + 100])
        target = f"/v2/tags/manifests/{digest_of(data)}?{query}"
        assert ask(impatient, "PUT", target, {"Content-Type": OCI_MANIFEST}, data).status == 201
    for n in ("", "n=1000", "n=1" + "0" * 30, "n=1001"):
        target, found = f"/v2/tags/tags/list?{n}", list[str]()
        while target:
            answer = ask(impatient, "GET", target)
            page = answer.json()["tags"]
            assert 0 < len(page) <= 1000
            found += page
            target = _next(answer.header("link"))
        assert found == tags
    assert ask(impatient, "DELETE", f"/v2/tags/manifests/{digest_of(data)}").status == 202


def _next(link: str | None) -> str:
    if link is None:
        return ""
    found = re.fullmatch(r'<([^>]*)>; rel="?next"?', link)
    assert found is not None, link
    return found[1]


def test_giant_referrers(impatient: RegistryProcess) -> None:
    """Annotations of one and four MiB: every page stays within four MiB, the links lead through all of them."""
    assert push_blob(impatient, "giant", SMALL).status == 201
    subject = descriptor(b"the subject", OCI_MANIFEST)
    digests = set()
    for n in range(40):
        text = "x" * (4 * MIB - 1000 if n % 2 else MIB)
        data = encode(image(subject=subject, artifactType="a/b", annotations={"n": str(n), "a": text}))
        assert push_manifest(impatient, "giant", digest_of(data), data).status == 201
        digests.add(digest_of(data))
    before = impatient.rss()
    target, found = f"/v2/giant/referrers/{subject['digest']}", list[str]()
    while target:
        answer = ask(impatient, "GET", target)
        assert (answer.status, answer.header("content-type")) == (200, OCI_INDEX)
        page = answer.json()["manifests"]
        assert len(answer.body) <= 4 * MIB or len(page) == 1
        found += [entry["digest"] for entry in page]
        target = _next(answer.header("link"))
    assert sorted(found) == sorted(digests)
    with ThreadPoolExecutor(8) as threads:
        targets = [f"/v2/giant/referrers/{subject['digest']}?artifactType=a/b&n={n}" for n in range(16)]
        statuses = list(threads.map(lambda path: ask(impatient, "GET", path).status, targets))
    assert set(statuses) == {200}
    # A page's worth may be read for each request, not all that there is.
    assert impatient.rss() - before < 200 * MIB
    for digest in digests:
        assert ask(impatient, "DELETE", f"/v2/giant/manifests/{digest}").status == 202


def test_largest_manifests_at_once(impatient: RegistryProcess) -> None:
    """Forty clients push four MiB each, most of it refused: memory comes back, everyone gets an answer."""
    most = encode({"schemaVersion": 2, "a": ["x" * 1000] * 4000})
    before = impatient.rss()
    with no_trace(impatient), ThreadPoolExecutor(40) as threads:
        pushes = [threads.submit(push_manifest, impatient, "seed/app", f"m{n}", most) for n in range(40)]
        for push in pushes:
            assert_error(push.result(), 400, "MANIFEST_INVALID")
    assert impatient.rss() - before < 400 * MIB


def test_mount_storm(impatient: RegistryProcess) -> None:
    """Mounts of one blob into hundreds of repositories, none of which has a manifest: rows, and nothing else."""
    with ThreadPoolExecutor(8) as threads:
        statuses = list(
            threads.map(
                lambda n: (
                    ask(
                        impatient,
                        "POST",
                        f"/v2/storm/r{n}/blobs/uploads/?mount={digest_of(SMALL)}&from={SEED.repository}",
                    ).status
                ),
                range(300),
            )
        )
        assert set(statuses) == {201}
        gone = list(
            threads.map(
                lambda n: ask(impatient, "DELETE", f"/v2/storm/r{n}/blobs/{digest_of(SMALL)}").status, range(300)
            )
        )
    assert set(gone) == {202}
    assert not any("storm/" in name for name in ask(impatient, "GET", "/v2/_catalog").json()["repositories"])
