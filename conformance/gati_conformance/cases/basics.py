"""The official suite's small groups: ping, an empty repository, manifests that are missing or badly named.

Source: distribution-spec, conformance/run.go (TestPing, TestEmpty, TestManifestErrors).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from gati_conformance import checks, entries
from gati_conformance import dataset_steps as do
from gati_conformance.context import Context
from gati_conformance.data import INDEX, digest_of, simple_image
from gati_conformance.datasets import BAD_DIGEST, DataSet
from gati_conformance.model import Case

BADLY_NAMED = "invalid-digest-format"


def _ping(ctx: Context) -> None:
    checks.require(ctx.get("/v2/").status < 500, "GET /v2/ is a server error")


def _empty_tags(ctx: Context) -> None:
    answer = checks.status(ctx.get(ctx.tags_path()), 200, 404)
    if answer.status == 200:
        checks.require(isinstance(answer.json().get("tags") or [], list), f"{answer}: tags is no list")


def _empty_referrers(ctx: Context) -> None:
    do.referrers_index(ctx, digest_of(secrets.token_bytes(32)))


def _missing_by_digest(ctx: Context) -> None:
    checks.status(ctx.get(ctx.manifest_path(digest_of(secrets.token_bytes(32))), accept=INDEX), 404)


def _missing_by_tag(ctx: Context) -> None:
    checks.status(ctx.get(ctx.manifest_path(ctx.tag("missing")), accept=INDEX), 404)


def _bad_digest_put(ctx: Context, made: DataSet) -> None:
    (manifest,) = made.manifests.values()
    checks.status(ctx.put_manifest(manifest, BAD_DIGEST), 400)


def _bad_digest_get(ctx: Context, made: DataSet) -> None:
    del made
    checks.status(ctx.get(ctx.manifest_path(BAD_DIGEST), accept=INDEX), 404, 400)


def _with_image(ctx: Context, *, run: Callable[[Context, DataSet], None]) -> None:
    """Run a step on the image that the cases of the last group share."""
    if BADLY_NAMED not in ctx.shared.datasets:
        made = ctx.shared.datasets[BADLY_NAMED] = DataSet()
        made.add(simple_image(layers=1))
    run(ctx, ctx.shared.datasets[BADLY_NAMED])


def _official(name: str, title: str, run: Callable[[Context], None], *decided: str, after: str = "") -> Case:
    return Case(
        id=name,
        title=title,
        run=run,
        source="official suite",
        requires=entries.switches_for(*decided),
        after=(after,) if after else (),
        entries=decided,
    )


def _badly_named(
    name: str, title: str, run: Callable[[Context, DataSet], None], *decided: str, after: str = ""
) -> Case:
    return _official(
        f"{BADLY_NAMED}/{name}",
        title,
        partial(_with_image, run=run),
        entries.INVALID_MANIFEST_DIGEST,
        *decided,
        after=f"{BADLY_NAMED}/{after}" if after else "",
    )


FIRST = (
    _official("ping/ping", "GET /v2/ answers", _ping, entries.PING),
    _official(
        "empty/tag-list",
        "The tag list of a repository without content is 200 or 404",
        _empty_tags,
        entries.TAG_LIST,
    ),
    _official(
        "empty/referrers",
        "The referrers of an unknown digest are an index, with 200",
        _empty_referrers,
        entries.REFERRERS,
    ),
)

LAST = (
    _official(
        "missing-manifest/by-digest",
        "A manifest that is not there is 404 by digest",
        _missing_by_digest,
        entries.GET_DIGEST,
    ),
    _official(
        "missing-manifest/by-tag",
        "A manifest that is not there is 404 by tag",
        _missing_by_tag,
        entries.GET_TAG,
    ),
    _badly_named("push/blobs", "The blobs go up", do.push_blobs, entries.BLOB_POST_PUT),
    _badly_named("manifest-put", "A push to a malformed digest is 400", _bad_digest_put, entries.PUT_DIGEST),
    _badly_named("manifest-get", "A pull by a malformed digest is 400 or 404", _bad_digest_get, entries.GET_DIGEST),
    _badly_named(
        "delete/manifests",
        "The manifest that was not stored can be deleted, or is 404",
        do.delete_manifests,
        entries.MANIFEST_DELETE,
    ),
    _badly_named(
        "delete/manifests-atomic",
        "It is not there",
        do.manifests_gone,
        entries.MANIFEST_DELETE_ATOMIC,
        after="delete/manifests",
    ),
    _badly_named("delete/blobs", "The blobs can be deleted", do.delete_blobs, entries.BLOB_DELETE),
    _badly_named(
        "delete/blobs-atomic",
        "Deleted blobs are gone at once",
        do.blobs_gone,
        entries.BLOB_DELETE_ATOMIC,
        after="delete/blobs",
    ),
)
