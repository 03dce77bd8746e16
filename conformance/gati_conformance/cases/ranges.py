"""Range requests on blobs, small and large: what resuming and lazily pulling clients depend on.

Source: RFC 9110, section 14; distribution-spec, Pulling blobs.
"""

from __future__ import annotations

import re

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import Content, blob
from gati_conformance.model import Failed, Group, Level, Unsupported

SMALL, LARGE = 2_048, 300_000  # bytes: registries often store the two differently
group = Group(
    "ranges",
    source="RFC 9110, section 14",
    level=Level.SHOULD,
    requires=("apis.push", "apis.pull"),
)


def _blob(ctx: Context, size: int) -> Content:
    return ctx.push_blob(blob(size))


def _ask(ctx: Context, content: Content, value: str) -> Answer:
    answer = ctx.get(ctx.blob_path(content.digest), range=value)
    if answer.status == 200 and answer.body == content.data:
        raise Unsupported(f"{answer}: 200 with the whole blob, the registry ignores Range")
    return answer


def _part(ctx: Context, content: Content, value: str, first: int, last: int) -> None:
    """206 with the bytes first to last, both included, and their headers."""
    answer = checks.status(_ask(ctx, content, value), 206)
    checks.body(answer, content.data[first : last + 1])
    checks.header(answer, "content-length", str(last - first + 1))
    checks.header(answer, "content-range", f"bytes {first}-{last}/{len(content.data)}")
    checks.digest_header(answer, content.digest, required=False)


def _each_size(ctx: Context, *parts: tuple[str, int, int]) -> None:
    """The parts of a small and of a large blob; a negative position counts from the end."""
    for size in (SMALL, LARGE):
        content = _blob(ctx, size)
        for value, first, last in parts:
            start, end = first % size if first < 0 else first, last % size if last < 0 else last
            _part(ctx, content, value.format(last=size - 1), start, end)


@group.case("closed", "bytes=500-1499 and single bytes come exactly")
def _closed(ctx: Context) -> None:
    _each_size(ctx, ("bytes=500-1499", 500, 1499), ("bytes=0-0", 0, 0), ("bytes={last}-{last}", -1, -1))


@group.case("open", "bytes=500- gives the rest, which is how a pull is resumed")
def _open(ctx: Context) -> None:
    _each_size(ctx, ("bytes=500-", 500, -1), ("bytes=0-", 0, -1))


@group.case("suffix", "bytes=-500 gives the end, which is where eStargz keeps its table of contents")
def _suffix(ctx: Context) -> None:
    _each_size(ctx, ("bytes=-500", -500, -1), ("bytes=-1", -1, -1))


@group.case("suffix-beyond", "A suffix longer than the blob gives the whole blob")
def _suffix_beyond(ctx: Context) -> None:
    content = _blob(ctx, SMALL)
    answer = ctx.get(ctx.blob_path(content.digest), range="bytes=-5000")
    checks.body(checks.status(answer, 206, 200), content.data)


@group.case("past-the-end", "A range that ends beyond the blob is cut short")
def _past_the_end(ctx: Context) -> None:
    _each_size(ctx, ("bytes=2000-999999999", 2000, -1))


@group.case("unsatisfiable", "A range that begins beyond the blob is 416, with the size in Content-Range")
def _unsatisfiable(ctx: Context) -> None:
    for size in (SMALL, LARGE):
        content = _blob(ctx, size)
        for value in (f"bytes={size}-", f"bytes={size}-{size + 10}"):
            answer = checks.status(_ask(ctx, content, value), 416)
            checks.header(answer, "content-range", f"bytes */{size}")


@group.case("suffix-zero", "The last 0 bytes are no range: 416", source="RFC 9110, 14.1.2")
def _suffix_zero(ctx: Context) -> None:
    checks.status(_ask(ctx, _blob(ctx, SMALL), "bytes=-0"), 416)


@group.case(
    "backwards",
    "bytes=500-0 is 416 (RFC 9110 would ignore it; the official suite asks for 416)",
    source="official suite, range 500-0",
)
def _backwards(ctx: Context) -> None:
    checks.status(_ask(ctx, _blob(ctx, SMALL), "bytes=500-0"), 416)


@group.case("other-units", "A Range in another unit is ignored")
def _other_units(ctx: Context) -> None:
    content = _blob(ctx, SMALL)
    answer = ctx.get(ctx.blob_path(content.digest), range="items=1-2")
    checks.body(checks.status(answer, 200), content.data)


@group.case("malformed", "A malformed Range is ignored or refused, never a server error")
def _malformed(ctx: Context) -> None:
    content = _blob(ctx, SMALL)
    for value in ("bytes=", "bytes=a-b", "bytes=--5", "bytes=1-2-3", f"bytes={'9' * 40}-", "bytes=0x1-2"):
        answer = checks.status(ctx.get(ctx.blob_path(content.digest), range=value), 200, 400, 416)
        if answer.status == 200:
            checks.body(answer, content.data)


@group.case(
    "several",
    "Several ranges give those parts, or the whole blob with 200",
    source="RFC 9110, 14.6; clients: nydus",
)
def _several(ctx: Context) -> None:
    for size in (SMALL, LARGE):
        content = _blob(ctx, size)
        wanted = [(0, 99), (500, 599), (size - 50, size - 1)]
        value = "bytes=" + ",".join(f"{first}-{last}" for first, last in wanted)
        answer = checks.status(ctx.get(ctx.blob_path(content.digest), range=value), 200, 206)
        if answer.status == 200:
            checks.body(answer, content.data)
        else:
            _multipart(answer, content, wanted)


def _multipart(answer: Answer, content: Content, wanted: list[tuple[int, int]]) -> None:
    kind = re.fullmatch(r'multipart/byteranges;\s*boundary="?([^";]+)"?', answer.header("content-type"))
    if kind is None:
        raise Failed(f"{answer}: Content-Type is {answer.header('content-type')!r}, no multipart/byteranges")
    checks.header(answer, "content-length", str(len(answer.body)))
    pieces = answer.body.split(b"--" + kind.group(1).encode())
    checks.require(pieces[-1].strip() == b"--", f"{answer}: the multipart body does not end with its boundary")
    found = {}
    for piece in pieces[1:-1]:
        head, _, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        shown = re.search(rb"(?im)^content-range:\s*bytes (\d+)-(\d+)/(\d+)\s*$", head)
        if shown is None:
            raise Failed(f"{answer}: a part without Content-Range: {head!r}")
        first, last, size = (int(number) for number in shown.groups())
        checks.require(size == len(content.data), f"{answer}: a part says the blob has {size} bytes")
        found[first, last] = data.removesuffix(b"\r\n")
    for first, last in wanted:
        checks.require(
            found.get((first, last)) == content.data[first : last + 1],
            f"{answer}: no part {first}-{last} with those bytes; parts: {sorted(found)}",
        )


@group.case(
    "on-head",
    "Range means nothing on HEAD: the answer is that for the whole blob",
    source="RFC 9110, 14.2",
    level=Level.EXPECTED,
)
def _on_head(ctx: Context) -> None:
    content = _blob(ctx, SMALL)
    answer = checks.status(ctx.head(ctx.blob_path(content.digest), range="bytes=0-99"), 200)
    checks.header(answer, "content-length", str(SMALL))
