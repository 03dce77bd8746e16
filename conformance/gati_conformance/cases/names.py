"""Repository names: legal ones that look like routes, illegal ones, and paths that try to get out.

Source: distribution-spec, Pulling manifests: <name>.
"""

from __future__ import annotations

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import blob, simple_artifact, simple_image, token
from gati_conformance.model import Failed, Group, Level, Skipped

group = Group("names", source="distribution-spec, <name>", requires=("apis.push", "apis.pull", "data.image"))


def _use(ctx: Context, repo: str) -> None:
    """Push, list, pull and (where allowed) delete in a repository of that name, every endpoint once."""
    started = ctx.client.request("POST", ctx.uploads_path(repo=repo))
    if started.status in (401, 403):
        raise Skipped(f"{started}: {started.status}, these credentials may not push to {repo}")
    checks.status(started, 202)
    ctx.client.request("DELETE", started.location)
    artifact, tag = simple_image(layers=1), ctx.tag()
    manifest = ctx.push(artifact, tag, repo=repo)
    for method in ("HEAD", "GET"):
        for path in (
            ctx.manifest_path(tag, repo),
            ctx.manifest_path(manifest.digest, repo),
            ctx.blob_path(artifact.blobs[0].digest, repo),
        ):
            checks.status(ctx.client.request(method, path), 200)
    if ctx.config.switches["apis.tags.list"]:
        listed = checks.status(ctx.get(ctx.tags_path(repo=repo)), 200).json()
        checks.require(listed["name"] == repo and tag in listed["tags"], f"tags of {repo}: {listed}")
    known = ctx.config.switches["apis.referrer"] and ctx.get(ctx.referrers_path(manifest.digest)).status == 200
    if known:  # a registry that has no referrers fails for that elsewhere
        referrer = ctx.push(simple_artifact(subject=manifest.descriptor()), repo=repo)
        found = [item["digest"] for item in ctx.referrers(manifest.digest, repo=repo)]
        checks.require(found == [referrer.digest], f"referrers in {repo}: {found}")


@group.case(
    "like-routes",
    "Names with parts like manifests, blobs, tags, uploads, referrers work at every endpoint",
)
def _like_routes(ctx: Context) -> None:
    parts = (
        "manifests",
        "blobs",
        "tags",
        "uploads",
        "referrers",
        "v2",
        "blobs/uploads",
        "tags/list",
        "manifests/latest",
        "list/manifests/blobs/uploads/tags",
    )
    checks.each([f"{ctx.repo}/{part}" for part in parts], lambda repo: _use(ctx, repo))


@group.case("every-separator", "Names with every separator that the grammar has work")
def _every_separator(ctx: Context) -> None:
    parts = ("a.b_c__d-e--f---g", "0/1/2/3", "a" * 60, "x__y", "1.2.3")
    checks.each([f"{ctx.repo}/{part}" for part in parts], lambda repo: _use(ctx, repo))


@group.case(
    "nested",
    "A repository inside another's name is another repository: neither sees the other's content",
)
def _nested(ctx: Context) -> None:
    inner, tag = f"{ctx.repo}/{token()}", ctx.tag()
    _use(ctx, inner)
    manifest = ctx.push_image(tag, repo=inner)
    for reference in (tag, manifest.digest):
        checks.status(ctx.head(ctx.manifest_path(reference)), 404)


BAD_NAMES = (
    "UPPER",
    "Mixed/case",
    "-leading",
    "trailing-",
    "_leading",
    "trailing_",
    ".leading",
    "trailing.",
    "two..dots",
    "three___under",
    "dot._under",
    "a/-b",
    "sp%20ace",
    "ta%09b",
    "colon:80",
    "at@sign",
    "plus+",
    "tilde~",
    "st*r",
    "uml%C3%A4ut",
    "nul%00",
    "line%0Abreak",
    "back%5Cslash",
)


def _refused(answer: Answer) -> None:
    """400 NAME_INVALID; 404 where such a path is no route. Never taken, never a server error."""
    checks.status(answer, 400, 404)
    if answer.status == 400 and answer.body:
        checks.error(answer, 400, "NAME_INVALID", "DIGEST_INVALID", "MANIFEST_INVALID", "UNSUPPORTED")
    else:
        checks.error_if_json(answer, 400, 404)


def _raw(ctx: Context, method: str, target: str) -> Answer:
    """A request whose target goes out as it is, without any tidying up."""
    return ctx.client.request(method, "/v2/", target=target.encode(), follow=False)


@group.case("bad-names", "A name that breaks the grammar is refused by every endpoint")
def _bad_names(ctx: Context) -> None:
    digest = blob().digest

    def refuse(name: str) -> None:
        for method, path in (
            ("POST", f"/v2/{name}/blobs/uploads/"),
            ("GET", f"/v2/{name}/manifests/latest"),
            ("HEAD", f"/v2/{name}/blobs/{digest}"),
            ("GET", f"/v2/{name}/tags/list"),
        ):
            _refused(_raw(ctx, method, path))

    checks.each(BAD_NAMES, refuse)


@group.case("too-long", "A name that makes host/name longer than 255 characters is refused", level=Level.SHOULD)
def _too_long(ctx: Context) -> None:
    name = "/".join([token(60)] * 5)
    answer = ctx.client.request("POST", ctx.uploads_path(repo=name))
    if answer.status == 202:
        ctx.client.request("DELETE", answer.location)
        raise Failed(f"{answer}: a name of {len(name)} characters was taken")
    _refused(answer)


@group.case("long", "A name that makes host/name 255 characters long works", level=Level.EXPECTED)
def _long(ctx: Context) -> None:
    room = 255 - len(ctx.config.registry) - 1 - len(ctx.repo) - 1
    if room < 1:
        raise Skipped("OCI_REPO1 leaves no room for a longer name")
    _use(ctx, f"{ctx.repo}/{token(room)}")


@group.case(
    "encoded-slash",
    "%2F is no slash: a name with it is refused, not decoded into another name",
    level=Level.EXPECTED,
    source="access is decided by the name: one path, one meaning",
)
def _encoded_slash(ctx: Context) -> None:
    tag = ctx.tag()
    ctx.push_image(tag)
    for encoded in (ctx.repo.replace("/", "%2F"), ctx.repo.replace("/", "%2f")):
        for path in (f"/v2/{encoded}/manifests/{tag}", f"/v2/{encoded}/tags/list"):
            answer = _raw(ctx, "GET", path)
            if "/" in ctx.repo:
                checks.status(answer, 400, 404)
    for path in (f"/v2/{ctx.repo}%2Fmanifests%2F{tag}", f"/v2/{ctx.repo}/manifests%2F{tag}"):
        checks.status(_raw(ctx, "GET", path), 400, 404)


@group.case(
    "dot-segments",
    "A path with . or .. or empty parts is refused, or redirected to the path that it means",
    level=Level.EXPECTED,
    source="RFC 3986, 5.2.4; no path may lead out of the storage",
)
def _dot_segments(ctx: Context) -> None:
    tag = ctx.tag()
    ctx.push_image(tag)

    def refuse(target: str) -> None:
        answer = _raw(ctx, "GET", target)
        if not 300 <= answer.status < 400:
            checks.status(answer, 400, 404)

    targets = (
        f"/v2/{ctx.repo}/../{ctx.repo.rpartition('/')[2]}/manifests/{tag}",
        f"/v2/{ctx.repo}/./manifests/{tag}",
        f"/v2/{ctx.repo}//manifests/{tag}",
        f"/v2//{ctx.repo}/manifests/{tag}",
        f"/v2/{ctx.repo}/manifests/../tags/list",
        f"/v2/{ctx.repo}/%2e%2e/manifests/{tag}",
        f"/v2/{ctx.repo}/%2e%2e%2f%2e%2e/manifests/{tag}",
        "/v2/../../../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/etc/passwd",
        f"/v2/{ctx.repo}/blobs/..%2f..%2fetc%2fpasswd",
        f"/v2/{ctx.repo}/manifests/..%2f..%2fetc%2fpasswd",
    )
    checks.each(targets, refuse)
