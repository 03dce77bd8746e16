"""Resolution of a graph of many artifacts and versions, by what one manifest costs."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Iterator

from bench.artifacts import Blob, image_manifest
from bench.load import Client, LoadError, percentile
from bench.model import Metric, Row, Scale, Target, Values
from bench.processes import measured
from bench.push import push_all, push_blob, push_manifest
from bench.stacks import Server, Unsupported

_CONFIG = "application/vnd.gati.library.config.v1+json"
_TYPE = "application/vnd.gati.library.v1"
_VERSIONS = tuple(f"{major}.{minor}.0" for major in (1, 2) for minor in range(5))
_TIMES = 30
"""Resolutions that are measured in a round."""


def _name(number: int) -> str:
    return f"library/resolved/p{number:04d}"


def _needs(number: int, version: str, count: int, chance: random.Random) -> dict[str, str]:
    """Two artifacts of a tree that holds all, and up to two others further on; in one of twenty the newest version
    wants of one of them what others do not let it have."""
    major = version[0]
    children = [child for child in (2 * number + 1, 2 * number + 2) if child < count]
    others = [chance.randrange(number + 1, count) for _ in range(2)] if number + 1 < count else []
    needs = {_name(child): ">=1.1.0" for child in others} | {_name(child): f"^{major}.0.0" for child in children}
    if number and number % 20 == 0 and version == _VERSIONS[-1] and others:
        needs[_name(others[0])] = "~1.0.0"
    return needs


def _pushes(count: int) -> Iterator[Client]:
    for number in range(count):
        chance = random.Random(number)
        for version in _VERSIONS:
            config = {"name": f"p{number:04d}", "version": version, "description": f"Artifact {number}.",
                      "dependencies": _needs(number, version, count, chance)}  # fmt: skip
            blob = Blob.of(json.dumps(config).encode(), _CONFIG)
            yield _push(_name(number), version, blob)


def _push(name: str, version: str, config: Blob) -> Client:
    yield from push_blob(name, config)
    yield from push_manifest(name, image_manifest(config, [], artifact_type=_TYPE), version)


def _prepare(server: Server, scale: Scale) -> None:
    if server.stack.kind != "ours":
        raise Unsupported("resolves nothing")
    push_all(server.address, _pushes(scale.resolved))


def _measure(server: Server, scale: Scale, _round: int) -> Values:
    connection = http.client.HTTPConnection(*server.address, timeout=120)
    body = json.dumps({"requests": {_name(0): "*"}})
    target = f"/v2/{_name(0)}/manifests/{_VERSIONS[-1]}"

    def ask(method: str, path: str, sent: str | None = None) -> tuple[float, bytes]:
        headers = {"Content-Type": "application/json"} if sent else {}
        start = time.perf_counter()
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        received = answer.read()
        if answer.status != 200:
            raise LoadError(f"{method} {path} was answered {answer.status}")
        return (time.perf_counter() - start) * 1000, received

    try:
        answer = json.loads(ask("POST", "/v2/_ext/resolve", body)[1])
        if answer["conflicts"] or len(answer["packages"]) != scale.resolved:
            raise LoadError(f"{len(answer['packages'])} packages were chosen, {scale.resolved} are wanted")
        gets = [ask("GET", target)[0] for _ in range(_TIMES * 10)]
        with measured(server.pid) as usage:
            times = [ask("POST", "/v2/_ext/resolve", body)[0] for _ in range(_TIMES)]
    finally:
        connection.close()
    p50, get = percentile(times, 50), percentile(gets, 50)
    return {
        "p50": p50,
        "p95": percentile(times, 95),
        "cpu": usage.server / _TIMES * 1000,
        "get": get,
        "ratio": p50 / get,
        "kib": len(json.dumps(answer)) / 1024,
    }


RESOLVE = Row(
    "resolve",
    f"POST of one range that wants a graph of 500 artifacts with {len(_VERSIONS)} versions each, every one wanting up "
    "to four others, one request after the other: the whole graph with its lock. `By a GET` is its median by that of a "
    "GET of one manifest over the same connection.",
    (
        Metric("p50", "p50", "ms", "less"),
        Metric("p95", "p95", "ms", "less", (Target(500, None, every=True),)),
        Metric("ratio", "p50 by a GET", "x", "less"),
        Metric("get", "p50 of GET of a manifest", "ms", "less"),
        Metric("cpu", "server CPU", "ms/request", "less"),
        Metric("kib", "answer", "KiB", "less"),
    ),
    _measure,
    _prepare,
)
