"""Uploads by clients that lie, change their mind, vanish, or reach for what is not theirs."""

from __future__ import annotations

import threading

import pytest

from tests.hostile.content import (
    ABSENT,
    LARGE,
    OCI_MANIFEST,
    SEED,
    SMALL,
    descriptor,
    digest_of,
    encode,
    push_blob,
    push_manifest,
    start_upload,
)
from tests.hostile.core import core
from tests.hostile.spec import assert_error
from tests.hostile.trace import no_trace, staged
from tests.hostile.wire import ask, chunked, connect, head
from tests.support.server import RegistryProcess, wait_for

HUGE = bytes(1024) * 5 * 1024
"""5 MiB of zeros: more than any buffer on the way."""


@pytest.mark.parametrize("body", [b"", SMALL, LARGE, HUGE], ids=["empty", "small", "large", "huge"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize(
    "digest", [ABSENT, "sha512:" + "0" * 128, digest_of(SMALL + b"!")], ids=["sha256", "sha512", "near"]
)
def test_wrong_digest(registry: RegistryProcess, body: bytes, coding: str, digest: str) -> None:
    """In one request, at the close of a session, and with all of it sent before: nothing stays."""
    with no_trace(registry):
        whole, last, before = (start_upload(registry, SEED.repository) for _ in range(3))
        assert ask(registry, "PATCH", last, body=body).status == 202
        assert ask(registry, "PATCH", before, body=body).status == 202
        targets = [
            ("POST", f"/v2/{SEED.repository}/blobs/uploads/?digest={digest}", body),
            ("PUT", f"{whole}?digest={digest}", body),
            ("PUT", f"{last}?digest={digest}", body),
            ("PUT", f"{before}?digest={digest}", b""),
        ]
        for method, target, data in targets:
            fields = {"Transfer-Encoding": "chunked"} if coding == "chunked" else {}
            answer = ask(registry, method, target, fields, chunked(data) if coding == "chunked" else data)
            assert_error(answer, 400, "DIGEST_INVALID")
        for session in (whole, last, before):
            assert_error(ask(registry, "GET", session), 404, "BLOB_UPLOAD_UNKNOWN")
        assert ask(registry, "GET", f"/v2/{SEED.repository}/blobs/{digest}").status == 404


def test_close_without_digest(registry: RegistryProcess) -> None:
    with no_trace(registry):
        session = start_upload(registry, SEED.repository)
        for query in ("", "?digest", "?digest=", "?Digest=" + digest_of(SMALL), "?digest=&digest=" + digest_of(SMALL)):
            assert_error(ask(registry, "PUT", session + query, body=SMALL), 400, "DIGEST_INVALID")
        state = ask(registry, "GET", session)
        assert (state.status, state.header("range")) == (204, "0-0")
        assert ask(registry, "DELETE", session).status == 204


@pytest.mark.parametrize("sent", [0, 1, 100, 70_000, 3_000_000])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "PUT manifest"])
def test_client_vanishes(registry: RegistryProcess, method: str, sent: int) -> None:
    """At every stage of a body. An open session holds what was acknowledged, and of a chunk what came; cancelled, all
    of it is gone."""
    with no_trace(registry):
        session = start_upload(registry, SEED.repository)
        assert ask(registry, "PATCH", session, body=LARGE).status == 202
        target = {
            "POST": f"/v2/{SEED.repository}/blobs/uploads/?digest={digest_of(HUGE)}",
            "PATCH": session,
            "PUT": f"{session}?digest={digest_of(LARGE + HUGE)}",
            "PUT manifest": f"/v2/{SEED.repository}/manifests/vanished",
        }[method]
        for reset in (False, True):
            with connect(registry) as wire:
                fields = {"Content-Length": str(min(len(HUGE), 4_000_000)), "Content-Type": OCI_MANIFEST}
                wire.send(head(method.partition(" ")[0], target, fields) + HUGE[:sent])
                if reset:
                    wire.abort()
        state = ask(registry, "GET", session)
        kept = int((state.header("range") or "").removeprefix("0-")) + 1 - len(LARGE)
        assert state.status == 204
        assert 0 <= kept <= (2 * sent if method == "PATCH" else 0)
        assert ask(registry, "DELETE", session).status == 204


@pytest.mark.parametrize("cut", [1, 10, 30, 60])
def test_client_vanishes_within_the_head(registry: RegistryProcess, cut: int) -> None:
    request = head("POST", f"/v2/{SEED.repository}/blobs/uploads/", {"X-Long": "x" * 100})
    with no_trace(registry), connect(registry) as wire:
        wire.send(request[:cut])


def test_cancel_under_a_running_chunk(registry: RegistryProcess) -> None:
    """The chunk's answer is an error of the specification; the cancelled session leaves nothing."""
    with no_trace(registry):
        session = start_upload(registry, SEED.repository)
        with connect(registry) as wire:
            wire.send(head("PATCH", session, {"Content-Length": str(len(HUGE))}) + HUGE[: len(HUGE) // 2])
            assert ask(registry, "DELETE", session).status == 204
            wire.send(HUGE[len(HUGE) // 2 :])
            answer = wire.answer("PATCH")
        assert answer.status in (404, 409), answer
        assert_error(ask(registry, "GET", session), 404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("size", [100, 300_000], ids=["small", "large"])
def test_one_session_closed_by_many(registry: RegistryProcess, size: int) -> None:
    """Eight clients close one session with eight digests, one of them right: it is first or too late."""
    body = b"raced" * (size // 5)
    session = start_upload(registry, "seed/race")
    assert ask(registry, "PATCH", session, body=body).status == 202
    statuses: dict[str, int] = {}

    def close(digest: str) -> None:
        statuses[digest] = ask(registry, "PUT", f"{session}?digest={digest}").status

    threads = [
        threading.Thread(target=close, args=(digest,))
        for digest in (
            *(f"sha256:{n:064x}" for n in range(4)),
            digest_of(body),
            *(f"sha256:{n:064x}" for n in range(4, 7)),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = statuses.pop(digest_of(body))
    assert won in (201, 404, 409)
    assert set(statuses.values()) <= {400, 404, 409}
    assert len(statuses) == 7
    assert_error(ask(registry, "GET", session), 404, "BLOB_UPLOAD_UNKNOWN")
    answer = ask(registry, "GET", f"/v2/seed/race/blobs/{digest_of(body)}")
    assert (answer.status == 200) == (won == 201)
    wait_for(lambda: not staged(registry))
    if won == 201:
        assert ask(registry, "DELETE", f"/v2/seed/race/blobs/{digest_of(body)}").status == 202


CONFLICTING_MOUNTS = [
    "mount={secret}&from=nobody/knows", "mount={secret}&from=seed/app", "mount={absent}&from=seed/secret",
    "mount={absent}",
    "mount={absent}&from=", "mount={secret}&from=..%2Fsecret", "mount={secret}&from=SEED/SECRET",
    "mount={secret}&from=%00",
    "mount={secret}&from=seed/app&from=seed/secret", "mount={absent}&mount={secret}&from=seed/secret",
    "mount={absent}&from=seed/secret&digest={absent}", "from=seed/secret", "mount={secret}&from=" + "a" * 4000,
]  # fmt: skip


@pytest.mark.parametrize("query", CONFLICTING_MOUNTS)
def test_conflicting_mounts(registry: RegistryProcess, query: str) -> None:
    """What cannot be mounted becomes a session to upload to, as the specification has it."""
    with no_trace(registry):
        text = query.format(secret=digest_of(SEED.secret), absent=ABSENT)
        answer = ask(registry, "POST", f"/v2/{SEED.repository}/blobs/uploads/?{text}")
        assert answer.status == 202, answer
        location = answer.header("location")
        assert location is not None
        assert ask(registry, "DELETE", location).status == 204
        assert ask(registry, "GET", f"/v2/{SEED.repository}/blobs/{digest_of(SEED.secret)}").status == 404


def test_deleting_what_others_need(registry: RegistryProcess) -> None:
    """A blob that a manifest of the repository refers to stays; deleting elsewhere changes nothing here."""
    with no_trace(registry):
        answer = ask(registry, "DELETE", f"/v2/{SEED.repository}/blobs/{digest_of(LARGE)}")
        assert_error(answer, 405, "UNSUPPORTED")
        for repository in (SEED.other, "nobody/knows"):
            answer = ask(registry, "DELETE", f"/v2/{repository}/blobs/{digest_of(LARGE)}")
            assert_error(answer, 404, "BLOB_UNKNOWN")
            answer = ask(registry, "DELETE", f"/v2/{repository}/manifests/{SEED.digest}")
            assert_error(answer, 404, "NAME_UNKNOWN" if repository == "nobody/knows" else "MANIFEST_UNKNOWN")


def test_size_in_a_descriptor_is_no_access(registry: RegistryProcess) -> None:
    """A manifest may lie about sizes; what is served is the blob as it is."""
    lie = {**descriptor(SMALL), "size": 2**62}
    document = encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": lie, "layers": []})
    assert push_manifest(registry, SEED.repository, "lie", document).status in (201, 400)
    answer = ask(registry, "GET", f"/v2/{SEED.repository}/blobs/{digest_of(SMALL)}")
    assert (answer.status, answer.body) == (200, SMALL)
    ask(registry, "DELETE", f"/v2/{SEED.repository}/manifests/{digest_of(document)}")


def test_limits_of_size(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a limit on blobs, a larger one is 413: announced, in chunks, or in many requests; nothing of it stays."""
    env = {"GATI_BLOBS__MAX_BYTES": str(len(LARGE))}
    with core(tmp_path_factory.mktemp("limits") / "data", env=env) as server:
        assert push_blob(server, "a", LARGE).status == 201
        with no_trace(server):
            session = start_upload(server, "a")
            for method, target in (
                ("POST", f"/v2/a/blobs/uploads/?digest={digest_of(LARGE + b'!')}"),
                ("PATCH", session),
                ("PUT", f"{session}?digest={digest_of(LARGE + b'!')}"),
            ):
                assert_error(ask(server, method, target, body=LARGE + b"!"), 413, "SIZE_INVALID")
                answer = ask(server, method, target, {"Transfer-Encoding": "chunked"}, chunked(LARGE, b"!"))
                assert_error(answer, 413, "SIZE_INVALID")
            assert ask(server, "PATCH", session, body=LARGE).status == 202
            assert_error(ask(server, "PATCH", session, body=b"!"), 413, "SIZE_INVALID")
            assert ask(server, "GET", session).header("range") == f"0-{len(LARGE) - 1}"
            assert ask(server, "DELETE", session).status == 204
