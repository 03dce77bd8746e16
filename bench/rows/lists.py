"""Lists: tags of one repository, the catalog, referrers of one manifest."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator

from bench.artifacts import EMPTY, IMAGE_INDEX, Blob, empty_index, image_manifest, manifest_of_size
from bench.load import Client, LoadError
from bench.model import Metric, Row, Scale, Target, Values
from bench.processes import measured
from bench.push import push_all, push_blob, push_image, push_manifest
from bench.rows.reading import get_rate, rate_metrics
from bench.stacks import Server, Unsupported

_PAGE = 100


def _tag(number: int) -> str:
    return f"v{number:07d}"


def _tagged(name: str, numbers: range) -> Iterator[Client]:
    for number in numbers:
        manifest = image_manifest(EMPTY, [EMPTY], annotations={"version": str(number), "repository": name})
        yield push_manifest(name, manifest, _tag(number))


def _tags(server: Server, scale: Scale, round_: int) -> Values:
    """Push the tags in three legs, so that the first and the last tenth can be told apart; then read them."""
    name = f"bench/tags-{round_}"
    push_all(server.address, [push_blob(name, EMPTY)])
    tenth = max(1, scale.tags // 10)
    legs = []
    for numbers in (range(tenth), range(tenth, scale.tags - tenth), range(scale.tags - tenth, scale.tags)):
        with measured(server.pid) as usage:
            push_all(server.address, _tagged(name, numbers), clients=scale.clients)
        legs.append(usage)
    first, _, last = legs
    middle = _tag(scale.tags // 2)
    page = get_rate(server, f"/v2/{name}/tags/list?n={_PAGE}&last={middle}", scale)
    with measured(server.pid) as reading:
        pages = _walk(server, f"/v2/{name}/tags/list", scale.tags)
    return {
        "push": sum(leg.seconds for leg in legs),
        "push-cpu": sum(leg.server for leg in legs) / scale.tags * 1000,
        "growth": last.seconds / first.seconds,
        "cpu-growth": last.server / first.server if first.server else 1.0,
        "page": page["rate"],
        "page-cpu": page["cpu"],
        "whole": reading.seconds * 1000,
        "pages": pages,
    }


def _walk(server: Server, target: str, expected: int) -> int:
    """GET a list of tags to its end by the links to its next pages; how many pages it had.

    Raises:
        LoadError: other than `expected` tags came.
    """
    connection = http.client.HTTPConnection(*server.address, timeout=120)
    pages = found = 0
    try:
        while target:
            connection.request("GET", target)
            answer = connection.getresponse()
            found += len(json.loads(answer.read())["tags"])
            pages += 1
            link = re.match(r'<(?:https?://[^/]+)?([^>]+)>; *rel="next"', answer.headers.get("Link", ""))
            target = link[1] if link else ""
    finally:
        connection.close()
    if found != expected:
        raise LoadError(f"{found} tags listed, {expected} pushed")
    return pages


TAGS = Row(
    "tags",
    "10,000 different manifests pushed under a tag each to one repository by 64 clients, and what the last "
    f"tenth of them cost by what the first did; then GET of a page of {_PAGE} tags from the middle over 64 "
    "connections, and of the whole list by one client that follows the links to further pages.",
    (
        Metric("push", "push of all", "s", "less", (Target(1 / 8),)),
        Metric("push-cpu", "server CPU of a push", "ms/tag", "less"),
        Metric("growth", "time of the last tenth by the first", "x", "less", (Target(1.2, None),)),
        Metric("cpu-growth", "CPU of the last tenth by the first", "x", "less", (Target(1.2, None),)),
        Metric("page", f"page of {_PAGE}", "/s", "more", (Target(20),)),
        Metric("page-cpu", f"server CPU of a page of {_PAGE}", "µs/request", "less"),
        Metric("whole", "whole list", "ms", "less"),
        Metric("pages", "pages of the whole list", "", "less"),
    ),
    _tags,
)


def _repository(number: int) -> str:
    return f"bench/catalog/r{number:07d}"


def _prepare_catalog(server: Server, scale: Scale) -> None:
    names = [_repository(number) for number in range(scale.repositories)]
    push_all(server.address, [push_manifest(name, empty_index(name), "v1") for name in names])


def _catalog(server: Server, scale: Scale, _round: int) -> Values:
    last = _repository(scale.repositories // 2)
    return get_rate(server, f"/v2/_catalog?n={_PAGE}&last={last}", scale)


CATALOG = Row(
    "catalog",
    f"GET of a page of {_PAGE} from the middle of the catalog, over 64 connections.",
    rate_metrics((Target(20),)),
    _catalog,
    _prepare_catalog,
)

_SUBJECT = manifest_of_size(1000)
_REFERRED = "bench/referrers"


def _referrer(number: int) -> Blob:
    return image_manifest(
        EMPTY,
        [EMPTY],
        artifact_type=f"application/vnd.bench.kind{number % 5}",
        subject=_SUBJECT,
        annotations={"number": str(number)},
    )


def _prepare_referrers(server: Server, scale: Scale) -> None:
    push_image(server.address, _REFERRED, _SUBJECT, "subject")
    push_all(server.address, [push_manifest(_REFERRED, _referrer(number)) for number in range(scale.referrers)])


def _referrers(server: Server, scale: Scale, _round: int) -> Values:
    target = f"/v2/{_REFERRED}/referrers/{_SUBJECT.digest}"
    status, body = server.ask("GET", target, {"Accept": IMAGE_INDEX})
    if status != 200:
        raise Unsupported(f"has no referrers API ({status})")
    listed = len(json.loads(body)["manifests"])
    return {**get_rate(server, target, scale, [f"Accept: {IMAGE_INDEX}"]), "listed": listed}


REFERRERS = Row(
    "referrers",
    "GET of the referrers of one manifest that has 1,000, over 64 connections; `listed` is how many of them "
    "the answer holds.",
    (*rate_metrics((Target(40, "zot"),)), Metric("listed", "listed", "referrers", "more")),
    _referrers,
    _prepare_referrers,
)
