"""Error answers: the right status, the right code, a body that clients can read.

The specification lets a 4xx body have any format; clients show and act on the JSON form with its codes, so these
cases ask for it. Source: distribution-spec, Error Codes.
"""

from __future__ import annotations

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import Content, blob, digest_of
from gati_conformance.model import Failed, Group, Level, Unsupported

group = Group("errors", source="distribution-spec, Error Codes", level=Level.EXPECTED)


@group.case("blob-unknown", "A blob that is not there is 404 BLOB_UNKNOWN", requires=("apis.push", "apis.pull"))
def _blob_unknown(ctx: Context) -> None:
    ctx.push_image()
    checks.error(ctx.get(ctx.blob_path(blob().digest)), 404, "BLOB_UNKNOWN")


@group.case(
    "manifest-unknown",
    "A manifest that is not there is 404 MANIFEST_UNKNOWN, by tag and by digest",
    requires=("apis.push", "apis.pull"),
)
def _manifest_unknown(ctx: Context) -> None:
    ctx.push_image()
    for reference in (blob().digest, ctx.tag("never")):
        checks.error(ctx.get(ctx.manifest_path(reference)), 404, "MANIFEST_UNKNOWN")


@group.case(
    "name-unknown",
    "A repository that is not there is 404, NAME_UNKNOWN or what was asked of it",
    requires=("apis.pull",),
)
def _name_unknown(ctx: Context) -> None:
    repo, digest = ctx.unknown_repo(), blob().digest
    checks.error(ctx.get(ctx.manifest_path("latest", repo)), 404, "NAME_UNKNOWN", "MANIFEST_UNKNOWN")
    checks.error(ctx.get(ctx.blob_path(digest, repo)), 404, "NAME_UNKNOWN", "BLOB_UNKNOWN")
    checks.error(ctx.get(ctx.tags_path(repo=repo)), 404, "NAME_UNKNOWN")


@group.case(
    "head-has-no-body",
    "HEAD of what is not there is 404 with the headers of GET and no body",
    source="RFC 9110, 9.3.2",
    level=Level.MUST,
    requires=("apis.pull",),
)
def _head_has_no_body(ctx: Context) -> None:
    for path in (ctx.blob_path(blob().digest), ctx.manifest_path(ctx.tag("never"))):
        checks.body(checks.status(ctx.head(path), 404), b"")


@group.case(
    "digest-malformed",
    "A blob asked for by a malformed digest is 400 DIGEST_INVALID, or 404",
    requires=("apis.push", "apis.pull"),
)
def _digest_malformed(ctx: Context) -> None:
    ctx.push_image()
    good = digest_of(b"x")
    for digest in ("nonsense", good[:-1], good + "0", "sha256:" + "g" * 64, "sha256:" + "A" * 64, "md6:00"):
        answer = ctx.get(ctx.blob_path(digest))
        checks.error(answer, (400, 404), "DIGEST_INVALID", "BLOB_UNKNOWN", "UNSUPPORTED")


@group.case("body-form", "Error bodies are JSON with code and message, and say so", requires=("apis.pull",))
def _body_form(ctx: Context) -> None:
    answers = (
        ctx.get(ctx.manifest_path(ctx.tag("never"))),
        ctx.get(ctx.blob_path(blob().digest)),
        ctx.get(ctx.tags_path(repo=ctx.unknown_repo())),
    )
    for answer in answers:
        found = checks.error(answer, 404)
        checks.require(all(item.get("message") for item in found), f"{answer}: an error without a message")
        kind = answer.header("content-type").partition(";")[0].strip()
        checks.require(kind == "application/json", f"{answer}: Content-Type is {kind!r}")
        checks.header(answer, "content-length", str(len(answer.body)))


@group.case(
    "method-not-allowed",
    "A method that an endpoint does not have is 405, with Allow",
    source="RFC 9110, 15.5.6",
    requires=("apis.push",),
)
def _method_not_allowed(ctx: Context) -> None:
    ctx.push_image()
    for method, path in (
        ("POST", ctx.manifest_path("latest")),
        ("PUT", ctx.tags_path()),
        ("PATCH", ctx.blob_path(blob().digest)),
        ("DELETE", "/v2/"),
        ("BREW", ctx.manifest_path("latest")),
    ):
        answer = checks.status(ctx.client.request(method, path), 405, 501)
        checks.require(answer.status == 501 or bool(answer.header("allow")), f"{answer}: 405 without Allow")


@group.case("no-such-endpoint", "A path below /v2/ that is no endpoint is 404")
def _no_such_endpoint(ctx: Context) -> None:
    for path in (f"/v2/{ctx.repo}", f"/v2/{ctx.repo}/nonsense", f"/v2/{ctx.repo}/tags", f"/v2/{ctx.repo}/blobs"):
        checks.error_if_json(ctx.get(path), 404)


@group.case(
    "no-trace",
    "A refused push leaves nothing: no blob, no manifest, no tag, no repository",
    requires=("apis.push", "apis.pull"),
)
def _no_trace(ctx: Context) -> None:
    repo, tag, content = ctx.unknown_repo(), ctx.tag("never"), blob()
    broken = Content(b'{"schemaVersion":2,', "application/vnd.oci.image.manifest.v1+json")
    answer = ctx.put_manifest(broken, tag, repo)
    checks.require(400 <= answer.status < 500, f"{answer}: {answer.status}, expected a refusal")
    refused = ctx.close_upload(ctx.start_upload(repo=repo), content.digest, content.data + b"!")
    checks.status(refused, 400)
    for path in (
        ctx.manifest_path(tag, repo),
        ctx.manifest_path(broken.digest, repo),
        ctx.blob_path(content.digest, repo),
    ):
        checks.status(ctx.head(path), 404)
    listed = ctx.get(ctx.tags_path(repo=repo))
    if listed.status == 200 and listed.json().get("tags"):
        raise Failed(f"{listed}: tags {listed.json()['tags']} after refused pushes")


@group.case(
    "discovery",
    "GET /v2/_oci/ext/discover lists extensions as the specification's extensions document says",
    source="distribution-spec, extensions/_oci.md",
)
def _discovery(ctx: Context) -> None:
    answers: list[Answer] = [ctx.get("/v2/_oci/ext/discover")]
    if answers[0].status == 404:
        raise Unsupported(f"{answers[0]}: 404, this registry has no discovery of extensions")
    if ctx.config.switches["apis.push"]:
        ctx.push_image()
        mine = ctx.get(f"/v2/{ctx.repo}/_oci/ext/discover")
        answers += [mine] if mine.status != 404 else []  # there may be none for repositories
    for answer in answers:
        found = checks.status(answer, 200).json().get("extensions")
        checks.require(isinstance(found, list), f"{answer}: extensions is {found!r}, expected a list")
        for item in found:
            named = isinstance(item.get("name"), str) and isinstance(item.get("endpoints"), list)
            checks.require(named, f"{answer}: an extension without name or endpoints: {item}")
