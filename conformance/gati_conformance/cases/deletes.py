"""Deleting: what goes along, what stays, and that it is seen at once.

Source: distribution-spec, Content Management (end-9, end-10).
"""

from __future__ import annotations

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import blob, index, simple_image
from gati_conformance.model import Group, Level, Unsupported

group = Group(
    "deletes",
    source="distribution-spec, Content Management",
    requires=("apis.push", "apis.pull", "data.image"),
)
MANIFESTS = ("apis.manifests.delete", "apis.manifests.atomic")
TAGS = ("apis.tags.delete", "apis.tags.atomic")
BLOBS = ("apis.blobs.delete", "apis.blobs.atomic")


def _done(answer: Answer) -> None:
    """202. Raises Unsupported where this kind of thing cannot be deleted."""
    checks.status(answer, 202, 400, 405)
    if answer.status != 202:
        raise Unsupported(f"{answer}: {answer.status}, this cannot be deleted here")


@group.case(
    "manifest-drops-tags", "Deleting a manifest drops its tags, from pulls and from the list", requires=MANIFESTS
)
def _manifest_drops_tags(ctx: Context) -> None:
    tags = [ctx.tag() for _ in range(3)]
    manifest, kept = ctx.push_image(*tags), ctx.tag()
    ctx.push_image(kept)
    _done(ctx.delete(ctx.manifest_path(manifest.digest)))
    for reference in (manifest.digest, *tags):
        for method in ("HEAD", "GET"):
            checks.status(ctx.client.request(method, ctx.manifest_path(reference)), 404)
    if ctx.config.switches["apis.tags.list"]:
        left = set(ctx.tags())
        checks.require(not left & set(tags), f"tags of a deleted manifest are listed: {sorted(left & set(tags))}")
        checks.require(kept in left, f"another manifest's tag {kept} is gone from the list")
    checks.status(ctx.head(ctx.manifest_path(kept)), 200)


@group.case("tag-leaves-manifest", "Deleting a tag leaves the manifest and its other tags", requires=TAGS)
def _tag_leaves_manifest(ctx: Context) -> None:
    tag, other = ctx.tag(), ctx.tag()
    manifest = ctx.push_image(tag, other)
    _done(ctx.delete(ctx.manifest_path(tag)))
    checks.status(ctx.head(ctx.manifest_path(tag)), 404)
    for reference in (other, manifest.digest):
        checks.body(checks.status(ctx.get(ctx.manifest_path(reference)), 200), manifest.data)
    if ctx.config.switches["apis.tags.list"]:
        listed = ctx.tags()
        checks.require(tag not in listed and other in listed, f"the list after deleting {tag}: {listed[:20]}")


@group.case("last-tag-leaves-manifest", "A manifest stays under its digest when its last tag goes", requires=TAGS)
def _last_tag(ctx: Context) -> None:
    tag = ctx.tag()
    manifest = ctx.push_image(tag)
    _done(ctx.delete(ctx.manifest_path(tag)))
    checks.body(checks.status(ctx.get(ctx.manifest_path(manifest.digest)), 200), manifest.data)


@group.case(
    "child-of-an-index",
    "A manifest that an index lists may be deleted; the index stays",
    level=Level.EXPECTED,
    requires=(*MANIFESTS, "data.index"),
)
def _child(ctx: Context) -> None:
    children = [ctx.push_image() for _ in range(2)]
    parent = ctx.push_manifest(index([child.descriptor() for child in children]))
    _done(ctx.delete(ctx.manifest_path(children[0].digest)))
    checks.status(ctx.head(ctx.manifest_path(children[0].digest)), 404)
    for manifest in (children[1], parent):
        checks.status(ctx.head(ctx.manifest_path(manifest.digest)), 200)


@group.case(
    "blob-in-use",
    "A blob that a manifest here needs is not deleted: 405 with DENIED or UNSUPPORTED",
    level=Level.EXPECTED,
    requires=BLOBS,
)
def _blob_in_use(ctx: Context) -> None:
    artifact = simple_image(layers=1)
    manifest = ctx.push(artifact)
    for item in artifact.blobs:
        answer = ctx.delete(ctx.blob_path(item.digest))
        if answer.status == 202:
            raise Unsupported(f"{answer}: 202, this registry deletes blobs that manifests need")
        checks.error(answer, 405, "DENIED", "UNSUPPORTED")
        checks.body(checks.status(ctx.get(ctx.blob_path(item.digest)), 200), item.data)
    if ctx.config.switches["apis.manifests.delete"]:
        _done(ctx.delete(ctx.manifest_path(manifest.digest)))
        for item in artifact.blobs:
            checks.status(ctx.delete(ctx.blob_path(item.digest)), 202)


@group.case("blob-at-once", "A deleted blob is gone for HEAD, GET and a mount", requires=BLOBS)
def _blob_at_once(ctx: Context) -> None:
    content = ctx.push_blob(blob())
    _done(ctx.delete(ctx.blob_path(content.digest)))
    for method in ("HEAD", "GET"):
        checks.status(ctx.client.request(method, ctx.blob_path(content.digest)), 404)
    query = f"?mount={content.digest}&from={ctx.repo}"
    checks.status(ctx.client.request("POST", ctx.uploads_path(query, ctx.repo2)), 202)


@group.case("here-only", "Deleting in one repository changes nothing in another", requires=(*MANIFESTS, *BLOBS))
def _here_only(ctx: Context) -> None:
    artifact, tag = simple_image(layers=1), ctx.tag()
    for repo in (ctx.repo, ctx.repo2):
        ctx.push(artifact, tag, repo=repo)
    _done(ctx.delete(ctx.manifest_path(artifact.manifest.digest, ctx.repo2)))
    for item in artifact.blobs:
        _done(ctx.delete(ctx.blob_path(item.digest, ctx.repo2)))
    for item in artifact.blobs:
        checks.body(checks.status(ctx.get(ctx.blob_path(item.digest)), 200), item.data)
    for reference in (tag, artifact.manifest.digest):
        checks.body(checks.status(ctx.get(ctx.manifest_path(reference)), 200), artifact.manifest.data)


@group.case("pushed-again", "What was deleted can be pushed again", requires=(*MANIFESTS, *BLOBS))
def _pushed_again(ctx: Context) -> None:
    artifact, tag = simple_image(layers=1), ctx.tag()
    for _ in range(3):
        manifest = ctx.push(artifact, tag)
        checks.body(checks.status(ctx.get(ctx.manifest_path(tag)), 200), manifest.data)
        _done(ctx.delete(ctx.manifest_path(manifest.digest)))
        for item in artifact.blobs:
            _done(ctx.delete(ctx.blob_path(item.digest)))
        checks.status(ctx.head(ctx.manifest_path(tag)), 404)


@group.case("twice", "A second DELETE is 404", requires=(*MANIFESTS, *BLOBS))
def _twice(ctx: Context) -> None:
    manifest, content = ctx.push_image(), ctx.push_blob(blob())
    for path in (ctx.manifest_path(manifest.digest), ctx.blob_path(content.digest)):
        _done(ctx.delete(path))
        checks.status(ctx.delete(path), 404)


@group.case(
    "unknown",
    "DELETE of what is not there is 404 with its code",
    level=Level.EXPECTED,
    requires=(*MANIFESTS, *BLOBS),
)
def _unknown(ctx: Context) -> None:
    ctx.push_image()
    absent = blob().digest
    answer = ctx.delete(ctx.manifest_path(absent))
    if answer.status in (400, 405):
        raise Unsupported(f"{answer}: {answer.status}, this cannot be deleted here")
    checks.error(answer, 404, "MANIFEST_UNKNOWN")
    checks.error(ctx.delete(ctx.blob_path(absent)), 404, "BLOB_UNKNOWN")
    for path in (ctx.manifest_path(absent, ctx.unknown_repo()), ctx.blob_path(absent, ctx.unknown_repo())):
        checks.error(ctx.delete(path), 404, "NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN")


@group.case("unknown-tag", "DELETE of a tag that is not there is 404", level=Level.EXPECTED, requires=TAGS)
def _unknown_tag(ctx: Context) -> None:
    ctx.push_image()
    answer = ctx.delete(ctx.manifest_path(ctx.tag("never")))
    if answer.status in (400, 405):
        raise Unsupported(f"{answer}: {answer.status}, tags cannot be deleted here")
    checks.error(answer, 404, "MANIFEST_UNKNOWN")
