"""The steps that official cases are made of, one request (or two) each.

Source: distribution-spec, conformance/api.go.
"""

from __future__ import annotations

from gati_conformance import checks
from gati_conformance.context import Context
from gati_conformance.data import IMAGE, INDEX, Content
from gati_conformance.model import Failed, Unsupported

ACCEPT = [("Accept", INDEX), ("Accept", IMAGE)]


def blob(ctx: Context, method: str, content: Content, repo: str = "") -> None:
    """GET or HEAD a blob that is there: length, digest and, for GET, bytes."""
    answer = ctx.client.request(method, ctx.blob_path(content.digest, repo))
    checks.whole(answer, content, digest_required=ctx.config.switches["apis.blobs.digestHeader"])


def delete_blob(ctx: Context, digest: str, repo: str = "") -> None:
    """DELETE a blob. Raises Unsupported on 405."""
    answer = checks.status(ctx.delete(ctx.blob_path(digest, repo)), 202, 404, 405)
    if answer.status == 405:
        raise Unsupported(f"{answer}: 405, blobs cannot be deleted")


def blob_gone(ctx: Context, digest: str, repo: str = "") -> None:
    """HEAD a blob that was deleted a moment ago: 404."""
    checks.status(ctx.head(ctx.blob_path(digest, repo)), 404)


def manifest(ctx: Context, method: str, reference: str, content: Content) -> None:
    """GET or HEAD a manifest that is there: media type, length, digest and, for GET, bytes."""
    answer = ctx.client.request(method, ctx.manifest_path(reference), headers=ACCEPT)
    checks.whole(answer, content, digest_required=ctx.config.switches["apis.manifests.digestHeader"])
    checks.header(answer, "content-type", content.media_type)


def put_manifest(
    ctx: Context, content: Content, digest: str, reference: str = "", tags: tuple[str, ...] = ()
) -> set[str]:
    """PUT a manifest by its digest or another reference; returns the tags that OCI-Tag names.

    The answer shows the digest, OCI-Subject where there is a subject (while the referrers API is on), and a
    location that gives the manifest back.
    """
    query = "?" + "&".join(f"tag={tag}" for tag in tags) if tags else ""
    path = ctx.manifest_path(reference or digest) + query
    headers = {"Content-Type": content.media_type}
    answer = checks.status(ctx.client.request("PUT", path, headers=headers, content=content.data), 201)
    checks.digest_header(answer, digest, required=False)
    subject = content.document.get("subject")
    if subject and ctx.config.switches["apis.referrer"]:
        checks.header(answer, "oci-subject", subject["digest"])
    back = checks.status(ctx.client.request("GET", answer.location, headers=ACCEPT), 200)
    checks.header(back, "content-type", content.media_type)
    checks.header(back, "content-length", str(len(content.data)))
    checks.body(back, content.data)
    return {tag.strip() for tag in answer.header("oci-tag").split(",") if tag.strip()}


def delete_manifest(ctx: Context, reference: str) -> None:
    """DELETE a manifest or a tag. Raises Unsupported on 400 and 405."""
    answer = checks.status(ctx.delete(ctx.manifest_path(reference)), 202, 404, 400, 405)
    if answer.status in (400, 405):
        raise Unsupported(f"{answer}: {answer.status}, this kind of reference cannot be deleted")


def manifest_gone(ctx: Context, reference: str) -> None:
    """HEAD a manifest or tag that was deleted a moment ago: 404."""
    checks.status(ctx.client.request("HEAD", ctx.manifest_path(reference), headers=ACCEPT), 404)


def reachable(ctx: Context, method: str, reference: str) -> None:
    """GET or HEAD a manifest of which only the name is known: 200."""
    checks.status(ctx.client.request(method, ctx.manifest_path(reference), headers=ACCEPT), 200)


def tag_list(ctx: Context, tags: set[str]) -> None:
    """The list holds the tags, and `last` gives what comes after it."""
    answer = checks.status(ctx.get(ctx.tags_path()), 200, 404)
    listed = sorted(answer.json().get("tags") or []) if answer.status == 200 else []
    if missing := sorted(tags - set(listed)):
        raise Failed(f"{answer}: tags missing from the list: {', '.join(missing)}")
    if len(listed) >= 2:
        middle = len(listed) // 2
        last = listed[middle - 1]
        partial = checks.status(ctx.get(ctx.tags_path(f"?last={last}")), 200)
        found = set(partial.json().get("tags") or [])
        if early := sorted(found & set(listed[:middle])):
            raise Failed(f"{partial}: tags up to last={last} are listed: {', '.join(early)}")
        if lost := sorted(set(listed[middle:]) - found):
            raise Failed(f"{partial}: tags after last={last} are not listed: {', '.join(lost)}")
