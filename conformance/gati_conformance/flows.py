"""The ways to push a blob, step by step as the specification tells them, each step checked.

Source: distribution-spec, "Pushing blobs" (end-4a to end-6, end-11, end-13, end-14); what is checked at each step
follows the official suite. `bad` pushes expect the closing request to be refused with 400.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import OCTETS, Content
from gati_conformance.model import Failed, Unsupported

SMALLEST_CHUNK = 1024  # bytes; source: distribution-spec, conformance/config.go chunkMin

_TYPE = {"Content-Type": OCTETS}


def post_put(ctx: Context, content: Content, digest: str, repo: str, *, bad: bool = False) -> None:
    """POST for a session, PUT the whole."""
    location = ctx.start_upload(repo=repo)
    _closed(ctx, ctx.close_upload(location, digest, content.data), content, digest, bad)


def post_only(ctx: Context, content: Content, digest: str, repo: str, *, bad: bool = False) -> None:
    """POST with the content; a registry may answer 202 and have the content sent by PUT.

    Raises:
        Unsupported: the registry chose that way out (and it worked).
    """
    path = ctx.uploads_path(f"?digest={digest}", repo)
    answer = ctx.client.request("POST", path, headers=_TYPE, content=content.data)
    if answer.status == 202:
        checks.status(ctx.close_upload(answer.location, digest, content.data), 400 if bad else 201)
        raise Unsupported(f"{answer}: 202, the content of a single POST has to be sent again by PUT")
    _closed(ctx, answer, content, digest, bad)


def stream(ctx: Context, content: Content, digest: str, repo: str, *, bad: bool = False) -> None:
    """POST for a session, one PATCH without Content-Range and without Content-Length, PUT to close."""
    location = ctx.start_upload(repo=repo)
    answer = ctx.client.request("PATCH", location, headers=_TYPE, content=Pieces(content.data))
    location = checks.status(answer, 202).location
    _closed(ctx, ctx.close_upload(location, digest), content, digest, bad)


def chunked(
    ctx: Context,
    content: Content,
    digest: str,
    repo: str,
    *,
    bad: bool = False,
    put_last: bool = False,
    out_of_order: bool = False,
) -> None:
    """POST for a session, PATCH in chunks, PUT to close.

    `put_last` sends the last chunk with the PUT. `out_of_order` sends a wrong chunk before each right one, expects
    416 and asks the session where it is.
    """
    answer = checks.status(ctx.client.request("POST", ctx.uploads_path(repo=repo)), 202)
    location, data = answer.location, content.data
    minimum = answer.header("oci-chunk-min-length")
    if minimum and not minimum.isdigit():
        raise Failed(f"{answer}: OCI-Chunk-Min-Length {minimum!r} is no number")
    ctx.shared.chunk_minimum = max(ctx.shared.chunk_minimum, int(minimum or 0))
    size = min(max(len(data) // 3 + 1, int(minimum or 0), SMALLEST_CHUNK), len(data))
    start = 0
    while start < len(data):
        if out_of_order:
            location = _wrong_chunk(ctx, location, content, digest, start, size, put_last)
        end = min(start + size, len(data))
        final = put_last and end == len(data)
        answer = chunk(ctx, location, data, start, end, digest if final else "")
        if final:
            _closed(ctx, answer, content, digest, bad)
            return
        location = checks.status(answer, 202).location
        start = end
    _closed(ctx, ctx.close_upload(location, digest), content, digest, bad)


def mount(ctx: Context, content: Content, repo: str, source: str) -> None:
    """Mount from another repository; an empty source names none.

    Raises:
        Unsupported: 202, and the upload that it offers worked.
    """
    query = f"?mount={content.digest}" + (f"&from={source}" if source else "")
    answer = ctx.client.request("POST", ctx.uploads_path(query, repo))
    checks.status(answer, 201, 202)
    if answer.status == 202:
        _closed(ctx, ctx.close_upload(answer.location, content.digest, content.data), content, content.digest, False)
        raise Unsupported(f"{answer}: 202, the blob was not mounted and has to be uploaded")
    checks.digest_header(answer, content.digest, required=False)
    checks.body(checks.status(ctx.client.request("GET", answer.location), 200), content.data)


def cancel(ctx: Context, repo: str) -> None:
    """POST for a session, DELETE it."""
    checks.status(ctx.client.request("DELETE", ctx.start_upload(repo=repo)), 204)


class Pieces:
    """Bytes in pieces of 1,000, as often as they are asked for: sent chunked, without a length."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        return (self._data[at : at + 1000] for at in range(0, len(self._data), 1000))


def chunk(ctx: Context, location: httpx.URL, data: bytes, start: int, end: int, digest: str = "") -> Answer:
    """Send bytes start to end (exclusive) with their Content-Range: by PATCH, or with a digest by the closing PUT."""
    url = location.copy_merge_params({"digest": digest}) if digest else location
    headers = _TYPE | {"Content-Range": f"{start}-{end - 1}"}
    return ctx.client.request("PUT" if digest else "PATCH", url, headers=headers, content=data[start:end])


def _wrong_chunk(
    ctx: Context, location: httpx.URL, content: Content, digest: str, start: int, size: int, put_last: bool
) -> httpx.URL:
    """Skip ahead (or, near the end, go back to the beginning); returns where the session says to go on."""
    data = content.data
    wrong = start + size if start + size < len(data) else 0
    end = min(wrong + size, len(data))
    closing = digest if put_last and end == len(data) else ""
    checks.status(chunk(ctx, location, data, wrong, end, closing), 416)
    where = checks.status(ctx.client.request("GET", location), 204)
    reported = where.header("range")
    expected = f"0-{start - 1}"
    if start and reported != expected:
        raise Failed(f"{where}: after a chunk out of order Range is {reported!r}, expected {expected!r}")
    if not reported.startswith("0-"):
        raise Failed(f"{where}: Range is {reported!r}, expected 0-<last byte>")
    return where.location


def _closed(ctx: Context, answer: Answer, content: Content, digest: str, bad: bool) -> None:
    """What a finished push has to show: 201, the digest, and a location that gives the blob."""
    if bad:
        checks.status(answer, 400)
        return
    checks.status(answer, 201)
    checks.digest_header(answer, digest, required=ctx.config.switches["apis.blobs.digestHeader"])
    checks.body(checks.status(ctx.client.request("GET", answer.location), 200), content.data)
