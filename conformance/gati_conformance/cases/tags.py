"""Lists of tags and of repositories: order, pages, and pushing tags as parameters.

Source: distribution-spec, Listing Tags (end-8); Pushing Manifests (end-7b).
"""

from __future__ import annotations

from urllib.parse import urlencode

from gati_conformance import checks
from gati_conformance.client import Answer
from gati_conformance.context import Context
from gati_conformance.data import Content, token
from gati_conformance.model import Failed, Group, Level, Unsupported

group = Group("tags", source="distribution-spec, Listing Tags", requires=("apis.push", "apis.tags.list", "data.image"))
PARAMETERS = "distribution-spec, Pushing Manifests, end-7b"


def _some_tags(ctx: Context, count: int = 7) -> list[str]:
    """Push tags that mix cases, digits and signs, in an order that is not theirs; the whole list afterwards."""
    mark = token(8)
    names = [f"{first}-{mark}-{number}" for number, first in enumerate("zAb_9Ba"[:count])]
    ctx.push_image(*names)
    listed = ctx.tags()
    if missing := set(names) - set(listed):
        raise Failed(f"tags missing from the list: {', '.join(sorted(missing))}")
    return listed


def _list(ctx: Context, **query: str | int) -> Answer:
    return checks.status(ctx.get(ctx.tags_path("?" + urlencode(query) if query else "")), 200)


def _names(answer: Answer) -> list[str]:
    found = answer.json().get("tags")
    checks.require(isinstance(found, list), f"{answer}: tags is {found!r}, expected a list")
    return [str(name) for name in found]


@group.case("form", "The list is JSON with the repository's name and the tags")
def _form(ctx: Context) -> None:
    ctx.push_image(ctx.tag())
    answer = _list(ctx)
    checks.require(answer.json().get("name") == ctx.repo, f"{answer}: name is {answer.json().get('name')!r}")
    checks.require(bool(_names(answer)), f"{answer}: no tags")
    kind = answer.header("content-type").partition(";")[0]
    checks.require(kind == "application/json", f"{answer}: Content-Type is {kind!r}")


@group.case("sorted", "Tags come in lexical order, of bytes or without regard to case, each once")
def _sorted(ctx: Context) -> None:
    listed = _some_tags(ctx)
    orders = (sorted(listed), sorted(listed, key=str.lower), sorted(listed, key=str.casefold))
    checks.require(listed in orders, f"tags are not sorted: {', '.join(listed[:20])}")
    checks.require(len(set(listed)) == len(listed), f"a tag is listed twice: {', '.join(listed[:20])}")


@group.case("n", "n=2 gives the first two tags, unless a Link says where the rest is")
def _n(ctx: Context) -> None:
    listed = _some_tags(ctx)
    answer = _list(ctx, n=2)
    found = _names(answer)
    whole = len(found) == 2 or (len(found) < 2 and checks.next_link(answer))
    checks.require(bool(whole) and found == listed[: len(found)], f"{answer}: tags {found}, expected {listed[:2]}")


@group.case("n-zero", "n=0 gives an empty list and no Link")
def _n_zero(ctx: Context) -> None:
    _some_tags(ctx, 2)
    answer = _list(ctx, n=0)
    checks.require(answer.json().get("tags") in ([], None), f"{answer}: tags {answer.json().get('tags')}")
    checks.require(not answer.header("link"), f"{answer}: Link {answer.header('link')}")


@group.case("n-large", "An n larger than the number of tags gives them all and no Link")
def _n_large(ctx: Context) -> None:
    listed = _some_tags(ctx, 2)
    if len(listed) < 100:
        answer = _list(ctx, n=100)
        checks.require(_names(answer) == listed, f"{answer}: {len(_names(answer))} of {len(listed)} tags")
        checks.require(not checks.next_link(answer), f"{answer}: a Link after the last tag")


@group.case("n-malformed", "An n that is no number is 400 or ignored", level=Level.EXPECTED)
def _n_malformed(ctx: Context) -> None:
    _some_tags(ctx, 1)
    for value in ("-1", "many", "1.5", "9" * 30):
        checks.error_if_json(ctx.get(ctx.tags_path(f"?n={value}")), 200, 400)


@group.case("last", "last= gives what comes after that tag, without n and with it")
def _last(ctx: Context) -> None:
    listed = _some_tags(ctx)
    middle = listed[len(listed) // 2]
    rest = listed[len(listed) // 2 + 1 :]
    answer = _list(ctx, last=middle)
    found = _names(answer)
    checks.require(found[: len(rest)] == rest[: len(found)] and bool(found), f"{answer}: {found}, expected {rest}")
    answer = _list(ctx, last=middle, n=1)
    checks.require(_names(answer) == rest[:1], f"{answer}: {_names(answer)}, expected {rest[:1]}")
    answer = _list(ctx, last=listed[-1])
    checks.require(answer.json().get("tags") in ([], None), f"{answer}: tags after the last one")


@group.case("last-not-there", "last= may name a tag that does not exist (any more)", level=Level.EXPECTED)
def _last_not_there(ctx: Context) -> None:
    listed = _some_tags(ctx)
    middle = listed[len(listed) // 2]
    answer = _list(ctx, last=middle + "-", n=1)
    wanted = min((name for name in listed if name > middle + "-"), default="")
    if listed == sorted(listed):
        checks.require(_names(answer) == [wanted][: bool(wanted)], f"{answer}: {_names(answer)}, expected {wanted}")


@group.case("pages", "Following Link gives every tag once, in order; the last page has none")
def _pages(ctx: Context) -> None:
    listed = _some_tags(ctx)
    found: list[str] = []
    for page in ctx.pages(ctx.tags_path("?n=2")):
        names = _names(page)
        checks.require(len(names) <= 2, f"{page}: {len(names)} tags on a page of 2")
        found += names
    if len(found) <= 2 < len(listed):
        raise Unsupported("the list has no Link (it may have none); pages go by last=")
    checks.require(found == listed, f"pages give {found}, the whole list is {listed}")


@group.case("pages-by-last", "Going on with last= gives every tag once, in order")
def _pages_by_last(ctx: Context) -> None:
    listed = _some_tags(ctx)
    found = _names(_list(ctx, n=3))
    while len(found) < len(listed):
        more = _names(_list(ctx, n=3, last=found[-1]))
        checks.require(bool(more), f"after last={found[-1]} nothing came, {len(listed) - len(found)} are missing")
        found += more
    checks.require(found == listed, f"pages give {found}, the whole list is {listed}")


@group.case("moved-tag-listed-once", "A tag that moved is listed once")
def _moved(ctx: Context) -> None:
    tag = ctx.tag()
    ctx.push_image(tag)
    ctx.push_image(tag)
    checks.require(ctx.tags().count(tag) == 1, f"{tag} is listed {ctx.tags().count(tag)} times")


@group.case(
    "catalog",
    "GET /v2/_catalog lists repositories in order, by pages",
    level=Level.EXPECTED,
    source="Docker registry HTTP API; clients: web interfaces, skopeo sync",
)
def _catalog(ctx: Context) -> None:
    for repo in (ctx.repo, ctx.repo2):
        ctx.push_image(ctx.tag(), repo=repo)
    answer = ctx.get("/v2/_catalog")
    if answer.status in (401, 403, 404, 405):
        raise Unsupported(f"{answer}: {answer.status}, there is no catalog (for us)")
    whole: list[str] = []
    for page in ctx.pages("/v2/_catalog?n=1000"):
        whole += page.json()["repositories"]
    checks.require({ctx.repo, ctx.repo2} <= set(whole), f"{answer}: our repositories are not listed")
    checks.require(len(set(whole)) == len(whole), f"{answer}: a repository is listed twice")
    orders = (sorted(whole), sorted(whole, key=lambda name: name.split("/")))
    checks.require(whole in orders, f"{answer}: the repositories are not sorted")
    position = whole.index(min(ctx.repo, ctx.repo2))
    last = f"&last={whole[position - 1]}" if position else ""
    page = checks.status(ctx.get(f"/v2/_catalog?n=1{last}"), 200)
    found = page.json()["repositories"]
    checks.require(found == [whole[position]], f"{page}: {found}, expected {whole[position]}")
    if position + 1 < len(whole):
        link = checks.next_link(page)
        checks.require(bool(link), f"{page}: no Link, though there are more")
        found = checks.status(ctx.get(link), 200).json()["repositories"]
        checks.require(found == [whole[position + 1]], f"{link}: {found}, expected {whole[position + 1]}")
    empty = checks.status(ctx.get("/v2/_catalog?n=0"), 200, 400)
    if empty.status == 200:
        checks.require(not empty.json()["repositories"], f"{empty}: repositories for n=0")


def _with_tags(ctx: Context, tags: list[str]) -> tuple[Content, Answer]:
    """Push an image, then its manifest by digest with tags as parameters."""
    manifest = ctx.push_image()
    return manifest, ctx.put_manifest(manifest, query="?" + urlencode([("tag", tag) for tag in tags]))


def _accepted(answer: Answer) -> set[str]:
    return {tag.strip() for tag in answer.header("oci-tag").split(",") if tag.strip()}


@group.case(
    "parameters",
    "Ten tags go with one push by digest, and OCI-Tag names each",
    source=PARAMETERS,
    requires=("apis.manifests.tagParam", "apis.pull"),
)
def _parameters(ctx: Context) -> None:
    tags = [ctx.tag(f"p{number}") for number in range(10)]
    manifest, answer = _with_tags(ctx, tags)
    accepted = _accepted(checks.status(answer, 201))
    if not accepted:
        raise Unsupported(f"{answer}: no OCI-Tag, tag parameters are not offered")
    checks.require(accepted == set(tags), f"{answer}: OCI-Tag names {', '.join(sorted(accepted))}")
    for tag in tags:
        checks.body(checks.status(ctx.get(ctx.manifest_path(tag)), 200), manifest.data)


@group.case(
    "parameters-moving",
    "A tag parameter moves a tag that exists",
    source=PARAMETERS,
    requires=("apis.manifests.tagParam", "apis.pull"),
)
def _parameters_moving(ctx: Context) -> None:
    tag = ctx.tag()
    ctx.push_image(tag)
    manifest, answer = _with_tags(ctx, [tag])
    if not _accepted(checks.status(answer, 201)):
        raise Unsupported(f"{answer}: no OCI-Tag, tag parameters are not offered")
    checks.body(checks.status(ctx.get(ctx.manifest_path(tag)), 200), manifest.data)


@group.case(
    "parameters-all-or-nothing",
    "With one bad tag among the parameters, none is made",
    source=PARAMETERS,
    level=Level.EXPECTED,
    requires=("apis.manifests.tagParam", "apis.pull"),
)
def _parameters_all_or_nothing(ctx: Context) -> None:
    good = [ctx.tag(), ctx.tag()]
    _, answer = _with_tags(ctx, [good[0], "not a tag", good[1]])
    if answer.status == 201 and not _accepted(answer):
        raise Unsupported(f"{answer}: no OCI-Tag, tag parameters are not offered")
    checks.error(answer, 400)
    for tag in good:
        checks.status(ctx.head(ctx.manifest_path(tag)), 404)


@group.case(
    "parameters-too-many",
    "Too many tag parameters are 414 (or 431), and none is made",
    source=PARAMETERS,
    level=Level.EXPECTED,
    requires=("apis.manifests.tagParam", "apis.pull"),
)
def _parameters_too_many(ctx: Context) -> None:
    mark = token(100)
    tags = [f"{mark}-{number:04}" for number in range(150)]  # 16 KiB of parameters
    _, answer = _with_tags(ctx, tags)
    if answer.status == 201:
        accepted = _accepted(answer)
        if not accepted:
            raise Unsupported("no OCI-Tag, tag parameters are not offered")
        checks.require(accepted == set(tags), f"OCI-Tag names {len(accepted)} of {len(tags)} tags")
        raise Unsupported(f"{len(tags)} tag parameters were taken")
    checks.error_if_json(answer, 414, 431)
    for tag in (tags[0], tags[-1]):
        checks.status(ctx.head(ctx.manifest_path(tag)), 404)
