"""What an answer with content carries: digest, length, exact bytes, the media type that was pushed."""

from __future__ import annotations

import json

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import (
    DOCKER_CONFIG,
    DOCKER_IMAGE,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_SCHEMA1,
    IMAGE,
    INDEX,
    Artifact,
    Content,
    blob,
    encode,
    image_config,
    layer,
    simple_image,
    token,
)
from gati_conformance.model import Failed, Group, Level, Skipped

PULLING = "distribution-spec, Pulling manifests"
CHECKING = "distribution-spec, Checking if content exists in the registry"
group = Group("content", source=PULLING, requires=("apis.push", "apis.pull", "data.image"))


def _answers(ctx: Context, algorithm: str = "sha256") -> list[tuple[Answer, Content]]:
    """GET and HEAD of a blob, and of a manifest by digest and (at sha256) by tag, each with its content."""
    artifact = simple_image(layers=1, algorithm=algorithm)
    tags = (ctx.tag(),) if algorithm == "sha256" else ()
    manifest = ctx.push(artifact, artifact.manifest.digest, *tags)
    found = artifact.blobs[-1]
    paths = [(ctx.blob_path(found.digest), found)]
    paths += [(ctx.manifest_path(reference), manifest) for reference in (manifest.digest, *tags)]
    return [
        (checks.status(ctx.client.request(method, path), 200), content)
        for path, content in paths
        for method in ("GET", "HEAD")
    ]


@group.case("api-version-check", "GET /v2/ is 200, the sign of a registry", source="distribution-spec, end-1")
def _version_check(ctx: Context) -> None:
    checks.status(ctx.get("/v2/"), 200)


@group.case(
    "api-version-check-without-slash",
    "GET /v2 leads to the same answer",
    level=Level.EXPECTED,
    source="clients: docker, containers/image",
)
def _version_check_without_slash(ctx: Context) -> None:
    checks.status(ctx.get("/v2"), 200)


@group.case(
    "digest-header",
    "Docker-Content-Digest is on every GET and HEAD of a blob or manifest",
    source=CHECKING,
    requires=("version.dev",),
)
def _digest_header(ctx: Context) -> None:
    for answer, content in _answers(ctx):
        checks.digest_header(answer, content.digest)


@group.case(
    "digest-header-sha512",
    "Docker-Content-Digest names the sha512 digest of what was pushed by sha512",
    source=CHECKING,
    requires=("version.dev", "data.sha512"),
)
def _digest_header_sha512(ctx: Context) -> None:
    for answer, content in _answers(ctx, "sha512"):
        checks.digest_header(answer, content.digest)


@group.case("length-on-head", "HEAD shows the size in Content-Length", source=CHECKING)
def _length_on_head(ctx: Context) -> None:
    for answer, content in _answers(ctx):
        if answer.method == "HEAD":
            checks.header(answer, "content-length", str(len(content.data)))


@group.case(
    "length-on-get",
    "GET has Content-Length: content is not sent in chunked transfer coding",
    level=Level.EXPECTED,
    source="clients: oras",
)
def _length_on_get(ctx: Context) -> None:
    for answer, content in _answers(ctx):
        if answer.method == "GET":
            checks.header(answer, "content-length", str(len(content.data)))


@group.case("head-without-body", "HEAD has the headers of GET and no body", source="RFC 9110, 9.3.2")
def _head_without_body(ctx: Context) -> None:
    by_path: dict[str, dict[str, Answer]] = {}
    for answer, _ in _answers(ctx):
        by_path.setdefault(answer.url.path, {})[answer.method] = answer
    for pair in by_path.values():
        checks.body(pair["HEAD"], b"")
        for name in ("content-type", "docker-content-digest", "content-length"):
            if pair["HEAD"].header(name) != pair["GET"].header(name):
                raise Failed(f"{pair['HEAD']}: {name} differs from what GET shows")


@group.case(
    "no-content-encoding",
    "Content comes without Content-Encoding, though the client offers to take one",
    level=Level.EXPECTED,
    source="clients: oras; digests are of the bytes on the wire",
)
def _no_content_encoding(ctx: Context) -> None:
    manifest = ctx.push_image(annotations={"padding": "a" * 20_000})
    text = ctx.push_blob(Content(b"compressible " * 2_000))
    paths = ((ctx.manifest_path(manifest.digest), manifest), (ctx.blob_path(text.digest), text))
    for path, content in paths:
        answer = checks.status(ctx.get(path, accept_encoding="gzip, deflate, br, zstd"), 200)
        if answer.header("content-encoding"):
            raise Failed(f"{answer}: Content-Encoding is {answer.header('content-encoding')}")
        checks.body(answer, content.data)


@group.case(
    "accept-ranges",
    "Blobs say Accept-Ranges: bytes, so that clients resume",
    level=Level.EXPECTED,
    source="RFC 9110, 14.3; clients that stream layers in parts",
)
def _accept_ranges(ctx: Context) -> None:
    found = ctx.push_blob(blob())
    for method in ("GET", "HEAD"):
        answer = checks.status(ctx.client.request(method, ctx.blob_path(found.digest)), 200)
        checks.header(answer, "accept-ranges", "bytes")


@group.case(
    "manifest-bytes-kept",
    "A manifest comes back byte for byte: spaces, order of fields, escapes, final newline",
    source="distribution-spec, Pushing Manifests",
)
def _manifest_bytes_kept(ctx: Context) -> None:
    artifact = simple_image(layers=1)
    for item in artifact.blobs:
        ctx.push_blob(item)
    document = artifact.manifest.document
    document["annotations"] = {"ünïcode": "\u2028 ☃ \U0001f600", "escaped": 'tab\tquote"'}
    for indent, ascii_only, ending in ((3, True, "\n"), (None, False, ""), ("\t", False, "\r\n \n")):
        text = json.dumps(dict(reversed(document.items())), indent=indent, ensure_ascii=ascii_only) + ending
        content = ctx.push_manifest(Content(text.encode(), IMAGE))
        checks.body(checks.status(ctx.get(ctx.manifest_path(content.digest)), 200), content.data)


@group.case("media-type-kept", "Content-Type is what was pushed, without parameters", level=Level.SHOULD)
def _media_type_kept(ctx: Context) -> None:
    manifest = ctx.push_image()
    for method in ("GET", "HEAD"):
        answer = checks.status(ctx.client.request(method, ctx.manifest_path(manifest.digest)), 200)
        checks.header(answer, "content-type", IMAGE)


@group.case(
    "media-type-parameters",
    "Parameters on a pushed Content-Type are ignored",
    level=Level.SHOULD,
    source="distribution-spec, Pushing Manifests",
)
def _media_type_parameters(ctx: Context) -> None:
    artifact = simple_image(layers=1)
    for item in artifact.blobs:
        ctx.push_blob(item)
    pushed = ctx.put_manifest(artifact.manifest, content_type=f"{IMAGE}; charset=utf-8")
    checks.status(pushed, 201)
    answer = checks.status(ctx.get(ctx.manifest_path(artifact.manifest.digest)), 200)
    checks.header(answer, "content-type", IMAGE)


@group.case(
    "media-type-unknown",
    "A manifest of a media type nobody knows is taken and given back",
    level=Level.EXPECTED,
    source="registries of other artifacts; a registry stores, it does not judge",
)
def _media_type_unknown(ctx: Context) -> None:
    kind = "application/vnd.example.unheard-of.v7+json"
    content = Content(encode({"schemaVersion": 2, "mediaType": kind, "test": token()}), kind)
    ctx.push_manifest(content)
    answer = checks.status(ctx.get(ctx.manifest_path(content.digest)), 200)
    checks.header(checks.body(answer, content.data), "content-type", kind)


def _docker_image() -> Artifact:
    content, diff_id = layer()
    config = image_config([diff_id])
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_IMAGE,
        "config": config.descriptor(mediaType=DOCKER_CONFIG),
        "layers": [content.descriptor(mediaType=DOCKER_LAYER)],
    }
    return Artifact(Content(encode(document), DOCKER_IMAGE), (config, content))


@group.case(
    "docker-manifests",
    "Docker's schema 2 manifests and manifest lists are taken, and never converted",
    level=Level.EXPECTED,
    source="clients: docker; distribution-spec, content-negotiation.md",
)
def _docker_manifests(ctx: Context) -> None:
    child = ctx.push(_docker_image())
    listed = {
        "schemaVersion": 2,
        "mediaType": DOCKER_LIST,
        "manifests": [child.descriptor(platform={"architecture": "amd64", "os": "linux"})],
    }
    parent = ctx.push_manifest(Content(encode(listed), DOCKER_LIST))
    for content in (child, parent):
        answer = checks.status(ctx.get(ctx.manifest_path(content.digest), accept=f"{IMAGE}, {INDEX}"), 200)
        checks.header(checks.body(answer, content.data), "content-type", content.media_type)


@group.case(
    "docker-schema-1",
    "Docker's schema 1 is refused with 400 and a reason",
    level=Level.EXPECTED,
    source="schema 1 is no part of OCI; its digest is not that of its bytes",
)
def _docker_schema_1(ctx: Context) -> None:
    document = {
        "schemaVersion": 1,
        "name": ctx.repo,
        "tag": "old",
        "architecture": "amd64",
        "fsLayers": [],
        "history": [],
        "signatures": [],
    }
    for kind in (DOCKER_SCHEMA1, DOCKER_SCHEMA1.replace("+json", "+prettyjws")):
        answer = ctx.put_manifest(Content(encode(document | {"test": token()}), kind), ctx.tag("schema1"))
        if answer.status == 201:
            raise Skipped(f"{answer}: this registry still takes schema 1")
        checks.error(answer, (400, 415), "MANIFEST_INVALID", "UNSUPPORTED")


@group.case(
    "unknown-parameters",
    "Query parameters that mean nothing here are ignored, like the ?ns= of a mirror's clients",
    level=Level.EXPECTED,
    source="distribution-spec, Registry Proxying; clients: containerd",
)
def _unknown_parameters(ctx: Context) -> None:
    artifact, tag = simple_image(layers=1), ctx.tag()
    manifest = ctx.push(artifact, tag)
    query = "?ns=docker.io&unheard-of=1"
    for method in ("GET", "HEAD"):
        for path, content in (
            (ctx.manifest_path(tag), manifest),
            (ctx.manifest_path(manifest.digest), manifest),
            (ctx.blob_path(artifact.blobs[0].digest), artifact.blobs[0]),
        ):
            answer = checks.status(ctx.client.request(method, path + query), 200)
            checks.body(answer, content.data if method == "GET" else b"")
