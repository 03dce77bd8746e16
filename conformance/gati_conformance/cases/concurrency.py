"""Many clients at once: nothing is torn, nothing is lost, and a change is seen at once on every connection."""

from __future__ import annotations

from collections.abc import Callable

from gati_conformance import checks, flows
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import Content, blob, simple_artifact, simple_image
from gati_conformance.model import Failed, Group, Level, Unsupported

MANY = 16
group = Group(
    "concurrency",
    source="distribution-spec, Layer Upload De-duplication; HTTP: an answered write has happened",
    requires=("apis.push", "apis.pull", "data.image"),
)


def _elsewhere(ctx: Context, work: Callable[[Context], Answer]) -> Answer:
    """Do something over a connection of its own, which another worker may serve."""
    other = ctx.client.apart()
    try:
        return work(Context(ctx.config, other, ctx.shared))
    finally:
        other.close()


def _everywhere(ctx: Context, method: str, path: str) -> list[Answer]:
    """The same request over many connections at once."""
    other = ctx.client.apart()
    try:
        return ctx.parallel(lambda _: other.request(method, path), range(MANY))
    finally:
        other.close()


@group.case("same-blob", "Many uploads of one blob at once all succeed, and the blob is whole")
def _same_blob(ctx: Context) -> None:
    content = blob(200_000)
    ctx.parallel(lambda _: ctx.push_blob(content), range(MANY))
    for answer in _everywhere(ctx, "GET", ctx.blob_path(content.digest)):
        checks.body(checks.status(answer, 200), content.data)


@group.case("many-blobs", "Uploads of many blobs at once stay apart")
def _many_blobs(ctx: Context) -> None:
    contents = [blob(1_000 + 7_919 * number) for number in range(MANY)]
    ctx.parallel(ctx.push_blob, contents)
    for content in contents:
        checks.body(checks.status(ctx.get(ctx.blob_path(content.digest)), 200), content.data)


@group.case("many-tags", "Pushes of many tags at once are all there and all listed", requires=("apis.tags.list",))
def _many_tags(ctx: Context) -> None:
    artifacts = {ctx.tag(): simple_image(layers=1) for _ in range(MANY)}
    ctx.parallel(lambda tag: ctx.push(artifacts[tag], tag), artifacts)
    for tag, artifact in artifacts.items():
        checks.body(checks.status(ctx.get(ctx.manifest_path(tag)), 200), artifact.manifest.data)
    missing = sorted(set(artifacts) - set(ctx.tags()))
    checks.require(not missing, f"not listed: {', '.join(missing)}")


@group.case(
    "tag-moves",
    "While a tag is moved by many at once, every pull gives one of the manifests, whole and with its digest",
)
def _tag_moves(ctx: Context) -> None:
    tag = ctx.tag()
    pushed = {manifest.digest: manifest for manifest in (ctx.push_image(tag) for _ in range(4))}

    def work(number: int) -> None:
        if number % 2:
            manifest = list(pushed.values())[number // 2 % len(pushed)]
            checks.status(ctx.put_manifest(manifest, tag), 201)
            return
        answer = checks.status(ctx.get(ctx.manifest_path(tag)), 200)
        digest = answer.header("docker-content-digest")
        found = {item.data for item in pushed.values()}
        checks.require(answer.body in found, f"{answer}: none of the manifests")
        if digest:
            checks.require(digest in pushed, f"{answer}: digest {digest} is none of the manifests")
            checks.body(answer, pushed[digest].data)

    ctx.parallel(work, range(64))
    last = ctx.push_image(tag)
    for answer in _everywhere(ctx, "GET", ctx.manifest_path(tag)):
        checks.body(checks.status(answer, 200), last.data)


@group.case("seen-at-once", "A tag that moved is seen moved over every connection, right after the answer")
def _seen_at_once(ctx: Context) -> None:
    tag = ctx.tag()
    for _ in range(3):
        manifest = ctx.push_image(tag)
        for method in ("HEAD", "GET"):
            for answer in _everywhere(ctx, method, ctx.manifest_path(tag)):
                checks.digest_header(checks.status(answer, 200), manifest.digest, required=False)
                if method == "GET":
                    checks.body(answer, manifest.data)


@group.case(
    "deletes-seen-at-once",
    "What was deleted is 404 over every connection, right after the answer",
    requires=(
        "apis.manifests.delete",
        "apis.manifests.atomic",
        "apis.blobs.delete",
        "apis.blobs.atomic",
    ),
)
def _deletes_seen_at_once(ctx: Context) -> None:
    for _ in range(3):
        artifact, tag = simple_image(layers=1), ctx.tag()
        manifest = ctx.push(artifact, tag)
        paths = [ctx.manifest_path(tag), ctx.manifest_path(manifest.digest)]
        for path in paths:  # so that every worker that remembers things has seen it
            _everywhere(ctx, "GET", path)
        _deleted(ctx, ctx.manifest_path(manifest.digest))
        for item in artifact.blobs:
            _everywhere(ctx, "HEAD", ctx.blob_path(item.digest))
            _deleted(ctx, ctx.blob_path(item.digest))
            paths.append(ctx.blob_path(item.digest))
        for path in paths:
            for answer in _everywhere(ctx, "HEAD", path):
                checks.status(answer, 404)


def _deleted(ctx: Context, path: str) -> None:
    answer = checks.status(ctx.delete(path), 202, 400, 405)
    if answer.status != 202:
        raise Unsupported(f"{answer}: {answer.status}, this cannot be deleted here")


@group.case("referrers", "Referrers pushed by many at once are all listed", requires=("version.1.1", "apis.referrer"))
def _referrers(ctx: Context) -> None:
    subject = ctx.push_image()
    artifacts = [simple_artifact(subject=subject.descriptor()) for _ in range(MANY)]
    ctx.parallel(ctx.push, artifacts)
    found = sorted(item["digest"] for item in ctx.referrers(subject.digest))
    checks.require(
        found == sorted(artifact.manifest.digest for artifact in artifacts),
        f"{len(found)} referrers are listed, {MANY} were pushed",
    )


@group.case(
    "one-writer",
    "Of many PATCHes of the same bytes at once one is taken, and the blob is whole",
    source="distribution-spec, Pushing a blob in chunks",
)
def _one_writer(ctx: Context) -> None:
    size = max(ctx.shared.chunk_minimum, 100_000)
    content = blob(size * 2)
    location = ctx.start_upload()

    def send(_: int) -> Answer:
        return _elsewhere(ctx, lambda other: flows.chunk(other, location, content.data, 0, size))

    answers = ctx.parallel(send, range(6), threads=6)
    taken = [answer for answer in answers if answer.status == 202]
    for answer in answers:
        checks.require(answer.status < 500, f"{answer}: {answer.status}")
    if not taken:
        raise Failed(f"none of {len(answers)} was taken: {sorted({answer.status for answer in answers})}")
    state = checks.status(ctx.client.request("GET", taken[0].location), 204)
    checks.header(state, "range", f"0-{size - 1}")
    answer = checks.status(flows.chunk(ctx, state.location, content.data, size, size * 2), 202)
    checks.status(ctx.close_upload(answer.location, content.digest), 201)
    checks.body(checks.status(ctx.get(ctx.blob_path(content.digest)), 200), content.data)


@group.case(
    "push-and-delete",
    "A push that was answered stands, whatever is deleted beside it",
    level=Level.EXPECTED,
    requires=("apis.manifests.delete",),
)
def _push_and_delete(ctx: Context) -> None:
    shared = ctx.push_blob(blob(media_type="application/vnd.example.shared"))
    artifacts = [simple_artifact() for _ in range(MANY)]
    for artifact in artifacts[: MANY // 2]:
        ctx.push(artifact)

    def work(number: int) -> Content | None:
        if number % 2:
            ctx.delete(ctx.manifest_path(artifacts[number // 2].manifest.digest))
            return None
        ctx.push_blob(shared)
        return ctx.push(artifacts[MANY // 2 + number // 2])

    for manifest in filter(None, ctx.parallel(work, range(MANY))):
        checks.body(checks.status(ctx.get(ctx.manifest_path(manifest.digest)), 200), manifest.data)
    checks.body(checks.status(ctx.get(ctx.blob_path(shared.digest)), 200), shared.data)
