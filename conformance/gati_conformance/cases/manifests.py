"""Pushing manifests: what is taken, what is refused, and how references that are missing are told.

Source: distribution-spec, Pushing Manifests (end-7).
"""

from __future__ import annotations

import secrets

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import (
    AMD64,
    DOCKER_FOREIGN,
    IMAGE,
    LAYER_FOREIGN_GZIP,
    LAYER_GZIP,
    Content,
    Json,
    blob,
    digest_of,
    empty_json,
    encode,
    image,
    image_config,
    index,
    simple_artifact,
    simple_image,
    token,
)
from gati_conformance.model import Failed, Group, Level, Unsupported

group = Group(
    "manifests",
    source="distribution-spec, Pushing Manifests",
    requires=("apis.push", "apis.pull", "data.image"),
)


def _absent(media_type: str = LAYER_GZIP, **more: object) -> Json:
    """A descriptor of something that is nowhere."""
    return {"mediaType": media_type, "digest": digest_of(secrets.token_bytes(32)), "size": 123, **more}


@group.case("location", "201 has a Location that gives the manifest, and its digest")
def _location(ctx: Context) -> None:
    artifact = simple_image(layers=1)
    for item in artifact.blobs:
        ctx.push_blob(item)
    for reference in (artifact.manifest.digest, ctx.tag()):
        answer = checks.status(ctx.put_manifest(artifact.manifest, reference), 201)
        checks.digest_header(answer, artifact.manifest.digest)
        back = ctx.client.request("GET", answer.location)
        checks.body(checks.status(back, 200), artifact.manifest.data)


@group.case("twice", "A manifest that is there may be pushed again, under more tags")
def _twice(ctx: Context) -> None:
    tags = [ctx.tag() for _ in range(3)]
    manifest = ctx.push_image(*tags, *tags)
    for tag in tags:
        answer = checks.status(ctx.head(ctx.manifest_path(tag)), 200)
        checks.digest_header(answer, manifest.digest)


@group.case("sha512", "A manifest is pushed and pulled by its sha512 digest", requires=("data.sha512",))
def _sha512(ctx: Context) -> None:
    manifest = ctx.push(simple_image(layers=1, algorithm="sha512"))
    answer = checks.status(ctx.get(ctx.manifest_path(manifest.digest)), 200)
    checks.digest_header(checks.body(answer, manifest.data), manifest.digest)


@group.case("four-mebibytes", "A manifest of 4 MiB is taken", level=Level.SHOULD)
def _four_mebibytes(ctx: Context) -> None:
    artifact = simple_image(layers=1)
    for item in artifact.blobs:
        ctx.push_blob(item)
    document = artifact.manifest.document
    size = 4 * 1024 * 1024
    document["annotations"] = {"padding": ""}
    document["annotations"]["padding"] = "a" * (size - len(encode(document)))
    content = ctx.push_manifest(Content(encode(document), IMAGE))
    checks.require(len(content.data) == size, "the test's manifest has the wrong size")
    checks.body(checks.status(ctx.get(ctx.manifest_path(content.digest)), 200), content.data)


@group.case("subject-missing", "A subject that is not there yet is no reason to refuse a manifest")
def _subject_missing(ctx: Context) -> None:
    ctx.push(simple_artifact(subject=_absent(IMAGE)))


def _refused(answer: Answer) -> list[Json]:
    """The errors of a refusal for missing references. Raises Unsupported where the manifest is taken."""
    if answer.status == 201:
        raise Unsupported(f"{answer}: this registry takes manifests whose references are missing (it may)")
    return checks.error(answer, (400, 404), "MANIFEST_BLOB_UNKNOWN")


@group.case("missing-blobs", "A manifest refused for its config or layers has the code MANIFEST_BLOB_UNKNOWN")
def _missing_blobs(ctx: Context) -> None:
    there = ctx.push_blob(blob(media_type=LAYER_GZIP)).descriptor()
    for config, layers in ((_absent(), [there]), (ctx.push_blob(empty_json()).descriptor(), [there, _absent()])):
        manifest = image(config, layers)
        _refused(ctx.put_manifest(manifest))
        checks.status(ctx.head(ctx.manifest_path(manifest.digest)), 404)


@group.case(
    "missing-children",
    "An index refused for its manifests has the code MANIFEST_BLOB_UNKNOWN",
    requires=("data.index",),
)
def _missing_children(ctx: Context) -> None:
    manifest = index([ctx.push_image().descriptor(), _absent(IMAGE, platform=AMD64)])
    _refused(ctx.put_manifest(manifest))
    checks.status(ctx.head(ctx.manifest_path(manifest.digest)), 404)


@group.case(
    "missing-told-once",
    "Each missing digest is told by one error, and nothing else is",
    level=Level.EXPECTED,
    source="clients push what they are told is missing",
)
def _missing_told_once(ctx: Context) -> None:
    there, config, absent = ctx.push_blob(blob(media_type=LAYER_GZIP)), _absent(), [_absent(), _absent()]
    answer = ctx.put_manifest(image(config, [absent[0], there.descriptor(), absent[1], absent[0]]))
    found = _refused(answer)
    wrong = [item["code"] for item in found if item["code"] != "MANIFEST_BLOB_UNKNOWN"]
    checks.require(not wrong, f"{answer}: other error codes among them: {', '.join(wrong)}")
    for descriptor in (config, *absent):
        told = sum(descriptor["digest"] in encode(item).decode() for item in found)
        checks.require(told == 1, f"{answer}: {told} errors tell of {descriptor['digest']}")
    checks.require(len(found) == 3, f"{answer}: {len(found)} errors for 3 missing digests")


@group.case(
    "foreign-layers",
    "Layers that are not distributable are never asked for, with or without urls",
    level=Level.EXPECTED,
    source="image-spec, Non-Distributable Layers; docker's foreign layers",
    requires=("data.nondistributable",),
)
def _foreign_layers(ctx: Context) -> None:
    config = ctx.push_blob(image_config([]))
    for media_type in (LAYER_FOREIGN_GZIP, DOCKER_FOREIGN):
        for urls in ({"urls": ["https://store.example.com/layer"]}, {}):
            ctx.push_manifest(image(config.descriptor(), [_absent(media_type, **urls)]))


@group.case(
    "index-of-blobs",
    "An index may list blobs, as build caches do",
    level=Level.EXPECTED,
    source="clients: buildx cache exports",
    requires=("data.index",),
)
def _index_of_blobs(ctx: Context) -> None:
    cached = [ctx.push_blob(blob(media_type=LAYER_GZIP)) for _ in range(2)]
    config = ctx.push_blob(Content(encode({"test": token()}), "application/vnd.buildkit.cacheconfig.v0"))
    ctx.push_manifest(index([item.descriptor() for item in (*cached, config)]))


@group.case(
    "unknown-platform",
    "An index entry for unknown/unknown, an attestation, is taken",
    level=Level.EXPECTED,
    source="clients: buildx attestations",
    requires=("data.index",),
)
def _unknown_platform(ctx: Context) -> None:
    child = ctx.push_image()
    attestation = ctx.push(simple_artifact(layer_type="application/vnd.in-toto+json"))
    unknown = {"architecture": "unknown", "os": "unknown"}
    annotations = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": child.digest}
    listed = attestation.descriptor(platform=unknown, annotations=annotations)
    ctx.push_manifest(index([child.descriptor(platform=AMD64), listed]))


@group.case("repeated-layer", "A layer may be listed more than once", level=Level.EXPECTED)
def _repeated_layer(ctx: Context) -> None:
    config, content = ctx.push_blob(empty_json()), ctx.push_blob(blob())
    ctx.push_manifest(image(config.descriptor(), [content.descriptor()] * 3, annotations={"test": token()}))


@group.case("wrong-digest", "A manifest that does not match its digest is 400 and is not stored")
def _wrong_digest(ctx: Context) -> None:
    artifact = simple_image(layers=1)
    for item in artifact.blobs:
        ctx.push_blob(item)
    other = Content(artifact.manifest.data + b"\n", IMAGE)
    answer = ctx.put_manifest(other, artifact.manifest.digest)
    checks.error(answer, 400, "DIGEST_INVALID", "MANIFEST_INVALID")
    for digest in (artifact.manifest.digest, other.digest):
        checks.status(ctx.head(ctx.manifest_path(digest)), 404)


@group.case(
    "not-json",
    "Bytes that are no JSON object are 400 MANIFEST_INVALID",
    source="distribution-spec, Error Codes, code-6",
    level=Level.EXPECTED,
)
def _not_json(ctx: Context) -> None:
    for data in (b"", b"not json", b"[]", b'"text"', b"{", b"\xff\xfe{}", b"null"):
        answer = ctx.put_manifest(Content(data, IMAGE), ctx.tag("bad"))
        checks.error(answer, 400, "MANIFEST_INVALID")


@group.case(
    "malformed-descriptors",
    "A manifest whose descriptors have no usable digest is 400 MANIFEST_INVALID",
    source="distribution-spec, Error Codes, code-6",
    level=Level.EXPECTED,
)
def _malformed_descriptors(ctx: Context) -> None:
    config = ctx.push_blob(empty_json()).descriptor()
    wrong: list[Json] = [
        {"mediaType": LAYER_GZIP, "size": 1},
        {"mediaType": LAYER_GZIP, "size": 1, "digest": "sha256:nonsense"},
        {"mediaType": LAYER_GZIP, "size": 1, "digest": 5},
        {"mediaType": LAYER_GZIP, "size": 1, "digest": f"sha256:{'../' * 21}a"},
    ]
    for descriptor in wrong:
        answer = ctx.put_manifest(image(config, [descriptor]), ctx.tag("bad"))
        checks.error(answer, 400, "MANIFEST_INVALID", "DIGEST_INVALID")
    for text in ("layers", "config"):
        document = image(config, []).document | {text: "text", "annotations": {"test": token()}}
        answer = ctx.put_manifest(Content(encode(document), IMAGE), ctx.tag("bad"))
        checks.error(answer, 400, "MANIFEST_INVALID")


@group.case(
    "bad-tags",
    "A tag that breaks the grammar is refused when pushing, and not found when pulling",
    source="distribution-spec, Pulling manifests: <tag-or-digest>",
)
def _bad_tags(ctx: Context) -> None:
    artifact = simple_image(layers=1)
    for item in artifact.blobs:
        ctx.push_blob(item)
    for tag in (".dot", "-dash", "a" * 129, "sp%20ace", "t%C3%A4g", "a+b", "a@b"):
        checks.error_if_json(ctx.put_manifest(artifact.manifest, tag), 400, 404)
        checks.error_if_json(ctx.get(ctx.manifest_path(tag)), 400, 404)


@group.case("good-tags", "Tags up to 128 characters of every allowed kind work", level=Level.MUST)
def _good_tags(ctx: Context) -> None:
    tags = [token(128), f"_{token()}", f"V1.0_{token()}-RC.1", f"{token()}--..__"]
    manifest = ctx.push_image(*tags)
    for tag in tags:
        answer = checks.status(ctx.get(ctx.manifest_path(tag)), 200)
        checks.body(answer, manifest.data)


@group.case(
    "tag-moves",
    "A pushed tag moves; what it named before stays under its digest",
    level=Level.EXPECTED,
    source="clients pin digests; only DELETE removes",
)
def _tag_moves(ctx: Context) -> None:
    tag = ctx.tag()
    first = ctx.push_image(tag)
    checks.body(checks.status(ctx.get(ctx.manifest_path(tag)), 200), first.data)
    second = ctx.push_image(tag)
    answer = checks.status(ctx.get(ctx.manifest_path(tag)), 200)
    if answer.body == first.data:
        raise Failed(f"{answer}: the tag still names the first manifest")
    checks.body(answer, second.data)
    checks.body(checks.status(ctx.get(ctx.manifest_path(first.digest)), 200), first.data)
