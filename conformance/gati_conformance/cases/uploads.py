"""Upload sessions beyond the official flows: their state, their end, and what goes wrong.

Source: distribution-spec, Pushing blobs (end-4 to end-6, end-13, end-14).
"""

from __future__ import annotations

import httpx

from gati_conformance import checks, flows
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import OCTETS, Content, blob, digest_of
from gati_conformance.model import Failed, Group, Level, Unsupported

CHUNKED = "distribution-spec, Pushing a blob in chunks"
group = Group("uploads", source="distribution-spec, Pushing blobs", requires=("apis.push",))


def _ask(ctx: Context, location: httpx.URL) -> Answer:
    """The state of a session: 204."""
    return checks.status(ctx.client.request("GET", location), 204)


def _stored(ctx: Context, content: Content) -> None:
    """The blob is there, whole. Needs pulling to be allowed."""
    answer = checks.status(ctx.get(ctx.blob_path(content.digest)), 200)
    checks.body(answer, content.data)


def _chunk_size(ctx: Context) -> int:
    return max(ctx.shared.chunk_minimum, flows.SMALLEST_CHUNK)


@group.case(
    "start-without-slash",
    "POST .../blobs/uploads without the last slash starts an upload",
    level=Level.EXPECTED,
    source="clients that trim slashes",
)
def _start_without_slash(ctx: Context) -> None:
    path = ctx.uploads_path().rstrip("/")
    answer = checks.status(ctx.client.request("POST", path, follow=False), 202)
    content = blob()
    checks.status(ctx.close_upload(answer.location, content.digest, content.data), 201)


@group.case("sessions-are-unique", "Two sessions have two locations")
def _sessions_are_unique(ctx: Context) -> None:
    locations = {str(ctx.start_upload()) for _ in range(4)}
    checks.require(len(locations) == 4, f"4 uploads were started at {len(locations)} locations")


@group.case(
    "state-empty",
    "A session that has no bytes yet answers 204 with Range 0-0 and its location",
    source="distribution-spec, end-13; 0-0 as registries write it",
    level=Level.EXPECTED,
)
def _state_empty(ctx: Context) -> None:
    answer = _ask(ctx, ctx.start_upload())
    checks.header(answer, "range", "0-0")
    _ask(ctx, answer.location)


@group.case("state", "204 shows the last byte that was taken, as 0-N without a unit", source=CHUNKED)
def _state(ctx: Context) -> None:
    data = blob(_chunk_size(ctx)).data
    location = checks.status(flows.chunk(ctx, ctx.start_upload(), data, 0, len(data)), 202).location
    answer = _ask(ctx, location)
    checks.header(answer, "range", f"0-{len(data) - 1}")
    _ask(ctx, answer.location)


@group.case("patch-range", "Each PATCH answers 202 with Range 0-N without a unit", source=CHUNKED)
def _patch_range(ctx: Context) -> None:
    size = _chunk_size(ctx)
    content, location = blob(size * 2), ctx.start_upload()
    for start in (0, size):
        answer = checks.status(flows.chunk(ctx, location, content.data, start, start + size), 202)
        checks.header(answer, "range", f"0-{start + size - 1}")
        location = answer.location
    checks.status(ctx.close_upload(location, content.digest), 201)


@group.case("out-of-order", "A chunk out of order is 416 and changes nothing", source=CHUNKED)
def _out_of_order(ctx: Context) -> None:
    size = _chunk_size(ctx)
    content = blob(size * 3)
    location = checks.status(flows.chunk(ctx, ctx.start_upload(), content.data, 0, size), 202).location
    for start in (2 * size, 0, size - 1, size + 1):
        checks.status(flows.chunk(ctx, location, content.data, start, start + size), 416)
        answer = _ask(ctx, location)
        checks.header(answer, "range", f"0-{size - 1}")
        location = answer.location
    for start in (size, 2 * size):
        answer = checks.status(flows.chunk(ctx, location, content.data, start, start + size), 202)
        location = answer.location
    checks.status(ctx.close_upload(location, content.digest), 201)


@group.case("first-chunk-not-at-0", "A first chunk that does not begin at 0 is 416", source=CHUNKED)
def _first_chunk(ctx: Context) -> None:
    data = blob(_chunk_size(ctx) * 2).data
    checks.status(flows.chunk(ctx, ctx.start_upload(), data, len(data) // 2, len(data)), 416)


@group.case(
    "malformed-content-range",
    "A Content-Range that cannot be read, or that disagrees with the length, is refused",
    source=CHUNKED,
    level=Level.EXPECTED,
)
def _malformed_content_range(ctx: Context) -> None:
    data = blob(_chunk_size(ctx)).data
    for value in ("a-b", "5", f"{len(data)}-0", f"0-{len(data) + 5}", "-5"):
        headers = {"Content-Type": OCTETS, "Content-Range": value}
        answer = ctx.client.request("PATCH", ctx.start_upload(), headers=headers, content=data)
        checks.status(answer, 400, 416)


@group.case(
    "patch-appends",
    "PATCH without Content-Range appends, with a length or in chunked transfer coding",
    level=Level.EXPECTED,
    source="clients: docker, podman, streaming uploads",
)
def _patch_appends(ctx: Context) -> None:
    content, location = blob(9_000), ctx.start_upload()
    for start, chunked in ((0, False), (3_000, True), (6_000, False)):
        part = content.data[start : start + 3_000]
        body = flows.Pieces(part) if chunked else part
        answer = ctx.client.request("PATCH", location, headers={"Content-Type": OCTETS}, content=body)
        location = checks.header(checks.status(answer, 202), "range", f"0-{start + 2_999}").location
    checks.status(ctx.close_upload(location, content.digest), 201)


@group.case(
    "put-last-part",
    "The closing PUT may carry the last part without Content-Range",
    level=Level.EXPECTED,
    source="clients: docker, containers/image",
)
def _put_last_part(ctx: Context) -> None:
    content = blob(6_000)
    headers = {"Content-Type": OCTETS}
    answer = ctx.client.request("PATCH", ctx.start_upload(), headers=headers, content=content.data[:4_000])
    location = checks.status(answer, 202).location
    checks.status(ctx.close_upload(location, content.digest, content.data[4_000:]), 201)


@group.case("large", "A blob of 12 MiB goes up in three chunks and comes back whole", requires=("apis.pull",))
def _large(ctx: Context) -> None:
    content = blob(12 * 1024 * 1024)
    size = max(4 * 1024 * 1024, ctx.shared.chunk_minimum)
    location = ctx.start_upload()
    for start in range(0, len(content.data), size):
        end = min(start + size, len(content.data))
        location = checks.status(flows.chunk(ctx, location, content.data, start, end), 202).location
    checks.status(ctx.close_upload(location, content.digest), 201)
    _stored(ctx, content)


@group.case("twice", "A blob that is there may be pushed again", requires=("apis.pull",))
def _twice(ctx: Context) -> None:
    content = blob()
    for _ in range(2):
        ctx.push_blob(content)
    _stored(ctx, content)


@group.case("cancelled", "A cancelled session is gone", source="end-14", requires=("apis.blobs.uploadCancel",))
def _cancelled(ctx: Context) -> None:
    location = ctx.start_upload()
    checks.status(ctx.client.request("DELETE", location), 204)
    checks.status(ctx.client.request("GET", location), 404)
    data = blob(_chunk_size(ctx)).data
    checks.status(flows.chunk(ctx, location, data, 0, len(data)), 404)


@group.case("closed", "A session that took a chunk and was closed is gone", level=Level.EXPECTED)
def _closed(ctx: Context) -> None:
    content, location = blob(_chunk_size(ctx)), ctx.start_upload()
    location = checks.status(flows.chunk(ctx, location, content.data, 0, len(content.data)), 202).location
    checks.status(ctx.close_upload(location, content.digest), 201)
    checks.status(ctx.client.request("GET", location), 404)


@group.case(
    "unknown-session",
    "An unknown session is 404 BLOB_UPLOAD_UNKNOWN, whatever is asked of it",
    source="distribution-spec, Error Codes, code-3",
    level=Level.EXPECTED,
)
def _unknown_session(ctx: Context) -> None:
    location = ctx.start_upload()
    checks.status(ctx.client.request("DELETE", location), 204, 404, 405)
    content = blob(_chunk_size(ctx))
    answers = (
        ctx.client.request("GET", location),
        flows.chunk(ctx, location, content.data, 0, len(content.data)),
        ctx.close_upload(location, content.digest, content.data),
        ctx.client.request("DELETE", location),
    )
    for answer in answers:
        checks.error(answer, 404, "BLOB_UPLOAD_UNKNOWN")


@group.case(
    "session-of-another-repository",
    "A session cannot be used through another repository's name",
    level=Level.EXPECTED,
    source="sessions belong to a repository: access is decided by its name",
)
def _session_of_another_repository(ctx: Context) -> None:
    location, content = ctx.start_upload(), blob()
    path = location.raw_path.decode()
    if ctx.repo not in path:
        raise Unsupported(f"the location {path} does not name the repository")
    elsewhere = location.join(path.replace(ctx.repo, ctx.repo2, 1))
    answer = ctx.close_upload(elsewhere, content.digest, content.data)
    checks.require(400 <= answer.status < 500, f"{answer}: {answer.status}, expected a refusal")


@group.case("without-digest", "A closing PUT without digest is 400", level=Level.SHOULD)
def _without_digest(ctx: Context) -> None:
    answer = ctx.client.request("PUT", ctx.start_upload(), content=blob().data)
    checks.error(answer, 400, "DIGEST_INVALID", "BLOB_UPLOAD_INVALID")


@group.case(
    "malformed-digest",
    "A digest that is none, or of an algorithm nobody has, is 400",
    level=Level.SHOULD,
)
def _malformed_digest(ctx: Context) -> None:
    data = blob().data
    good = digest_of(data)
    wrong = (good[:-1], good + "0", good.upper(), "sha256:", "nonsense", f"md6:{'0' * 64}", good[:-1] + "g")
    for digest in wrong:
        checks.error(ctx.close_upload(ctx.start_upload(), digest, data), 400, "DIGEST_INVALID", "UNSUPPORTED")


@group.case(
    "wrong-digest-leaves-nothing",
    "Content that does not match its digest is 400 DIGEST_INVALID and is not stored under either digest",
    requires=("apis.pull",),
)
def _wrong_digest(ctx: Context) -> None:
    content, other = blob(), blob()
    answer = ctx.close_upload(ctx.start_upload(), content.digest, other.data)
    checks.error(answer, 400, "DIGEST_INVALID")
    for digest in (content.digest, other.digest):
        checks.status(ctx.head(ctx.blob_path(digest)), 404)


@group.case(
    "digest-algorithm",
    "digest-algorithm=sha512 starts an upload that is closed with that algorithm",
    source="distribution-spec, end-4c",
    requires=("version.dev", "data.sha512"),
)
def _digest_algorithm(ctx: Context) -> None:
    size = _chunk_size(ctx)
    content = blob(size * 2, "sha512")
    location = ctx.start_upload("?digest-algorithm=sha512")
    for start in (0, size):
        answer = flows.chunk(ctx, location, content.data, start, start + size)
        location = checks.status(answer, 202).location
    answer = checks.status(ctx.close_upload(location, content.digest), 201)
    checks.digest_header(answer, content.digest)


@group.case(
    "digest-algorithm-unknown",
    "A digest-algorithm that nobody has is 400",
    source="distribution-spec, end-4c",
    level=Level.SHOULD,
    requires=("version.dev",),
)
def _digest_algorithm_unknown(ctx: Context) -> None:
    answer = ctx.client.request("POST", ctx.uploads_path("?digest-algorithm=sha7"))
    checks.error(answer, 400, "DIGEST_INVALID", "UNSUPPORTED")


@group.case(
    "algorithm-named-at-the-end",
    "Without digest-algorithm, a closing request may still name sha512",
    source="distribution-spec, end-4c: clients SHOULD, so they may not",
    requires=("data.sha512",),
)
def _algorithm_at_the_end(ctx: Context) -> None:
    content = blob(5_000, "sha512")
    headers = {"Content-Type": OCTETS}
    answer = ctx.client.request("PATCH", ctx.start_upload(), headers=headers, content=content.data)
    answer = checks.status(ctx.close_upload(checks.status(answer, 202).location, content.digest), 201)
    checks.digest_header(answer, content.digest)


@group.case(
    "resumed-on-another-connection",
    "A session goes on over other connections, where the first one stopped",
    source=CHUNKED,
)
def _resumed(ctx: Context) -> None:
    size = _chunk_size(ctx)
    content = blob(size * 6)
    location = ctx.start_upload()
    for start in range(0, len(content.data), size):
        other = ctx.client.apart()
        try:
            elsewhere = Context(ctx.config, other, ctx.shared)
            state = _ask(elsewhere, location)
            if start and state.header("range") != f"0-{start - 1}":
                raise Failed(f"{state}: Range is {state.header('range')}, expected 0-{start - 1}")
            answer = flows.chunk(elsewhere, state.location, content.data, start, start + size)
            location = checks.status(answer, 202).location
        finally:
            other.close()
    checks.status(ctx.close_upload(location, content.digest), 201)
