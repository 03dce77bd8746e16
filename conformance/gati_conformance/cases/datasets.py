"""The official suite's data tests: each data set is pushed, listed, looked at, pulled and deleted.

Source: distribution-spec, conformance/run.go (TestAll).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from gati_conformance import dataset_steps as do
from gati_conformance import entries
from gati_conformance.config import Config
from gati_conformance.context import Context
from gati_conformance.datasets import RECIPES, DataSet, Recipe, read_only
from gati_conformance.model import Case


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a data set, and the entries it decides beside the data set's own."""

    name: str
    title: str
    run: Callable[[Context, DataSet], None]
    decides: tuple[str, ...]
    after: str = ""
    credits: tuple[str, ...] = ()


def _pushes(recipe: Recipe) -> Iterator[Step]:
    if recipe.blobs:
        credit = (entries.BLOB_PUSH,)
        yield Step("push/blobs", "The blobs go up", do.push_blobs, (entries.BLOB_POST_PUT,), credits=credit)
    if recipe.bad_digest:
        title = "A manifest that does not match its digest is refused"
        yield Step("push/manifest-by-digest", title, do.put_refused, (entries.PUT_DIGEST,))
        return
    if recipe.tag_parameters:
        title = "The manifests go up by digest, their tags as parameters"
        decides = (entries.PUT_DIGEST, entries.PUT_TAG_PARAM)
        yield Step("push/manifest-by-digest", title, do.put_with_tags, decides)
        return
    kinds = [("manifest", False)] * recipe.plain + [("manifest-with-subject", True)] * recipe.subject
    for by, put, entry in (
        ("digest", do.put_by_digest, entries.PUT_DIGEST),
        ("tag", do.put_by_tag, entries.PUT_TAG),
    ):
        if by == "tag" and not recipe.tagged:
            continue
        for kind, subjects in kinds:
            decided = (entry, entries.PUT_SUBJECT) if subjects else (entry,)
            title = f"The manifests {'with a subject ' if subjects else ''}go up by {by}"
            yield Step(f"push/{kind}-by-{by}", title, partial(put, subjects=subjects), decided)


def _reads(recipe: Recipe) -> Iterator[Step]:
    yield Step("tag-list", "The tags are listed", do.tag_list, (entries.TAG_LIST,))
    for method, group, by_tag, by_digest, blob in (
        ("HEAD", "head", entries.HEAD_TAG, entries.HEAD_DIGEST, entries.BLOB_HEAD),
        ("GET", "pull", entries.GET_TAG, entries.GET_DIGEST, entries.BLOB_GET),
    ):
        if recipe.tagged:
            run = partial(do.manifests_by_tag, method=method)
            yield Step(f"{group}/manifest-by-tag", f"{method} by tag finds the manifests", run, (by_tag,))
        if recipe.manifests and not recipe.bad_digest:
            run = partial(do.manifests_by_digest, method=method)
            yield Step(f"{group}/manifest-by-digest", f"{method} by digest finds them", run, (by_digest,))
        if recipe.blobs:
            run = partial(do.blobs, method=method)
            yield Step(f"{group}/blobs", f"{method} finds the blobs", run, (blob,))
    if recipe.subject:
        title = "The referrers are listed, and filtered by artifactType"
        yield Step("referrers", title, do.referrers, (entries.REFERRERS,))


def _deletes(recipe: Recipe) -> Iterator[Step]:
    for there, what, delete, gone, entry, atomic in (
        (recipe.tagged, "tags", do.delete_tags, do.tags_gone, entries.TAG_DELETE, entries.TAG_DELETE_ATOMIC),
        (
            True,
            "manifests",
            do.delete_manifests,
            do.manifests_gone,
            entries.MANIFEST_DELETE,
            entries.MANIFEST_DELETE_ATOMIC,
        ),
        (recipe.blobs, "blobs", do.delete_blobs, do.blobs_gone, entries.BLOB_DELETE, entries.BLOB_DELETE_ATOMIC),
    ):
        if there:
            yield Step(f"delete/{what}", f"The {what} can be deleted", delete, (entry,))
            title = f"Deleted {what} are gone at once"
            yield Step(f"delete/{what}-atomic", title, gone, (atomic,), after=f"delete/{what}")


def _run(ctx: Context, *, recipe: Recipe, step: Step) -> None:
    if recipe.group not in ctx.shared.datasets:
        ctx.shared.datasets[recipe.group] = recipe.make()
    step.run(ctx, ctx.shared.datasets[recipe.group])


def _case(recipe: Recipe, step: Step, *switches: str, pushes: Iterable[Step] = ()) -> Case:
    return Case(
        id=f"{recipe.group}/{step.name}",
        title=step.title,
        run=partial(_run, recipe=recipe, step=step),
        source="official suite",
        requires=(*recipe.requires, *switches, *entries.switches_for(*step.decides)),
        after=(f"{recipe.group}/{step.after}",) if step.after else (),
        needs=tuple(f"{recipe.group}/{push.name}" for push in pushes),
        entries=(recipe.entry, *step.decides),
        credits=step.credits,
    )


def read_only_cases(config: Config) -> tuple[Case, ...]:
    """Cases for the content that a read-only registry was said to hold; none when nothing was said."""
    given = config.read_only
    if not any(given.values()):
        return ()
    recipe = Recipe(
        group="read-only",
        entry=entries.READ_ONLY,
        make=partial(read_only, config),
        blobs=bool(given.get("blobs")),
        manifests=bool(given.get("manifests")),
        tagged=bool(given.get("tags")),
        subject=bool(given.get("referrers")),
    )
    return tuple(_case(recipe, step, "data.image") for step in _reads(recipe))


def _cases(recipe: Recipe) -> Iterator[Case]:
    pushes = tuple(_pushes(recipe))
    for number, step in enumerate(pushes):
        yield _case(recipe, step, "data.image", "apis.push", pushes=pushes[:number])
    for step in (*_reads(recipe), *_deletes(recipe)):
        yield _case(recipe, step, "data.image", "apis.push", pushes=pushes)


CASES = tuple(case for recipe in RECIPES for case in _cases(recipe))
