"""The official suite's blob tests: every way to push, at each digest algorithm, then ranges and bad digests.

Source: distribution-spec, conformance/run.go (TestBlobAPIs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from gati_conformance import checks, entries, flows, steps
from gati_conformance.context import Context
from gati_conformance.data import Content, blob
from gati_conformance.model import Case, Failed, Unsupported

Push = Callable[[Context, Content], None]
Find = Callable[[Context], Content]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to push a blob: its name, the entry it decides, whether the blob spans several chunks."""

    name: str
    entry: str
    push: Push
    large: bool = False
    stores: bool = True  # the blob is there afterwards; an upload that is cancelled stores none
    source: bool = False  # the blob is pushed to the second repository first


def _post_only(ctx: Context, content: Content) -> None:
    flows.post_only(ctx, content, content.digest, ctx.repo)


def _post_put(ctx: Context, content: Content) -> None:
    flows.post_put(ctx, content, content.digest, ctx.repo)


def _stream(ctx: Context, content: Content) -> None:
    flows.stream(ctx, content, content.digest, ctx.repo)


def _chunked(ctx: Context, content: Content, *, put_last: bool = False, out_of_order: bool = False) -> None:
    flows.chunked(ctx, content, content.digest, ctx.repo, put_last=put_last, out_of_order=out_of_order)


def _mount(ctx: Context, content: Content, *, named: bool) -> None:
    flows.post_put(ctx, content, content.digest, ctx.repo2)
    flows.mount(ctx, content, ctx.repo, ctx.repo2 if named else "")


def _mount_missing(ctx: Context, content: Content) -> None:
    try:
        flows.mount(ctx, content, ctx.repo, ctx.repo2)
    except Unsupported:
        return  # 202 with a working upload is the right answer here
    raise Failed("a blob that is in no repository was mounted")


def _cancel(ctx: Context, content: Content) -> None:
    del content
    flows.cancel(ctx, ctx.repo)


WAYS = (
    Way("post-only", entries.BLOB_POST_ONLY, _post_only),
    Way("post+put", entries.BLOB_POST_PUT, _post_put),
    Way("chunked-single", entries.BLOB_CHUNKED, _chunked),
    Way("stream", entries.BLOB_STREAM, _stream),
    Way("mount", entries.BLOB_MOUNT, partial(_mount, named=True), source=True),
    Way("mount-anonymous", entries.BLOB_MOUNT_ANONYMOUS, partial(_mount, named=False), source=True),
    Way("mount-missing", entries.BLOB_MOUNT, _mount_missing),
    Way("post-cancel", entries.BLOB_CANCEL, _cancel, stores=False),
    Way("chunked-multi", entries.BLOB_CHUNKED, _chunked, large=True),
    Way(
        "chunked-multi-and-put-chunk",
        entries.BLOB_CHUNKED,
        partial(_chunked, put_last=True),
        large=True,
    ),
    Way(
        "chunked-out-of-order",
        entries.BLOB_CHUNKED,
        partial(_chunked, out_of_order=True),
        large=True,
    ),
    Way(
        "chunked-out-of-order-and-put-chunk",
        entries.BLOB_CHUNKED,
        partial(_chunked, put_last=True, out_of_order=True),
        large=True,
    ),
)

BAD: tuple[tuple[str, str, Callable[[Context, Content, str], None]], ...] = (
    (
        "post-only",
        entries.BLOB_POST_ONLY,
        lambda ctx, content, digest: flows.post_only(ctx, content, digest, ctx.repo, bad=True),
    ),
    (
        "post+put",
        entries.BLOB_POST_PUT,
        lambda ctx, content, digest: flows.post_put(ctx, content, digest, ctx.repo, bad=True),
    ),
    (
        "chunked",
        entries.BLOB_CHUNKED,
        lambda ctx, content, digest: flows.chunked(ctx, content, digest, ctx.repo, bad=True),
    ),
    (
        "chunked-and-put-chunk",
        entries.BLOB_CHUNKED,
        lambda ctx, content, digest: flows.chunked(ctx, content, digest, ctx.repo, bad=True, put_last=True),
    ),
    (
        "stream",
        entries.BLOB_STREAM,
        lambda ctx, content, digest: flows.stream(ctx, content, digest, ctx.repo, bad=True),
    ),
)

RANGE_BLOB = 2048  # bytes
# name, Range, first and last byte expected; without them 416
RANGES: tuple[tuple[str, str, tuple[int, int] | None], ...] = (
    ("range-500-1499", "bytes=500-1499", (500, 1499)),
    ("range-500-", "bytes=500-", (500, RANGE_BLOB - 1)),
    ("range--500", "bytes=-500", (RANGE_BLOB - 500, RANGE_BLOB - 1)),
    ("range-2000-5000", "bytes=2000-5000", (2000, RANGE_BLOB - 1)),
    ("range-500-0", "bytes=500-0", None),
    ("range-5000-10000", "bytes=5000-10000", None),
)


def _several_chunks(ctx: Context, algorithm: str) -> Content:
    """A blob that spans three chunks of the registry's minimum."""
    return blob(max(ctx.shared.chunk_minimum, flows.SMALLEST_CHUNK) * 3 - 5, algorithm)


def _get_missing(ctx: Context, algorithm: str) -> None:
    checks.status(ctx.get(ctx.blob_path(blob(512, algorithm).digest)), 404)


def _range(ctx: Context, content: Content, *, value: str, expected: tuple[int, int] | None) -> None:
    answer = ctx.get(ctx.blob_path(content.digest), range=value)
    if answer.status == 200 and answer.body == content.data:
        raise Unsupported(f"{answer}: 200 with the whole blob, the registry ignores Range")
    if expected is None:
        checks.status(answer, 416)
        return
    first, last = expected
    checks.body(checks.status(answer, 206), content.data[first : last + 1])
    checks.header(answer, "content-length", str(last - first + 1))
    shown, wanted = answer.header("content-range"), f"bytes {first}-{last}/"
    if shown not in (f"{wanted}{len(content.data)}", f"{wanted}*"):
        raise Failed(f"{answer}: Content-Range is {shown!r}, expected {wanted}{len(content.data)}")


def _stored(ctx: Context, content: Content) -> Content:
    _post_put(ctx, content)
    return content


def _bad(ctx: Context, algorithm: str, push: Callable[[Context, Content, str], None]) -> None:
    content = _several_chunks(ctx, algorithm)
    push(ctx, Content(content.data + b"oh no"), content.digest)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the cases of one digest algorithm."""

    algorithm: str

    @property
    def group(self) -> str:
        """The name of the group, as the official suite calls it."""
        return f"{self.algorithm}-blobs"

    def case(
        self,
        name: str,
        title: str,
        run: Callable[[Context], None],
        entry: str,
        *,
        after: str = "",
        pushes: bool = False,
        switches: tuple[str, ...] = (),
    ) -> Case:
        """A case that decides the entry and the data entry of the algorithm."""
        own = ("data.sha512",) if self.algorithm == "sha512" else ()
        return Case(
            id=f"{self.group}/{name}",
            title=title,
            run=run,
            source="official suite",
            requires=(*entries.switches_for(entries.BLOB_PUSH, entry), *own, *switches),
            after=(f"{self.group}/{after}",) if after else (),
            entries=(entries.blobs_entry(self.algorithm), entry),
            credits=(entries.BLOB_PUSH,) if pushes else (),
        )

    def finder(self, name: str, make: Find) -> Find:
        """Finds the blob that all steps under one name work on; the first to ask has it made."""
        key = f"{self.group}/{name}"

        def find(ctx: Context) -> Content:
            if key not in ctx.shared.blobs:
                ctx.shared.blobs[key] = make(ctx)
            return ctx.shared.blobs[key]

        return find

    def push(self, name: str, title: str, find: Find, push: Push, entry: str, *switches: str) -> Case:
        """The case that pushes the blob of that name."""
        return self.case(f"{name}/push", title, lambda ctx: push(ctx, find(ctx)), entry, pushes=True, switches=switches)

    def reads(self, name: str, find: Find) -> Iterator[Case]:
        """HEAD and GET, for a blob that the case `push` stored."""
        for method, entry in (("HEAD", entries.BLOB_HEAD), ("GET", entries.BLOB_GET)):
            yield self.case(
                f"{name}/{method.lower()}",
                f"{method} finds the blob",
                partial(_read, method=method, find=find),
                entry,
                after=f"{name}/push",
            )

    def deletes(self, name: str, find: Find, *, source: bool = False) -> Iterator[Case]:
        """Deleting and its taking effect, for a blob that the case `push` stored; or for the source of a mount."""
        what = f"{name}/delete-source" if source else f"{name}/delete"
        yield self.case(
            what,
            f"The blob can be deleted{' at the source of the mount' if source else ''}",
            partial(_delete, find=find, source=source),
            entries.BLOB_DELETE,
            after=f"{name}/push",
        )
        yield self.case(
            f"{what}-atomic",
            f"A deleted blob is gone at once{' at the source of the mount' if source else ''}",
            partial(_gone, find=find, source=source),
            entries.BLOB_DELETE_ATOMIC,
            after=what,
        )

    def cases(self) -> Iterator[Case]:
        """All of them, in the official order."""
        missing = partial(_get_missing, algorithm=self.algorithm)
        yield self.case("get-missing", "A blob that is not there is 404", missing, entries.BLOB_GET)
        for way in WAYS:
            yield from self._way(way)
        yield from self._ranges()
        yield from self._known("empty", b"", "data.emptyBlob")
        yield from self._known("empty-json", b"{}")
        for name, entry, push in BAD:
            run = partial(_bad, algorithm=self.algorithm, push=push)
            title = f"Content that does not match its digest is refused, by {name.replace('-', ' ')}"
            yield self.case(f"bad-digest-{name}", title, run, entry)

    def _way(self, way: Way) -> Iterator[Case]:
        large = partial(_several_chunks, algorithm=self.algorithm)
        find = self.finder(way.name, large if way.large else lambda _: blob(512, self.algorithm))
        title = f"A blob goes up by {way.name.replace('-', ' ')}" if way.stores else "An upload can be cancelled"
        yield self.push(way.name, title, find, way.push, way.entry)
        if way.stores:
            yield from self.reads(way.name, find)
            yield from self.deletes(way.name, find)
        if way.source:
            yield from self.deletes(way.name, find, source=True)

    def _ranges(self) -> Iterator[Case]:
        name = "range-requests"
        # made and pushed by whichever case asks first: where the push fails, ranges fail, as in the official suite
        find = self.finder(name, lambda ctx: _stored(ctx, blob(RANGE_BLOB, self.algorithm)))
        title = "A blob to try ranges on goes up"
        yield self.case(f"{name}/push", title, lambda ctx: _found(ctx, find), entries.BLOB_POST_PUT)
        for part, value, expected in RANGES:
            title = f"Range: {value} gives {'those bytes' if expected else '416'}"
            run = partial(_range_of, find=find, value=value, expected=expected)
            yield self.case(f"{name}/{part}", title, run, entries.BLOB_RANGE)
        yield from self.deletes(name, find)

    def _known(self, name: str, data: bytes, *switches: str) -> Iterator[Case]:
        find = self.finder(name, lambda _: Content(data, algorithm=self.algorithm))
        title = f"The blob {data.decode()!r} goes up"
        yield self.push(name, title, find, _post_put, entries.BLOB_POST_PUT, *switches)
        yield from self.reads(name, find)
        yield from self.deletes(name, find)


def _found(ctx: Context, find: Find) -> None:
    find(ctx)


def _read(ctx: Context, *, method: str, find: Find) -> None:
    steps.blob(ctx, method, find(ctx))


def _delete(ctx: Context, *, find: Find, source: bool) -> None:
    steps.delete_blob(ctx, find(ctx).digest, ctx.repo2 if source else ctx.repo)


def _gone(ctx: Context, *, find: Find, source: bool) -> None:
    steps.blob_gone(ctx, find(ctx).digest, ctx.repo2 if source else ctx.repo)


def _range_of(ctx: Context, *, find: Find, value: str, expected: tuple[int, int] | None) -> None:
    _range(ctx, find(ctx), value=value, expected=expected)


CASES = tuple(case for algorithm in entries.ALGORITHMS for case in Maker(algorithm).cases())
