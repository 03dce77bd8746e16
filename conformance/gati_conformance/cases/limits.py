"""Limits: sizes that are refused with the right status, too many requests, warnings.

Source: distribution-spec, Pushing Manifests (413, 414), Error Codes (TOOMANYREQUESTS), Warnings.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import IMAGE, Content, blob, encode, image, image_config
from gati_conformance.model import Group, Level, Skipped

MIB = 1024 * 1024
MANIFEST_TRIES = (8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB)
BURST = 64  # requests at once; polite to a registry that others use too
_WARNING = re.compile(r'299 - "([^"\\]|\\.)*"')

group = Group("limits", source="distribution-spec, Pushing Manifests", level=Level.SHOULD)


@group.case(
    "manifest-too-large",
    "A manifest over the limit is 413 with an error body, and is not stored",
    requires=("apis.push", "apis.pull", "data.image"),
)
def _manifest_too_large(ctx: Context) -> None:
    config = ctx.push_blob(image_config([]))
    for size in MANIFEST_TRIES:
        document = image(config.descriptor(), [], annotations={"padding": "a" * size}).document
        content, tag = Content(encode(document), IMAGE), ctx.tag("large")
        answer = ctx.put_manifest(content, tag)
        if answer.status != 201:
            checks.error(answer, 413)
            for reference in (tag, content.digest):
                checks.status(ctx.head(ctx.manifest_path(reference)), 404)
            return
    raise Skipped(f"manifests of {MANIFEST_TRIES[-1] // MIB} MiB are taken: no limit was found")


@group.case(
    "blob-without-limit",
    "The manifest limit is none for blobs: 10 MiB go up in one PUT",
    level=Level.EXPECTED,
    source="layers are larger than manifests",
    requires=("apis.push", "apis.pull"),
)
def _blob_without_limit(ctx: Context) -> None:
    content = ctx.push_blob(blob(10 * MIB))
    answer = checks.status(ctx.head(ctx.blob_path(content.digest)), 200)
    checks.header(answer, "content-length", str(len(content.data)))


@group.case(
    "long-url",
    "A request line of 7 KiB works; one that is refused for its length is 414",
    level=Level.EXPECTED,
    source="RFC 9112, 3: at least 8,000 octets; 414 beyond the limit",
    requires=("apis.push", "apis.tags.list", "data.image"),
)
def _long_url(ctx: Context) -> None:
    ctx.push_image(ctx.tag())
    checks.status(ctx.get(ctx.tags_path(f"?unheard-of={'a' * 7_000}")), 200)
    for size in (9_000, 16_000, 60_000):
        answer = ctx.get(ctx.tags_path(f"?unheard-of={'a' * size}"))
        if answer.status != 200:
            checks.error_if_json(answer, 414)
            return
    raise Skipped("a request line of 60,000 bytes works: no limit was found")


@group.case(
    "many-headers",
    "A flood of headers is refused, or ignored; the next request works",
    level=Level.EXPECTED,
    source="RFC 6585, 5",
)
def _many_headers(ctx: Context) -> None:
    other = ctx.client.apart()
    try:
        flood = [(f"X-Flood-{number}", "a" * 1_000) for number in range(64)]
        answer = other.request("GET", "/v2/", headers=flood)
        checks.status(answer, 200, 400, 401, 413, 431)
    finally:
        other.close()
    checks.status(ctx.get("/v2/"), 200)


def _throttled(answer: Answer) -> None:
    checks.error(answer, 429, "TOOMANYREQUESTS")
    waiting = answer.header("retry-after")
    checks.require(bool(waiting), f"{answer}: 429 without Retry-After")


@group.case(
    "too-many-requests",
    "429 has the code TOOMANYREQUESTS and Retry-After",
    level=Level.EXPECTED,
    source="distribution-spec, Error Codes, code-14; RFC 6585, 4",
)
def _too_many_requests(ctx: Context) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: ctx.client.request("GET", "/v2/", authorization=""), range(BURST)))
    if not ctx.client.throttled:
        raise Skipped(f"no request of the run, and none of {BURST} at once, was answered with 429")
    for answer in ctx.client.throttled:
        if answer.method != "HEAD":
            _throttled(answer)


@group.case(
    "warnings",
    'Warning headers have the form 299 - "text", at most 4,096 bytes in an answer',
    level=Level.MUST,
    source="distribution-spec, Warnings",
)
def _warnings(ctx: Context) -> None:
    ctx.get("/v2/")
    if not ctx.client.warnings:
        raise Skipped("no answer of the run had a Warning header")
    for values in ctx.client.warnings:
        for value in values:
            checks.require(bool(_WARNING.fullmatch(value)), f'Warning: {value!r} is not 299 - "text"')
        size = sum(len(value.encode()) for value in values)
        checks.require(size <= 4096, f"an answer has Warning headers of {size} bytes")
