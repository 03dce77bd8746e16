"""The suite has to be able to fail: for each way of breaking a good registry's answers, the cases that tell.

The same cases pass through the same proxy when it breaks nothing, so it is the fault that they find.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

import pytest

from gati_conformance.model import Status
from tests.conformance.faulty import Asked, Fault, Forward, Reply, proxy, sound
from tests.conformance.running import check, told
from tests.support.server import RegistryProcess

OTHER_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault, and the cases that must fail because of it."""

    name: str
    fault: Fault
    cases: tuple[str, ...]


def _on(pattern: str, change: Callable[[Asked, Reply], Reply]) -> Fault:
    """Change the answers to requests whose method and target match."""

    def fault(asked: Asked, forward: Forward) -> Reply:
        reply = forward(asked)
        return change(asked, reply) if re.search(pattern, f"{asked.method} {asked.target}") else reply

    return fault


def _before(pattern: str, change: Callable[[Asked], Asked]) -> Fault:
    """Change requests that match before they are forwarded."""

    def fault(asked: Asked, forward: Forward) -> Reply:
        matches = re.search(pattern, f"{asked.method} {asked.target}")
        return forward(change(asked) if matches else asked)

    return fault


def _document(change: Callable[[dict[str, object]], object]) -> Callable[[Asked, Reply], Reply]:
    """Change the JSON object of an answer's body in place."""

    def apply(asked: Asked, reply: Reply) -> Reply:
        if asked.method == "HEAD" or "json" not in reply.header("content-type"):
            return reply
        document = json.loads(reply.body)
        change(document)
        return reply.saying(json.dumps(document).encode())

    return apply


def _descriptors(*names: str) -> Callable[[Asked, Reply], Reply]:
    """Drop fields from the descriptors of an index."""

    def drop(document: dict[str, object]) -> None:
        listed = document.get("manifests", [])
        assert isinstance(listed, list)
        for descriptor in listed:
            for name in names:
                descriptor.pop(name, None)

    return _document(drop)


def _without_query(asked: Asked) -> Asked:
    return replace(asked, target=asked.target.partition("?")[0])


def _status(status: int, where: int | None = None) -> Callable[[Asked, Reply], Reply]:
    """Another status: for every answer, or for those that have the one given."""
    return lambda _, reply: replace(reply, status=status) if where in (None, reply.status) else reply


def _lie(asked: Asked, forward: Forward) -> Reply:
    """Say that a DELETE was done, and do nothing."""
    return Reply(202, (("Content-Length", "0"),)) if asked.method == "DELETE" else forward(asked)


def _forgetful(asked: Asked, forward: Forward) -> Reply:
    """A chunk out of order is taken, as if it had come at the right place."""
    reply = forward(asked)
    if asked.method == "PATCH" and reply.status == 416:
        return Reply(202, (("Location", asked.target), ("Range", "0-0"), ("Content-Length", "0")))
    return reply


def _generous(asked: Asked, forward: Forward) -> Reply:
    """What is missing in one repository is served from the other."""
    reply = forward(asked)
    if reply.status == 404 and asked.method in ("GET", "HEAD") and "-one/blobs/sha" in asked.target:
        return forward(replace(asked, target=asked.target.replace("-one/blobs/", "-two/blobs/")))
    return reply


def _careless(asked: Asked, forward: Forward) -> Reply:
    """Content that does not match its digest is taken."""
    reply = forward(asked)
    if asked.method == "PUT" and "/uploads/" in asked.target and reply.status == 400:
        return Reply(201, (("Location", "/v2/"), ("Content-Length", "0")))
    return reply


def _stale() -> Fault:
    """The first answer for a tag is given for ever."""
    known: dict[str, Reply] = {}

    def fault(asked: Asked, forward: Forward) -> Reply:
        tagged = asked.method == "GET" and "/manifests/" in asked.target and "sha256:" not in asked.target
        if not tagged:
            return forward(asked)
        if asked.target not in known and (reply := forward(asked)).status == 200:
            known[asked.target] = reply
        return known.get(asked.target) or forward(asked)

    return fault


def _mixed_up(asked: Asked, reply: Reply) -> Reply:
    names = parse_qs(urlsplit(asked.target).query).get("tag", [])
    return reply.having("OCI-Tag", ", ".join(names[:-1])) if names else reply


def _circle(asked: Asked, reply: Reply) -> Reply:
    return reply.having("Link", f'<{asked.target}>; rel="next"') if "n=" in asked.target else reply


def _throttling(asked: Asked, forward: Forward) -> Reply:
    if asked.target == "/v2/":
        body = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"later"}]}'
        return Reply(429, (("Content-Type", "application/json"),)).saying(body)
    return forward(asked)


def _first_error_only(document: dict[str, object]) -> None:
    found = document.get("errors")
    if isinstance(found, list):
        document["errors"] = found[:1]


def _other_code(document: dict[str, object]) -> None:
    if "errors" in document:
        document["errors"] = [{"code": "UNKNOWN", "message": "something is wrong"}]


def _reverse_tags(document: dict[str, object]) -> None:
    found = document.get("tags")
    if isinstance(found, list):
        found.reverse()


HTML = Reply(404, (("Content-Type", "text/html"),)).saying(b"<h1>Not found</h1>")
CONTENT = r"^(GET|HEAD) .*/(blobs/sha|manifests/)"
MANIFESTS = r"^(GET|HEAD) .*/manifests/"

FAULTS = (
    Broken(
        "a wrong digest in the header",
        _on(CONTENT, lambda _, reply: reply.having("Docker-Content-Digest", OTHER_DIGEST)),
        ("content/digest-header", "image/head/manifest-by-digest", "image/pull/blobs", "sha256-blobs/post+put/get"),
    ),
    Broken(
        "no digest in the header",
        _on(CONTENT, lambda _, reply: reply.without("docker-content-digest")),
        ("content/digest-header", "content/digest-header-sha512", "image/head/manifest-by-tag"),
    ),
    Broken(
        "no Content-Length",
        _on(CONTENT, lambda _, reply: reply.without("content-length")),
        ("content/length-on-get", "content/length-on-head", "image/pull/blobs"),
    ),
    Broken(
        "a Content-Encoding",
        _on(CONTENT, lambda _, reply: reply.having("Content-Encoding", "gzip")),
        ("content/no-content-encoding",),
    ),
    Broken(
        "a charset on manifests",
        _on(MANIFESTS, lambda _, reply: reply.having("Content-Type", reply.header("content-type") + "; charset=utf-8")),
        ("content/media-type-kept", "content/media-type-parameters", "image/pull/manifest-by-tag"),
    ),
    Broken(
        "manifests written anew",
        _on(MANIFESTS, _document(lambda _: None)),
        ("content/manifest-bytes-kept", "content/docker-manifests", "index/pull/manifest-by-digest"),
    ),
    Broken(
        "connections that break",
        _on(r"^GET .*/blobs/sha", lambda _, reply: replace(reply, cut=True)),
        ("ranges/open", "image/pull/blobs", "uploads/large"),
    ),
    Broken(
        "error pages",
        _on(r"^GET ", lambda _, reply: HTML if reply.status == 404 else reply),
        ("errors/body-form", "errors/manifest-unknown", "errors/blob-unknown", "errors/name-unknown"),
    ),
    Broken(
        "a code that is none",
        _on(r"", _document(_other_code)),
        ("errors/blob-unknown", "uploads/unknown-session", "manifests/not-json", "uploads/malformed-digest"),
    ),
    Broken(
        "500 for 404",
        _on(r"", _status(500, 404)),
        ("missing-manifest/by-tag", "sha256-blobs/get-missing", "deletes/twice", "errors/head-has-no-body"),
    ),
    Broken(
        "Range with a unit",
        _on(r"^(PATCH|GET) .*/uploads/", lambda _, reply: reply.having("Range", "bytes=" + reply.header("range"))),
        ("uploads/patch-range", "uploads/state", "uploads/state-empty", "sha256-blobs/chunked-out-of-order/push"),
    ),
    Broken(
        "chunks in any order",
        _forgetful,
        ("uploads/out-of-order", "uploads/first-chunk-not-at-0", "sha512-blobs/chunked-out-of-order/push"),
    ),
    Broken(
        "digests never checked",
        _careless,
        ("uploads/wrong-digest-leaves-nothing", "uploads/malformed-digest", "sha256-blobs/bad-digest-stream"),
    ),
    Broken(
        "ranges from the wrong place",
        _on(CONTENT, lambda _, reply: replace(reply, body=reply.body[::-1]) if reply.status == 206 else reply),
        ("ranges/closed", "ranges/suffix", "sha256-blobs/range-requests/range-500-"),
    ),
    Broken(
        "ranges without Content-Range",
        _on(CONTENT, lambda _, reply: reply.without("content-range")),
        ("ranges/open", "ranges/past-the-end", "ranges/unsatisfiable", "sha256-blobs/range-requests/range--500"),
    ),
    Broken(
        "blobs of other repositories",
        _generous,
        ("mounts/only-here", "mounts/manifest-gives-no-access"),
    ),
    Broken(
        "deletes that do nothing",
        _lie,
        (
            "deletes/manifest-drops-tags",
            "deletes/blob-at-once",
            "concurrency/deletes-seen-at-once",
            "referrers/deleted",
            "image/delete/tags-atomic",
            "uploads/cancelled",
        ),
    ),
    Broken("stale tags", _stale(), ("manifests/tag-moves", "concurrency/seen-at-once", "concurrency/tag-moves")),
    Broken(
        "unsorted tags",
        _on(r"/tags/list", _document(_reverse_tags)),
        ("tags/sorted", "tags/last", "tags/pages-by-last"),
    ),
    Broken(
        "no pages",
        _before(r"/tags/list", _without_query),
        ("tags/n", "tags/n-zero", "tags/last", "tags/pages", "artifacts-with-subject/tag-list"),
    ),
    Broken("pages in a circle", _on(r"/tags/list", _circle), ("tags/pages", "tags/n-zero", "tags/n-large")),
    Broken(
        "OCI-Tag that forgets one",
        _on(r"^PUT .*/manifests/", _mixed_up),
        ("tags/parameters",),
    ),
    Broken(
        "no OCI-Subject",
        _on(r"^PUT ", lambda _, reply: reply.without("oci-subject")),
        ("referrers/subject-header", "artifacts-with-subject/push/manifest-with-subject-by-digest"),
    ),
    Broken(
        "referrers without artifactType",
        _on(r"/referrers/", _descriptors("artifactType")),
        ("referrers/artifact-type", "referrers/media-types", "missing-subject/referrers"),
    ),
    Broken(
        "referrers without annotations",
        _on(r"/referrers/", _descriptors("annotations")),
        ("referrers/annotations", "index-with-subject/referrers"),
    ),
    Broken(
        "a filter that filters nothing",
        lambda asked, forward: (
            forward(_without_query(asked)).having("OCI-Filters-Applied", "artifactType")
            if "artifactType=" in asked.target
            else forward(asked)
        ),
        ("referrers/filter", "referrers/pages-filtered", "artifacts-with-subject/referrers"),
    ),
    Broken(
        "%2F taken for a slash",
        _before("%2[Ff]", lambda asked: replace(asked, target=re.sub("%2[Ff]", "/", asked.target))),
        ("names/encoded-slash",),
    ),
    Broken(
        "names in lower case",
        _before("", lambda asked: replace(asked, target=re.sub("/v2/UPPER/", "/v2/upper/", asked.target))),
        ("names/bad-names",),
    ),
    Broken(
        "400 for 413",
        _on(r"^PUT ", _status(400, 413)),
        ("limits/manifest-too-large",),
    ),
    Broken(
        "one missing blob at a time",
        _on(r"^PUT ", _document(_first_error_only)),
        ("manifests/missing-told-once",),
    ),
    Broken(
        "a warning with a date",
        _on(r"^GET /v2/$", lambda _, reply: reply.having("Warning", '199 registry "old" "Sat, 25 Aug 2012"')),
        ("limits/warnings",),
    ),
    Broken("429 without Retry-After", _throttling, ("limits/too-many-requests",)),
)
# Nothing provokes a warning or a 429 where nothing is broken.
QUIET = {"limits/warnings", "limits/too-many-requests"}


@pytest.mark.parametrize("broken", FAULTS, ids=lambda broken: broken.name)
def test_a_fault_is_found(registry: RegistryProcess, broken: Broken) -> None:
    with proxy(registry.host, broken.fault) as host:
        finished = check(host, *broken.cases)
    statuses = {result.case.id: result.status for result in finished.results}
    assert {case: statuses[case] for case in broken.cases} == dict.fromkeys(broken.cases, Status.FAIL), told(
        finished.results
    )
    assert not finished.passed


def test_the_same_cases_pass_without_a_fault(registry: RegistryProcess) -> None:
    cases = {case for broken in FAULTS for case in broken.cases} - QUIET
    with proxy(registry.host, sound) as host:
        finished = check(host, *cases)
    bad = [result for result in finished.results if result.status is not Status.PASS]
    assert not bad, told(bad)
