"""What the official suite does with a data set: push, list, look, pull, ask for referrers, delete.

Source: distribution-spec, conformance/run.go (TestPush, TestList, TestHead, TestPull, TestReferrers, TestDelete).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlencode

from gati_conformance import checks, flows, steps
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import INDEX, Content, Json
from gati_conformance.datasets import DataSet
from gati_conformance.model import Failed, Skipped, Unsupported

# In case the usual way does not work: the later steps still get their content.
OTHER_WAYS = (flows.stream, flows.chunked, flows.post_only)


def push_blobs(ctx: Context, made: DataSet) -> None:
    """Push every blob by POST and PUT."""

    def push(content: Content) -> None:
        try:
            flows.post_put(ctx, content, content.digest, ctx.repo)
        except Failed as problem:
            raise Failed(f"{problem} ({_push_otherwise(ctx, content)})") from problem

    checks.each(made.blobs.values(), push, lambda content: content.digest)


def _push_otherwise(ctx: Context, content: Content) -> str:
    for way in OTHER_WAYS:
        try:
            way(ctx, content, content.digest, ctx.repo)
        except (Failed, Skipped):
            continue
        return f"it went up by {way.__name__.replace('_', ' ')}"
    return "no other way worked"


def put_by_digest(ctx: Context, made: DataSet, *, subjects: bool) -> None:
    """Push by digest those manifests that have a subject, or those that have none."""
    chosen = _by_subject(made, made.manifests, subjects)
    checks.each(chosen, lambda digest: steps.put_manifest(ctx, made.manifests[digest], digest))


def put_refused(ctx: Context, made: DataSet) -> None:
    """Push manifests whose digest is wrong: 400."""
    for digest, content in made.manifests.items():
        path, headers = ctx.manifest_path(digest), {"Content-Type": content.media_type}
        checks.status(ctx.client.request("PUT", path, headers=headers, content=content.data), 400)


def put_with_tags(ctx: Context, made: DataSet) -> None:
    """Push by digest with the tags as parameters. Raises Unsupported where OCI-Tag does not name them.

    Tags that did not come about that way are pushed by themselves, so that the later steps find them.
    """

    def put(digest: str) -> None:
        content = made.manifests[digest]
        tags = {tag for tag, target in made.tags.items() if target == digest}
        try:
            accepted = steps.put_manifest(ctx, content, digest, tags=tuple(sorted(tags))) & tags
        except Failed:
            _put_tags(ctx, made, digest, tags)
            raise
        made.pushed_tags |= accepted
        if missing := tags - accepted:
            _put_tags(ctx, made, digest, missing)
            names = ", ".join(sorted(missing))
            raise Unsupported(f"OCI-Tag does not name {names}: tag parameters are not offered")

    checks.each(made.manifests, put)


def _put_tags(ctx: Context, made: DataSet, digest: str, tags: Iterable[str]) -> None:
    for tag in sorted(tags):
        with suppress(Failed):
            steps.put_manifest(ctx, made.manifests[digest], digest, tag)
            made.pushed_tags.add(tag)


def put_by_tag(ctx: Context, made: DataSet, *, subjects: bool) -> None:
    """Push by tag those manifests that have a subject, or those that have none."""

    def put(tag: str) -> None:
        digest = made.tags[tag]
        steps.put_manifest(ctx, made.manifests[digest], digest, tag)
        made.pushed_tags.add(tag)

    chosen = _by_subject(made, made.tags.values(), subjects)
    checks.each([tag for tag, digest in made.tags.items() if digest in chosen], put)


def _by_subject(made: DataSet, digests: Iterable[str], subjects: bool) -> list[str]:
    return [digest for digest in digests if ("subject" in made.manifests[digest].document) == subjects]


def tag_list(ctx: Context, made: DataSet) -> None:
    """The tags are listed, and `last` works."""
    steps.tag_list(ctx, set(made.tags))


def manifests_by_tag(ctx: Context, made: DataSet, *, method: str) -> None:
    """GET or HEAD every tag."""

    def look(tag: str) -> None:
        if made.contents_known:
            steps.manifest(ctx, method, tag, made.manifests[made.tags[tag]])
        else:
            steps.reachable(ctx, method, tag)

    checks.each(made.tags, look)


def manifests_by_digest(ctx: Context, made: DataSet, *, method: str) -> None:
    """GET or HEAD every manifest by its digest."""

    def look(digest: str) -> None:
        if made.contents_known:
            steps.manifest(ctx, method, digest, made.manifests[digest])
        else:
            steps.reachable(ctx, method, digest)

    checks.each(made.manifests, look)


def blobs(ctx: Context, made: DataSet, *, method: str) -> None:
    """GET or HEAD every blob."""

    def look(digest: str) -> None:
        if made.contents_known:
            steps.blob(ctx, method, made.blobs[digest])
        else:
            checks.status(ctx.client.request(method, ctx.blob_path(digest)), 200)

    checks.each(made.blobs, look)


def referrers(ctx: Context, made: DataSet) -> None:
    """Each subject lists its referrers as the specification describes them, and filters them."""

    def look(subject: str) -> None:
        goals = made.referrers()[subject]
        _all_listed(referrers_index(ctx, subject), goals)
        for kind in {goal.get("artifactType", "") for goal in goals} - {""}:
            _filtered(ctx, subject, kind, goals)

    checks.each(made.referrers(), look)


def referrers_index(ctx: Context, subject: str, query: str = "") -> Answer:
    """The referrers of a digest: 200, and an OCI index."""
    answer = checks.status(ctx.get(ctx.referrers_path(subject, query)), 200)
    checks.header(answer, "content-type", INDEX)
    document = answer.json()
    found = (document.get("mediaType"), document.get("schemaVersion"))
    checks.require(found == (INDEX, 2), f"{answer}: mediaType and schemaVersion are {found}")
    return answer


def _all_listed(answer: Answer, goals: list[Json]) -> None:
    listed = answer.json().get("manifests") or []

    def same(found: Json, goal: Json) -> bool:
        plain = all(found.get(name) == goal.get(name) for name in ("mediaType", "digest", "size"))
        kind = (found.get("artifactType") or "") == goal.get("artifactType", "")
        wanted = goal.get("annotations", {})
        return plain and kind and wanted.items() <= (found.get("annotations") or {}).items()

    for goal in goals:
        if not any(same(found, goal) for found in listed):
            raise Failed(f"{answer}: not listed as it should be: {goal}")


def _filtered(ctx: Context, subject: str, kind: str, goals: list[Json]) -> None:
    answer = referrers_index(ctx, subject, "?" + urlencode({"artifactType": kind}))
    applied = {name.strip() for name in answer.header("oci-filters-applied").split(",")}
    if "artifactType" not in applied:
        _all_listed(answer, goals)
        raise Unsupported(f"{answer}: OCI-Filters-Applied does not name artifactType")
    _all_listed(answer, [goal for goal in goals if goal.get("artifactType") == kind])
    for found in answer.json().get("manifests") or []:
        if found.get("artifactType") != kind:
            raise Failed(f"{answer}: the filter let through {found}")


def delete_tags(ctx: Context, made: DataSet) -> None:
    """Delete the tags that were pushed."""
    if not made.pushed_tags:
        raise Skipped("no tag was pushed")
    checks.each(sorted(made.pushed_tags), lambda tag: steps.delete_manifest(ctx, tag))


def tags_gone(ctx: Context, made: DataSet) -> None:
    """None of them is found any more."""
    checks.each(sorted(made.pushed_tags), lambda tag: steps.manifest_gone(ctx, tag))


def delete_manifests(ctx: Context, made: DataSet) -> None:
    """Delete the manifests, parents first."""
    checks.each(reversed(made.manifests), lambda digest: steps.delete_manifest(ctx, digest))


def manifests_gone(ctx: Context, made: DataSet) -> None:
    """None of them is found any more."""
    checks.each(made.manifests, lambda digest: steps.manifest_gone(ctx, digest))


def delete_blobs(ctx: Context, made: DataSet) -> None:
    """Delete the blobs."""
    checks.each(made.blobs, lambda digest: steps.delete_blob(ctx, digest))


def blobs_gone(ctx: Context, made: DataSet) -> None:
    """None of them is found any more."""
    checks.each(made.blobs, lambda digest: steps.blob_gone(ctx, digest))
