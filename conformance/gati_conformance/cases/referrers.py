"""The referrers API: what it lists, how it filters and pages, and the fallback tags of older clients.

Source: distribution-spec, Listing Referrers (end-12), Referrers Tag Schema.
"""

from __future__ import annotations

import secrets
from urllib.parse import urlencode

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import (
    CONFIG,
    EXAMPLE_1,
    EXAMPLE_2,
    IMAGE,
    INDEX,
    Content,
    Json,
    digest_of,
    fallback_tag,
    image,
    image_config,
    index,
    simple_artifact,
    simple_image,
    token,
)
from gati_conformance.model import Group, Level, Unsupported

group = Group(
    "referrers",
    source="distribution-spec, Listing Referrers",
    requires=("version.1.1", "apis.push", "apis.referrer", "data.image"),
)


def _listed(ctx: Context, digest: str) -> dict[str, Json]:
    """The referrers of a digest, each once, by their digest."""
    found = ctx.referrers(digest)
    by_digest = {item["digest"]: item for item in found}
    checks.require(len(by_digest) == len(found), f"a referrer of {digest} is listed twice")
    return by_digest


def _same(ctx: Context, subject: str, *referrers: Content) -> dict[str, Json]:
    """The referrers of a subject are exactly those, with the right media type and size."""
    found = _listed(ctx, subject)
    wanted = {item.digest for item in referrers}
    checks.require(set(found) == wanted, f"referrers of {subject}: {sorted(found)}, expected {sorted(wanted)}")
    for item in referrers:
        shown = found[item.digest]
        right = (item.media_type, len(item.data))
        checks.require(
            (shown.get("mediaType"), shown.get("size")) == right,
            f"{item.digest} is listed with {shown.get('mediaType')} and {shown.get('size')}, expected {right}",
        )
    return found


def _get(ctx: Context, digest: str, **query: str) -> Answer:
    path = ctx.referrers_path(digest, "?" + urlencode(query) if query else "")
    return checks.header(checks.status(ctx.get(path), 200), "content-type", INDEX)


@group.case("none", "Without referrers the answer is an empty index, also for a repository nobody knows")
def _none(ctx: Context) -> None:
    subject = ctx.push_image()
    unknown = digest_of(secrets.token_bytes(32))
    for repo, digest in ((ctx.repo, subject.digest), (ctx.repo, unknown), (ctx.unknown_repo(), unknown)):
        answer = checks.status(ctx.get(ctx.referrers_path(digest, repo=repo)), 200)
        checks.header(answer, "content-type", INDEX)
        document = answer.json()
        found = (document.get("schemaVersion"), document.get("mediaType"), document.get("manifests"))
        checks.require(found == (2, INDEX, []), f"{answer}: {document}, expected an empty index")


@group.case("malformed-digest", "A malformed digest is 400")
def _malformed_digest(ctx: Context) -> None:
    for digest in ("nonsense", "sha256:short", f"sha256:{'g' * 64}", f"sha256:{'A' * 64}"):
        checks.error_if_json(ctx.get(ctx.referrers_path(digest)), 400)


@group.case("subject-header", "A push with a subject answers OCI-Subject; one without does not")
def _subject_header(ctx: Context) -> None:
    subject = ctx.push_image()
    config = ctx.push_blob(image_config([]))
    with_subject = image(config.descriptor(), [], subject=subject.descriptor())
    listed = index([subject.descriptor()], subject=subject.descriptor())
    for manifest in (with_subject, listed):
        answer = checks.status(ctx.put_manifest(manifest), 201)
        checks.header(answer, "oci-subject", subject.digest)
    plain = checks.status(ctx.put_manifest(image(config.descriptor(), [])), 201)
    checks.require(not plain.header("oci-subject"), f"{plain}: OCI-Subject without a subject")


@group.case("artifact-type", "artifactType is listed; an image manifest without one shows its config's type")
def _artifact_type(ctx: Context) -> None:
    subject = ctx.push_image()
    pushed = {
        EXAMPLE_1: ctx.push(simple_artifact(subject=subject.descriptor())),
        CONFIG: ctx.push_image(subject=subject.descriptor()),
    }
    found = _same(ctx, subject.digest, *pushed.values())
    for kind, manifest in pushed.items():
        shown = found[manifest.digest].get("artifactType")
        checks.require(shown == kind, f"{manifest.digest} is listed with artifactType {shown!r}, expected {kind}")


@group.case("artifact-type-of-index", "An index without artifactType is listed without one")
def _artifact_type_of_index(ctx: Context) -> None:
    subject = ctx.push_image()
    bare = ctx.push_manifest(index([subject.descriptor()], subject=subject.descriptor()))
    typed = ctx.push_manifest(index([], subject=subject.descriptor(), artifactType=EXAMPLE_2))
    found = _same(ctx, subject.digest, bare, typed)
    checks.require("artifactType" not in found[bare.digest], f"listed: {found[bare.digest]}")
    checks.require(found[typed.digest].get("artifactType") == EXAMPLE_2, f"listed: {found[typed.digest]}")


@group.case("annotations", "All annotations of the referrer are copied to its descriptor")
def _annotations(ctx: Context) -> None:
    subject = ctx.push_image()
    notes = {"org.opencontainers.image.created": "2026-01-01T00:00:00Z", "org.example.ünïcode": '☃ "quoted"', "": ""}
    manifest = ctx.push(simple_artifact(subject=subject.descriptor(), annotations=notes))
    shown = _same(ctx, subject.digest, manifest)[manifest.digest].get("annotations")
    checks.require(shown == notes, f"listed with annotations {shown}, expected {notes}")


@group.case("subject-later", "Referrers that came before their subject are listed, before and after it comes")
def _subject_later(ctx: Context) -> None:
    later = simple_image(layers=1)
    manifest = ctx.push(simple_artifact(subject=later.manifest.descriptor()))
    _same(ctx, later.manifest.digest, manifest)
    ctx.push(later)
    _same(ctx, later.manifest.digest, manifest)


@group.case("sha512", "A subject named by its sha512 digest has its referrers there", requires=("data.sha512",))
def _sha512(ctx: Context) -> None:
    subject = ctx.push(simple_image(layers=1, algorithm="sha512"))
    manifest = ctx.push(simple_artifact(subject=subject.descriptor(), algorithm="sha512"))
    _same(ctx, subject.digest, manifest)


@group.case("of-a-referrer", "A referrer may have referrers of its own")
def _of_a_referrer(ctx: Context) -> None:
    subject = ctx.push_image()
    first = ctx.push(simple_artifact(subject=subject.descriptor()))
    second = ctx.push(simple_artifact(subject=first.descriptor()))
    _same(ctx, subject.digest, first)
    _same(ctx, first.digest, second)


@group.case("pushed-twice", "A referrer that is pushed twice, by digest and by tag, is listed once")
def _pushed_twice(ctx: Context) -> None:
    subject = ctx.push_image()
    artifact = simple_artifact(subject=subject.descriptor())
    manifest = ctx.push(artifact, artifact.manifest.digest, ctx.tag(), ctx.tag(), artifact.manifest.digest)
    _same(ctx, subject.digest, manifest)


@group.case("only-here", "Referrers of another repository are not listed here")
def _only_here(ctx: Context) -> None:
    subject = simple_image(layers=1)
    for repo in (ctx.repo, ctx.repo2):
        ctx.push(subject, repo=repo)
    manifest = ctx.push(simple_artifact(subject=subject.manifest.descriptor()), repo=ctx.repo2)
    checks.require(not _listed(ctx, subject.manifest.digest), "a referrer of another repository is listed")
    there = {item["digest"] for item in ctx.referrers(subject.manifest.digest, repo=ctx.repo2)}
    checks.require(there == {manifest.digest}, f"in its own repository: {there}")


@group.case("filter", "artifactType filters, and OCI-Filters-Applied says so", level=Level.SHOULD)
def _filter(ctx: Context) -> None:
    subject = ctx.push_image()
    wanted = [ctx.push(simple_artifact(subject=subject.descriptor())) for _ in range(2)]
    ctx.push(simple_artifact(subject=subject.descriptor(), artifact_type=EXAMPLE_2))
    for kind, expected in ((EXAMPLE_1, {item.digest for item in wanted}), ("application/vnd.example.none", set())):
        answer = _get(ctx, subject.digest, artifactType=kind)
        applied = {name.strip() for name in answer.header("oci-filters-applied").split(",")}
        if "artifactType" not in applied:
            raise Unsupported(f"{answer}: OCI-Filters-Applied does not name artifactType")
        found = {item["digest"] for item in answer.json()["manifests"]}
        checks.require(found == expected, f"{answer}: {sorted(found)}, expected {sorted(expected)}")
    plain = _get(ctx, subject.digest)
    checks.require(not plain.header("oci-filters-applied"), f"{plain}: a filter was applied that nobody asked for")


@group.case(
    "pages",
    "A list too long for one manifest comes in pages by Link, each an index, every referrer once",
)
def _pages(ctx: Context) -> None:
    subject = ctx.push_image()
    config = ctx.push_blob(image_config([]))
    pushed = [
        ctx.push_manifest(
            image(
                config.descriptor(),
                [],
                subject=subject.descriptor(),
                annotations={"number": str(number), "padding": "a" * 300_000},
            )
        )
        for number in range(20)
    ]
    sizes = []
    for page in ctx.pages(ctx.referrers_path(subject.digest)):
        checks.header(page, "content-type", INDEX)
        document = page.json()
        checks.require(
            (document["schemaVersion"], document["mediaType"]) == (2, INDEX), f"{page}: no index on this page"
        )
        sizes.append(len(page.body))
    _same(ctx, subject.digest, *pushed)
    # 6 MB of annotations: more than a client has to take as one manifest
    checks.require(max(sizes) <= 5 * 1024 * 1024, f"a page of {max(sizes)} bytes, more than a manifest may have")


@group.case(
    "pages-filtered",
    "The filter holds on every page",
    level=Level.SHOULD,
)
def _pages_filtered(ctx: Context) -> None:
    subject = ctx.push_image()
    kinds = [EXAMPLE_1, EXAMPLE_2] * 6
    pushed = [
        ctx.push(
            simple_artifact(subject=subject.descriptor(), artifact_type=kind, annotations={"padding": "a" * 500_000})
        )
        for kind in kinds
    ]
    wanted = {item.digest for item, kind in zip(pushed, kinds, strict=True) if kind == EXAMPLE_1}
    found = [item["digest"] for item in ctx.referrers(subject.digest, "?" + urlencode({"artifactType": EXAMPLE_1}))]
    first = _get(ctx, subject.digest, artifactType=EXAMPLE_1)
    if "artifactType" not in first.header("oci-filters-applied"):
        raise Unsupported(f"{first}: OCI-Filters-Applied does not name artifactType")
    checks.require(sorted(found) == sorted(wanted), f"{len(found)} referrers over all pages, expected {len(wanted)}")


@group.case(
    "fallback-tag",
    "What an index under the fallback tag lists is a referrer if it has that subject, and is listed once",
    source="distribution-spec, Enabling the Referrers API",
    requires=("apis.pull",),
)
def _fallback_tag(ctx: Context) -> None:
    subject = ctx.push_image()
    manifest = ctx.push(simple_artifact(subject=subject.descriptor()))
    stranger = ctx.push(simple_artifact())
    listed = index([manifest.descriptor(artifactType=EXAMPLE_1), stranger.descriptor(artifactType=EXAMPLE_1)])
    tag = fallback_tag(subject.digest)
    ctx.push_manifest(listed, tag)
    _same(ctx, subject.digest, manifest)
    answer = checks.status(ctx.get(ctx.manifest_path(tag)), 200)
    checks.body(answer, listed.data)


@group.case("deleted", "A referrer that is deleted is not listed any more", requires=("apis.manifests.delete",))
def _deleted(ctx: Context) -> None:
    subject = ctx.push_image()
    kept, gone = (ctx.push(simple_artifact(subject=subject.descriptor())) for _ in range(2))
    answer = checks.status(ctx.delete(ctx.manifest_path(gone.digest)), 202, 400, 405)
    if answer.status != 202:
        raise Unsupported(f"{answer}: {answer.status}, manifests cannot be deleted")
    _same(ctx, subject.digest, kept)


@group.case(
    "subject-deleted",
    "Referrers outlive their subject: they are listed until they are deleted themselves",
    level=Level.EXPECTED,
    source="a referrer is valid without its subject, so nothing but DELETE may remove it",
    requires=("apis.manifests.delete", "apis.pull"),
)
def _subject_deleted(ctx: Context) -> None:
    subject = ctx.push_image()
    manifest = ctx.push(simple_artifact(subject=subject.descriptor()))
    answer = checks.status(ctx.delete(ctx.manifest_path(subject.digest)), 202, 400, 405)
    if answer.status != 202:
        raise Unsupported(f"{answer}: {answer.status}, manifests cannot be deleted")
    _same(ctx, subject.digest, manifest)
    checks.status(ctx.head(ctx.manifest_path(manifest.digest)), 200)


@group.case("media-types", "An OCI image manifest with an unknown config type is listed under that type")
def _media_types(ctx: Context) -> None:
    subject = ctx.push_image()
    kind = "application/vnd.example.signature.config.v1+json"
    config = ctx.push_blob(Content(b'{"test":"%s"}' % token().encode(), kind))
    manifest = ctx.push_manifest(image(config.descriptor(), [], subject=subject.descriptor()))
    shown = _same(ctx, subject.digest, manifest)[manifest.digest]
    checks.require(shown.get("artifactType") == kind, f"listed with artifactType {shown.get('artifactType')!r}")
    checks.require(shown.get("mediaType") == IMAGE, f"listed with mediaType {shown.get('mediaType')!r}")
