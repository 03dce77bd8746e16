"""Blobs across repositories: mounting, and that nothing else crosses over.

Source: distribution-spec, Mounting a blob from another repository (end-11).
"""

from __future__ import annotations

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import Content, blob, image, image_config
from gati_conformance.model import Group, Level, Unsupported

group = Group(
    "mounts",
    source="distribution-spec, Mounting a blob from another repository",
    requires=("apis.push", "apis.pull"),
)


def _mount(ctx: Context, content: Content, query: str = "") -> Answer:
    return ctx.client.request("POST", ctx.uploads_path(f"?mount={content.digest}{query}"))


def _mounted(ctx: Context, content: Content, query: str = "") -> Answer:
    """201. Raises Unsupported on 202."""
    answer = checks.status(_mount(ctx, content, query), 201, 202)
    if answer.status == 202:
        ctx.client.request("DELETE", answer.location)
        raise Unsupported(f"{answer}: 202, the blob was not mounted")
    return answer


@group.case("from", "A mounted blob is there at once, and its location gives it")
def _from(ctx: Context) -> None:
    content = ctx.push_blob(blob(), ctx.repo2)
    answer = _mounted(ctx, content, f"&from={ctx.repo2}")
    checks.body(checks.status(ctx.client.request("GET", answer.location), 200), content.data)
    checks.status(ctx.head(ctx.blob_path(content.digest)), 200)


@group.case("from-sha512", "A blob is mounted by its sha512 digest", requires=("data.sha512",))
def _from_sha512(ctx: Context) -> None:
    content = ctx.push_blob(blob(algorithm="sha512"), ctx.repo2)
    _mounted(ctx, content, f"&from={ctx.repo2}")
    answer = checks.status(ctx.get(ctx.blob_path(content.digest)), 200)
    checks.body(answer, content.data)


@group.case(
    "anonymous",
    "Without from, a blob that the registry has somewhere is mounted",
    level=Level.EXPECTED,
    requires=("apis.blobs.mountAnonymous",),
)
def _anonymous(ctx: Context) -> None:
    content = ctx.push_blob(blob(), ctx.repo2)
    _mounted(ctx, content)
    checks.body(checks.status(ctx.get(ctx.blob_path(content.digest)), 200), content.data)


@group.case("missing", "What cannot be mounted starts an upload, 202, that works", level=Level.SHOULD)
def _missing(ctx: Context) -> None:
    for source in (ctx.repo2, ctx.unknown_repo()):
        content = blob()
        answer = checks.status(_mount(ctx, content, f"&from={source}"), 202)
        checks.status(ctx.close_upload(answer.location, content.digest, content.data), 201)


@group.case(
    "malformed",
    "A mount by a malformed digest is 400, or starts an upload",
    level=Level.EXPECTED,
)
def _malformed(ctx: Context) -> None:
    answer = ctx.client.request("POST", ctx.uploads_path(f"?mount=sha256:nonsense&from={ctx.repo2}"))
    checks.error_if_json(answer, 202, 400)


@group.case(
    "independent",
    "A mounted blob outlives the one it was mounted from",
    requires=("apis.blobs.delete",),
)
def _independent(ctx: Context) -> None:
    content = ctx.push_blob(blob(), ctx.repo2)
    _mounted(ctx, content, f"&from={ctx.repo2}")
    deleted = checks.status(ctx.delete(ctx.blob_path(content.digest, ctx.repo2)), 202, 405)
    if deleted.status == 405:
        raise Unsupported(f"{deleted}: 405, blobs cannot be deleted")
    checks.body(checks.status(ctx.get(ctx.blob_path(content.digest)), 200), content.data)


@group.case("only-here", "A blob of another repository is 404 here until it is pushed or mounted")
def _only_here(ctx: Context) -> None:
    content = ctx.push_blob(blob(), ctx.repo2)
    for method in ("HEAD", "GET"):
        checks.status(ctx.client.request(method, ctx.blob_path(content.digest)), 404)


@group.case(
    "manifest-gives-no-access",
    "A manifest that names a blob of another repository makes it no part of this one",
    level=Level.EXPECTED,
    source="access is decided by repository; a digest is not a secret",
    requires=("data.image",),
)
def _manifest_gives_no_access(ctx: Context) -> None:
    config = ctx.push_blob(image_config([]))
    private = ctx.push_blob(blob(), ctx.repo2)
    manifest = image(config.descriptor(), [private.descriptor()])
    answer = ctx.put_manifest(manifest)
    if answer.status != 201:
        checks.error(answer, (400, 404), "MANIFEST_BLOB_UNKNOWN")
    for method in ("HEAD", "GET"):
        checks.status(ctx.client.request(method, ctx.blob_path(private.digest)), 404)
