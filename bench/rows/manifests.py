"""GET and HEAD of one manifest of 1 KiB."""

from __future__ import annotations

from bench.artifacts import IMAGE_MANIFEST, manifest_of_size
from bench.load import repeat, request
from bench.model import Row, Scale, Target, Values
from bench.processes import measured
from bench.push import push_image
from bench.rows.reading import get_rate, rate_metrics, values
from bench.stacks import Server

NAME = "bench/manifests"
TAG = "v1"
MANIFEST = manifest_of_size(1024)
ACCEPT = f"Accept: {IMAGE_MANIFEST}"

_RATE = (
    Target(1.5, "distribution-3", ("hypercorn",)),
    Target(5, "distribution-3", ("uvicorn",)),
)
_CPU = (
    Target(0.5, "distribution-3", ("hypercorn",)),
    Target(0.12, "distribution-3", ("uvicorn",)),
)
_METRICS = rate_metrics(_RATE, _CPU)


def _prepare(server: Server, _scale: Scale) -> None:
    push_image(server.address, NAME, MANIFEST, TAG)


def _by_tag(server: Server, scale: Scale, _round: int) -> Values:
    return get_rate(server, f"/v2/{NAME}/manifests/{TAG}", scale, [ACCEPT])


def _by_digest(server: Server, scale: Scale, _round: int) -> Values:
    return get_rate(server, f"/v2/{NAME}/manifests/{MANIFEST.digest}", scale, [ACCEPT])


def _head(server: Server, scale: Scale, _round: int) -> Values:
    payload = request("HEAD", f"/v2/{NAME}/manifests/{TAG}", ACCEPT + "\r\n")
    repeat(server.address, payload, connections=scale.connections, seconds=min(1, scale.seconds))
    with measured(server.pid) as usage:
        rate = repeat(server.address, payload, connections=scale.connections, seconds=scale.seconds)
    return values(rate, usage.server)


GET_BY_TAG = Row(
    "manifest-tag",
    "GET of one manifest of 1,024 bytes by tag, 64 keep-alive connections (wrk).",
    _METRICS,
    _by_tag,
    _prepare,
)
GET_BY_DIGEST = Row("manifest-digest", "The same by digest.", _METRICS, _by_digest, _prepare)
HEAD_BY_TAG = Row(
    "manifest-head",
    "HEAD by tag, sent by a client in Python (wrk cannot do HEAD) that itself takes much of a core.",
    _METRICS,
    _head,
    _prepare,
)
